//! A request as handlers receive it: a view of the bytes before its content (its head), without a
//! copy.

use std::fmt;

use crate::semantics::control::{ControlData, Version};
use crate::semantics::method::Method;
use crate::semantics::names::{FieldName, FieldNames, Index};
use crate::semantics::span::{Span, fields};

/// Whether a request has content, and how its end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The request has no content.
    None,
    /// This many bytes, at least one.
    Length(u64),
    /// The length is unknown until the content ends. In HTTP/1.1, the content is chunked.
    Chunked,
}

/// A request without its content.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) control: &'a ControlData,
    /// The field section: the part of `head` with the fields. `spans` are relative to its start.
    pub(crate) section: &'a [u8],
    pub(crate) spans: &'a [Span],
    /// The positions of common fields.
    pub(crate) index: &'a Index,
    pub(crate) content: Content,
    pub(crate) upgrade: bool,
}

impl<'a> Request<'a> {
    /// The method.
    #[inline]
    #[must_use]
    pub fn method(&self) -> Method<'a> {
        self.control.method.in_head(self.head)
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.control.version
    }

    /// The target as it was sent. It contains only visible ASCII characters, no `#`, and no
    /// backslash before the query. RFC 3986 allows fewer characters: the target may also contain
    /// ``"<>[]^`{|}``, and its query a backslash. So escape a target before you write it to a log,
    /// a page or a field.
    #[must_use]
    pub fn target(&self) -> &'a [u8] {
        self.control.target.whole().of(self.head)
    }

    /// The target's path as it was sent: percent-encoded (a `%` may lack its digits), with its dot
    /// segments, and with the characters beyond RFC 3986 that [`Request::target`] lists. `/` if the
    /// target has no path, such as `http://host`; `*` in `OPTIONS *`.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        match self.control.target.path().of(self.head) {
            [] => b"/",
            path => path,
        }
    }

    /// The query: what follows the target's first `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a [u8]> {
        self.control.target.query().map(|range| range.of(self.head))
    }

    /// The host, with the port if the client sent one: the authority of an absolute target, else
    /// the `Host` field. A handler gets `None` only from a client of HTTP/1.0. An access log may
    /// also get `None` for a request that was refused because it has no host.
    #[must_use]
    pub fn host(&self) -> Option<&'a [u8]> {
        // The absolute form takes precedence (RFC 9112, 3.2.2).
        match self.control.target.authority() {
            Some(range) => Some(range.of(self.head)),
            None => self.common_field(FieldName::Host),
        }
    }

    /// Whether the request has content, and how its end is found.
    /// [`Responder::read`](crate::Responder::read) asks for the content.
    #[must_use]
    pub fn content(&self) -> Content {
        self.content
    }

    /// The protocols that the client asks for, if [`Responder::upgrade`](crate::Responder::upgrade)
    /// can switch to one of them. In HTTP/1.1, this is the `Upgrade` field of a request without
    /// content. In HTTP/2, it is the `:protocol` of a CONNECT request. It names one protocol (RFC
    /// 8441, 4), and is stored as an `Upgrade` field.
    #[must_use]
    pub fn upgrade(&self) -> Option<&'a [u8]> {
        if self.upgrade { self.common_field(FieldName::Upgrade) } else { None }
    }

    /// The value of the first field with this name. Faster than [`Request::field`], because all
    /// fields that have a [`FieldName`] are indexed.
    #[must_use]
    pub fn common_field(&self, name: FieldName) -> Option<&'a [u8]> {
        self.index.first(name).map(|range| range.of(self.section))
    }

    /// The [`FieldName`]s of the fields that the request has.
    #[must_use]
    pub fn present(&self) -> FieldNames {
        self.index.present
    }

    /// Whether there is more than one field of that name.
    #[must_use]
    pub fn is_repeated(&self, name: FieldName) -> bool {
        self.index.repeated.contains(name)
    }

    /// The value of the first field of that name, without spaces around the value. The case of the
    /// name doesn't matter.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields_named(name).next()
    }

    /// The values of all fields of that name, in order.
    pub fn fields_named<'n>(
        &self,
        name: &'n str,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields()
            .filter(|(this, _)| this.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// All fields in order, names as they were sent.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        fields(self.section, self.spans)
    }
}

/// The fields after the content (RFC 9110, 6.5). They don't affect how the request is parsed.
#[derive(Clone, Copy)]
pub struct Trailers<'a> {
    pub(crate) section: &'a [u8],
    pub(crate) spans: &'a [Span],
}

impl<'a> Trailers<'a> {
    /// All fields in order, names as they were sent.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        fields(self.section, self.spans)
    }
}

/// Shows no values: they may be secrets.
impl fmt::Debug for Trailers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trailers").field("fields", &self.spans.len()).finish()
    }
}

/// Shows no values: they may be secrets.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("target", &String::from_utf8_lossy(self.target()))
            .field("version", &self.version())
            .field("fields", &self.spans.len())
            .finish()
    }
}
