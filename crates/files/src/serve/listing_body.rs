//! The content of a long response: a listing piece by piece as there is room, an archive batch by
//! batch. While one batch is sent, a job makes the next.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use sockeye_http::{Answer, Stream, StreamEvent};
use sockeye_proto::{
    Abandoned, Client, FileSource, Job, JobKind, Message, Permit, Place, Ticket, Waiter,
};

use crate::listing::document::Document;
use crate::store::traits::Store;
use crate::tar::writer::{ArchiveAborted, ArchiveWriter, Batch};

/// The size of a listing's pieces, in bytes. A shorter listing is sent whole.
pub(crate) const PIECE: usize = 64 * 1024;

/// The files of an archive that are open at a time for one connection: one that is being sent, and the
/// next.
pub(crate) const OPEN_FILES: usize = 2;

/// A response whose head is written.
#[derive(Debug)]
pub(crate) enum ListingBody {
    Page(Box<Document>),
    Archive(Box<ArchiveBody>),
}

/// An archive that is being sent.
#[derive(Debug)]
pub(crate) struct ArchiveBody {
    store: Arc<dyn Store>,
    /// Where its jobs may get stuck.
    place: Place,
    /// The client that is charged for the jobs.
    client: Client,
    /// For the open files.
    open_files: Option<Permit>,
    next: Next,
    /// Files that were written to the output, and may not have been sent.
    open: Vec<Weak<dyn FileSource>>,
}

/// The next batch.
#[derive(Debug)]
enum Next {
    /// A job is making it.
    Comes(Ticket, #[expect(dead_code, reason = "dropping it cancels the job")] Waiter),
    /// It is made when there is room for it.
    Waits(ArchiveWriter),
}

/// The result of a job.
type Written = (ArchiveWriter, Result<Batch, ArchiveAborted>);

impl ListingBody {
    pub(crate) fn archive(
        writer: ArchiveWriter,
        store: Arc<dyn Store>,
        place: Place,
        (client, open_files): (Client, Option<Permit>),
    ) -> Self {
        let (next, open) = (Next::Waits(writer), Vec::with_capacity(OPEN_FILES));
        let archive = ArchiveBody { store, place, client, open_files, next, open };
        Self::Archive(Box::new(archive))
    }

    /// Writes what there is room for, and waits for the rest; `None` when there is none.
    pub(crate) fn go_on(self, mut stream: Stream<'_, '_>) -> (Answer, Option<Self>) {
        if !stream.has_content() {
            return (stream.end(), None);
        }
        match self {
            Self::Page(mut document) => {
                while !stream.is_full() {
                    let mut piece = Vec::new();
                    let more = document.fill(&mut piece, PIECE);
                    stream.write_shared(Bytes::from(piece));
                    if !more {
                        return (stream.end(), None);
                    }
                }
                (stream.more(), Some(Self::Page(document)))
            }
            Self::Archive(archive) => {
                let (answer, archive) = archive.go_on(stream);
                (answer, Some(Self::Archive(archive)))
            }
        }
    }

    /// Goes on after an event.
    pub(crate) fn on_stream(
        self,
        event: StreamEvent<'_>,
        stream: Stream<'_, '_>,
    ) -> (Answer, Option<Self>) {
        match (event, self) {
            (StreamEvent::Message(ticket, body), Self::Archive(archive)) => {
                let (answer, archive) = archive.take(ticket, body, stream);
                (answer, archive.map(Self::Archive))
            }
            (_, this) => this.go_on(stream),
        }
    }
}

impl ArchiveBody {
    /// Starts the job for the next batch, if there is room for it.
    fn go_on(mut self: Box<Self>, stream: Stream<'_, '_>) -> (Answer, Box<Self>) {
        self.open.retain(|file| file.strong_count() > 0);
        match self.next {
            Next::Waits(writer) if stream.is_full() || self.open.len() >= OPEN_FILES => {
                self.next = Next::Waits(writer);
                (stream.more(), self)
            }
            Next::Waits(mut writer) => {
                let (store, promise) = (Arc::clone(&self.store), stream.promise());
                let ((waiter, cancel), ticket) = (Waiter::new(), promise.ticket());
                let job = Job::new(JobKind::Archive, self.client, move || {
                    let batch = writer.next(&*store);
                    let written: Written = (writer, batch);
                    promise.keep(Box::new(written));
                });
                // A refused job is dropped, and its promise abandoned.
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
        let (writer, batch) = match body.map(Message::downcast::<Written>) {
            Ok(Ok(written)) => *written,
            Ok(Err(_)) | Err(Abandoned) => return (stream.abort(), None),
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(why) => {
                tracing::info!(reason = %why, "an archive was aborted: its client gets a part of it");
                return (stream.abort(), None);
            }
        };
        // The last file may be sent long after this is dropped: it holds the permit then.
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
        self.next = Next::Waits(writer);
        let (answer, archive) = self.go_on(stream);
        (answer, Some(archive))
    }
}
