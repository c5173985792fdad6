//! What is measured: one row of the table each.

use std::num::{NonZeroU64, NonZeroUsize};

use sockeye::message::Message;
use sockeye_load::{HttpRequest, LoadKind, Plan, PreparedRequest, Until};

use crate::{
    Result,
    browser::{self, BROWSERS},
    pages::PAGES,
};

/// A load, and what stands for the limit under it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// As the table says it.
    pub(crate) title: &'static str,
    pub(crate) load: Shape,
    pub(crate) connections: usize,
}

/// The shape of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// GET: `depth` requests are under way on each connection, which ends after `most` of them.
    Get { file: File, depth: usize, most: Option<u64> },
    /// In turn: a GET with numbers in its query, a POST with a length, a POST in chunks. Answered is
    /// the sum of all numbers, so that nothing of it can be left unread.
    Mix,
    /// A page's files, one after the other, asked for as a browser does.
    Pages,
    /// A small response for each line of an access log.
    Logged,
    /// A small response to a browser's head: always the same one, or in turn those of several.
    Browser { alike: bool },
    /// 64 bytes go out and come back.
    Echo,
    /// A search goes out in a frame, and its answer comes back: `depth` on one connection as in
    /// `Get`, or each on a connection of its own, which is all that an old peer knows.
    Message { depth: Option<usize> },
    /// Connections that made one request and then stay. Measures memory, not time.
    Idle { file: File },
}

/// A file that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
}

/// What a small response consists of.
pub(crate) const SMALL: File = File { name: "small.txt", size: 13 };

/// Every file that a row asks for, besides the pages.
pub(crate) const FILES: [File; 6] = [
    SMALL,
    File { name: "1k.bin", size: 1 << 10 },
    File { name: "16k.bin", size: 16 << 10 },
    File { name: "100k.bin", size: 100 << 10 },
    File { name: "1m.bin", size: 1 << 20 },
    File { name: "10m.bin", size: 10 << 20 },
];

/// From this size on the limit uses sendfile, which is then the cheaper way for a bare server too.
pub(crate) const SENDFILE_FROM: usize = 64 << 10;

const fn get(name: &'static str, title: &'static str, file: usize, connections: usize) -> Row {
    let load = Shape::Get { file: FILES[file], depth: 1, most: None };
    Row { name, title, load, connections }
}

const fn row(name: &'static str, title: &'static str, load: Shape) -> Row {
    Row { name, title, load, connections: 64 }
}

/// The rows, in the order of the table.
pub(crate) const ROWS: [Row; 19] = [
    get("small", "small reply (13 bytes), keep-alive, 64 connections", 0, 64),
    row(
        "pipelined",
        "small reply, pipelined 16 deep",
        Shape::Get { file: SMALL, depth: 16, most: None },
    ),
    get("many", "small reply, 1,000 connections", 0, 1000),
    row("logged", "small reply, with an access log", Shape::Logged),
    row(
        "browser",
        "small reply to a browser's head of 1.5 KiB, always the same",
        Shape::Browser { alike: true },
    ),
    row("mix", "sums: GET, POST with a length, POST in chunks", Shape::Mix),
    row("pages", "a page of 20 files of 3–300 KB, coded where they are text", Shape::Pages),
    row("ten", "ten requests per connection", Shape::Get { file: SMALL, depth: 1, most: Some(10) }),
    row("churn", "a connection per request", Shape::Get { file: SMALL, depth: 1, most: Some(1) }),
    get("1k", "file of 1 KiB", 1, 64),
    get("16k", "file of 16 KiB", 2, 64),
    get("100k", "file of 100 KiB", 3, 64),
    get("1m", "file of 1 MiB", 4, 64),
    get("10m", "file of 10 MiB, 8 connections", 5, 8),
    row("echo", "echo of 64 bytes, 64 connections", Shape::Echo),
    row(
        "message",
        "message and answer, keep-alive, 64 connections",
        Shape::Message { depth: Some(1) },
    ),
    row(
        "message-deep",
        "message and answer, pipelined 16 deep",
        Shape::Message { depth: Some(16) },
    ),
    row("message-churn", "a connection per message", Shape::Message { depth: None }),
    Row { name: "idle", title: "memory", load: Shape::Idle { file: SMALL }, connections: 1 },
];

/// The names of the rows.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}

impl Row {
    /// The row as a load.
    pub(crate) fn plan(&self) -> Result<Plan> {
        let mut plan = Plan::new(self.load.kind(), self.load.asks()?);
        plan.connections = NonZeroUsize::new(self.connections).ok_or("no connection")?;
        plan.pipeline = NonZeroUsize::new(self.load.depth()).ok_or("nothing under way")?;
        plan.per_connection = self.load.most().and_then(NonZeroU64::new);
        // A run ends when its time has come, whatever is left.
        plan.until = Until::Requests(u64::MAX);
        Ok(plan)
    }
}

impl Shape {
    fn kind(self) -> LoadKind {
        match self {
            Self::Echo => LoadKind::Echo,
            Self::Message { .. } => LoadKind::Messages,
            _ => LoadKind::Http,
        }
    }

    /// The file that is asked for, where it is one.
    pub(crate) fn file(self) -> Option<File> {
        match self {
            Self::Get { file, .. } | Self::Idle { file } => Some(file),
            Self::Logged | Self::Browser { .. } => Some(SMALL),
            Self::Mix | Self::Pages | Self::Echo | Self::Message { .. } => None,
        }
    }

    /// How many requests are under way on a connection.
    pub(crate) fn depth(self) -> usize {
        match self {
            Self::Get { depth, .. } | Self::Message { depth: Some(depth) } => depth,
            _ => 1,
        }
    }

    /// After how many requests the server closes a connection.
    pub(crate) fn most(self) -> Option<u64> {
        match self {
            Self::Get { most, .. } => most,
            Self::Message { depth: None } => Some(1),
            _ => None,
        }
    }

    /// What is asked, in turn.
    pub(crate) fn asks(self) -> Result<Vec<PreparedRequest>> {
        let get = |path: &str| HttpRequest::get("localhost", path);
        Ok(match self {
            Self::Echo => vec![PreparedRequest::bytes(vec![b'.'; 64].into())],
            Self::Message { .. } => {
                let search = r#"{"action": "search", "value": "morpheus"}"#;
                let ask = PreparedRequest::message(&Message::json_text(search.into()));
                vec![ask.ok_or("the header is too long")?]
            }
            Self::Get { file, .. } | Self::Idle { file } => {
                vec![get(&format!("/{}", file.name)).prepare()?]
            }
            Self::Logged => vec![get(&format!("/{}", SMALL.name)).prepare()?],
            Self::Browser { alike } => {
                let ask = |browser| {
                    let fields = browser::fields(browser);
                    HttpRequest { fields, ..get(&format!("/{}", SMALL.name)) }.prepare()
                };
                let browsers = if alike { 1 } else { BROWSERS };
                (0..browsers).map(ask).collect::<std::result::Result<_, _>>()?
            }
            Self::Mix => {
                let post = HttpRequest {
                    method: "POST".into(),
                    body: Some("20".into()),
                    ..get("/baseline?a=13&b=42")
                };
                let chunked = HttpRequest { chunked: true, ..post.clone() };
                vec![get("/baseline?a=13&b=42").prepare()?, post.prepare()?, chunked.prepare()?]
            }
            Self::Pages => {
                let accept = ("Accept-Encoding".to_owned(), "br;q=1, gzip;q=0.8".to_owned());
                let page = |page: &crate::pages::Page| {
                    let path = format!("/pages/{}", page.name);
                    HttpRequest { fields: vec![accept.clone()], ..get(&path) }.prepare()
                };
                PAGES.iter().map(page).collect::<std::result::Result<_, _>>()?
            }
        })
    }
}

/// What the search in [`Shape::Message`] finds.
pub(crate) const FOUND: &[u8] = "{\"result\": \"Follow the white rabbit. 🐰\"}".as_bytes();

/// A file's content: text, so that it can stand in a configuration too.
pub(crate) fn content(size: usize) -> Vec<u8> {
    b"Hello, world. ".iter().copied().cycle().take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_the_size_that_was_asked_for() {
        assert_eq!(content(13), b"Hello, world.");
        assert_eq!(content(100_000).len(), 100_000);
    }
}
