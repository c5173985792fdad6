//! Text for terminals, and numbers for people.

use std::fmt::Write;
use std::mem;
use std::path::Path;
use std::str;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sockeye::http_core;
use sockeye::proto::WallTime;

/// Whether a terminal would act on a character: control characters (C0, DEL and C1), and characters
/// that change the direction of text.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes control characters as `\n`, `\r`, `\t`, `\u{1b}`. The result is one line.
pub(crate) fn escape_controls(text: &str) -> String {
    escaped(text, is_control)
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_escaped(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Returns `reason`, which says why a connection was not established. If connecting failed or timed
/// out, adds advice. Other reasons, such as a failed TLS handshake, get none.
pub(crate) fn why_unconnected(reason: &str) -> String {
    let advice = match reason.starts_with("could not connect") {
        true => "; check that a server listens there",
        false => "",
    };
    format!("{reason}{advice}")
}

/// Makes bytes from a peer, in pieces of any size, safe for a terminal. Line feeds and tabs stay,
/// other control characters are escaped, and bytes that are not UTF-8 are written in hexadecimal
/// (`\xff`).
#[derive(Debug, Default)]
pub(crate) struct TerminalText {
    /// An incomplete character at the end: at most three bytes.
    partial: Vec<u8>,
}

impl TerminalText {
    /// Appends `bytes` to `shown`, except an incomplete character at the end.
    pub(crate) fn push(&mut self, bytes: &[u8], shown: &mut Vec<u8>) {
        let mut all = mem::take(&mut self.partial);
        all.extend_from_slice(bytes);
        let mut rest = &all[..];
        while let Err(error) = str::from_utf8(rest) {
            let (valid, other) = rest.split_at(error.valid_up_to());
            show_text(&String::from_utf8_lossy(valid), shown);
            let Some(len) = error.error_len() else {
                self.partial = other.to_vec();
                return;
            };
            show_bytes(&other[..len], shown);
            rest = &other[len..];
        }
        show_text(&String::from_utf8_lossy(rest), shown);
    }

    /// Appends the incomplete character that [`TerminalText::push`] kept, if any, escaped.
    pub(crate) fn finish(&mut self, shown: &mut Vec<u8>) {
        show_bytes(&mem::take(&mut self.partial), shown);
    }
}

fn show_text(text: &str, shown: &mut Vec<u8>) {
    let escaped = escaped(text, |c| is_control(c) && !matches!(c, '\n' | '\t'));
    shown.extend_from_slice(escaped.as_bytes());
}

fn show_bytes(bytes: &[u8], shown: &mut Vec<u8>) {
    for byte in bytes {
        shown.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
    }
}

/// Puts `bytes` in quotes. Control characters, quotes and backslashes are escaped, and bytes that
/// are not UTF-8 are written in hexadecimal (`\xff`).
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

/// A path as one word for a shell, without control characters.
pub(crate) fn shell_word(path: &Path) -> String {
    sockeye::tls::shell_word(&escape_controls(&path.display().to_string()))
}

/// A number of bytes for people: `88 B`, `1.5 KiB`, `3.0 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut amount = count as f64 / 1024.0;
    let mut unit = 0;
    // From here on, it would be written as 1024.0.
    while amount >= 1023.95 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// A duration for people: `87 µs`, `1.2 ms`, `3.4 s`.
pub(crate) fn time(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        // From here on, it would be written as 1000.0 ms.
        999_950.. => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{:.1} ms", micros as f64 / 1e3),
    }
}

/// The date of a time, in UTC: `2027-02-24`.
pub(crate) fn date(time: SystemTime) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // In the form `Wed, 24 Feb 2027 19:00:00 GMT`, from which the parts are cut by position.
    let date = http_core::date::format(WallTime::from_secs(seconds));
    let date = String::from_utf8_lossy(&date);
    let month = MONTHS.find(&date[8..11]).unwrap_or_default() / 3 + 1;
    format!("{}-{month:02}-{}", &date[12..16], &date[5..7])
}

/// A number with its noun: `1 connection`, `2 connections`.
pub(crate) fn count(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Refuses a list of addresses as the value of `flag`. The error says to repeat the flag for each
/// address. The environment variable of a flag can't be repeated, so the error also names
/// `OPTIONS`: the packaged systemd unit has this variable for any number of flags.
pub(crate) fn refuse_list(flag: &str, text: &str) -> Result<(), String> {
    let values: Vec<&str> = text.split([',', ' ']).filter(|value| !value.is_empty()).collect();
    let is_address = |value: &&str| *value == "unix" || value.contains([':', '.']);
    let ([first, second, ..], true) = (&values[..], values.iter().all(is_address)) else {
        return Ok(());
    };
    let flags = format!("{flag} {first} {flag} {second}");
    Err(format!("repeat the flag for each value: {flags}; in a systemd unit: OPTIONS=\"{flags}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let evil = "a\x1b[2J\u{9b}31m\r\nb\x07\x7f å\u{202e}\u{2066}";
        let escaped = escape_controls(evil);
        assert_eq!(escaped, r"a\u{1b}[2J\u{9b}31m\r\nb\u{7}\u{7f} å\u{202e}\u{2066}");
        assert!(!escaped.chars().any(char::is_control));
    }

    #[test]
    fn terminal_text_is_escaped_for_any_split_of_the_bytes() {
        let table: [(&[u8], &str); 6] = [
            (b"\x1b]0;x\x07a\tb\n", "\\u{1b}]0;x\\u{7}a\tb\n"),
            (b"a\r\n\x08\x7f", "a\\r\n\\u{8}\\u{7f}"),
            (
                "gr\u{fc}\u{df}e \u{1f48d} \u{9b}31m".as_bytes(),
                "gr\u{fc}\u{df}e \u{1f48d} \\u{9b}31m",
            ),
            (b"\x9b31m \xff\xfe", "\\x9b31m \\xff\\xfe"),
            (b"\xe2\x82", "\\xe2\\x82"),
            (b"\xe2\x82A\xc3", "\\xe2\\x82A\\xc3"),
        ];
        for (bytes, expected) in table {
            for size in 1..=bytes.len() {
                let (mut text, mut shown) = (TerminalText::default(), Vec::new());
                bytes.chunks(size).for_each(|piece| text.push(piece, &mut shown));
                text.finish(&mut shown);
                assert_eq!(String::from_utf8(shown).unwrap(), expected, "in pieces of {size}");
            }
        }
    }

    #[test]
    fn dates_are_written_in_utc() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (1_803_513_599, "2027-02-24"),
            (1_803_513_600, "2027-02-25"),
            (u64::MAX >> 8, "9999-12-31"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn quoted_bytes_are_unambiguous() {
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
    fn words_for_a_shell_are_quoted_only_if_necessary() {
        for (path, word) in [
            ("docs/größe-1.jpg", "docs/größe-1.jpg"),
            ("Summer 2025", "'Summer 2025'"),
            ("/#1=a", "'/#1=a'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }

    #[test]
    fn amounts_are_formatted_for_people() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (1_048_524, "1023.9 KiB"),
            (1_048_525, "1.0 MiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ];
        for (count, text) in table {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(time(Duration::from_micros(87)), "87 µs");
        assert_eq!(time(Duration::from_micros(1_234)), "1.2 ms");
        assert_eq!(time(Duration::from_micros(999_949)), "999.9 ms");
        assert_eq!(time(Duration::from_micros(999_950)), "1.0 s");
        assert_eq!(time(Duration::from_millis(61_250)), "61.2 s");
        assert_eq!(
            (count(1, "connection").as_str(), count(0, "connection").as_str()),
            ("1 connection", "0 connections")
        );
    }
}
