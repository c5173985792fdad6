//! What is measured: one row of the table each.

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
    /// GET on connections that stay open: `depth` requests are written at once, and the next ones
    /// when the last reply is here.
    Get { file: File, depth: usize },
    /// A connection for each GET.
    Churn { file: File },
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

const SMALL: File = File { name: "small.txt", size: 13 };

/// Every file that a row asks for.
pub(crate) const FILES: [File; 5] = [
    SMALL,
    File { name: "1k.bin", size: 1 << 10 },
    File { name: "16k.bin", size: 16 << 10 },
    File { name: "100k.bin", size: 100 << 10 },
    File { name: "1m.bin", size: 1 << 20 },
];

/// From this size on the limit uses sendfile, which is then the cheaper way for a bare server too.
pub(crate) const SENDFILE_FROM: usize = 64 << 10;

const fn get(name: &'static str, title: &'static str, file: usize, connections: usize) -> Row {
    Row { name, title, load: Shape::Get { file: FILES[file], depth: 1 }, connections }
}

const fn message(name: &'static str, title: &'static str, depth: Option<usize>) -> Row {
    Row { name, title, load: Shape::Message { depth }, connections: 64 }
}

/// The rows, in the order of the table.
pub(crate) const ROWS: [Row; 13] = [
    get("small", "small reply (13 bytes), keep-alive, 64 connections", 0, 64),
    Row {
        name: "pipelined",
        title: "the same, pipelined 16 deep",
        load: Shape::Get { file: SMALL, depth: 16 },
        connections: 64,
    },
    get("many", "small reply, 1,000 connections", 0, 1000),
    get("1k", "file of 1 KiB", 1, 64),
    get("16k", "file of 16 KiB", 2, 64),
    get("100k", "file of 100 KiB", 3, 64),
    get("1m", "file of 1 MiB", 4, 64),
    Row {
        name: "churn",
        title: "a connection per request",
        load: Shape::Churn { file: SMALL },
        connections: 64,
    },
    Row {
        name: "echo",
        title: "echo of 64 bytes, 64 connections",
        load: Shape::Echo,
        connections: 64,
    },
    message("message", "message and answer, keep-alive, 64 connections", Some(1)),
    message("message-deep", "the same, pipelined 16 deep", Some(16)),
    message("message-churn", "a connection per message", None),
    Row { name: "idle", title: "memory", load: Shape::Idle { file: SMALL }, connections: 0 },
];

/// The names of the rows.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}

impl Shape {
    /// The file that is asked for, unless the load is no HTTP.
    pub(crate) fn file(self) -> Option<File> {
        match self {
            Self::Get { file, .. } | Self::Churn { file } | Self::Idle { file } => Some(file),
            Self::Echo | Self::Message { .. } => None,
        }
    }

    /// How many requests are written at once.
    pub(crate) fn depth(self) -> usize {
        match self {
            Self::Get { depth, .. } | Self::Message { depth: Some(depth) } => depth,
            Self::Churn { .. } | Self::Echo | Self::Idle { .. } | Self::Message { depth: None } => {
                1
            }
        }
    }

    /// Whether the server closes the connection behind each reply.
    pub(crate) fn churns(self) -> bool {
        matches!(self, Self::Churn { .. } | Self::Message { depth: None })
    }

    /// The bytes of one request.
    pub(crate) fn request(self) -> Vec<u8> {
        let close = match self {
            Self::Echo => return [b'.'; 64].to_vec(),
            Self::Message { depth } => return search(depth.is_some()),
            Self::Churn { .. } => "Connection: close\r\n",
            Self::Get { .. } | Self::Idle { .. } => "",
        };
        let name = self.file().map_or("", |file| file.name);
        format!("GET /{name} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n").into_bytes()
    }
}

/// What the search in [`Shape::Message`] finds.
pub(crate) const FOUND: &[u8] = "{\"result\": \"Follow the white rabbit. 🐰\"}".as_bytes();

/// A search in a frame. All have the same id, so that all the answers are alike.
fn search(keep_alive: bool) -> Vec<u8> {
    let more = if keep_alive { ", \"id\": 7, \"connection\": \"keep-alive\"" } else { "" };
    let content = r#"{"action": "search", "value": "morpheus"}"#;
    let header = format!(
        "{{\"byteorder\": \"little\", \"content-type\": \"text/json\", \
         \"content-encoding\": \"utf-8\", \"content-length\": {}{more}}}",
        content.len()
    );
    let length = u16::try_from(header.len()).expect("a short header").to_be_bytes();
    [&length, header.as_bytes(), content.as_bytes()].concat()
}
