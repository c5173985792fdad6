//! A lookup as a job off the loop.
//!
//! Most lookups are a few system calls and have threads of their own. One that finds that it has to
//! read a whole file, for its ETag or to compare it with its compressed forms, says so: each client
//! that waits for it has that done by a long job of its own, so that none waits in another one's line.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sockeye_proto::{Client, Job, JobKind, Place};

use super::entry::Entry;
use super::find::look_up;
use super::in_flight::Completer;
use super::mounts::{self, Mounts};
use crate::file::reader::Effort;

/// Everything that a lookup takes.
pub(crate) struct LookupJob {
    pub(crate) mounts: Mounts,
    pub(crate) key: Box<[u8]>,
    /// What an earlier lookup found.
    pub(crate) known: Option<Arc<Entry>>,
    /// What it is: a lookup, or one that may read whole files.
    pub(crate) kind: JobKind,
    pub(crate) completer: Completer,
}

impl LookupJob {
    /// The job of `client` that looks and tells who waits. Refused, it says that, too.
    pub(crate) fn job(self, client: Client) -> Job {
        let (kind, cancel) = (self.kind, self.completer.cancel());
        let place = place(&self.mounts, &self.key);
        Job::new(kind, client, move || self.run()).at(place).unless(cancel)
    }

    fn run(self) {
        let Self { mounts, key, known, kind, completer } = self;
        let cancel = completer.cancel();
        let effort = if kind == JobKind::Hash { Effort::Reading(&cancel) } else { Effort::Calls };
        match look_up(&mounts, &key, known, effort) {
            Some(entry) => completer.complete(entry),
            None => completer.leave_unread(),
        }
    }
}

/// Where a job for `key` may get stuck: in its folder, and there in what lies under the first part
/// of its name.
pub(crate) fn place(mounts: &Mounts, key: &[u8]) -> Place {
    let Some((root, place)) = mounts.place(key) else { return Place::default() };
    match place {
        mounts::Place::In(wanted) => place_in(root, wanted.key()),
        mounts::Place::Itself => place_in(root, b""),
    }
}

/// Where a job for `name` in the folder of a mount may get stuck.
pub(crate) fn place_in(mount: usize, name: &[u8]) -> Place {
    // 0 is for jobs that get stuck nowhere.
    Place { root: mount as u32 + 1, lane: lane(name) }
}

/// The first part of a name that has several. Two that share a lane by chance share threads.
fn lane(name: &[u8]) -> u32 {
    let Some(slash) = name.iter().position(|byte| *byte == b'/') else { return 0 };
    let mut hasher = DefaultHasher::new();
    name[..slash].hash(&mut hasher);
    hasher.finish() as u32
}
