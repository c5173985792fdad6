//! The content of a response, and responses that are made before there is a request for them: all but what
//! depends on the moment, which is the date, and on who asks, which is what is said of the connection.

use std::fmt;

use bytes::Bytes;
use sockeye_proto::FileRange;

use crate::{Fields, Status};

/// The content of a response.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// Bytes that are copied: what a handler has written for this one response.
    Copied(&'a [u8]),
    /// Bytes of the program.
    Static(&'static [u8]),
    /// Bytes that are shared with others: few are copied, many are not.
    Shared(&'a Bytes),
    /// Part of a file.
    File(FileRange),
}

impl Body<'_> {
    /// How long it is, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Copied(bytes) => bytes.len() as u64,
            Self::Static(bytes) => bytes.len() as u64,
            Self::Shared(bytes) => bytes.len() as u64,
            Self::File(range) => range.len,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bodies in memory of up to so many bytes are copied behind their head: one piece is cheaper to
/// send than two.
pub(crate) const WORTH_SHARING: usize = 1024;

/// A response that is made once and sent often, by [`Responder::send_prepared`](crate::Responder::send_prepared):
/// cheaper each time than [`Responder::send`](crate::Responder::send), which puts it together anew.
///
/// ```
/// # use std::rc::Rc;
/// # use sockeye_proto::harness::Harness;
/// use sockeye_http::*;
///
/// struct Health(PreparedResponse);
///
/// impl Handler for Health {
///     fn on_request(&mut self, _: &Request<'_>, reply: Responder<'_, '_>) -> Answer {
///         reply.send_prepared(&self.0)
///     }
/// }
///
/// let fields = Fields::new().with("Content-Type", b"text/plain")?;
/// let health = Health(PreparedResponse::new(Status::OK, &fields, Body::Static(b"fine\n")));
/// let mut client = Harness::new(Server::new(Rc::new(ServerConfig::default()), health));
/// client.input(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
/// assert!(client.output().ends_with(b"Content-Length: 5\r\n\r\nfine\n"));
/// # Ok::<(), BadField>(())
/// ```
#[derive(Clone)]
pub struct PreparedResponse {
    pub(crate) status: Status,
    /// The fields, the blank line, and short content.
    pub(crate) bytes: Box<[u8]>,
    /// Where the head ends in these.
    pub(crate) head: usize,
    /// Other content.
    pub(crate) rest: Option<Rest>,
    /// Whether its status has content.
    pub(crate) has_content: bool,
}

/// Content that isn't copied.
#[derive(Clone, Debug)]
pub(crate) enum Rest {
    Shared(Bytes),
    File(FileRange),
}

impl PreparedResponse {
    /// Content of up to so many bytes is copied; longer content is shared with whoever has it.
    pub const LONGEST_COPY: usize = WORTH_SHARING;

    /// Makes what [`Responder::send`](crate::Responder::send) would send.
    #[must_use]
    pub fn new(status: Status, fields: &Fields, body: Body<'_>) -> Self {
        let body = if status == Status::RESET_CONTENT { Body::Empty } else { body };
        let framing = Framing::length(status, body.len());
        let mut bytes = fields.as_bytes().to_vec();
        framing.write(&mut bytes);
        let head = bytes.len();
        let body = if framing == Framing::None { Body::Empty } else { body };
        let rest = match body {
            Body::Empty => None,
            Body::Static(content) | Body::Copied(content) if content.len() <= WORTH_SHARING => {
                bytes.extend_from_slice(content);
                None
            }
            Body::Copied(content) => Some(Rest::Shared(Bytes::copy_from_slice(content))),
            Body::Shared(content) if content.len() <= WORTH_SHARING => {
                bytes.extend_from_slice(content);
                None
            }
            Body::Static(content) => Some(Rest::Shared(Bytes::from_static(content))),
            Body::Shared(content) => Some(Rest::Shared(content.clone())),
            Body::File(range) => Some(Rest::File(range)),
        };
        let has_content = framing != Framing::None;
        Self { status, bytes: bytes.into(), head, rest, has_content }
    }

    /// The same for content of `len` bytes that is given when it is sent, to
    /// [`Responder::send_prepared_with`](crate::Responder::send_prepared_with).
    #[must_use]
    pub fn without_content(status: Status, fields: &Fields, len: u64) -> Self {
        let is_reset = status == Status::RESET_CONTENT;
        let framing = Framing::length(status, if is_reset { 0 } else { len });
        let mut bytes = fields.as_bytes().to_vec();
        framing.write(&mut bytes);
        let (head, has_content) = (bytes.len(), framing != Framing::None && !is_reset);
        Self { status, bytes: bytes.into(), head, rest: None, has_content }
    }
}

/// Shows no values: they may be secrets.
impl fmt::Debug for PreparedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Appends what most often is nothing, and then costs nothing.
#[inline]
pub(crate) fn put(run: &[u8], bytes: &mut Vec<u8>) {
    if !run.is_empty() {
        bytes.extend_from_slice(run);
    }
}

/// What a response's head says about where its content ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nothing: there is no content, or it goes on until the connection closes.
    None,
    /// `Content-Length`
    Length(u64),
    /// `Transfer-Encoding: chunked`
    Chunked,
}

impl Framing {
    /// Of a response whose content has that length, where its status has content.
    pub(crate) fn length(status: Status, length: u64) -> Self {
        if status.has_content() { Self::Length(length) } else { Self::None }
    }

    /// Writes the field, if there is one, and the blank line that ends the head.
    pub(crate) fn write(self, bytes: &mut Vec<u8>) {
        match self {
            Self::None => bytes.extend_from_slice(b"\r\n"),
            Self::Length(length) => {
                bytes.extend_from_slice(b"Content-Length: ");
                write_number(length, bytes);
                bytes.extend_from_slice(b"\r\n\r\n");
            }
            Self::Chunked => bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
        }
    }
}

/// Writes a number in decimal digits.
fn write_number(mut number: u64, bytes: &mut Vec<u8>) {
    /// As many as the largest has.
    const DIGITS: usize = 20;
    let (mut digits, mut at) = ([0; DIGITS], DIGITS);
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    bytes.extend_from_slice(&digits[at..]);
}
