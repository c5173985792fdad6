//! The field `Sec-WebSocket-Extensions`, and the parameters of permessage-deflate in it.

use std::borrow::Cow;
use std::fmt;

use crate::semantics::chars::{is_token, is_token_byte, prefix_len};

pub(super) const NAME: &str = "permessage-deflate";

/// The parameters of one offer or answer (RFC 7692, 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    pub(super) server_max_window_bits: Option<u8>,
    /// `Some(None)`: the parameter has no value, which is valid in an offer only.
    pub(super) client_max_window_bits: Option<Option<u8>>,
}

impl Parameters {
    /// Adds a parameter. `None` if it is unknown, was added before, or has an invalid value.
    fn add(&mut self, name: &[u8], value: Option<&[u8]>) -> Option<()> {
        let bits = match value {
            None => None,
            Some([digit @ b'8'..=b'9']) => Some(digit - b'0'),
            Some([b'1', digit @ b'0'..=b'5']) => Some(10 + digit - b'0'),
            Some(_) => return None,
        };
        let is_new = match (name, bits) {
            (b"server_no_context_takeover", None) => {
                !std::mem::replace(&mut self.server_no_context_takeover, true)
            }
            (b"client_no_context_takeover", None) => {
                !std::mem::replace(&mut self.client_no_context_takeover, true)
            }
            (b"server_max_window_bits", Some(bits)) => {
                self.server_max_window_bits.replace(bits).is_none()
            }
            (b"client_max_window_bits", bits) => {
                self.client_max_window_bits.replace(bits).is_none()
            }
            _ => false,
        };
        is_new.then_some(())
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        match self.client_max_window_bits {
            None => Ok(()),
            Some(None) => f.write_str("; client_max_window_bits"),
            Some(Some(bits)) => write!(f, "; client_max_window_bits={bits}"),
        }
    }
}

/// Why the peer's `Sec-WebSocket-Extensions` is invalid: the end of a sentence that begins with
/// "the peer".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadExtensions(pub(crate) &'static str);

impl fmt::Display for BadExtensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer {}", self.0)
    }
}

const SYNTAX: BadExtensions = BadExtensions(
    "sent a Sec-WebSocket-Extensions that is not a list of extensions (RFC 6455, 9.1)",
);

/// One extension in the value of a `Sec-WebSocket-Extensions` field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    pub(super) name: &'a [u8],
    /// `None` if the extension has a parameter that is not a valid one of permessage-deflate.
    pub(super) parameters: Option<Parameters>,
}

/// Iterates over the extensions in the value of a field (RFC 6455, 9.1). The list may have empty
/// elements, and whitespace between all tokens. The iterator ends after an error.
pub(super) struct Extensions<'a> {
    rest: &'a [u8],
}

impl<'a> Extensions<'a> {
    pub(super) fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    fn skip_whitespace(&mut self) {
        let len = prefix_len(self.rest, |byte| matches!(byte, b' ' | b'\t'));
        self.rest = &self.rest[len..];
    }

    /// Skips whitespace, then `byte` and the whitespace after it. Returns whether `byte` was there.
    fn skip(&mut self, byte: u8) -> bool {
        self.skip_whitespace();
        let Some(rest) = self.rest.strip_prefix(&[byte]) else { return false };
        self.rest = rest;
        self.skip_whitespace();
        true
    }

    fn token(&mut self) -> Result<&'a [u8], BadExtensions> {
        let (token, rest) = self.rest.split_at(prefix_len(self.rest, is_token_byte));
        self.rest = rest;
        if token.is_empty() { Err(SYNTAX) } else { Ok(token) }
    }

    /// A token, or a quoted string that is a token after its quotes and escapes are removed.
    fn value(&mut self) -> Result<Cow<'a, [u8]>, BadExtensions> {
        let Some(quoted) = self.rest.strip_prefix(b"\"") else {
            return self.token().map(Cow::Borrowed);
        };
        let mut value = Vec::new();
        let mut bytes = quoted.iter();
        loop {
            let byte = match *bytes.next().ok_or(SYNTAX)? {
                b'"' => break,
                b'\\' => *bytes.next().ok_or(SYNTAX)?,
                byte => byte,
            };
            value.push(byte);
        }
        self.rest = bytes.as_slice();
        if is_token(&value) { Ok(Cow::Owned(value)) } else { Err(SYNTAX) }
    }

    fn extension(&mut self) -> Result<Extension<'a>, BadExtensions> {
        let name = self.token()?;
        let mut parameters = Some(Parameters::default());
        while self.skip(b';') {
            let name = self.token()?;
            let value = if self.skip(b'=') { Some(self.value()?) } else { None };
            parameters = parameters.and_then(|mut all| {
                all.add(name, value.as_deref())?;
                Some(all)
            });
        }
        if !self.rest.is_empty() && !self.skip(b',') {
            return Err(SYNTAX);
        }
        Ok(Extension { name, parameters })
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, BadExtensions>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.skip(b',') {}
        if self.rest.is_empty() {
            return None;
        }
        let extension = self.extension();
        if extension.is_err() {
            self.rest = &[];
        }
        Some(extension)
    }
}
