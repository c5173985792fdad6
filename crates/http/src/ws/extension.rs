//! The extension that both sides have agreed on: permessage-deflate, or none.

use std::fmt;

use super::close::CloseCode;
use super::config::Config;
#[cfg(feature = "deflate")]
use super::deflate::{self, Agreed, Codec, InflateError};
use super::violation::Violation;

/// The extension that the two sides of a WebSocket have agreed on: permessage-deflate (RFC 7692),
/// or none. Without the feature `deflate`, always none.
#[derive(Default)]
pub struct Extension {
    #[cfg(feature = "deflate")]
    codec: Option<Box<Codec>>,
}

/// The value of `Sec-WebSocket-Extensions` is malformed.
#[derive(Debug)]
pub(super) struct Malformed;

impl Extension {
    /// The client's side, if it has offered nothing: the server must not answer with an extension.
    fn confirm_none<'a>(mut answers: impl Iterator<Item = &'a [u8]>) -> Result<Self, &'static str> {
        match answers.next() {
            None => Ok(Self::default()),
            Some(_) => Err("uses an extension of WebSocket that was not offered"),
        }
    }
}

#[cfg(feature = "deflate")]
impl Extension {
    /// The server's side: picks one of the client's offers, which are the values of its
    /// `Sec-WebSocket-Extensions` fields. Also returns the value to answer with.
    pub(super) fn accept<'a>(
        offers: impl Iterator<Item = &'a [u8]>,
        config: &Config,
    ) -> Result<(Self, Option<String>), Malformed> {
        let Some(options) = config.deflate() else { return Ok((Self::default(), None)) };
        Ok(match deflate::accept(offers, options).map_err(|_| Malformed)? {
            None => (Self::default(), None),
            Some(agreed) => (Self::of(&agreed, config), Some(agreed.answer().to_string())),
        })
    }

    /// The client's side: the value to offer.
    pub(super) fn offer(config: &Config) -> Option<String> {
        config.deflate().map(deflate::offer)
    }

    /// The client's side: reads the server's answer. An error says what the server did wrong, as
    /// the rest of a sentence whose subject is the server.
    pub(super) fn confirm<'a>(
        answers: impl Iterator<Item = &'a [u8]>,
        config: &Config,
    ) -> Result<Self, &'static str> {
        let Some(options) = config.deflate() else { return Self::confirm_none(answers) };
        match deflate::confirm(answers, options) {
            Ok(None) => Ok(Self::default()),
            Ok(Some(agreed)) => Ok(Self::of(&agreed, config)),
            Err(error) => Err(error.0),
        }
    }

    fn of(agreed: &Agreed, config: &Config) -> Self {
        Self { codec: config.deflate().map(|options| Box::new(Codec::new(agreed, options))) }
    }

    /// Whether a message may be compressed.
    pub(super) fn may_compress(&self) -> bool {
        self.codec.is_some()
    }

    /// Memory that the extension holds, in bytes.
    pub(super) fn held(&self) -> usize {
        self.codec.as_ref().map_or(0, |codec| codec.held())
    }

    /// Decompresses a part of a message, and appends the result to `out`.
    pub(super) fn inflate(
        &mut self,
        config: &Config,
        part: &[u8],
        is_last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        // There is always a codec: without one, the receiver refuses compressed frames.
        let Some(codec) = &mut self.codec else { return Ok(()) };
        let max = config.limits().message;
        let memory = &mut config.deflate_memory();
        codec.inflate(memory, part, is_last, out, max).map_err(|error| match error {
            InflateError::TooLarge => Violation::TOO_LARGE,
            InflateError::Ratio(ratio) => Violation::expands(ratio),
            InflateError::Malformed => Violation {
                code: CloseCode::INVALID_DATA,
                what: "sent a message that can't be decompressed",
            },
        })
    }

    /// Compresses a message, and appends the result to `out`. If this returns `false`, nothing was
    /// appended: the message has to be sent uncompressed.
    pub(super) fn deflate(&mut self, config: &Config, message: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(codec) = &mut self.codec else { return false };
        codec.deflate(&mut config.deflate_memory(), message, out)
    }
}

#[cfg(not(feature = "deflate"))]
impl Extension {
    #[expect(clippy::unnecessary_wraps, reason = "with the feature it can fail")]
    pub(super) fn accept<'a>(
        _: impl Iterator<Item = &'a [u8]>,
        _: &Config,
    ) -> Result<(Self, Option<String>), Malformed> {
        Ok((Self::default(), None))
    }

    pub(super) fn offer(_: &Config) -> Option<String> {
        None
    }

    pub(super) fn confirm<'a>(
        answers: impl Iterator<Item = &'a [u8]>,
        _: &Config,
    ) -> Result<Self, &'static str> {
        Self::confirm_none(answers)
    }

    pub(super) fn may_compress(&self) -> bool {
        false
    }

    pub(super) fn held(&self) -> usize {
        0
    }

    pub(super) fn inflate(
        &mut self,
        _: &Config,
        _: &[u8],
        _: bool,
        _: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        Err(Violation { code: CloseCode::PROTOCOL_ERROR, what: "sent a compressed message" })
    }

    pub(super) fn deflate(&mut self, _: &Config, _: &[u8], _: &mut Vec<u8>) -> bool {
        false
    }
}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension").field("may_compress", &self.may_compress()).finish()
    }
}
