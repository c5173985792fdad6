//! Takes files of any size, in memory that has a limit, and blocks nobody while the disk does.
//!
//! ```sh
//! cargo run --example http_upload 127.0.0.1:8080 /tmp/uploads
//! curl -T big.iso http://127.0.0.1:8080/big.iso
//! ```
//!
//! The pieces of a body are gathered until they are worth a write, which the pool makes; meanwhile
//! nothing more of that client is read. A file has its name when it is complete, and not before.

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

/// Bytes of a file.
const LARGEST: u64 = 64 << 30;

/// Bytes that are gathered for one write: what an upload holds in memory, with one piece more.
const GATHERED: usize = 256 * 1024;

/// A file on its way.
struct Upload {
    file: File,
    part: PathBuf,
    whole: PathBuf,
    gathered: Vec<u8>,
}

impl Upload {
    /// Begins one. This blocks.
    fn begin(folder: &Path, name: &str) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let part = folder.join(format!(".{name}.{}.{number}.part", std::process::id()));
        Ok(Self {
            file: File::create_new(&part)?,
            part,
            whole: folder.join(name),
            gathered: Vec::with_capacity(GATHERED + 64 * 1024),
        })
    }

    /// This blocks.
    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }

    /// Gives it its name. This blocks.
    fn complete(mut self) -> io::Result<()> {
        self.write()?;
        self.file.sync_data()?;
        fs::rename(&self.part, &self.whole)
    }
}

/// What was not completed goes. (On the loop, if the client went: to remove a name is quick.)
impl Drop for Upload {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.part);
    }
}

impl BodyReceiver for Upload {
    fn piece(mut self: Box<Self>, piece: &[u8]) -> Reply {
        self.gathered.extend_from_slice(piece);
        if self.gathered.len() < GATHERED {
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

/// A name that is nothing but a name, in whatever file system.
fn is_good(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.bytes().all(is_plain)
}

fn answer(folder: &Arc<Path>, request: Request<Body>) -> Reply {
    let (head, body) = request.into_parts();
    let name = head.uri.path().trim_start_matches('/').to_owned();
    if head.method != Method::PUT {
        return Reply::error(StatusCode::NOT_FOUND, "Files are uploaded here: PUT /NAME.");
    }
    if !is_good(&name) {
        let text = "A name has letters and digits of ASCII, '-', '_' and '.'.";
        return Reply::error(StatusCode::FORBIDDEN, text);
    }
    let folder = Arc::clone(folder);
    Reply::run(move || match Upload::begin(&folder, &name) {
        Ok(upload) => body.receive(LARGEST, upload),
        Err(error) => status_of(&error).into(),
    })
}

/// Takes files into `folder` at `address`, until the returned value's handle says to stop.
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
