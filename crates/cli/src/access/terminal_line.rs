//! Formats the log line of a request for a terminal: method, path (with the query), status, size of
//! the content, and time. If the response was not completed, the line also says why. The line ends
//! with the code of the error for which the server refused the request or ended its stream, if
//! there is one ([`Outcome::fault_code`]). The columns are aligned, and paths are cut so that a
//! line without this reason and code fits the terminal.
//!
//! ```text
//! GET  /                                               200     1.2 KiB     <1 ms
//! GET  /video.mp4                                      206    48.0 MiB     3.1 s  client aborted
//! ```

use std::io::Write;
use std::time::Duration;

use sockeye::http_core::{EndReason, Outcome, Status};

use crate::text;

/// The width of the method's column. Longer methods, such as `DELETE`, move the path to the right.
const METHOD: usize = 4;
/// The width of the status, the size (`1023.9 KiB`) and the time (`999.9 ms`), each with the spaces
/// before it.
const FIGURES: usize = 5 + 12 + 10;
/// The number of columns before the spaces and the status, if the terminal is wide enough. The
/// number is small, so that the status stays near the path. A longer path moves the status to the
/// right.
const MAX_STATUS_COLUMN: usize = 55;
/// The fewest characters to which a path is cut, including the `...`, even if the line then doesn't
/// fit the terminal.
const MIN_PATH: usize = 16;
/// The maximum number of characters that are shown of an [`Outcome::fault_code`].
const MAX_CODE: usize = 32;

/// Appends the line of a finished request. `request` is its method and path, both in printable
/// ASCII. `width` is that of the terminal.
pub(super) fn end(
    request: [&[u8]; 2],
    outcome: &Outcome,
    color: bool,
    width: usize,
    line: &mut Vec<u8>,
) {
    write_request(request, width, line);
    paint(color_of(outcome.status).filter(|_| color), line, |line| match outcome.status {
        Some(status) => write(line, format_args!("{}", status.code())),
        None => line.extend_from_slice(b"---"),
    });
    let size = match outcome.content {
        0 => "-".to_owned(),
        bytes => text::bytes(bytes),
    };
    write(line, format_args!("  {size:>10}  {:>8}", time(outcome.duration)));
    if outcome.end_reason != EndReason::Complete {
        line.extend_from_slice(b"  ");
        paint(Some(RED).filter(|_| color), line, |line| {
            let reason = outcome.end_reason.as_str().bytes();
            line.extend(reason.map(|byte| if byte == b'-' { b' ' } else { byte }));
        });
    }
    if let Some(code) = outcome.fault_code {
        write(line, format_args!("  {}", &code[..code.len().min(MAX_CODE)]));
    }
    line.push(b'\n');
}

/// Appends the method and the path, padded to the column of the status.
fn write_request([method, path]: [&[u8]; 2], width: usize, line: &mut Vec<u8>) {
    let start = line.len();
    line.extend_from_slice(method);
    pad(line, start + METHOD);
    line.push(b' ');
    let room = width.saturating_sub(line.len() - start + FIGURES).max(MIN_PATH);
    match path.get(..room - 3).filter(|_| path.len() > room) {
        Some(beginning) => line.extend([beginning, b"..."].concat()),
        None => line.extend_from_slice(path),
    }
    pad(line, start + MAX_STATUS_COLUMN.min(width.saturating_sub(FIGURES)));
    line.extend_from_slice(b"  ");
}

/// Foreground colours of ANSI terminals.
pub(super) const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const CYAN: u8 = 36;

fn color_of(status: Option<Status>) -> Option<u8> {
    Some(match status.map_or(500, Status::code) {
        200..300 => GREEN,
        300..400 => CYAN,
        400..500 => YELLOW,
        500.. => RED,
        _ => return None,
    })
}

/// Calls `write_text` to append text, which is shown in `color` if there is one.
pub(super) fn paint(color: Option<u8>, line: &mut Vec<u8>, write_text: impl FnOnce(&mut Vec<u8>)) {
    let Some(color) = color else { return write_text(line) };
    write(line, format_args!("\x1b[{color}m"));
    write_text(line);
    line.extend_from_slice(b"\x1b[0m");
}

/// Formats a duration. The clock is read once per turn of the event loop, so a response within one
/// turn, such as that of a cached file, has a duration of 0.
fn time(time: Duration) -> String {
    if time < Duration::from_millis(1) { "<1 ms".into() } else { text::time(time) }
}

/// Appends spaces until `line` has `len` bytes.
fn pad(line: &mut Vec<u8>, len: usize) {
    line.resize(line.len().max(len), b' ');
}

fn write(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory can't fail.
    let _ = line.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, width: usize) -> String {
        let mut line = b"before\n".to_vec();
        write_request([method.as_bytes(), path.as_bytes()], width, &mut line);
        String::from_utf8(line.split_off(b"before\n".len())).unwrap()
    }

    #[test]
    fn paths_are_cut_so_that_a_line_fits_and_the_status_has_a_column() {
        let (short, long) = ("/a", format!("/{}", "b".repeat(300)));
        for width in [60, 80, 100, 200] {
            for method in ["GET", "HEAD", "PROPFIND"] {
                let line = request(method, &long, width);
                assert_eq!(line.len() + FIGURES, width + "  ".len(), "{line}");
                assert!(line.ends_with("bbb...  ") && line.starts_with(method), "{line}");
            }
            let columns = ["GET", "HEAD"].map(|method| request(method, short, width).len());
            assert_eq!(columns[0], columns[1]);
            assert_eq!(columns[0], 57.min(width - FIGURES + "  ".len()), "{width}");
        }
        assert_eq!(request("GET", "/123456", 0), "GET  /123456  ");
        assert_eq!(request("GET", "/1234567890123456", 0), "GET  /123456789012...  ");
    }

    #[test]
    fn a_colour_ends_with_the_text() {
        let painted = |color| {
            let mut line = Vec::new();
            paint(color, &mut line, |line| line.extend_from_slice(b"404"));
            String::from_utf8(line).unwrap()
        };
        assert_eq!(painted(color_of(Some(Status::NOT_FOUND))), "\x1b[33m404\x1b[0m");
        assert_eq!(painted(None), "404");
        let colors = [Some(Status::OK), Some(Status::NOT_MODIFIED), None].map(color_of);
        assert_eq!(colors, [Some(GREEN), Some(CYAN), Some(RED)]);
    }
}
