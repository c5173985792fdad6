//! Reads the fields of a header block as a request, or as trailers (RFC 9113, 8).

use std::borrow::Cow;
use std::cell::Cell;

use super::checks::{
    check_protocol, common_name, is_valid_name, is_valid_value, without_default_port,
};
use super::hpack::Field;
use super::priority::Priority;
use super::trailers::OwnedTrailers;
use crate::semantics::chars;
use crate::semantics::content::{content_length, expects_continue};
use crate::semantics::control::{ControlData, Target};
use crate::semantics::method::MethodKind;
use crate::semantics::names::Index;
use crate::semantics::refusal::Refusal;
use crate::semantics::span::{Range, Span, fields};
use crate::{Content, FieldName, Limits, Method, Request, Version};

/// Why a header block does not become a request for a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// The block is malformed (RFC 9113, 8.1.1), so its stream is reset. The text is the end of a
    /// sentence that begins with "the peer".
    Malformed(&'static str),
    /// The request is refused with this response.
    Refused(Refusal<'static>),
}

impl From<Refusal<'static>> for HeadError {
    fn from(refusal: Refusal<'static>) -> Self {
        Self::Refused(refusal)
    }
}

/// A request, as [`HeadBuffer`] has read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) control: ControlData,
    pub(crate) content: Content,
    /// Whether the client waits for 100 (Continue) before it sends the content (RFC 9110, 10.1.1).
    pub(crate) expects_continue: bool,
    /// Whether it is an extended CONNECT (RFC 8441, 4).
    pub(crate) is_extended_connect: bool,
    pub(crate) priority: Priority,
}

/// The fields of one header block. Used for one block after another.
///
/// The bytes of names and values are appended to one buffer. So the fields have the same form as
/// those of HTTP/1.1, where the buffer is the input itself.
#[derive(Debug, Default)]
pub(crate) struct HeadBuffer {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    index: Index,
    /// The values of all Cookie fields, as one (RFC 9113, 8.2.3).
    cookie: Vec<u8>,
    /// The positions in `bytes` of the values of the five pseudo-header fields.
    method: Option<Range>,
    scheme: Option<Range>,
    authority: Option<Range>,
    path: Option<Range>,
    protocol: Option<Range>,
    /// Whether there is a Priority field.
    has_priority: bool,
    /// Whether a field has been read that is not a pseudo-header field.
    has_fields: bool,
    /// The size of the fields as RFC 9113, 6.5.2, counts it: with 32 bytes for each.
    size: usize,
    /// The first error of the block. Fields after it are not kept.
    error: Option<HeadError>,
    /// The last valid host, of this block or an earlier one.
    host: Vec<u8>,
    /// Whether requests for the host in `host` are allowed. `None` until this is checked.
    pub(crate) host_allowed: Cell<Option<bool>>,
}

/// Names of pseudo-header fields of a request, as indices of HPACK's static table.
const AUTHORITY: u8 = 1;
const METHOD: u8 = 2;
const PATH: u8 = 4;
const SCHEME: u8 = 6;
/// `:status`, which no request may have. Also used for unknown pseudo-header fields.
const UNKNOWN_PSEUDO: u8 = 8;
/// `:protocol` (RFC 8441, 4), which is not in the table.
const PROTOCOL: u8 = 0;
/// The name `cookie`, as an index of the static table.
const COOKIE: u8 = 32;

/// A request whose fields exceed the limit is refused. If they exceed it by this factor, the
/// connection ends, because decoding them costs too much.
const MAX_EXCESS: usize = 8;

const INVALID_VALUE: HeadError =
    HeadError::Malformed("sent a field with an invalid character in its value");

impl HeadBuffer {
    /// Prepares for the next header block.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.index.clear();
        self.cookie.clear();
        (self.method, self.scheme, self.authority, self.path) = (None, None, None, None);
        self.protocol = None;
        self.has_priority = false;
        self.has_fields = false;
        self.size = 0;
        self.error = None;
    }

    /// Takes the next field. `is_checked`: it comes from an HPACK table that has only valid fields.
    /// After an error, returns false if the fields exceed the limit by the factor [`MAX_EXCESS`].
    #[inline]
    pub(crate) fn take(&mut self, field: Field<'_>, is_checked: bool, limits: &Limits) -> bool {
        self.size += field.name.len() + field.value.len() + 32;
        if self.error.is_some() {
            return self.size <= limits.head.saturating_mul(MAX_EXCESS);
        }
        if self.size > limits.head {
            self.error = Some(Refusal::HEAD_TOO_LARGE.into());
        } else if let Err(error) = self.add(field, is_checked, limits) {
            self.error = Some(error);
        }
        true
    }

    fn add(
        &mut self,
        field: Field<'_>,
        is_checked: bool,
        limits: &Limits,
    ) -> Result<(), HeadError> {
        let Field { name, value, static_name, .. } = field;
        if !is_checked && !is_valid_value(value) {
            return Err(INVALID_VALUE);
        }
        if name.first() == Some(&b':') {
            return self.add_pseudo(static_name, name, value);
        }
        self.has_fields = true;
        if self.spans.len() >= limits.fields {
            return Err(Refusal::TOO_MANY_FIELDS.into());
        }
        let known = match static_name {
            // The name does not come from the static table.
            0 => {
                if !is_checked && !is_valid_name(name) {
                    return Err(HeadError::Malformed("sent a field with an invalid name"));
                }
                if name == b"cookie" {
                    self.add_cookie(value);
                    return Ok(());
                }
                self.check_unknown(name, value)?
            }
            COOKIE => {
                self.add_cookie(value);
                return Ok(());
            }
            name => common_name(name),
        };
        match known {
            Some(FieldName::TransferEncoding | FieldName::Connection | FieldName::Upgrade) => {
                return Err(HeadError::Malformed("sent a field about an HTTP/1.1 connection"));
            }
            Some(FieldName::Host) if self.authority.is_some() => {
                return self.check_same_host(value);
            }
            _ => {}
        }
        let name = self.append(name);
        let value = self.append(value);
        self.spans.push(Span { name, value });
        if let Some(known) = known {
            self.index.add(known, value);
        }
        Ok(())
    }

    fn add_cookie(&mut self, value: &[u8]) {
        let separator: &[u8] = if self.cookie.is_empty() { b"" } else { b"; " };
        self.cookie.extend_from_slice(separator);
        self.cookie.extend_from_slice(value);
    }

    /// Checks a field whose name does not come from the static table. Returns the [`FieldName`] of
    /// the name, if there is one.
    fn check_unknown(&mut self, name: &[u8], value: &[u8]) -> Result<Option<FieldName>, HeadError> {
        match name {
            b"keep-alive" | b"proxy-connection" => {
                Err(HeadError::Malformed("sent a field about an HTTP/1.1 connection"))
            }
            // The only value that TE may have in HTTP/2 (RFC 9113, 8.2.2).
            b"te" if !value.eq_ignore_ascii_case(b"trailers") => {
                Err(HeadError::Malformed("sent a TE field other than trailers"))
            }
            b"priority" => {
                self.has_priority = true;
                Ok(None)
            }
            _ => Ok(FieldName::from_name(name)),
        }
    }

    /// Checks that a Host field names the same host as `:authority`. A request with two different
    /// hosts is malformed (RFC 9113, 8.3.1). The pseudo-header fields have arrived before.
    fn check_same_host(&self, host: &[u8]) -> Result<(), HeadError> {
        let bytes = |range: Option<Range>| range.map_or(&b""[..], |range| range.of(&self.bytes));
        let scheme = bytes(self.scheme);
        let authority = without_default_port(bytes(self.authority), scheme);
        match authority.eq_ignore_ascii_case(without_default_port(host, scheme)) {
            true => Ok(()),
            false => Err(HeadError::Malformed("sent an :authority and a Host that differ")),
        }
    }

    fn add_pseudo(&mut self, static_name: u8, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        if self.has_fields {
            return Err(HeadError::Malformed("sent a pseudo-header field after other fields"));
        }
        let kind = match (static_name, name) {
            (AUTHORITY, _) | (0, b":authority") => AUTHORITY,
            (METHOD, _) | (0, b":method") => METHOD,
            (PATH, _) | (0, b":path") => PATH,
            (SCHEME, _) | (0, b":scheme") => SCHEME,
            (0, b":protocol") => PROTOCOL,
            _ => UNKNOWN_PSEUDO,
        };
        let range = if kind == AUTHORITY {
            // Handlers find it as the field Host, as in HTTP/1.1.
            let name = self.append(b"host");
            let value = self.append(value);
            self.spans.push(Span { name, value });
            self.index.add(FieldName::Host, value);
            value
        } else {
            self.append(value)
        };
        let before = match kind {
            AUTHORITY => self.authority.replace(range),
            METHOD => self.method.replace(range),
            PATH => self.path.replace(range),
            SCHEME => self.scheme.replace(range),
            PROTOCOL => {
                // Handlers find it as the field Upgrade of HTTP/1.1, which HTTP/2 doesn't have.
                self.index.add(FieldName::Upgrade, range);
                self.protocol.replace(range)
            }
            _ => return Err(HeadError::Malformed("sent an unknown pseudo-header field")),
        };
        match before {
            None => Ok(()),
            Some(_) => Err(HeadError::Malformed("sent a pseudo-header field twice")),
        }
    }

    /// Appends bytes to the buffer. Returns their position.
    fn append(&mut self, bytes: &[u8]) -> Range {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Range::new(start, self.bytes.len())
    }

    /// Builds the request from these fields. `ends`: whether the request ends without content.
    pub(crate) fn request(&mut self, ends: bool, limits: &Limits) -> Result<Head, HeadError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if !self.cookie.is_empty() {
            let name = self.append(b"cookie");
            let start = self.bytes.len();
            self.bytes.extend_from_slice(&self.cookie);
            self.spans.push(Span { name, value: Range::new(start, self.bytes.len()) });
        }
        let control = self.control(limits)?;
        if self.index.repeated.contains(FieldName::Host) {
            return Err(Refusal::bad("sent more than one Host field").into());
        }
        match self.index.first(FieldName::Host).map(|host| host.of(&self.bytes)) {
            // An http or https URI has a host (RFC 9110, 4.2.1).
            Some([]) => return Err(Refusal::bad("sent an empty host").into()),
            // Most requests are for the same host as the last one.
            Some(host) if host == self.host => {}
            Some(host) if chars::is_host(host) => {
                self.host.clear();
                self.host.extend_from_slice(host);
                self.host_allowed.set(None);
            }
            Some(_) => return Err(Refusal::bad("sent an invalid host").into()),
            None => return Err(Refusal::bad("sent neither :authority nor Host").into()),
        }
        let content = self.content(ends)?;
        let has_expect = self.index.present.contains(FieldName::Expect);
        let expects_continue = has_expect
            && expects_continue(&self.view(&control, content))?
            && content != Content::None;
        let is_extended_connect = self.protocol.is_some();
        Ok(Head {
            control,
            content,
            expects_continue,
            is_extended_connect,
            priority: self.priority(),
        })
    }

    /// The priority that the client asks for. The values of several Priority fields are joined with
    /// commas, as those of every field whose value is a list (RFC 9110, 5.3).
    fn priority(&self) -> Priority {
        if !self.has_priority {
            return Priority::default();
        }
        let mut lines = fields(&self.bytes, &self.spans)
            .filter_map(|(name, value)| (name == b"priority").then_some(value));
        let first = Cow::Borrowed(lines.next().unwrap_or_default());
        let value = lines.fold(first, |mut value, line| {
            value.to_mut().extend_from_slice(&[b", ", line].concat());
            value
        });
        Priority::of(&value).unwrap_or_default()
    }

    /// Builds the control data (method, version and target) from the pseudo-header fields (RFC
    /// 9113, 8.3.1).
    fn control(&mut self, limits: &Limits) -> Result<ControlData, HeadError> {
        let missing = |name| HeadError::Malformed(name);
        let method = self.method.ok_or(missing("sent a request without :method"))?;
        let token = method.of(&self.bytes);
        if token.len() > Method::MAX_LEN {
            return Err(Refusal::METHOD_TOO_LONG.into());
        }
        if !chars::is_token(token) {
            return Err(HeadError::Malformed("sent a :method that is no token"));
        }
        let kind = MethodKind::from_token(token);
        match self.protocol {
            None if kind == MethodKind::Connect => return self.connect_control(),
            None => {}
            Some(protocol) => {
                check_protocol(protocol.of(&self.bytes), kind).map_err(HeadError::Malformed)?;
            }
        }
        let scheme = self.scheme.ok_or(missing("sent a request without :scheme"))?;
        let mut path = self.path.ok_or(missing("sent a request without :path"))?;
        if ![&b"http"[..], b"https"].contains(&scheme.of(&self.bytes)) {
            return Err(Refusal::bad("sent a :scheme other than http and https").into());
        }
        if kind == MethodKind::Extension {
            path = self.move_method_to_front(method, path);
        }
        let target = path.of(&self.bytes);
        let path_len = match target {
            [b'/', ..] => chars::prefix_len(target, chars::is_path_byte),
            b"*" if kind == MethodKind::Options => 1,
            [] => return Err(HeadError::Malformed("sent an empty :path")),
            _ => return Err(HeadError::Malformed("sent a :path that does not begin with /")),
        };
        let is_valid = match &target[path_len..] {
            [] => true,
            [b'?', query @ ..] => chars::prefix_len(query, chars::is_query_byte) == query.len(),
            _ => false,
        };
        if !is_valid {
            return Err(Refusal::bad("sent an invalid character in :path").into());
        }
        if target.len() > limits.request_line {
            return Err(Refusal::LINE_TOO_LONG.into());
        }
        let Range { start, end } = path;
        let path_end = start + path_len as u32;
        let authority = Range::default();
        let target = Target { start, end, path_start: start, path_end, authority };
        Ok(ControlData { method: kind, version: Version::Http2, target })
    }

    /// Like [`Self::control`], for CONNECT (RFC 9113, 8.5).
    fn connect_control(&self) -> Result<ControlData, HeadError> {
        let (Some(authority), None, None) = (self.authority, self.scheme, self.path) else {
            return Err(HeadError::Malformed(
                "sent CONNECT without :authority, or with :scheme or :path",
            ));
        };
        let bytes = authority.of(&self.bytes);
        let port =
            bytes.rsplit(|byte| *byte == b':').next().filter(|port| port.len() < bytes.len());
        if !port.is_some_and(|port| !port.is_empty() && port.iter().all(u8::is_ascii_digit)) {
            return Err(HeadError::Malformed("sent CONNECT with an :authority without a port"));
        }
        let Range { start, end } = authority;
        let target = Target { start, end, path_start: end, path_end: end, authority };
        Ok(ControlData { method: MethodKind::Connect, version: Version::Http2, target })
    }

    /// Puts the name of an extension method in front of all other bytes, where
    /// [`MethodKind::in_head`] finds it. Returns the new range of the path.
    #[cold]
    fn move_method_to_front(&mut self, method: Range, path: Range) -> Range {
        let mut front = method.of(&self.bytes).to_vec();
        front.push(b' ');
        let by = front.len() as u32;
        let moved = |range: Range| Range { start: range.start + by, end: range.end + by };
        self.bytes.splice(0..0, front);
        for span in &mut self.spans {
            *span = Span { name: moved(span.name), value: moved(span.value) };
        }
        self.index.fill(&self.bytes, &self.spans);
        (self.method, self.path) = (Some(moved(method)), Some(moved(path)));
        moved(path)
    }

    /// What the request says about its content. `Chunked` only means that the length is unknown.
    fn content(&self, ends: bool) -> Result<Content, HeadError> {
        let is_extended_connect = self.protocol.is_some();
        let Some(length) = self.index.first(FieldName::ContentLength) else {
            let has_content = !ends && !is_extended_connect;
            return Ok(if has_content { Content::Chunked } else { Content::None });
        };
        if is_extended_connect {
            // The DATA frames of this stream are a tunnel, not content (RFC 9110, 9.3.6).
            return Err(HeadError::Malformed("announced content of a CONNECT request"));
        }
        if self.index.repeated.contains(FieldName::ContentLength) {
            return Err(HeadError::Malformed("sent more than one Content-Length field"));
        }
        match content_length(length.of(&self.bytes)) {
            Ok(Content::Length(_)) if ends => {
                Err(HeadError::Malformed("announced content, and sent none"))
            }
            Ok(content) => Ok(content),
            Err(_) => Err(HeadError::Malformed("sent an invalid Content-Length")),
        }
    }

    /// The request, after [`HeadBuffer::request`] has returned its `control` and `content`.
    pub(crate) fn view<'a>(&'a self, control: &'a ControlData, content: Content) -> Request<'a> {
        Request {
            head: &self.bytes,
            control,
            section: &self.bytes,
            spans: &self.spans,
            index: &self.index,
            content,
            upgrade: false,
        }
    }

    /// Builds the trailers from these fields (RFC 9113, 8.1).
    pub(crate) fn trailers(&self) -> Result<OwnedTrailers, HeadError> {
        match self.error {
            Some(error) => Err(error),
            None if self.has_pseudo() => {
                Err(HeadError::Malformed("sent a pseudo-header field as a trailer"))
            }
            None => Ok(OwnedTrailers {
                bytes: self.bytes.as_slice().into(),
                spans: self.spans.as_slice().into(),
            }),
        }
    }

    fn has_pseudo(&self) -> bool {
        let Self { method, scheme, authority, path, protocol, .. } = self;
        [method, scheme, authority, path, protocol].into_iter().any(Option::is_some)
    }

    /// The head of a request that is refused. It has the method, if that is known, and no target.
    #[cold]
    pub(crate) fn refused(&self) -> Head {
        let method = self.method.map_or(&b""[..], |method| method.of(&self.bytes));
        let (method, target) = (MethodKind::from_token(method), Target::default());
        Head {
            control: ControlData { method, version: Version::Http2, target },
            content: Content::Chunked,
            expects_continue: false,
            is_extended_connect: false,
            priority: self.priority(),
        }
    }

    /// The fields read so far, in the form of HTTP/1.1, to log a malformed or refused request.
    #[cold]
    pub(crate) fn as_lines(&self) -> Vec<u8> {
        let part = |range: Option<Range>| range.map_or(&b""[..], |range| range.of(&self.bytes));
        let mut lines = [part(self.method), b" ", part(self.path), b" HTTP/2.0\r\n"].concat();
        for (name, value) in fields(&self.bytes, &self.spans) {
            lines.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
        }
        lines
    }

    /// Whether this block may have fields with invalid characters, because an error ended the
    /// checks. HPACK's dynamic table may contain such fields from then on. So in later blocks, the
    /// caller must have fields checked even if they come from a table.
    pub(crate) fn has_unchecked_fields(&self) -> bool {
        self.error.is_some()
    }
}
