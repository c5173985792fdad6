//! A look-up as a job off the loop.
//!
//! Most look-ups are a few system calls and have threads of their own. One that finds that it has
//! to read a whole file, for its ETag or to compare it with its compressed forms, begins anew as a
//! long job.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sockeye_proto::{Client, Job, JobKind, Place, Spawn};

use crate::entry::Entry;
use crate::in_flight::Completer;
use crate::look_up::Effort;
use crate::mounts::{self, Mounts};

/// Everything that a look-up takes.
pub(crate) struct LookupJob {
    pub(crate) mounts: Mounts,
    pub(crate) key: Box<[u8]>,
    /// What an earlier look-up found.
    pub(crate) known: Option<Arc<Entry>>,
    pub(crate) client: Client,
    pub(crate) completer: Completer,
    pub(crate) spawner: Arc<dyn Spawn>,
}

impl LookupJob {
    /// The job that looks and tells who waits. Refused, it says that, too.
    pub(crate) fn job(self) -> Job {
        self.of_kind(JobKind::Lookup, Effort::Calls)
    }

    fn of_kind(self, kind: JobKind, effort: Effort) -> Job {
        let (client, cancel) = (self.client, self.completer.cancel());
        let place = place(&self.mounts, &self.key);
        Job::new(kind, client, move || self.run(effort)).at(place).unless(cancel)
    }

    fn run(self, effort: Effort) {
        match Entry::look_up(&self.mounts, &self.key, self.known.clone(), effort) {
            Some(entry) => self.completer.complete(entry),
            None => {
                let spawner = Arc::clone(&self.spawner);
                // Refused, it is dropped, and tells so.
                drop(spawner.spawn(self.of_kind(JobKind::Hash, Effort::Reading)));
            }
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
