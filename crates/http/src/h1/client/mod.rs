//! A reader of responses: the client's side of a connection (RFC 9112, 4 to 6).
//!
//! A [`ResponseReader`] finds where each response starts and ends, and returns its content in pieces. It
//! holds no bytes.
//!
//! ```
//! use sockeye_http::client::{Piece, RequestKind, ResponseReader};
//!
//! let mut reader = ResponseReader::default();
//! let mut input: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nHello\n";
//! let mut next = || {
//!     let (used, piece) = reader.read(input, RequestKind::Get, None).unwrap();
//!     input = &input[used..];
//!     piece
//! };
//! assert!(matches!(next(), Piece::Head(head) if head.status == 200));
//! assert_eq!(next(), Piece::Content(b"Hello\n"));
//! assert_eq!(next(), Piece::End { persistent: true });
//! assert_eq!(next(), Piece::Short);
//! ```
//!
//! Responses to the same request often differ in their date only: a [`Shape`] of the first finds the
//! others without parsing them.
//!
//! Framing is read as strictly as by the server. Heads may have lines that end with a bare LF (RFC 9112,
//! 2.2). Heads and trailers may have folded values (5.2). Requests, redirects and content codings are up
//! to the caller.

mod head;
mod shape;
#[cfg(test)]
mod tests;

use self::head::Framing;
pub use self::head::{BadResponse, Head};
pub use self::shape::Shape;
use crate::h1::body::{Decoded, Decoder};

/// The most interim responses before one response: half an hour of a server that sends one every 20 s
/// while it works (RFC 2518, 10.1).
const MOST_INTERIM: u32 = 100;

/// The request's method, as far as it decides where the response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// HEAD: the response has no content, whatever its fields say.
    Head,
    /// Any other.
    Get,
}

/// A part of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// More input is needed.
    Short,
    /// The head. Interim heads (RFC 9110, 15.2) are only counted.
    Head(Head<'a>),
    /// Bytes of the content, at least one.
    Content(&'a [u8]),
    /// The response is complete.
    End {
        /// The server accepts another request on this connection.
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
    /// Interim responses before the next response so far.
    interim: u32,
}

/// What comes next.
#[derive(Debug, Default)]
enum Stage {
    /// The rest of a head, which does not end in the first `seen` bytes.
    Head { seen: usize },
    /// Content.
    Content { decoder: Decoder, persistent: bool },
    /// Content up to the end of the connection.
    UntilClose,
    /// The trailer section, which does not end in the first `seen` bytes.
    Trailers { seen: usize, persistent: bool },
    /// Nothing, but the caller has not been told of the response's end.
    End { persistent: bool },
    /// A response.
    #[default]
    Fresh,
    /// Nothing: the last response is complete.
    Over,
}

impl ResponseReader {
    /// Takes one step. Returns how much of `input` was used, and the result. `known` is the expected head.
    ///
    /// # Errors
    ///
    /// If the input is no response. Don't call it again then.
    pub fn read<'a>(
        &mut self,
        input: &'a [u8],
        asked: RequestKind,
        known: Option<&Shape>,
    ) -> Result<(usize, Piece<'a>), BadResponse> {
        match &mut self.stage {
            Stage::Fresh => {
                if let Some(head) = known.and_then(|shape| shape.find(input)) {
                    return Ok(self.begin(head, asked));
                }
                self.read_head(input, 0, asked)
            }
            Stage::Head { seen } => {
                let seen = *seen;
                self.read_head(input, seen, asked)
            }
            Stage::Content { decoder, persistent } => {
                let persistent = *persistent;
                let step = decoder.step_to_trailers(input, u64::MAX)?;
                Ok(match step {
                    (used, None) => {
                        let (len, piece) = self.read_trailers(&input[used..], 0, persistent)?;
                        (used + len, piece)
                    }
                    (used, Some(Decoded::Short)) => (used, Piece::Short),
                    (used, Some(Decoded::Piece(len))) => {
                        if decoder.left() == Some(0) {
                            self.stage = Stage::End { persistent };
                        }
                        (used, Piece::Content(&input[used - len..used]))
                    }
                    (used, Some(Decoded::End(_))) => (used, self.end_response(persistent)),
                })
            }
            Stage::Trailers { seen, persistent } => {
                let (seen, persistent) = (*seen, *persistent);
                self.read_trailers(input, seen, persistent)
            }
            Stage::UntilClose if input.is_empty() => Ok((0, Piece::Short)),
            Stage::UntilClose => Ok((input.len(), Piece::Content(input))),
            Stage::End { persistent } => {
                let persistent = *persistent;
                Ok((0, self.end_response(persistent)))
            }
            Stage::Over if input.is_empty() => Ok((0, Piece::Short)),
            Stage::Over => Err(BadResponse("sent something behind its last response")),
        }
    }

    /// The server has ended its side. Returns whether that completes a response.
    ///
    /// # Errors
    ///
    /// If a response is incomplete: see [`ResponseReader::extent`].
    pub fn end_of_input(&mut self) -> Result<bool, BadResponse> {
        let complete = match self.stage {
            Stage::Fresh | Stage::Over => false,
            Stage::UntilClose | Stage::End { .. } => true,
            Stage::Head { .. } | Stage::Content { .. } | Stage::Trailers { .. } => {
                return Err(BadResponse("closed the connection in the middle of a response"));
            }
        };
        self.stage = Stage::Over;
        Ok(complete)
    }

    /// How much has been read of an incomplete response.
    #[must_use]
    pub fn extent(&self) -> Extent {
        match self.stage {
            Stage::Fresh | Stage::Over => Extent::Nothing,
            Stage::Head { seen } => Extent::Head(seen),
            Stage::Content { .. }
            | Stage::UntilClose
            | Stage::Trailers { .. }
            | Stage::End { .. } => Extent::Content,
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
        seen: usize,
        persistent: bool,
    ) -> Result<(usize, Piece<'a>), BadResponse> {
        let Some(len) = head::trailers_len(input, seen)? else {
            self.stage = Stage::Trailers { seen: input.len(), persistent };
            return Ok((0, Piece::Short));
        };
        head::check_trailers(&input[..len])?;
        Ok((len, self.end_response(persistent)))
    }

    fn read_head<'a>(
        &mut self,
        mut input: &'a [u8],
        mut seen: usize,
        asked: RequestKind,
    ) -> Result<(usize, Piece<'a>), BadResponse> {
        let mut used = 0;
        loop {
            let Some(len) = head::len(input, seen)? else {
                self.stage = match input.len() {
                    0 => Stage::Fresh,
                    seen => Stage::Head { seen },
                };
                return Ok((used, Piece::Short));
            };
            let head = head::parse(&input[..len])?;
            if !head.is_interim() {
                let (len, piece) = self.begin(head, asked);
                return Ok((used + len, piece));
            }
            self.interim += 1;
            if self.interim > MOST_INTERIM {
                return Err(BadResponse(
                    "sent more than 100 interim responses (1xx) before a response",
                ));
            }
            used += len;
            input = &input[len..];
            seen = 0;
        }
    }

    /// A head has been read.
    fn begin<'a>(&mut self, mut head: Head<'a>, asked: RequestKind) -> (usize, Piece<'a>) {
        head.interim = std::mem::take(&mut self.interim);
        let persistent = head.persistent;
        // RFC 9112, 6.3.
        let framing = match asked {
            RequestKind::Head => Framing::None,
            RequestKind::Get => head.framing,
        };
        self.stage = match framing {
            Framing::None => Stage::End { persistent },
            Framing::UntilClose => Stage::UntilClose,
            Framing::Content(content) => {
                Decoder::new(content).map_or(Stage::End { persistent }, |decoder| Stage::Content {
                    decoder,
                    persistent,
                })
            }
        };
        (head.bytes.len(), Piece::Head(head))
    }

    fn end_response(&mut self, persistent: bool) -> Piece<'static> {
        self.stage = if persistent { Stage::Fresh } else { Stage::Over };
        Piece::End { persistent }
    }
}
