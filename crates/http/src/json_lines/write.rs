//! Writing lines.

use std::num::NonZeroU32;

use serde_json::{Value, json};
use sockeye_proto::{Output, WallTime};

use crate::semantics::date;
use crate::semantics::exchange::ContentLength;
use crate::semantics::status::Status;

/// What this wire keeps of one exchange: what is to be sent around its content.
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

    /// Keeps the head of a response.
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

    /// The line in front of content of this length.
    pub(crate) fn content(&self, len: u64) -> Value {
        json!({"stream": self.stream.get(), "content": len})
    }

    /// The line behind a response.
    pub(crate) fn end(&self, is_aborted: bool) -> Value {
        match is_aborted {
            true => json!({"stream": self.stream.get(), "aborted": true}),
            false => json!({"stream": self.stream.get(), "end": self.trailers}),
        }
    }
}
