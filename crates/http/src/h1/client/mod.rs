//! Reads responses: the client's side of a connection (RFC 9112, 4 to 6).
//!
//! A [`ResponseReader`] finds where each response starts and ends, and returns its content in
//! pieces. It holds no bytes.
//!
//! ```
//! use sockeye_http::client::{Piece, RequestKind, ResponseReader};
//!
//! let mut reader = ResponseReader::default();
//! let mut input: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nHello\n";
//! let mut next = || {
//!     let (used, piece) = reader.read(input, RequestKind::Other, None).unwrap();
//!     input = &input[used..];
//!     piece
//! };
//! assert!(matches!(next(), Piece::Head(head) if head.status == 200));
//! assert_eq!(next(), Piece::Content(b"Hello\n"));
//! assert_eq!(next(), Piece::End { persistent: true });
//! assert_eq!(next(), Piece::NeedMore);
//! ```
//!
//! Responses to the same request often differ in their date only: a [`HeadTemplate`] made from the
//! first head recognises the others without parsing them.
//!
//! Lines and chunks have the same rules as in requests, with two exceptions: heads may have lines
//! that end with a bare LF (RFC 9112, 2.2), and heads and trailers may have folded values (5.2). A
//! response with both a Content-Length and a Transfer-Encoding is an error, unless its status
//! excludes content. Requests, redirects and content codings are up to the caller.

pub(crate) mod head;
mod head_template;
#[cfg(test)]
mod tests;

pub use self::head::{BadResponse, Head};
pub use self::head_template::HeadTemplate;
use crate::Content;
use crate::h1::body::{Decoded, Decoder};

/// Maximum number of interim (1xx) responses before a final one: a server that sends one every 20 s
/// while it works (RFC 2518, 10.1) reaches it after half an hour.
const MAX_INTERIM: u32 = 100;

/// The kind of a request's method. Where the response ends depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// HEAD: the response has no content, whatever its fields say.
    Head,
    /// Any other method.
    Other,
}

/// A part of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// More input is needed.
    NeedMore,
    /// The head of the final response. Those of interim responses (RFC 9110, 15.2) are not
    /// returned, only counted: [`Head::interim`].
    Head(Head<'a>),
    /// Bytes of the content, at least one.
    Content(&'a [u8]),
    /// The response is complete.
    End {
        /// Whether the server accepts another request on this connection.
        persistent: bool,
    },
}

/// How much of a response has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Nothing, except for complete interim responses ([`ResponseReader::interim`]).
    Nothing,
    /// This many bytes of its head.
    Head(usize),
    /// Its head, and perhaps content.
    Content,
}

/// Reads the responses of one connection.
#[derive(Debug, Default)]
pub struct ResponseReader {
    stage: Stage,
    /// Interim responses that have arrived before the next final one.
    interim: u32,
    /// Whether the server accepts another request after the response whose head was read last.
    persistent: bool,
}

/// What is expected next.
#[derive(Debug, Default)]
enum Stage {
    /// The rest of a head. Its end is not in the first `searched` bytes.
    Head { searched: usize },
    /// Content.
    Content(Decoder),
    /// Content up to the end of the connection.
    UntilClose,
    /// The trailer section. Its end is not in the first `searched` bytes.
    Trailers { searched: usize },
    /// Nothing more of this response: it is complete, and the next call of `read` returns
    /// [`Piece::End`].
    ResponseEnd,
    /// The start of a response.
    #[default]
    ResponseStart,
    /// The end of the connection: its last response is complete.
    ConnectionEnd,
}

impl ResponseReader {
    /// Reads one piece. Returns how many bytes of `input` were consumed, and the piece. `request`
    /// is the kind of the request that this response answers. A head that matches `known` is not
    /// parsed.
    ///
    /// # Errors
    ///
    /// If the input is not a valid response. Don't call this again after an error.
    pub fn read<'a>(
        &mut self,
        input: &'a [u8],
        request: RequestKind,
        known: Option<&HeadTemplate>,
    ) -> Result<(usize, Piece<'a>), BadResponse> {
        match &mut self.stage {
            Stage::ResponseStart => match known.and_then(|template| template.find(input)) {
                Some(head) => Ok(self.begin(head, request)),
                None => self.read_head(input, 0, request),
            },
            &mut Stage::Head { searched } => self.read_head(input, searched, request),
            Stage::Content(decoder) => {
                let (used, decoded) = decoder.step_to_trailers(input, u64::MAX)?;
                Ok(match decoded {
                    None => {
                        let (len, piece) = self.read_trailers(&input[used..], 0)?;
                        (used + len, piece)
                    }
                    Some(Decoded::NeedMore) => (used, Piece::NeedMore),
                    Some(Decoded::Piece(len)) => {
                        if decoder.remaining() == Some(0) {
                            self.stage = Stage::ResponseEnd;
                        }
                        (used, Piece::Content(&input[used - len..used]))
                    }
                    Some(Decoded::End(_)) => (used, self.end_response()),
                })
            }
            &mut Stage::Trailers { searched } => self.read_trailers(input, searched),
            Stage::UntilClose | Stage::ConnectionEnd if input.is_empty() => {
                Ok((0, Piece::NeedMore))
            }
            Stage::UntilClose => Ok((input.len(), Piece::Content(input))),
            Stage::ResponseEnd => Ok((0, self.end_response())),
            Stage::ConnectionEnd => Err(BadResponse("sent data after its last response")),
        }
    }

    /// Call this when the server has closed its sending side. Returns whether this ends a response:
    /// [`ResponseReader::read`] returns no [`Piece::End`] for it.
    ///
    /// # Errors
    ///
    /// If a response is incomplete: see [`ResponseReader::extent`].
    pub fn end_of_input(&mut self) -> Result<bool, BadResponse> {
        let complete = match self.stage {
            Stage::ResponseStart | Stage::ConnectionEnd => false,
            Stage::UntilClose | Stage::ResponseEnd => true,
            Stage::Head { .. } | Stage::Content(_) | Stage::Trailers { .. } => {
                return Err(BadResponse("closed the connection in the middle of a response"));
            }
        };
        self.stage = Stage::ConnectionEnd;
        Ok(complete)
    }

    /// How much of an incomplete response has been read.
    #[must_use]
    pub fn extent(&self) -> Extent {
        match self.stage {
            Stage::ResponseStart | Stage::ConnectionEnd => Extent::Nothing,
            Stage::Head { searched } => Extent::Head(searched),
            _ => Extent::Content,
        }
    }

    /// How many interim responses have arrived before the next final one.
    #[must_use]
    pub fn interim(&self) -> u32 {
        self.interim
    }

    fn read_trailers<'a>(
        &mut self,
        input: &[u8],
        searched: usize,
    ) -> Result<(usize, Piece<'a>), BadResponse> {
        let Some(len) = head::trailers_len(input, searched)? else {
            self.stage = Stage::Trailers { searched: input.len() };
            return Ok((0, Piece::NeedMore));
        };
        Ok((len, self.end_response()))
    }

    fn read_head<'a>(
        &mut self,
        mut input: &'a [u8],
        mut searched: usize,
        request: RequestKind,
    ) -> Result<(usize, Piece<'a>), BadResponse> {
        let mut used = 0;
        loop {
            let Some(len) = head::len(input, searched)? else {
                self.stage = match input.len() {
                    0 => Stage::ResponseStart,
                    searched => Stage::Head { searched },
                };
                return Ok((used, Piece::NeedMore));
            };
            let head = head::parse(&input[..len])?;
            if head.status == 101 {
                return Err(BadResponse("switched to another protocol without being asked to"));
            }
            if head.status >= 200 {
                let (len, piece) = self.begin(head, request);
                return Ok((used + len, piece));
            }
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(BadResponse(
                    "sent more than 100 interim responses (1xx) before a response",
                ));
            }
            used += len;
            input = &input[len..];
            searched = 0;
        }
    }

    /// Starts the response with this final head.
    fn begin<'a>(&mut self, mut head: Head<'a>, request: RequestKind) -> (usize, Piece<'a>) {
        head.interim = std::mem::take(&mut self.interim);
        // A response to HEAD has no content, whatever its fields say (RFC 9112, 6.3).
        let content = match request {
            RequestKind::Head => Some(Content::None),
            RequestKind::Other => head.content,
        };
        // `None`: the content ends with the connection. For `Content::None`, there is no decoder.
        head.persistent &= content.is_some();
        self.persistent = head.persistent;
        self.stage = match content.map(Decoder::new) {
            Some(Some(decoder)) => Stage::Content(decoder),
            Some(None) => Stage::ResponseEnd,
            None => Stage::UntilClose,
        };
        (head.bytes.len(), Piece::Head(head))
    }

    fn end_response(&mut self) -> Piece<'static> {
        self.stage = if self.persistent { Stage::ResponseStart } else { Stage::ConnectionEnd };
        Piece::End { persistent: self.persistent }
    }
}
