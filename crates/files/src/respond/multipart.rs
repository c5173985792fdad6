//! Several ranges of a file in one response: `multipart/byteranges` (RFC 9110, 14.6).

use std::hash::{BuildHasher, RandomState};

use sockeye_http::{Answer, Body, Fields, Responder, Status};
use sockeye_proto::{FileRange, Permit};

use crate::coding::selected::Selected;
use crate::file::fields::{value, with, without};
use crate::request::range::Part;

/// What stands between the parts.
///
/// Made of chance when a site is made, of 128 bits: no file holds it but by somebody who reads
/// responses and writes files, and always of one length, so that a response's is known in advance.
#[derive(Debug)]
pub(crate) struct Boundary(String);

impl Boundary {
    pub(crate) fn new() -> Self {
        let chance = || RandomState::new().hash_one(0);
        Self(format!("{:016x}{:016x}", chance(), chance()))
    }

    /// What stands in front of a part: of all but the first, a line's end, too.
    fn head(&self, is_first: bool, kind: &[u8], part: Part, size: u64) -> Vec<u8> {
        let Self(boundary) = self;
        let range = part.content_range(size);
        let (before, lies) = (if is_first { "" } else { "\r\n" }, "\r\nContent-Range: ");
        let open = format!("{before}--{boundary}\r\nContent-Type: ");
        [open.as_bytes(), kind, lies.as_bytes(), range.as_bytes(), b"\r\n\r\n"].concat()
    }

    fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.0)
    }
}

/// Answers with parts of a file. Few enough to be written at once: what is between them is short,
/// and they themselves are shared or the kernel's.
pub(crate) fn send(
    form: &Selected<'_>,
    parts: &[Part],
    fields: &Fields,
    boundary: &Boundary,
    mut permit: Option<Permit>,
    responder: Responder<'_, '_>,
) -> Answer {
    let file = form.file;
    let kind = value(fields, "Content-Type").unwrap_or(b"application/octet-stream");
    let head = |(at, part): (usize, &Part)| boundary.head(at == 0, kind, *part, file.size());
    let heads: Vec<Vec<u8>> = parts.iter().enumerate().map(head).collect();
    let end = boundary.end();
    let around = heads.iter().map(Vec::len).sum::<usize>() + end.len();
    let content: u64 = parts.iter().map(|part| part.len).sum();

    let fields = without(fields, &["Content-Type"]);
    let kind = format!("multipart/byteranges; boundary={}", boundary.0);
    let fields = with(fields, "Content-Type", &kind);
    let len = content + around as u64;
    let mut stream = responder.stream(Status::PARTIAL_CONTENT, &fields, Some(len));
    for (at, (part, head)) in parts.iter().zip(&heads).enumerate() {
        stream.write(head);
        // It lasts until the last part is sent.
        if at + 1 == parts.len()
            && let Some(permit) = permit.take()
        {
            stream.hold(permit);
        }
        match form.body() {
            Body::Shared(bytes) => stream.write_shared(bytes.slice(part.in_memory())),
            Body::File(FileRange { source, .. }) => {
                stream.write_file(FileRange { source, offset: part.start, len: part.len });
            }
            _ => return stream.abort(),
        }
    }
    stream.write(end.as_bytes());
    stream.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_is_of_one_length_and_of_chance() {
        let (one, other) = (Boundary::new(), Boundary::new());
        assert_eq!((one.0.len(), other.0.len()), (32, 32));
        assert_ne!(one.0, other.0);
        // RFC 2046, 5.1.1: no need for quotes.
        assert!(one.0.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
