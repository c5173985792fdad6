//! One version of an open file: what a response promises to send.
//!
//! A file may change while it is sent. Before the last part of a response is sent, the file is
//! checked: if it no longer has what was promised, the response is cut, so that the client notices.
//! A change of the file that keeps what was promised cuts nothing:
//!
//! - Nothing is read if the identity is the same.
//! - If the file is shorter, content is lost, perhaps that of the range.
//! - If the content was hashed when it was promised, it is hashed again, on a thread.
//! - Otherwise size and modification time decide: [`Identity::is_kept_by`].

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye_proto::{Access, CancelToken, FileSource, JobGroup, Validity};

use crate::limits::lock::lock;
use crate::store::digest::Digest;
use crate::store::identity::Identity;
use crate::store::traits::OpenFile;

/// An open file, and what was promised to be its content.
#[derive(Debug)]
pub(crate) struct FileVersion {
    file: Arc<dyn OpenFile>,
    /// The identity when the content was promised. Its size is the length of the content.
    identity: Identity,
    /// The hash of the content, if it was read.
    digest: Option<Digest>,
    /// Another identity with which the file has the same content: it was hashed again.
    verified: Mutex<Option<Identity>>,
}

impl FileVersion {
    pub(crate) fn new(file: Arc<dyn OpenFile>, identity: Identity, digest: Option<Digest>) -> Self {
        Self { file, identity, digest, verified: Mutex::default() }
    }

    pub(crate) fn file(&self) -> &dyn OpenFile {
        &*self.file
    }

    /// Whether the file still has the same identity: nothing at all has changed.
    pub(crate) fn is_current(&self) -> bool {
        self.file.identity() == Ok(self.identity)
    }

    /// As [`FileSource::check`], for a file with the identity `now`.
    fn check_identity(&self, now: &Identity) -> Validity {
        if *now == self.identity {
            return Validity::Valid;
        }
        let is_kept = match self.digest {
            Some(_) if *lock(&self.verified) == Some(*now) => true,
            Some(_) if now.size < self.identity.size => false,
            Some(_) => return Validity::Unknown,
            None => self.identity.is_kept_by(now),
        };
        if is_kept { Validity::Valid } else { Validity::Changed }
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
        // Read before the content, so that every later change of it changes the identity.
        let Ok(now) = self.file.identity() else { return false };
        match self.check_identity(&now) {
            Validity::Valid => true,
            Validity::Changed => false,
            Validity::Unknown => {
                let read = Digest::read(&*self.file, self.identity.size, cancel);
                let is_same = read.is_ok_and(|read| read == self.digest);
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

    fn note_send(&self, took: Duration) {
        self.file.note_send(took);
    }
}
