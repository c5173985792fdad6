//! The response of a server that refuses to open a WebSocket, and what to tell the user.

use sockeye::http_core::Status;
use sockeye::http_core::client::{BadResponse, Piece, RequestKind, ResponseReader};

use crate::target::Target;
use crate::text;

/// Maximum number of bytes of the response's content that are shown.
const MAX_TEXT: usize = 300;

/// The part of the response that is shown to the user.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    reader: ResponseReader,
    status: u16,
    /// Where the response redirects to. In a response that is no redirect, `Location` has another
    /// meaning (RFC 9110, 10.2.2), and is ignored.
    redirect: Option<String>,
    /// Whether the content is plain text.
    is_text: bool,
    content: Vec<u8>,
}

impl Refusal {
    /// Reads more of the response. Returns how many bytes were consumed, and whether nothing more
    /// is needed: the response is complete, or enough of it was read.
    pub(super) fn read(&mut self, input: &[u8]) -> Result<(usize, bool), BadResponse> {
        let mut used = 0;
        loop {
            let (count, piece) = self.reader.read(&input[used..], RequestKind::Other, None)?;
            used += count;
            match piece {
                Piece::NeedMore => return Ok((used, false)),
                Piece::Head(head) => {
                    self.status = head.status;
                    let value = |name| value(head.bytes, name);
                    let is_redirect = (300..=399).contains(&head.status);
                    self.redirect = value("location").filter(|_| is_redirect);
                    self.is_text =
                        value("content-type").is_some_and(|is| is.starts_with("text/plain"));
                }
                Piece::Content(bytes) => {
                    self.content.extend_from_slice(bytes);
                    if self.content.len() > MAX_TEXT {
                        return Ok((used, true));
                    }
                }
                Piece::End { .. } => return Ok((used, true)),
            }
        }
    }

    /// What the server answered, and what the user can do. The text continues a sentence that
    /// begins with "the peer".
    pub(super) fn text(&self, target: &Target) -> String {
        let Self { status, .. } = self;
        let reason = Status::from_code(*status).map_or("", Status::reason);
        let mut what = format!("opened no WebSocket: {status} {reason}").trim_end().to_owned();
        let content = String::from_utf8_lossy(&self.content);
        // Sockeye's own error pages in plain text begin with the status: don't show it twice.
        let own = format!("{status} {reason}\n");
        let content = content.strip_prefix(&own).unwrap_or(&content).trim();
        let line = content.lines().next().unwrap_or_default();
        // The content of a redirect is not shown, since `hint` shows its `Location`.
        if self.is_text && !line.is_empty() && self.redirect.is_none() {
            let end = line.floor_char_boundary(MAX_TEXT);
            what += &format!(" ({})", text::escape_controls(&line[..end]));
        }
        what + &self.hint(target)
    }

    /// What the user can do, for this status.
    fn hint(&self, target: &Target) -> String {
        match (self.status, &self.redirect) {
            (_, Some(location)) => match target.with_tls_by(location) {
                Some(with_tls) => format!("; this port speaks TLS: write {with_tls}"),
                None => {
                    let location = text::escape_controls(location);
                    match location.strip_prefix("http") {
                        Some(rest) if rest.starts_with("://") || rest.starts_with("s://") => {
                            format!("; it redirects to ws{rest}")
                        }
                        _ => format!("; it redirects to {location}"),
                    }
                }
            },
            (200..=299, _) => "; there is no WebSocket at this path: write the path of one".into(),
            // With this status, nginx and others respond to plain HTTP at a port with TLS.
            (400, _) => target.tls_hint(),
            (401, _) => "; -H 'Authorization: …' sends credentials".into(),
            (403, _) => "; -H 'Origin: URL' sends another origin".into(),
            (404 | 405 | 426, _) => "; write the path of a WebSocket".into(),
            _ => String::new(),
        }
    }
}

/// The value of the first field with this name in `head`, the head of a response.
fn value(head: &[u8], name: &str) -> Option<String> {
    let line = head.split(|byte| *byte == b'\n').find_map(|line| {
        let (this, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        this.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    })?;
    Some(String::from_utf8_lossy(line.trim_ascii()).into_owned())
}
