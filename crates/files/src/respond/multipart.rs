//! Several ranges of a file in one response: `multipart/byteranges` (RFC 9110, 14.6).

use std::hash::{BuildHasher, RandomState};

use sockeye_http::{Answer, Body, Fields, Responder, Status};
use sockeye_proto::{FileRange, Permit};

use crate::coding::file_entry::Selected;
use crate::options::fields::{value, with, without};
use crate::request::range::Part;

/// The boundary between the parts: 128 random bits, chosen when a `Site` (the folders that an event
/// loop serves) is made. Only someone who can read responses and also write files could put it into
/// a file. Its length is fixed, so that the length of a response is known in advance.
#[derive(Debug)]
pub(crate) struct Boundary(String);

impl Boundary {
    pub(crate) fn new() -> Self {
        let random = || RandomState::new().hash_one(0);
        Self(format!("{:016x}{:016x}", random(), random()))
    }

    /// What precedes the content of a part: the delimiter and the header fields.
    fn head(&self, is_first: bool, kind: &[u8], part: Part, size: u64) -> Vec<u8> {
        let line_break = if is_first { "" } else { "\r\n" };
        let open = format!("{line_break}--{}\r\nContent-Type: ", self.0);
        let range = format!("\r\nContent-Range: {}\r\n\r\n", part.content_range(size));
        [open.as_bytes(), kind, range.as_bytes()].concat()
    }
}

/// Answers with parts of a file. All are written at once: they are few, the headers between them
/// are short, and the content is shared or sent by the kernel. `permit` charges the client for the
/// file's descriptor or memory until the last part is sent.
pub(crate) fn send(
    selected: &Selected<'_>,
    parts: &[Part],
    fields: &Fields,
    boundary: &Boundary,
    mut permit: Option<Permit>,
    responder: Responder<'_, '_>,
) -> Answer {
    let kind = value(fields, "Content-Type").unwrap_or(b"application/octet-stream");
    let size = selected.file.size();
    let head = |(at, part): (usize, &Part)| boundary.head(at == 0, kind, *part, size);
    let heads: Vec<Vec<u8>> = parts.iter().enumerate().map(head).collect();
    let end = format!("\r\n--{}--\r\n", boundary.0);
    let around = heads.iter().map(Vec::len).sum::<usize>() + end.len();
    let len = parts.iter().map(|part| part.len).sum::<u64>() + around as u64;
    let kind = format!("multipart/byteranges; boundary={}", boundary.0);
    let fields = with(without(fields, &["Content-Type"]), "Content-Type", &kind);
    let mut stream = responder.stream(Status::PARTIAL_CONTENT, &fields, Some(len));
    for (at, (part, head)) in parts.iter().zip(&heads).enumerate() {
        stream.write(head);
        // The permit is kept until the shared bytes or the file range written next are sent. So it
        // is attached just before the content of the last part.
        if at + 1 == parts.len()
            && let Some(permit) = permit.take()
        {
            stream.attach_permit(permit);
        }
        match selected.body() {
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
    fn boundaries_are_random_and_of_fixed_length() {
        let (one, other) = (Boundary::new(), Boundary::new());
        assert_eq!((one.0.len(), other.0.len()), (32, 32));
        assert_ne!(one.0, other.0);
        // A boundary of these characters needs no quotes (RFC 2046, 5.1.1).
        assert!(one.0.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
