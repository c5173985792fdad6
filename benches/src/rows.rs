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
    /// A message of 64 bytes goes out and comes back.
    Echo,
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

/// The rows, in the order of the table.
pub(crate) const ROWS: [Row; 10] = [
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
            Self::Echo => None,
        }
    }

    /// The bytes of one request.
    pub(crate) fn request(self) -> Vec<u8> {
        let close = match self {
            Self::Echo => return [b'.'; 64].to_vec(),
            Self::Churn { .. } => "Connection: close\r\n",
            Self::Get { .. } | Self::Idle { .. } => "",
        };
        let name = self.file().map_or("", |file| file.name);
        format!("GET /{name} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n").into_bytes()
    }
}
