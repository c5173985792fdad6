//! Uploads of any size, in bounded memory, without blocking the event loop.
//!
//! ```sh
//! cargo run --example http_upload 127.0.0.1:8080 /tmp/uploads
//! curl -T big.iso http://127.0.0.1:8080/big.iso
//! ```
//!
//! Pieces of the body are buffered until there are enough for a write, which runs on the pool.
//! Meanwhile nothing is read from that client. A file gets its name when it is complete.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sockeye::ListenAddr;
use sockeye::http::{
    self, Body, BodyReceiver, HeaderMap, Method, Options, Reply, Request, ServeError, Serving,
    StatusCode,
};

/// Maximum size of a file, in bytes.
const MAX_FILE: u64 = 64 << 30;

/// Once this many bytes are buffered, they are written. An upload buffers at most this and a piece.
const WRITE_AT: usize = 256 * 1024;

/// A file that is not complete.
struct Upload {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    buffer: Vec<u8>,
}

impl Upload {
    /// Creates the file. This blocks.
    fn create(folder: &Path, name: &str) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!(".{name}.{}.{number}.part", std::process::id()));
        Ok(Self {
            file: File::create_new(&temporary)?,
            temporary,
            path: folder.join(name),
            buffer: Vec::with_capacity(WRITE_AT + 64 * 1024),
        })
    }

    /// Writes the buffered bytes to the file. This blocks.
    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Gives the file its name. This blocks.
    fn complete(mut self) -> io::Result<()> {
        self.write()?;
        self.file.sync_data()?;
        fs::rename(&self.temporary, &self.path)
    }
}

/// Removes the temporary file. If the client disconnected, this runs on the event loop, but is
/// quick.
impl Drop for Upload {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

impl BodyReceiver for Upload {
    fn piece(mut self: Box<Self>, piece: &[u8]) -> Reply {
        self.buffer.extend_from_slice(piece);
        if self.buffer.len() < WRITE_AT {
            return Reply::read_more(self);
        }
        Reply::run(move || match self.write() {
            Ok(()) => Reply::read_more(self),
            Err(error) => status_of(&error).into(),
        })
    }

    fn end(self: Box<Self>, _: HeaderMap) -> Reply {
        Reply::run(move || match self.complete() {
            Ok(()) => StatusCode::CREATED,
            Err(error) => status_of(&error),
        })
    }
}

fn status_of(error: &io::Error) -> StatusCode {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether a name is safe in every file system.
fn is_safe(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.bytes().all(is_plain)
}

fn answer(folder: &Arc<Path>, request: Request<Body>) -> Reply {
    let (head, body) = request.into_parts();
    let name = head.uri.path().trim_start_matches('/').to_owned();
    if head.method != Method::PUT {
        return Reply::error(StatusCode::NOT_FOUND, "Upload files with PUT /NAME.");
    }
    if !is_safe(&name) {
        let text = "A name can have ASCII letters and digits, '-', '_' and '.'.";
        return Reply::error(StatusCode::FORBIDDEN, text);
    }
    let folder = Arc::clone(folder);
    Reply::run(move || match Upload::create(&folder, &name) {
        Ok(upload) => body.receive(MAX_FILE, upload),
        Err(error) => status_of(&error).into(),
    })
}

pub(crate) fn serve(address: ListenAddr, folder: &Path) -> Result<Serving, ServeError> {
    let folder = folder.into();
    http::serve(&[address], Options::default(), move |request: Request<Body>| {
        answer(&folder, request)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let folder = args.next().unwrap_or_else(|| ".".into());
    let serving = serve(address.parse()?, folder.as_ref())?;
    println!("http://{}", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}
