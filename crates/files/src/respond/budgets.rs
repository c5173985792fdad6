//! What all folders of a server may make it hold, together.

use std::sync::Arc;

use sockeye_proto::Budget;

use super::report::Failures;
use crate::coding::forms::Forms;

/// How much may be held for requests at a time, over all folders and shards. One client has a
/// quarter of each at the most; one on the same machine, which may be a proxy that names nobody, a
/// half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Responses from open files that have not been sent whole: each keeps a descriptor. Beyond it
    /// a request for a file that isn't kept in memory gets 503. Default: 512.
    pub open_files: u64,
    /// Bytes of compressed forms that are kept or being sent. Beyond it files are sent
    /// uncompressed. Default: 32 MiB.
    pub compressed: u64,
    /// Bytes that compressors may use while they work. Beyond it files are sent uncompressed.
    /// Default: 64 MiB.
    pub working: u64,
    /// Bytes of listings, and of what is known of the files of archives. Beyond it a listing or an
    /// archive gets 503. Default: 128 MiB.
    pub listings: u64,
}

impl Default for BudgetLimits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self { open_files: 512, compressed: 32 * MIB, working: 64 * MIB, listings: 128 * MIB }
    }
}

/// The budgets of one server. Folders share them: see [`Folder::sharing`](crate::Folder::sharing).
#[derive(Debug)]
pub struct Budgets {
    pub(crate) open_files: Arc<Budget>,
    pub(crate) compressed: Arc<Budget>,
    pub(crate) listings: Arc<Budget>,
    /// What was compressed, of all folders: one makes room for another.
    pub(crate) forms: Arc<Forms>,
    /// When the log hears that requests fail.
    pub(crate) failures: Failures,
}

impl Budgets {
    /// Budgets of these limits.
    #[must_use]
    pub fn new(limits: BudgetLimits) -> Arc<Self> {
        let BudgetLimits { open_files, compressed, working, listings } = limits;
        let compressed = Budget::new("compressed bytes", compressed);
        let working = Budget::new("bytes of compressors", working);
        Arc::new(Self {
            open_files: Budget::new("open files", open_files),
            forms: Arc::new(Forms::new(&compressed, &working)),
            compressed,
            listings: Budget::new("bytes of listings", listings),
            failures: Failures::default(),
        })
    }

    /// Changes how many open files may be sent from at a time: when it is known how many
    /// descriptors there are.
    pub fn set_open_files(&self, open_files: u64) {
        self.open_files.set_total(open_files);
    }
}
