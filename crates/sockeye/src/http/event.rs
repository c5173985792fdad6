//! Server-sent events (HTML standard, section 9.2).

use std::time::Duration;

use bytes::Bytes;

/// A server-sent event, for [`Reply::events`](super::Reply::events) and
/// [`Reply::follow_events`](super::Reply::follow_events).
///
/// ```
/// use sockeye::http::{Bytes, Event};
///
/// let event = Event::new("two\nlines").name("news").id("7");
/// assert_eq!(Bytes::from(event), "data: two\ndata: lines\nevent: news\nid: 7\n\n");
/// assert_eq!(Bytes::from(Event::comment("still here")), ": still here\n\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    // Complete lines, each with its LF.
    lines: String,
}

impl Event {
    /// An event with this data, which may contain line breaks.
    #[must_use]
    pub fn new(data: &str) -> Self {
        let mut event = Self { lines: String::with_capacity(data.len() + 16) };
        let lines = data.replace("\r\n", "\n");
        for line in lines.split(['\n', '\r']) {
            event.push("data: ", line);
        }
        event
    }

    /// A comment, which clients ignore. It keeps a connection alive.
    #[must_use]
    pub fn comment(text: &str) -> Self {
        let mut event = Self { lines: String::new() };
        event.push(": ", text);
        event
    }

    /// Sets the type of the event. Default: `message`.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.push("event: ", name);
        self
    }

    /// Sets the id, which a client sends in `Last-Event-ID` when it reconnects.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.push("id: ", id);
        self
    }

    /// Sets how long a client waits before it reconnects. Fractions of a millisecond are dropped.
    #[must_use]
    pub fn retry(mut self, wait: Duration) -> Self {
        self.push("retry: ", &wait.as_millis().to_string());
        self
    }

    /// Appends a line: `field`, then `value` without its line breaks and NULs. (Clients ignore an
    /// id that contains a NUL.)
    fn push(&mut self, field: &str, value: &str) {
        self.lines.push_str(field);
        self.lines.extend(value.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')));
        self.lines.push('\n');
    }
}

impl From<Event> for Bytes {
    fn from(mut event: Event) -> Self {
        event.lines.push('\n');
        event.lines.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_start_new_lines() {
        for (event, text) in [
            (Event::new(""), "data: \n\n"),
            (Event::new("a\r\nb\rc\nd"), "data: a\ndata: b\ndata: c\ndata: d\n\n"),
            (Event::new("a").name("b\ndata: c"), "data: a\nevent: bdata: c\n\n"),
            (Event::new("a").id("1\r\n2\0"), "data: a\nid: 12\n\n"),
            (Event::comment("a\n\ndata: b"), ": adata: b\n\n"),
            (Event::new("a").retry(Duration::from_secs(2)), "data: a\nretry: 2000\n\n"),
        ] {
            assert_eq!(Bytes::from(event), text);
        }
    }
}
