//! Large uploads in bounded memory: each piece of a body is written on a thread of the pool.
//!
//! ```console
//! $ cargo run --example upload 127.0.0.1:8080 /tmp &
//! $ curl -T README.md http://127.0.0.1:8080/copy.md
//! 201 Created
//! ```

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sockeye::ListenAddr;
use sockeye::http::{
    self, Body, BodyReceiver, HeaderMap, Options, Reply, Request, ServeError, Serving, StatusCode,
};

const MAX_FILE: u64 = 64 << 30; // bytes

/// A file that is not complete. Dropping it removes the temporary file, unless it was renamed.
struct Upload {
    file: File,
    /// The path of the file until it is complete.
    temporary: PathBuf,
    /// The path of the complete file.
    path: PathBuf,
}

impl Drop for Upload {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

impl BodyReceiver for Upload {
    // Runs on the event loop. The next piece comes only after the job has returned.
    fn piece(mut self: Box<Self>, piece: &[u8]) -> Reply {
        let piece = piece.to_vec();
        Reply::run(move || match self.file.write_all(&piece) {
            Ok(()) => Reply::read_more(self),
            Err(error) => failed(&error),
        })
    }

    fn end(self: Box<Self>, _: HeaderMap) -> Reply {
        Reply::run(move || match fs::rename(&self.temporary, &self.path) {
            Ok(()) => StatusCode::CREATED.into(),
            Err(error) => failed(&error),
        })
    }
}

fn failed(error: &io::Error) -> Reply {
    Reply::error(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

fn answer(folder: &Arc<Path>, request: Request<Body>) -> Reply {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (head, body) = request.into_parts();
    let name = head.uri.path().trim_start_matches('/').to_owned();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_safe = !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_plain);
    if head.method != "PUT" || !is_safe {
        return Reply::error(StatusCode::FORBIDDEN, "Use PUT and a name of letters and digits.");
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{}.{number}.part", std::process::id()));
    let path = folder.join(name);
    Reply::run(move || match File::create_new(&temporary) {
        Ok(file) => body.receive(MAX_FILE, Upload { file, temporary, path }),
        Err(error) => failed(&error),
    })
}

pub(crate) fn serve(address: ListenAddr, folder: &Path) -> Result<Serving, ServeError> {
    let folder = folder.into();
    http::serve(&[address], Options::default(), move |request| answer(&folder, request))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let folder = args.next().unwrap_or_else(|| ".".into());
    let serving = serve(address.parse()?, folder.as_ref())?;
    let url = format!("http://{}", serving.addresses()[0]);
    println!("Listening at {url}, for files in {folder} - try: curl -T Cargo.toml {url}/copy.toml");
    serving.join()?;
    Ok(())
}
