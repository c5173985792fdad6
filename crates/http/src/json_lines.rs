//! Requests and responses as JSON lines: a small wire format for tests, with several requests in
//! flight.
//!
//! A client sends lines with one JSON object each:
//!
//! ```text
//! {"stream": 1, "method": "GET", "path": "/a?b", "fields": [["host", "x"]]}   a request
//! … "content": 5}  or  "content": true}     a request with content, of this length or of any
//! {"stream": 1, "content": 5}               a piece of content: 5 bytes follow the line
//! {"stream": 1, "end": [["name", "value"]]} the end of the content, with trailers
//! {"stream": 1, "cancel": true}             the client cancels the request
//! {"stream": 1, "reads": false}             the client wants no content of the response for now
//! ```
//!
//! Each request has a higher stream number than those before it.
//!
//! The server sends:
//!
//! ```text
//! {"stream": 1, "status": 200, "fields": [["name", "value"]]}
//! {"stream": 1, "content": 5}               5 bytes follow the line
//! {"stream": 1, "end": [["name", "value"]]} the response is complete, with trailers
//! {"stream": 1, "aborted": true}            the response will never be complete
//! ```

use std::num::NonZeroU32;

use serde_json::{Value, json};
use sockeye_proto::{Output, WallTime};

use crate::semantics::control::{ControlData, Target};
use crate::semantics::exchange::ContentLength;
use crate::semantics::method::MethodKind;
use crate::semantics::span::{Range, Span};
use crate::semantics::{chars, date};
use crate::{Content, Method, OwnedRequest, Status, Trailers, Version};

/// What a line of the client says.
pub(crate) enum Input {
    Request(OwnedRequest),
    /// This many bytes of content follow.
    Content(usize),
    End(Section),
    Cancel,
    /// Whether the client wants content of the response.
    Reads(bool),
}

/// A field section: its bytes, and the positions of its names and values in these bytes.
#[derive(Default)]
pub(crate) struct Section {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Section {
    pub(crate) fn trailers(&self) -> Trailers<'_> {
        Trailers { section: &self.bytes, spans: &self.spans }
    }

    /// Appends a field; `None` if it is malformed.
    fn push(&mut self, field: &Value) -> Option<()> {
        let (name, value) = (field[0].as_str()?, field[1].as_str()?);
        if !chars::is_token(name.as_bytes()) || !chars::is_field_value(value.as_bytes()) {
            return None;
        }
        let mut append = |text: &str| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(text.as_bytes());
            Range::new(start, self.bytes.len())
        };
        let (name, value) = (append(name), append(value));
        self.spans.push(Span { name, value });
        Some(())
    }

    fn of(fields: &Value) -> Option<Self> {
        let mut section = Self::default();
        fields.as_array()?.iter().try_for_each(|field| section.push(field))?;
        Some(section)
    }
}

/// Reads a line; `None` if it is malformed.
pub(crate) fn parse(line: &[u8]) -> Option<(NonZeroU32, Input)> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let stream = NonZeroU32::new(line["stream"].as_u64()?.try_into().ok()?)?;
    let input = if let Some(method) = line.get("method") {
        Input::Request(request(method.as_str()?, line["path"].as_str()?, &line)?)
    } else if let Some(content) = line.get("content") {
        Input::Content(content.as_u64()?.try_into().ok()?)
    } else if let Some(fields) = line.get("end") {
        Input::End(Section::of(fields)?)
    } else if let Some(reads) = line.get("reads") {
        Input::Reads(reads.as_bool()?)
    } else {
        line["cancel"].as_bool().filter(|cancel| *cancel)?;
        Input::Cancel
    };
    Some((stream, input))
}

fn request(method: &str, path: &str, line: &Value) -> Option<OwnedRequest> {
    let (before, query) = path.split_once('?').unwrap_or((path, ""));
    let is_target = path.starts_with('/')
        && before.bytes().all(chars::is_path_byte)
        && query.bytes().all(chars::is_query_byte);
    if !chars::is_token(method.as_bytes()) || method.len() > Method::MAX_LEN || !is_target {
        return None;
    }
    let content = match line.get("content") {
        None | Some(Value::Bool(false)) => Content::None,
        Some(Value::Bool(true)) => Content::Chunked,
        Some(length) => match length.as_u64()? {
            0 => Content::None,
            length => Content::Length(length),
        },
    };
    let mut head = format!("{method} ").into_bytes();
    let start = head.len() as u32;
    head.extend_from_slice(path.as_bytes());
    let end = head.len() as u32;
    let path_end = path.find('?').map_or(end, |at| start + at as u32);
    let target = Target { start, end, path_start: start, path_end, authority: Range::default() };
    let Section { bytes, spans } = Section::of(&line["fields"])?;
    let fields = head.len();
    head.extend_from_slice(&bytes);
    let method = MethodKind::from_token(method.as_bytes());
    let control = ControlData { method, version: Version::Http11, target };
    let request = OwnedRequest::new(head, control, fields, spans, content);
    request.view().host().filter(|host| chars::is_host(host))?;
    Some(request)
}

/// What only this format keeps about one exchange: the lines around the response's content.
#[derive(Debug)]
pub(crate) struct JsonExchange {
    stream: NonZeroU32,
    /// The line of the response's head, until it is sent.
    pub(crate) head: Option<Value>,
    pub(crate) trailers: Vec<Value>,
}

/// Writes one line.
pub(crate) fn line(value: &Value, out: &mut Output) {
    out.write(value.to_string().as_bytes());
    out.write(b"\n");
}

fn pair((name, value): (&[u8], &[u8])) -> Value {
    json!([String::from_utf8_lossy(name), String::from_utf8_lossy(value)])
}

impl JsonExchange {
    pub(crate) fn new(stream: NonZeroU32) -> Self {
        Self { stream, head: None, trailers: Vec::new() }
    }

    /// Stores the head of a response until it is sent.
    pub(crate) fn set_head<'a>(
        &mut self,
        status: Status,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        length: ContentLength,
        now: WallTime,
    ) {
        let mut all = vec![pair((b"Date", &date::format(now)))];
        all.extend(fields.map(pair));
        if let ContentLength::Known(length) = length {
            all.push(json!(["Content-Length", length.to_string()]));
        }
        let stream = self.stream.get();
        self.head = Some(json!({"stream": stream, "status": status.code(), "fields": all}));
    }

    pub(crate) fn set_trailers<'a>(&mut self, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
        self.trailers = fields.map(pair).collect();
    }

    /// The line before content of this length.
    pub(crate) fn content(&self, len: u64) -> Value {
        json!({"stream": self.stream.get(), "content": len})
    }

    /// The last line of a response.
    pub(crate) fn end(&self, is_aborted: bool) -> Value {
        match is_aborted {
            true => json!({"stream": self.stream.get(), "aborted": true}),
            false => json!({"stream": self.stream.get(), "end": self.trailers}),
        }
    }
}
