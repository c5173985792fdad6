//! The wire (encoding of one HTTP version) that a response is written to: the only type with a
//! variant for each wire. The feature `test-wire` adds a wire of lines of JSON, for tests.

use sockeye_proto::{Output, Turn};

use super::config::ServerConfig;
use super::prepared::PreparedResponse;
use crate::h1::body::Decoder;
use crate::h1::exchange::H1Exchange;
use crate::h1::write::{append, write_upgrade};
use crate::h2::exchange::{H2Exchange, encode_fields, encode_length};
#[cfg(feature = "test-wire")]
use crate::json_lines::JsonExchange;
use crate::semantics::control::Version;
use crate::semantics::exchange::{ContentLength, Exchange};
use crate::semantics::fields::{Fields, fields_of_lines};
use crate::semantics::request::Content;
use crate::semantics::status::Status;

/// The wire that a response is written to, with the wire's own state of the exchange.
#[derive(Debug)]
pub(crate) enum Wire<'r> {
    H1(&'r mut H1Exchange),
    H2(&'r mut H2Exchange),
    #[cfg(feature = "test-wire")]
    JsonLines(&'r mut JsonExchange),
}

/// A wire's own state of one exchange.
pub(crate) trait WireExchange {
    fn as_wire(&mut self) -> Wire<'_>;

    /// Prepares to decode the request's content.
    fn start_decoding(&mut self, content: Content);
}

impl WireExchange for H1Exchange {
    #[inline(always)]
    fn as_wire(&mut self) -> Wire<'_> {
        Wire::H1(self)
    }

    fn start_decoding(&mut self, content: Content) {
        // `Decoder::new` returns `None` if there is no content. A decoder of length 0 has nothing
        // left to read.
        self.decoder = Decoder::new(content).unwrap_or(Decoder::Length(0));
    }
}

impl WireExchange for H2Exchange {
    #[inline(always)]
    fn as_wire(&mut self) -> Wire<'_> {
        Wire::H2(self)
    }

    // HTTP/2 needs no decoder: the content is the payload of DATA frames.
    fn start_decoding(&mut self, _: Content) {}
}

#[cfg(feature = "test-wire")]
impl WireExchange for JsonExchange {
    fn as_wire(&mut self) -> Wire<'_> {
        Wire::JsonLines(self)
    }

    fn start_decoding(&mut self, _: Content) {}
}

impl Wire<'_> {
    /// Writes the head of the response of `exchange`, then `content`. Both elements of `fields` are
    /// written; they are field lines as in HTTP/1.1.
    #[inline(always)]
    pub(crate) fn write_head(
        &mut self,
        (config, exchange, turn): (&ServerConfig, &Exchange, &mut Turn<'_>),
        status: Status,
        fields: [&[u8]; 2],
        length: ContentLength,
        content: &[u8],
    ) {
        match self {
            Self::H1(h1) => {
                h1.decide_persistence(exchange, length, config.limits.discard);
                h1.write_head(&config.preamble, status, turn, |bytes| {
                    if let Some(protocols) = &exchange.protocols {
                        write_upgrade(protocols, bytes);
                    }
                    append(fields[0], bytes);
                    append(fields[1], bytes);
                    h1.write_framing(length, bytes);
                    append(content, bytes);
                });
            }
            Self::H2(h2) => {
                h2.write_head(config.cached_block(), status, turn, |block| {
                    for lines in fields {
                        encode_fields(fields_of_lines(lines), false, block);
                    }
                    encode_length(length, block);
                });
                turn.out.write(content);
            }
            #[cfg(feature = "test-wire")]
            Self::JsonLines(json) => {
                let fields = fields.into_iter().flat_map(fields_of_lines);
                json.set_head(status, fields, length, turn.wall());
                turn.out.write(content);
            }
        }
    }

    /// Writes the head of a prepared response, then the content in `response.bytes` if
    /// `writes_own_content`, then `content`. `WITH_CONTENT` is false if `content` is always empty,
    /// so that the compiler removes the code that appends it.
    #[inline(always)]
    pub(crate) fn write_prepared<const WITH_CONTENT: bool>(
        &mut self,
        (config, exchange, turn): (&ServerConfig, &Exchange, &mut Turn<'_>),
        response: &PreparedResponse,
        writes_own_content: bool,
        content: &[u8],
    ) {
        match self {
            Self::H1(h1) => {
                let discard = config.limits.discard;
                // The length of a prepared response is known. For each known length, the decision
                // is the same as for `Absent`.
                h1.decide_persistence(exchange, ContentLength::Absent, discard);
                let end =
                    if writes_own_content { response.bytes.len() } else { response.content_start };
                let head = &response.bytes[..end];
                h1.write_head(&config.preamble, response.status, turn, |bytes| {
                    bytes.extend_from_slice(head);
                    if WITH_CONTENT {
                        append(content, bytes);
                    }
                });
            }
            Self::H2(h2) => {
                let bytes = if writes_own_content {
                    &response.bytes[response.content_start..]
                } else {
                    b""
                };
                write_prepared_h2(h2, (config, turn), response, [bytes, content]);
            }
            #[cfg(feature = "test-wire")]
            Self::JsonLines(json) => {
                // If the response has a Content-Length, it is one of `response.fields()`.
                let length = ContentLength::Absent;
                json.set_head(response.status, response.fields(), length, turn.wall());
                if writes_own_content {
                    turn.out.write(&response.bytes[response.content_start..]);
                }
                turn.out.write(content);
            }
        }
    }

    /// Writes a piece of content whose total length was not announced. `write` writes the bytes of
    /// the piece, `len` of them.
    pub(crate) fn write_piece(
        &mut self,
        len: u64,
        out: &mut Output,
        write: impl FnOnce(&mut Output),
    ) {
        match self {
            Self::H1(h1) => h1.write_chunk(len, out, write),
            Self::H2(_) => write(out),
            #[cfg(feature = "test-wire")]
            Self::JsonLines(_) => write(out),
        }
    }

    /// Ends content whose total length was not announced, and writes the trailers.
    pub(crate) fn write_end(&mut self, trailers: &Fields, out: &mut Output) {
        match self {
            Self::H1(h1) => h1.write_last_chunk(trailers.as_bytes(), out),
            Self::H2(h2) => h2.write_trailers(trailers, out),
            #[cfg(feature = "test-wire")]
            Self::JsonLines(json) => json.set_trailers(trailers.iter()),
        }
    }

    /// Sends 100 (Continue), for which the client waits before it sends the content (RFC 9110,
    /// 10.1.1). Does nothing if the wire has no interim responses.
    pub(crate) fn send_continue(&mut self, out: &mut Output) {
        match self {
            Self::H1(_) => out.write(b"HTTP/1.1 100 Continue\r\n\r\n"),
            Self::H2(h2) => h2.sends_continue = true,
            #[cfg(feature = "test-wire")]
            Self::JsonLines(_) => {}
        }
    }

    /// Sends the response that switches to the protocol `name`, and returns its status. `None` if
    /// the connection or the stream may not switch.
    pub(crate) fn write_upgrade(
        &mut self,
        config: &ServerConfig,
        turn: &mut Turn<'_>,
        name: &str,
        fields: &Fields,
    ) -> Option<Status> {
        match self {
            Self::H1(h1) if h1.upgrade => {
                let status = Status::SWITCHING_PROTOCOLS;
                // With these values, `write_head` adds no Connection field. The one that an upgrade
                // needs is written below.
                (h1.version, h1.persistent) = (Version::Http11, true);
                h1.write_head(&config.preamble, status, turn, |bytes| {
                    bytes.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
                    bytes.extend_from_slice(name.as_bytes());
                    bytes.extend_from_slice(b"\r\n");
                    bytes.extend_from_slice(fields.as_bytes());
                    bytes.extend_from_slice(b"\r\n");
                });
                Some(status)
            }
            // A 200 accepts the protocol that the request names in `:protocol`, so `name` is not
            // sent (RFC 8441, 5).
            Self::H2(h2) if h2.upgrade => {
                h2.write_head(config.cached_block(), Status::OK, turn, |block| {
                    encode_fields(fields.iter(), false, block);
                });
                Some(Status::OK)
            }
            Self::H1(_) | Self::H2(_) => None,
            #[cfg(feature = "test-wire")]
            Self::JsonLines(_) => None,
        }
    }

    /// Closes the connection after this response, in HTTP/1.1. On other wires, does nothing.
    pub(crate) fn close(&mut self) {
        match self {
            Self::H1(h1) => h1.persistent = false,
            Self::H2(_) => {}
            #[cfg(feature = "test-wire")]
            Self::JsonLines(_) => {}
        }
    }
}

/// [`Wire::write_prepared`] for HTTP/2.
#[inline(never)] // Inlined, it would slow down the responses of HTTP/1.1.
fn write_prepared_h2(
    h2: &mut H2Exchange,
    (config, turn): (&ServerConfig, &mut Turn<'_>),
    response: &PreparedResponse,
    content: [&[u8]; 2],
) {
    h2.write_head(config.cached_block(), response.status, turn, |block| {
        block.extend_from_slice(response.h2_block());
    });
    turn.out.write_all(&content);
}
