//! Requests and responses as JSON lines: a tiny wire for tests, with several requests in flight.
//!
//! A client sends, one JSON object to a line:
//!
//! ```text
//! {"stream": 1, "method": "GET", "path": "/a?b", "fields": [["host", "x"]]}   a request
//! … "content": 5}  or  "content": true}     the same with content, of that length or of any
//! {"stream": 1, "content": 5}               a piece of content: 5 bytes follow the line
//! {"stream": 1, "end": [["name", "value"]]} the end of the content, with trailers
//! {"stream": 1, "cancel": true}             the client gives up
//! {"stream": 1, "reads": false}             the client wants no content of the response for now
//! ```
//!
//! The server sends:
//!
//! ```text
//! {"stream": 1, "status": 200, "fields": [["name", "value"]]}
//! {"stream": 1, "content": 5}               5 bytes follow the line
//! {"stream": 1, "end": [["name", "value"]]} the response is complete, with trailers
//! {"stream": 1, "aborted": true}            it never will be
//! ```

mod read;
mod write;

pub(crate) use read::{Input, Section, parse};
pub(crate) use write::{JsonExchange, line};
