//! Folders and threads for tests.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process, thread};

use rustix::thread::CapabilitySet;

/// A temporary folder, removed when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("sockeye-files-{}-{next}", process::id()));
        fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// Runs `work` on a thread without the superuser's capability to ignore permissions. On Linux each thread
/// has its own capabilities.
pub(crate) fn as_anybody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let over = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    let drop_rights = || -> rustix::io::Result<()> {
        let mut rights = rustix::thread::capabilities(None)?;
        rights.effective.remove(over);
        rustix::thread::set_capabilities(None, rights)
    };
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            drop_rights().expect("capabilities can be dropped");
            work()
        });
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
