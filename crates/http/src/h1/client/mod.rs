//! Reading responses: the client's side of a connection, for whoever counts them (RFC 9112, 4 to 6).
//!
//! [`Replies`] finds where each response begins and ends, and hands out its content in pieces as they
//! come; it holds no bytes. What ends a response depends on what was asked, so each call says so. One
//! response, byte for byte:
//!
//! ```
//! use sockeye_http::client::{Asked, Piece, Replies};
//!
//! let mut replies = Replies::default();
//! let mut input: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nHello\n";
//! let mut next = || {
//!     let (used, piece) = replies.read(input, Asked::Get, None).unwrap();
//!     input = &input[used..];
//!     piece
//! };
//! assert!(matches!(next(), Piece::Head(head) if head.status == 200));
//! assert_eq!(next(), Piece::Content(b"Hello\n"));
//! assert_eq!(next(), Piece::End { persistent: true });
//! assert_eq!(next(), Piece::Short);
//! ```
//!
//! Who asks the same again and again gets heads that are alike but for their date. A [`Shape`], taken
//! from the first of them, knows the others at a glance; one that differs is read as the first was.
//!
//! Framing is read as strictly as on the server's side: what two parties could read in two ways is no
//! response. In heads it takes what a client may take: lines that end with a bare LF (RFC 9112, 2.2). In
//! heads and trailers it takes what a client has to: field values that are folded over several lines
//! (5.2). A bare LF in a chunked body's lines is refused, trailers included: readers that differ in this
//! would find different ends. What it leaves to others: which requests are
//! written and when, redirects, codings of content, the fields that don't frame anything.

mod error;
mod head;
mod limits;
mod shape;
#[cfg(test)]
mod tests;
mod trailers;

pub use self::error::BadReply;
use self::head::Framing;
pub use self::head::Head;
pub use self::shape::Shape;
use crate::h1::body::{Decoded, Decoder};

/// Interim responses before one response. A server that processes a request for long may send one every
/// 20 s (RFC 2518, 10.1), so this is half an hour; without a limit it could go on for ever.
const MOST_INTERIM: u32 = 100;

/// What was asked, as far as it decides where the response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `HEAD`: the response has no content, whatever its fields say.
    Head,
    /// Anything else.
    Get,
}

/// A part of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// More input is needed.
    Short,
    /// The head. Interim ones (RFC 9110, 15.2) are counted, and left out.
    Head(Head<'a>),
    /// Bytes of the content, at least one.
    Content(&'a [u8]),
    /// The response is complete.
    End {
        /// The server takes another request on this connection.
        persistent: bool,
    },
}

/// How much of a response has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Nothing but whole interim responses, if any ([`Replies::interim`]): or all of the last response.
    Nothing,
    /// So many bytes of its head.
    Head(usize),
    /// Its head, and content up to its end or a part of it.
    Content,
}

/// Where the responses of one connection stand.
#[derive(Debug, Default)]
pub struct Replies {
    stage: Stage,
    /// Interim responses so far, before the response that comes next.
    interim: u32,
}

/// What comes next.
#[derive(Debug, Default)]
enum Stage {
    /// A head, of which so many bytes hold no end.
    Head {
        seen: usize,
    },
    /// Content.
    Content {
        decoder: Decoder,
        persistent: bool,
    },
    /// Content until the connection ends.
    UntilClose,
    /// The trailer section, of which so many bytes hold no end.
    Trailers {
        seen: usize,
        persistent: bool,
    },
    /// The end of a response has yet to be told.
    End {
        persistent: bool,
    },
    /// Nothing: the last response has come.
    #[default]
    Fresh,
    Over,
}

impl Replies {
    /// Takes one step. Returns how much of `input` was used, and what it was; `known` is what the
    /// head will probably look like.
    ///
    /// # Errors
    ///
    /// When the input is no response. There is no going on.
    pub fn read<'a>(
        &mut self,
        input: &'a [u8],
        asked: Asked,
        known: Option<&Shape>,
    ) -> Result<(usize, Piece<'a>), BadReply> {
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
                    (used, Some(Decoded::End(_))) => (used, self.end_reply(persistent)),
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
                Ok((0, self.end_reply(persistent)))
            }
            Stage::Over if input.is_empty() => Ok((0, Piece::Short)),
            Stage::Over => Err(BadReply("sent something behind its last reply")),
        }
    }

    /// The server has ended its side. Whether that completes a response.
    ///
    /// # Errors
    ///
    /// When it leaves one incomplete: [`Replies::extent`] says how much of it there is.
    pub fn end_of_input(&mut self) -> Result<bool, BadReply> {
        let complete = match self.stage {
            Stage::Fresh | Stage::Over => false,
            Stage::UntilClose | Stage::End { .. } => true,
            Stage::Head { .. } | Stage::Content { .. } | Stage::Trailers { .. } => {
                return Err(BadReply("closed the connection in the middle of a reply"));
            }
        };
        self.stage = Stage::Over;
        Ok(complete)
    }

    /// How much has been read of a response that is not complete.
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

    /// How many interim responses have come of a response whose final head has not.
    #[must_use]
    pub fn interim(&self) -> u32 {
        self.interim
    }

    fn read_trailers<'a>(
        &mut self,
        input: &[u8],
        seen: usize,
        persistent: bool,
    ) -> Result<(usize, Piece<'a>), BadReply> {
        let Some(len) = trailers::len(input, seen)? else {
            self.stage = Stage::Trailers { seen: input.len(), persistent };
            return Ok((0, Piece::Short));
        };
        trailers::check(&input[..len])?;
        Ok((len, self.end_reply(persistent)))
    }

    fn read_head<'a>(
        &mut self,
        mut input: &'a [u8],
        mut seen: usize,
        asked: Asked,
    ) -> Result<(usize, Piece<'a>), BadReply> {
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
                return Err(BadReply("sent more than 100 interim responses (1xx) before a reply"));
            }
            used += len;
            input = &input[len..];
            seen = 0;
        }
    }

    /// A head has been read.
    fn begin<'a>(&mut self, mut head: Head<'a>, asked: Asked) -> (usize, Piece<'a>) {
        head.interim = std::mem::take(&mut self.interim);
        let persistent = head.persistent;
        // RFC 9112, 6.3.
        let framing = match asked {
            Asked::Head => Framing::None,
            Asked::Get => head.framing,
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

    fn end_reply(&mut self, persistent: bool) -> Piece<'static> {
        self.stage = if persistent { Stage::Fresh } else { Stage::Over };
        Piece::End { persistent }
    }
}
