//! Replies: what a handler says, made into bytes.

use bytes::Bytes;

use super::request::Version;
use super::{Fields, Shared, Status};
use crate::{FileRange, Job, Promise, Remote, Ticket, Time, Turn, Wall};

/// Bodies in memory of up to so many bytes are copied behind their head: one piece is cheaper to
/// send than two.
const WORTH_SHARING: usize = 1024;

/// The content of a reply.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// Bytes of the program.
    Static(&'static [u8]),
    /// Bytes that are shared with others: few are copied, many are not.
    Shared(&'a Bytes),
    /// Part of a file.
    File(FileRange),
}

impl Body<'_> {
    /// How long it is, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Static(bytes) => bytes.len() as u64,
            Self::Shared(bytes) => bytes.len() as u64,
            Self::File(range) => range.len,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a reply depends on besides what its handler says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    /// The request's version.
    pub(super) version: Version,
    /// The request's method was HEAD: the reply's head is as for GET, and no content follows.
    pub(super) head_only: bool,
    /// Another request may follow on this connection.
    pub(super) persistent: bool,
    /// More input lies behind the request's head: a body, or another request.
    pub(super) unread: bool,
}

/// What a handler returns: that it has answered, or will. Only a [`Reply`] makes one.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a handler returns it"]
pub struct Answer(pub(super) Given);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given {
    Now,
    Later,
}

/// The duty to answer one request, and the means.
#[derive(Debug)]
pub struct Reply<'r, 't> {
    pub(super) turn: &'r mut Turn<'t>,
    pub(super) shared: &'r Shared,
    pub(super) exchange: Exchange,
}

impl Reply<'_, '_> {
    /// Answers with `status`, the fields that stand in every reply, `fields` and `body`.
    ///
    /// Content-Length is the body's length, left out where the status has no content; to HEAD it is
    /// sent without the body.
    pub fn send(mut self, status: Status, fields: &Fields, body: Body<'_>) -> Answer {
        let len = body.len();
        let body =
            if status.has_content() && !self.exchange.head_only { body } else { Body::Empty };
        let (content, rest): (&[u8], _) = match &body {
            Body::Static(bytes) if bytes.len() <= WORTH_SHARING => (bytes, false),
            Body::Shared(bytes) if bytes.len() <= WORTH_SHARING => (bytes, false),
            _ => (b"", true),
        };
        self.head(status, [fields.as_bytes(), b""], len, content);
        match body {
            Body::Static(bytes) if rest => self.turn.out.write_shared(Bytes::from_static(bytes)),
            Body::Shared(bytes) if rest => self.turn.out.write_shared(bytes.clone()),
            Body::File(range) => self.turn.out.write_file(range),
            Body::Empty | Body::Static(_) | Body::Shared(_) => {}
        }
        Answer(Given::Now)
    }

    /// Answers with a short page in plain text: the status, and `text` below it.
    ///
    /// `extra` has what the status asks for (`Allow`, `Location`); the page brings its own
    /// Content-Type. A status without content gets no page.
    pub fn error(self, status: Status, extra: &Fields, text: &str) -> Answer {
        self.page(status, extra, &[text]);
        Answer(Given::Now)
    }

    /// Answers later: in [`Handler::on_message`](super::Handler::on_message), when a promise of
    /// this reply is settled. Until then no other request of this connection is read.
    pub fn later(self) -> Answer {
        Answer(Given::Later)
    }

    /// The time of this turn.
    #[must_use]
    pub fn now(&self) -> Time {
        self.turn.now()
    }

    /// The wall clock at this turn.
    #[must_use]
    pub fn wall(&self) -> Wall {
        self.turn.wall()
    }

    /// Reserves a place for one answer from elsewhere: see [`Turn::promise`].
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.turn.promise()
    }

    /// A handle into this conversation for other threads: see [`Turn::remote`].
    #[must_use]
    pub fn remote(&mut self) -> Remote {
        self.turn.remote()
    }

    /// Runs `work` on another thread: see [`Turn::run`].
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Ticket {
        self.turn.run(work)
    }

    /// Runs `job` on another thread: see [`Turn::spawn`].
    pub fn spawn(&self, job: Job) {
        self.turn.spawn(job);
    }

    /// Writes the page of [`Reply::error`], its text in parts.
    pub(super) fn page(mut self, status: Status, extra: &Fields, text: &[&str]) {
        const KIND: &[u8] =
            b"Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n";
        let title = &status.line()[b"HTTP/1.1 ".len()..];
        let title = &title[..title.len() - b"\r\n".len()];
        let text_len: usize = text.iter().map(|part| part.len()).sum();
        let breaks = if text_len > 0 { 2 } else { 1 };
        let len = title.len() + text_len + breaks;
        if !status.has_content() {
            return self.head(status, [extra.as_bytes(), b""], 0, b"");
        }
        self.head(status, [KIND, extra.as_bytes()], len as u64, b"");
        if self.exchange.head_only {
            return;
        }
        self.turn.out.write(title);
        self.turn.out.write(b"\n");
        if text_len > 0 {
            for part in text {
                self.turn.out.write(part.as_bytes());
            }
            self.turn.out.write(b"\n");
        }
    }

    /// Writes a reply's head, and `content` behind it, in one step: this is the hot path.
    fn head(&mut self, status: Status, blocks: [&[u8]; 2], len: u64, content: &[u8]) {
        let Exchange { version, persistent, .. } = self.exchange;
        let connection: &[u8] = match (version, persistent) {
            // Persistent is what HTTP/1.1 is when nothing is said, and HTTP/1.0 is not.
            (Version::Http11, true) => b"",
            (Version::Http10, true) => b"Connection: keep-alive\r\n",
            (_, false) => b"Connection: close\r\n",
        };
        let mut line = LengthLine::EMPTY;
        let end = if status.has_content() { line.write(len) } else { b"\r\n" };
        let wall = self.turn.wall();
        let out = &mut self.turn.out;
        self.shared.standing_fields(wall, |standing| {
            out.write_all(&[
                status.line(),
                standing,
                blocks[0],
                blocks[1],
                connection,
                end,
                content,
            ]);
        });
    }
}

/// `Content-Length: N` and the blank line that ends a head, written from behind.
struct LengthLine([u8; LengthLine::LEN]);

impl LengthLine {
    const NAME: &[u8; 16] = b"Content-Length: ";
    const END: &[u8; 4] = b"\r\n\r\n";
    const LEN: usize = 16 + 20 + 4;
    const EMPTY: Self = Self([0; Self::LEN]);

    fn write(&mut self, mut number: u64) -> &[u8] {
        let line = &mut self.0;
        let mut at = Self::LEN - Self::END.len();
        line[at..].copy_from_slice(Self::END);
        loop {
            at -= 1;
            line[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        let start = at - Self::NAME.len();
        line[start..at].copy_from_slice(Self::NAME);
        &line[start..]
    }
}
