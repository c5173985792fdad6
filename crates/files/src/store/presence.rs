//! Logs that a served folder or file has gone, and that it is back. Without these lines, nothing
//! would tell that the whole folder is gone: each lookup finds only that its own file is missing,
//! and the file's URL gets 404.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use tracing::{info, warn};

/// Whether the served folder or file is missing.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// The result of the last call of [`Presence::note`] that opened it or found it missing. Other
    /// errors, such as missing permission, don't tell whether it is there, so they change nothing.
    is_missing: AtomicBool,
}

impl Presence {
    /// Takes note of the result of opening the served folder or file, which is at `path`. Returns
    /// whether it is missing.
    pub(super) fn note<T>(&self, opened: &Result<T, Errno>, path: &Path) -> bool {
        let is_missing = matches!(opened, Err(Errno::NOENT | Errno::NOTDIR));
        // Most calls only read the flag, because threads that write it at the same time slow each
        // other down. If several threads find a change, only the first one logs it.
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
