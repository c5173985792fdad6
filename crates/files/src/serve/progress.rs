//! How far a request has come.

use std::sync::Arc;

use sockeye_http::{Answer, Responder};
use sockeye_proto::{JobKind, Ticket, Waiter};

use crate::lookup::entry::Entry;
use crate::lookup::purpose::Purpose;
use crate::options::codings::Coding;

/// What became of a request: an answer, or a job to wait for.
pub(crate) enum Progress<'r, 't> {
    Answered(Answer),
    Waiting(AwaitedJob, Responder<'r, 't>),
    /// A folder is to be listed, or sent as an archive.
    Listing(Responder<'r, 't>),
}

/// What became of an entry, without a look at others.
pub(super) enum Step<'r, 't> {
    Done(Progress<'r, 't>),
    /// There is another one to look for.
    Lookup(Purpose, Responder<'r, 't>),
    /// The same is to be compressed first.
    Compress(Compression, Responder<'r, 't>),
}

/// A lookup that a request waits for.
#[derive(Debug)]
pub(crate) struct AwaitedJob {
    pub(crate) ticket: Ticket,
    pub(crate) key: Box<[u8]>,
    pub(crate) purpose: Purpose,
    /// What is waited for.
    pub(super) kind: JobKind,
    /// What the job is called among those that are in flight.
    pub(super) name: Box<[u8]>,
    /// Another request's job was joined.
    pub(super) joined: bool,
    /// Without it, the job is cancelled.
    pub(super) _waiter: Waiter,
}

/// A file that is to be compressed.
pub(super) struct Compression {
    pub(super) entry: Arc<Entry>,
    pub(super) purpose: Purpose,
    pub(super) coding: Coding,
}
