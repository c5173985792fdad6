//! The content of a long response: a listing is written in pieces while the output has room, an
//! archive in batches. While one batch is sent, a job on another thread makes the next.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use sockeye_http::{Answer, Stream, StreamEvent};
use sockeye_proto::{
    Abandoned, Client, FileSource, Job, JobGroup, JobKind, Message, Permit, Ticket, Waiter,
};

use crate::listing::document::Document;
use crate::store::digest::Digests;
use crate::store::traits::Store;
use crate::tar::writer::{ArchiveAborted, ArchiveWriter, Batch};

/// The size of a listing's pieces, in bytes. A shorter listing is sent whole.
pub(crate) const PIECE_SIZE: usize = 64 * 1024;

/// The most files of an archive that are open at a time: the one that is being sent, and the next.
pub(crate) const MAX_OPEN_FILES: usize = 2;

/// The content that is left to send after the head of the response.
#[derive(Debug)]
pub(crate) enum ListingBody {
    /// The rest of a page.
    Page(Bytes),
    /// The rest of a listing as JSON or text.
    Document(Box<Document>),
    /// The rest of an archive.
    Archive(Box<ArchiveBody>),
}

/// The store of an archive's files, and the known hashes of their contents.
type ArchiveFiles = (Arc<dyn Store>, Arc<Digests>);

/// An archive that is being sent.
#[derive(Debug)]
pub(crate) struct ArchiveBody {
    files: ArchiveFiles,
    /// The group that its jobs belong to. Jobs of one group, of any requests, may block on the same
    /// thing, such as a file system.
    job_group: JobGroup,
    /// The client that is charged for the jobs.
    client: Client,
    /// The permit (part of a budget) for the open files.
    open_files: Option<Permit>,
    next_batch: BatchState,
    /// Files in the output that may not have been sent yet.
    open: Vec<Weak<dyn FileSource>>,
}

/// The state of the next batch.
#[derive(Debug)]
enum BatchState {
    /// A job is making it, and sends it by the promise with this ticket.
    InProgress(Ticket, #[expect(dead_code, reason = "dropping it cancels the job")] Waiter),
    /// The writer makes it once the output has room and fewer than [`MAX_OPEN_FILES`] files are
    /// open.
    WaitingForRoom(ArchiveWriter),
}

/// The result of a job: the writer, and the batch that it made.
type BatchResult = (ArchiveWriter, Result<Batch, ArchiveAborted>);

impl ListingBody {
    pub(crate) fn archive(
        writer: ArchiveWriter,
        files: ArchiveFiles,
        job_group: JobGroup,
        (client, open_files): (Client, Option<Permit>),
    ) -> Self {
        let (next_batch, open) =
            (BatchState::WaitingForRoom(writer), Vec::with_capacity(MAX_OPEN_FILES));
        let archive = ArchiveBody { files, job_group, client, open_files, next_batch, open };
        Self::Archive(Box::new(archive))
    }

    /// Writes while the output has room. Returns `None` instead of the body once everything is
    /// written.
    pub(crate) fn write(self, mut stream: Stream<'_, '_>) -> (Answer, Option<Self>) {
        // A response to HEAD.
        if !stream.has_content() {
            return (stream.end(), None);
        }
        match self {
            Self::Page(mut rest) => {
                while !stream.is_full() {
                    stream.write_shared(rest.split_to(PIECE_SIZE.min(rest.len())));
                    if rest.is_empty() {
                        return (stream.end(), None);
                    }
                }
                (stream.more(), Some(Self::Page(rest)))
            }
            Self::Document(mut document) => {
                while !stream.is_full() {
                    let mut piece = Vec::new();
                    let more = document.fill(&mut piece, PIECE_SIZE);
                    stream.write_shared(Bytes::from(piece));
                    if !more {
                        return (stream.end(), None);
                    }
                }
                (stream.more(), Some(Self::Document(document)))
            }
            Self::Archive(archive) => {
                let (answer, archive) = archive.start_next(stream);
                (answer, Some(Self::Archive(archive)))
            }
        }
    }

    /// Continues after an event.
    pub(crate) fn on_stream(
        self,
        event: StreamEvent<'_>,
        stream: Stream<'_, '_>,
    ) -> (Answer, Option<Self>) {
        match (event, self) {
            (StreamEvent::Message(ticket, body), Self::Archive(archive)) => {
                let (answer, archive) = archive.on_batch(ticket, body, stream);
                (answer, archive.map(Self::Archive))
            }
            (_, this) => this.write(stream),
        }
    }
}

impl ArchiveBody {
    /// Starts the job for the next batch, if the output has room and fewer than [`MAX_OPEN_FILES`]
    /// files are open.
    fn start_next(mut self: Box<Self>, stream: Stream<'_, '_>) -> (Answer, Box<Self>) {
        self.open.retain(|file| file.strong_count() > 0);
        match self.next_batch {
            BatchState::WaitingForRoom(writer)
                if stream.is_full() || self.open.len() >= MAX_OPEN_FILES =>
            {
                self.next_batch = BatchState::WaitingForRoom(writer);
                // `StreamEvent::Room` leads to `start_next` again.
                (stream.more(), self)
            }
            BatchState::WaitingForRoom(mut writer) => {
                let ((store, digests), promise) = (self.files.clone(), stream.promise());
                let ((waiter, cancel), ticket) = (Waiter::new(), promise.ticket());
                let job = Job::new(JobKind::Archive, self.client, move || {
                    let batch = writer.next(&*store, &digests);
                    let result: BatchResult = (writer, batch);
                    promise.fulfill(Box::new(result));
                });
                // If the job is refused, it is dropped. That abandons its promise, so `on_batch`
                // aborts.
                drop(stream.spawn(job.in_group(self.job_group).cancel_with(cancel)));
                self.next_batch = BatchState::InProgress(ticket, waiter);
                (stream.later(), self)
            }
            // The message with the batch calls `on_batch`.
            BatchState::InProgress(..) => (stream.later(), self),
        }
    }

    /// Writes the batch of the job that ended.
    fn on_batch(
        mut self: Box<Self>,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        mut stream: Stream<'_, '_>,
    ) -> (Answer, Option<Box<Self>>) {
        match self.next_batch {
            BatchState::InProgress(own, _) if own == ticket => {}
            _ => return (stream.later(), Some(self)),
        }
        let (writer, batch) = match body.map(Message::downcast::<BatchResult>) {
            Ok(Ok(result)) => *result,
            Ok(Err(_)) | Err(Abandoned) => return (stream.abort(), None),
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(why) => {
                tracing::info!(reason = %why, "an archive was aborted: its client gets a part of it");
                return (stream.abort(), None);
            }
        };
        // The permit for open files is held until the end of the archive is sent, which may be long
        // after `self` is dropped. So it is attached to the last piece, which is written next.
        let permit = self.open_files.take_if(|_| batch.last);
        if let Some(file) = batch.file {
            stream.write_shared(Bytes::from(batch.bytes));
            permit.into_iter().for_each(|permit| stream.attach_permit(permit));
            self.open.push(Arc::downgrade(&file.source));
            stream.write_file(file);
        } else {
            permit.into_iter().for_each(|permit| stream.attach_permit(permit));
            stream.write_shared(Bytes::from(batch.bytes));
        }
        if batch.last {
            return (stream.end(), None);
        }
        self.next_batch = BatchState::WaitingForRoom(writer);
        let (answer, archive) = self.start_next(stream);
        (answer, Some(archive))
    }
}
