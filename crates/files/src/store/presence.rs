//! Whether a served folder or file is still there: a line of the log when it has gone, and one when
//! it is back. Each lookup by itself finds only that its file is missing, and every URL of the
//! folder gets 404.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use tracing::{info, warn};

/// Whether the root of a store was missing when it was opened last.
#[derive(Debug, Default)]
pub(super) struct Presence {
    is_missing: AtomicBool,
}

impl Presence {
    /// Takes note of the result of opening the root at `path`. Returns whether it is missing.
    pub(super) fn note<T>(&self, opened: &Result<T, Errno>, path: &Path) -> bool {
        let is_missing = matches!(opened, Err(Errno::NOENT | Errno::NOTDIR));
        // Most calls only read the flag, which no other thread writes then.
        if is_missing != self.is_missing.load(Ordering::Relaxed)
            && (is_missing || opened.is_ok())
            && is_missing != self.is_missing.swap(is_missing, Ordering::Relaxed)
        {
            let path = path.display();
            if is_missing {
                warn!(
                    %path,
                    "what is served there is gone, so its URLs get 404: put it back, or start \
                     again with another folder"
                );
            } else {
                info!(%path, "what is served there is back");
            }
        }
        is_missing
    }
}
