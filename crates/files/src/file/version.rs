//! One version of an open file: the content that a response promises, for example by its ETag.
//!
//! A file may change while it is sent. Before the last part of a response is sent, the file is
//! checked: if it no longer has the promised content, the response is aborted, so that the client
//! notices. A change that is known to keep the content has no effect. How this is decided:
//!
//! - If the file's [`Identity`] (device, inode, size and times) is the same, the file counts as
//!   unchanged, and nothing is read.
//! - If the file is shorter, the response is aborted, even if the requested range may still be
//!   there.
//! - If the content was hashed when it was promised, it is hashed again, on a thread.
//! - Otherwise size and modification time decide: [`Identity::is_kept_by`].

use std::io;
use std::num::NonZeroU32;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sockeye_proto::{Access, CancelToken, FileSource, JobGroup, Validity};

use crate::limits::lock::lock;
use crate::store::digest::{Digest, Summary};
use crate::store::identity::Identity;
use crate::store::traits::OpenFile;

/// How long an append may take from setting the file's time to setting its size.
const APPEND_PAUSE: Duration = Duration::from_millis(10);

/// An open file, and what was promised to be its content.
#[derive(Debug)]
pub(crate) struct FileVersion {
    /// See [`FileVersion::number`].
    number: NonZeroU32,
    file: Arc<dyn OpenFile>,
    /// The identity when the content was promised. Its size is the length of the content.
    identity: Identity,
    /// The hash of the content, if it was read.
    digest: Option<Digest>,
    /// The identity after a change that kept the content, as hashing it again has shown.
    verified: Mutex<Option<Identity>>,
}

impl FileVersion {
    pub(crate) fn new(file: Arc<dyn OpenFile>, identity: Identity, digest: Option<Digest>) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let number = NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self { number, file, identity, digest, verified: Mutex::default() }
    }

    /// A number that no other open file has, until four billion more were opened.
    pub(crate) fn number(&self) -> NonZeroU32 {
        self.number
    }

    pub(crate) fn file(&self) -> &dyn OpenFile {
        &*self.file
    }

    /// Whether the file still has the same identity: not even its times have changed.
    pub(crate) fn is_current(&self) -> bool {
        self.file.identity() == Ok(self.identity)
    }

    /// As [`FileSource::check`], for a file with the identity `now`.
    fn check_identity(&self, now: &Identity) -> Validity {
        if *now == self.identity {
            return Validity::Valid;
        }
        let is_kept = match self.digest {
            Some(_) => *lock(&self.verified) == Some(*now),
            None => self.identity.is_kept_by(now),
        };
        match is_kept {
            true => Validity::Valid,
            false if now.size < self.identity.size => Validity::Changed,
            // The file was touched or rewritten, or is being appended to: an append sets the time
            // before the size.
            false => Validity::Unknown,
        }
    }
}

impl FileSource for FileVersion {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.descriptor()
    }

    fn check(&self) -> Validity {
        match self.file.identity() {
            Ok(now) => self.check_identity(&now),
            Err(_) => Validity::Changed,
        }
    }

    fn verify(&self, cancel: &CancelToken) -> bool {
        // The identity is read before the content. If the content changes later, the identity no
        // longer equals `verified`, except within one tick of the file system's clock.
        let Ok(now) = self.file.identity() else { return false };
        match self.check_identity(&now) {
            Validity::Valid => true,
            Validity::Changed => false,
            Validity::Unknown if self.digest.is_none() => {
                thread::sleep(APPEND_PAUSE);
                self.check() == Validity::Valid
            }
            Validity::Unknown => {
                let read = Summary::read(&*self.file, self.identity.size, cancel);
                let digest = read.ok().flatten().map(|read| read.digest);
                let is_same = digest.is_some() && digest == self.digest;
                if is_same {
                    *lock(&self.verified) = Some(now);
                }
                is_same
            }
        }
    }

    fn access(&self) -> Access {
        self.file.access()
    }

    fn job_group(&self) -> JobGroup {
        self.file.job_group()
    }

    fn is_timed(&self) -> bool {
        self.file.is_timed()
    }

    fn record_send(&self, took: Duration) {
        self.file.record_send(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::absent::Absent;
    use crate::store::identity::Stamp;

    /// A file with a list of identities. Each call of `identity` returns the next one of the list.
    /// The last one is repeated.
    #[derive(Debug)]
    struct Changing(Mutex<Vec<Identity>>);

    impl FileSource for Changing {
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }

        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            None
        }
    }

    impl OpenFile for Changing {
        fn identity(&self) -> Result<Identity, Absent> {
            let mut left = lock(&self.0);
            Ok(if left.len() > 1 { left.remove(0) } else { left[0] })
        }
    }

    /// When a program appends to a file, the kernel sets the file's time before its size.
    #[test]
    fn an_append_whose_time_shows_before_its_size_cuts_nothing() {
        let before = Identity { size: 10, ..Identity::default() };
        let touched = Identity { modified: Stamp { secs: 1, nanos: 0 }, ..before };
        let appended = Identity { size: 11, ..touched };
        for (last, is_kept) in [(appended, true), (touched, false)] {
            let file = Changing(Mutex::new(vec![touched, touched, last]));
            let file = FileVersion::new(Arc::new(file), before, None);
            assert_eq!(file.check(), Validity::Unknown, "not decided on the event loop");
            assert_eq!(file.verify(&CancelToken::default()), is_kept);
        }
    }
}
