//! A request as its handler sees it: a view of the bytes that arrived, without a copy.

use std::fmt;

use sockeye_proto::Fault;

use super::block::Block;
use super::framing;
use super::head::{self, Head, Progress};
use super::known::{FieldName, FieldNames, Index};
use super::method::{Method, MethodKind};
use super::refusal::Refusal;
use super::target::Target;
use super::{Content, Limits};

/// Where something lies in the bytes of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Range {
    /// Both are at most the limit of a head, far below 4 GiB.
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }
}

/// Where a field lies in the bytes of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) name: Range,
    pub(super) value: Range,
}

/// The version of a request. Others are refused before a handler sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// What a request line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) method: MethodKind,
    pub(super) version: Version,
    pub(super) target: Target,
}

/// A request: what its head says.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub(super) head: &'a [u8],
    pub(super) line: &'a Line,
    /// The part of `head` behind the request line, from where the spans are counted.
    pub(super) block: &'a [u8],
    pub(super) spans: &'a [Span],
    /// Of the same fields.
    pub(super) index: &'a Index,
    pub(super) content: Content,
    pub(super) upgrade: bool,
}

/// A request that was kept for longer than its bytes last: see [`Request::keep`].
pub struct KeptRequest(Box<Kept>);

struct Kept {
    head: Box<[u8]>,
    line: Line,
    /// Where the fields begin.
    fields: usize,
    spans: Box<[Span]>,
    index: Index,
    content: Content,
    upgrade: bool,
}

impl KeptRequest {
    /// Reads a head, for tests of what handles requests: as a server does, with its usual limits.
    /// What is behind the head is ignored.
    ///
    /// # Errors
    ///
    /// The fault that the head would earn, or that it isn't complete.
    pub fn read(input: &[u8]) -> Result<Self, Fault> {
        let mut block = Block::default();
        let head = head::parse(input, &mut Progress::default(), &Limits::default(), &mut block);
        let head = head.map_err(Refusal::fault)?;
        let Some(Head { line, fields, len }) = head else {
            return Err(Fault::peer("eof_in_head", "sent a request head that is not complete"));
        };
        let mut request = Request {
            head: &input[..len],
            line: &line,
            block: &input[fields..len],
            spans: &block.spans,
            index: &block.index,
            content: Content::None,
            upgrade: false,
        };
        let framing = framing::of(&request).map_err(Refusal::fault)?;
        request.content = framing.content;
        request.upgrade = framing.upgrade && framing.content == Content::None;
        Ok(request.keep())
    }

    /// The request.
    #[must_use]
    pub fn view(&self) -> Request<'_> {
        let Kept { head, line, fields, spans, index, content, upgrade } = &*self.0;
        let (content, upgrade) = (*content, *upgrade);
        Request { head, line, block: &head[*fields..], spans, index, content, upgrade }
    }
}

/// Shows no values, either.
impl fmt::Debug for KeptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl<'a> Request<'a> {
    /// Copies the request, as large as its head is, for a handler that has to wait for something
    /// before it can answer.
    #[must_use]
    pub fn keep(&self) -> KeptRequest {
        KeptRequest(Box::new(Kept {
            head: self.head.into(),
            line: *self.line,
            fields: self.head.len() - self.block.len(),
            spans: self.spans.into(),
            index: *self.index,
            content: self.content,
            upgrade: self.upgrade,
        }))
    }

    /// The method.
    #[inline]
    #[must_use]
    pub fn method(&self) -> Method<'a> {
        self.line.method.in_head(self.head)
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.line.version
    }

    /// The target as it was sent: of RFC 3986's characters only, still percent-encoded.
    #[must_use]
    pub fn target(&self) -> &'a [u8] {
        self.line.target.whole().of(self.head)
    }

    /// The target's path, still percent-encoded and as it was sent (a `%` need not be followed by
    /// two digits, nor are dots resolved): what an absolute target has behind its authority, `/`
    /// where that is nothing; `*` in `OPTIONS *`.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        match self.line.target.path().of(self.head) {
            [] => b"/",
            path => path,
        }
    }

    /// What follows the target's first `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a [u8]> {
        self.line.target.query().map(|range| range.of(self.head))
    }

    /// Whose resource is asked for: the authority of an absolute target, else the `Host` field.
    /// A host and perhaps a port; `None` only in HTTP/1.0.
    #[must_use]
    pub fn host(&self) -> Option<&'a [u8]> {
        // The absolute form wins (RFC 9112, 3.2.2).
        match self.line.target.authority() {
            Some(range) => Some(range.of(self.head)),
            None => self.known(FieldName::Host),
        }
    }

    /// What body follows. [`Reply::read`](super::Reply::read) asks for it.
    #[must_use]
    pub fn content(&self) -> Content {
        self.content
    }

    /// The protocols that the client would rather speak on this connection, as the `Upgrade` field
    /// has them, where it may be given one by [`Reply::upgrade`](super::Reply::upgrade): in
    /// HTTP/1.1, with the `Connection` option that belongs to it, and without a body in the way.
    #[must_use]
    pub fn upgrade(&self) -> Option<&'a [u8]> {
        if self.upgrade { self.known(FieldName::Upgrade) } else { None }
    }

    /// The value of the first field of that name, without spaces around it: what [`Request::field`]
    /// finds, without a look at the other fields.
    #[must_use]
    pub fn known(&self, name: FieldName) -> Option<&'a [u8]> {
        self.index.first(name).map(|range| range.of(self.block))
    }

    /// Those of the names that are found at once of which there is a field.
    #[must_use]
    pub fn present(&self) -> FieldNames {
        self.index.present
    }

    /// Whether there is more than one field of that name.
    #[must_use]
    pub fn is_repeated(&self, name: FieldName) -> bool {
        self.index.repeated.contains(name)
    }

    /// The value of the first field of that name, without spaces around it. Names are compared
    /// without regard to case.
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
        fields(self.block, self.spans)
    }
}

/// The fields behind a body in chunks (RFC 9110, 6.5). They are kept apart from those of the head,
/// and nothing that they say changes how the request is read.
#[derive(Clone, Copy)]
pub struct Trailers<'a> {
    pub(super) section: &'a [u8],
    pub(super) spans: &'a [Span],
}

impl<'a> Trailers<'a> {
    /// All fields in order, names as they were sent.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        fields(self.section, self.spans)
    }
}

/// Shows no values, either.
impl fmt::Debug for Trailers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trailers").field("fields", &self.spans.len()).finish()
    }
}

pub(super) fn fields<'a>(
    head: &'a [u8],
    spans: &'a [Span],
) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
    spans.iter().map(move |span| (span.name.of(head), span.value.of(head)))
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
