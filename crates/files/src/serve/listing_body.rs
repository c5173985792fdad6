//! The content of a long response: a page piece by piece as there is room, an archive a batch at a
//! time. While one batch is sent the next is made by a job.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use sockeye_http::{Answer, Stream, StreamEvent};
use sockeye_proto::{
    Abandoned, Client, FileSource, Job, JobKind, Message, Permit, Place, Ticket, Waiter,
};

use crate::listing::document::Document;
use crate::store::traits::Store;
use crate::tar::writer::{ArchiveAborted, ArchiveWriter, Batch};

/// A page is written in pieces of about so many bytes; one that has no more is sent whole.
pub(crate) const PIECE: usize = 64 * 1024;

/// So many files of an archive are open at a time for one connection: one that is being sent, and
/// the next.
pub(crate) const OPEN_FILES: usize = 2;

/// A response whose head is written.
#[derive(Debug)]
pub(crate) struct ListingBody(State);

#[derive(Debug)]
enum State {
    Page(Box<Document>),
    Archive(Box<ArchiveBody>),
}

/// An archive under way.
#[derive(Debug)]
struct ArchiveBody {
    store: Arc<dyn Store>,
    /// Where its jobs may get stuck.
    place: Place,
    /// Who is charged for the jobs.
    client: Client,
    /// For the open files.
    open_files: Option<Permit>,
    next: Next,
    /// Files that were written and may not have been sent.
    open: Vec<Weak<dyn FileSource>>,
}

/// The batch that follows.
#[derive(Debug)]
enum Next {
    /// A job is making it, as long as somebody waits.
    Comes(Ticket, #[expect(dead_code, reason = "dropping it cancels the job")] Waiter),
    /// It will be made when there is room for it.
    Waits(ArchiveWriter),
}

/// What a job gives back.
type Packed = (ArchiveWriter, Result<Batch, ArchiveAborted>);

impl ListingBody {
    pub(crate) fn page(document: Box<Document>) -> Self {
        Self(State::Page(document))
    }

    pub(crate) fn archive(
        packing: ArchiveWriter,
        store: Arc<dyn Store>,
        place: Place,
        (client, open_files): (Client, Option<Permit>),
    ) -> Self {
        let (next, open) = (Next::Waits(packing), Vec::with_capacity(OPEN_FILES));
        let archive = ArchiveBody { store, place, client, open_files, next, open };
        Self(State::Archive(Box::new(archive)))
    }

    /// Writes what there is room for, and waits for what comes next; `None` when nothing does.
    pub(crate) fn go_on(self, mut stream: Stream<'_, '_>) -> (Answer, Option<Self>) {
        if !stream.has_content() {
            return (stream.end(), None);
        }
        match self.0 {
            State::Page(mut document) => {
                while !stream.is_full() {
                    let mut piece = Vec::new();
                    let more = document.fill(&mut piece, PIECE);
                    stream.write_shared(Bytes::from(piece));
                    if !more {
                        return (stream.end(), None);
                    }
                }
                (stream.more(), Some(Self::page(document)))
            }
            State::Archive(archive) => {
                let (answer, archive) = archive.go_on(stream);
                (answer, Some(Self(State::Archive(archive))))
            }
        }
    }

    /// Goes on when something has happened.
    pub(crate) fn on_stream(
        self,
        event: StreamEvent<'_>,
        stream: Stream<'_, '_>,
    ) -> (Answer, Option<Self>) {
        match (event, self.0) {
            (StreamEvent::Message(ticket, body), State::Archive(archive)) => {
                let (answer, archive) = archive.take(ticket, body, stream);
                (answer, archive.map(|archive| Self(State::Archive(archive))))
            }
            (_, state) => Self(state).go_on(stream),
        }
    }
}

impl ArchiveBody {
    /// Has the next batch made, if there is room for it.
    fn go_on(mut self: Box<Self>, stream: Stream<'_, '_>) -> (Answer, Box<Self>) {
        self.open.retain(|file| file.strong_count() > 0);
        match self.next {
            Next::Waits(packing) if stream.is_full() || self.open.len() >= OPEN_FILES => {
                self.next = Next::Waits(packing);
                (stream.more(), self)
            }
            Next::Waits(mut packing) => {
                let (store, promise) = (Arc::clone(&self.store), stream.promise());
                let ((waiter, cancel), ticket) = (Waiter::new(), promise.ticket());
                let job = Job::new(JobKind::Archive, self.client, move || {
                    let batch = packing.next(&*store);
                    let packed: Packed = (packing, batch);
                    promise.keep(Box::new(packed));
                });
                // Refused, it is dropped, and its promise says so.
                drop(stream.spawn(job.at(self.place).unless(cancel)));
                self.next = Next::Comes(ticket, waiter);
                (stream.later(), self)
            }
            Next::Comes(..) => (stream.later(), self),
        }
    }

    /// Takes a batch.
    fn take(
        mut self: Box<Self>,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        mut stream: Stream<'_, '_>,
    ) -> (Answer, Option<Box<Self>>) {
        match self.next {
            Next::Comes(own, _) if own == ticket => {}
            _ => return (stream.later(), Some(self)),
        }
        let (packing, batch) = match body.map(Message::downcast::<Packed>) {
            Ok(Ok(packed)) => *packed,
            Ok(Err(_)) | Err(Abandoned) => return (stream.abort(), None),
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(why) => {
                tracing::info!(reason = %why, "an archive was aborted: its client gets a part of it");
                return (stream.abort(), None);
            }
        };
        // The last file may be sent long after this is gone: it keeps the permit then.
        let permit = self.open_files.take_if(|_| batch.last);
        if let Some(file) = batch.file {
            stream.write_shared(Bytes::from(batch.bytes));
            permit.into_iter().for_each(|permit| stream.hold(permit));
            self.open.push(Arc::downgrade(&file.source));
            stream.write_file(file);
        } else {
            permit.into_iter().for_each(|permit| stream.hold(permit));
            stream.write_shared(Bytes::from(batch.bytes));
        }
        if batch.last {
            return (stream.end(), None);
        }
        self.next = Next::Waits(packing);
        let (answer, archive) = self.go_on(stream);
        (answer, Some(archive))
    }
}
