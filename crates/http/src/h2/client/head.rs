//! The head of a response: its status, its length and where it redirects to (RFC 9113, 8.3.2).

use std::sync::Arc;

use super::error::Error;
use super::limits::{MAX_HEAD, MAX_KNOWN_HEADS};
use crate::h2::checks::{is_valid_name, is_valid_value};
use crate::h2::hpack::{Decoder, Field};
use crate::semantics::chars;

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code, from 100 to 599.
    pub status: u16,
    /// The length of the content, if a Content-Length field gives it.
    pub length: Option<u64>,
    /// The first Location field of a response with a status from 300 to 399. Bytes that are not
    /// UTF-8 are replaced.
    pub location: Option<Arc<str>>,
}

/// A header block that is either a head or trailers.
#[derive(Debug, Default)]
struct Section {
    status: Option<u16>,
    length: Option<u64>,
    location: Option<Arc<str>>,
    has_fields: bool,
    /// The size of its fields: see [`MAX_HEAD`].
    size: usize,
    error: Option<&'static str>,
}

// Names of fields, as indices of HPACK's static table.
const STATUS: u8 = 8;
const CONTENT_LENGTH: u8 = 28;
const LOCATION: u8 = 46;
const TRANSFER_ENCODING: u8 = 57;

impl Section {
    /// Adds a field. Keeps the first error.
    fn take(&mut self, field: Field<'_>) {
        self.size += field.name.len() + field.value.len() + 32;
        if self.error.is_some() {
            return;
        }
        if self.size > MAX_HEAD {
            self.error = Some("sent a response's head or trailers of more than 64 KiB");
        } else if let Err(what) = self.add(field) {
            self.error = Some(what);
        }
    }

    fn add(&mut self, field: Field<'_>) -> Result<(), &'static str> {
        // `static_name` is the index of the name in HPACK's static table, or 0.
        let Field { name, value, static_name, .. } = field;
        if !is_valid_value(value) {
            return Err("sent a field with an invalid character in its value");
        }
        if let [b':', rest @ ..] = name {
            if static_name != STATUS && rest != b"status" {
                return Err("sent an unknown pseudo-header field");
            }
            if self.has_fields || self.status.is_some() {
                return Err("sent a :status that is not the first field");
            }
            self.status = Some(status(value)?);
            return Ok(());
        }
        self.has_fields = true;
        match (static_name, name) {
            (CONTENT_LENGTH, _) | (0, b"content-length") => {
                let length = chars::parse_number(value);
                if length.is_none() {
                    return Err("sent a Content-Length that is not a number");
                }
                if self.length.is_some() && self.length != length {
                    return Err("sent two lengths of one response");
                }
                self.length = length;
                Ok(())
            }
            (LOCATION, _) | (0, b"location") => {
                let is_redirect = matches!(self.status, Some(300..400));
                if is_redirect && self.location.is_none() {
                    self.location = Some(String::from_utf8_lossy(value).into());
                }
                Ok(())
            }
            (TRANSFER_ENCODING, _)
            | (
                0,
                b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding"
                | b"upgrade",
            ) => Err("sent a field about an HTTP/1.1 connection"),
            (0, _) if !is_valid_name(name) => Err("sent a field with an invalid name"),
            _ => Ok(()),
        }
    }
}

fn status(value: &[u8]) -> Result<u16, &'static str> {
    match *value {
        [b'1', b'0', b'1'] => Err("sent a 101, which HTTP/2 doesn't have"),
        [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Ok([a, b, c].iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')))
        }
        _ => Err("sent a :status that is not a number from 100 to 599"),
    }
}

/// A header block whose fields are known. It doesn't change the dynamic table, and has the same
/// fields as long as that table doesn't change.
#[derive(Debug, Default)]
struct KnownHead {
    block: Vec<u8>,
    /// The [`Decoder::generation`] at which the block was decoded.
    generation: u32,
    head: Option<Head>,
}

/// Reads the header blocks of one connection.
///
/// The client sends the requests of a fixed list again and again, and numbers them by their place
/// in it. Responses to the same request usually differ only in their date, which changes once a
/// second. So the last head for each of the first [`MAX_KNOWN_HEADS`] requests is remembered. If
/// the next header block for the request has the same bytes, and the dynamic table has not changed,
/// the block is not decoded.
#[derive(Debug)]
pub(super) struct HeadReader {
    decoder: Decoder,
    scratch: Vec<u8>,
    /// The last head for each request, by the request's number.
    known: Vec<KnownHead>,
}

impl HeadReader {
    pub(super) fn new() -> Self {
        Self { decoder: Decoder::new(), scratch: Vec::new(), known: Vec::new() }
    }

    /// Reads the head of a response to the request of this number.
    #[inline]
    pub(super) fn read(&mut self, block: &[u8], number: usize) -> Result<Head, Error> {
        if let Some(known) = self.known.get(number)
            && known.generation == self.decoder.generation()
            && known.block == block
            && let Some(head) = &known.head
        {
            return Ok(head.clone());
        }
        self.decode_head(block, number)
    }

    fn decode_head(&mut self, block: &[u8], number: usize) -> Result<Head, Error> {
        let generation = self.decoder.generation();
        let section = self.decode(block)?;
        let Section { status: Some(status), length, location, .. } = section else {
            return Err(Error::protocol("sent a response without :status"));
        };
        let head = Head { status, length, location };
        if number < MAX_KNOWN_HEADS && generation == self.decoder.generation() {
            if self.known.len() <= number {
                self.known.resize_with(number + 1, KnownHead::default);
            }
            let known = &mut self.known[number];
            known.block.clear();
            known.block.extend_from_slice(block);
            (known.generation, known.head) = (generation, Some(head.clone()));
        }
        Ok(head)
    }

    /// Checks trailers, and drops them.
    pub(super) fn read_trailers(&mut self, block: &[u8]) -> Result<(), Error> {
        match self.decode(block)?.status {
            Some(_) => Err(Error::protocol("sent a :status in trailers")),
            None => Ok(()),
        }
    }

    fn decode(&mut self, block: &[u8]) -> Result<Section, Error> {
        let mut section = Section::default();
        let decoded = self.decoder.decode(block, &mut self.scratch, |field| {
            section.take(field);
            // Decode the fields after this one, too: they may change the dynamic table.
            true
        });
        decoded.map_err(|_| Error::COMPRESSION)?;
        match section.error {
            Some(what) => Err(Error::protocol(what)),
            None => Ok(section),
        }
    }
}
