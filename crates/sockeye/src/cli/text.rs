//! Text for a terminal, made of bytes that somebody else chose.

use std::fmt::Write;
use std::time::Duration;

/// Whether a character could do more to a terminal than be shown.
fn is_control(c: char) -> bool {
    // C0, DEL and C1: `char::is_control` is exactly these.
    c.is_control()
}

/// Appends `text` with control characters escaped: `\n`, `\r`, `\t`, `\u{1b}`.
pub(crate) fn escape_controls_into(line: &mut String, text: &str) {
    for c in text.chars() {
        if is_control(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

/// `text` with control characters escaped, on one line.
pub(crate) fn escape_controls(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    escape_controls_into(&mut line, text);
    line
}

/// `bytes` as one would write them in quotes: UTF-8 as it is, control characters, quotes and
/// backslashes escaped, what is not UTF-8 as `\xff`.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let mut quoted = String::with_capacity(bytes.len() + 2);
    quoted.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                _ if is_control(c) => quoted.extend(c.escape_default()),
                _ => quoted.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(quoted, "\\x{byte:02x}");
        }
    }
    quoted.push('"');
    quoted
}

/// A number of bytes for people: `88 B`, `1.5 KiB`, `3.0 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut amount = count as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// A duration for people, to two or three figures: `87 µs`, `1.2 ms`, `3.4 s`.
pub(crate) fn time(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// `1 connection`, `2 connections`.
pub(crate) fn count(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let evil = "a\x1b[2J\u{9b}31m\r\nb\x07\x7f å";
        let escaped = escape_controls(evil);
        assert_eq!(escaped, r"a\u{1b}[2J\u{9b}31m\r\nb\u{7}\u{7f} å");
        assert!(!escaped.chars().any(char::is_control));
    }

    #[test]
    fn quoted_bytes_can_be_told_apart() {
        let table: [(&[u8], &str); 5] = [
            (b"Hello World", r#""Hello World""#),
            ("grüße\n".as_bytes(), r#""grüße\n""#),
            (b"a\"b\\c", r#""a\"b\\c""#),
            (b"\xff\xfe a \xc3", r#""\xff\xfe a \xc3""#),
            (b"", r#""""#),
        ];
        for (bytes, quoted) in table {
            assert_eq!(quote(bytes), quoted);
        }
    }

    #[test]
    fn amounts_read_well() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ];
        for (count, text) in table {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(time(Duration::from_micros(87)), "87 µs");
        assert_eq!(time(Duration::from_micros(1_234)), "1.2 ms");
        assert_eq!(time(Duration::from_millis(61_250)), "61.2 s");
        assert_eq!(
            (count(1, "connection").as_str(), count(0, "connection").as_str()),
            ("1 connection", "0 connections")
        );
    }
}
