//! One representation of a file (RFC 9110, 3.2), ready to be sent: its content, or the open file, and
//! all that is said about it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sockeye_http::{Body, Fields, PreparedResponse, Status};
use sockeye_proto::{FileRange, FileSource, WallTime};

use super::content::Content;
use super::fields::{value, with, without};
use super::head::Head;
use crate::options::choices::Options;
use crate::options::codings::Coding;
use crate::store::digest::Digest;
use crate::store::identity::{Identity, Stamp};

/// A file as it is, or in a content coding.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    /// The name of the file in the folder.
    pub(crate) name: Box<[u8]>,
    pub(crate) identity: Identity,
    /// Whether `identity` would show any later change.
    pub(crate) settled: bool,
    pub(crate) etag: String,
    pub(crate) modified: Option<WallTime>,
    pub(crate) head: Head,
    prepared: Prepared,
    pub(crate) content: Content,
    /// Whether the fields say that another request may get another representation.
    varies: bool,
}

/// The response with all of it, under the file's own name: made when it is first sent, and sent again
/// as long as the file is known.
#[derive(Debug, Default)]
struct Prepared(OnceLock<PreparedResponse>);

/// A copy of a file is made to be changed: its response is made anew.
impl Clone for Prepared {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A file that was just opened.
pub(crate) struct OpenedFile<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) identity: Identity,
    /// The clock of the files, read before it was opened.
    pub(crate) now: Stamp,
    /// What its content is, where it is small enough.
    pub(crate) digest: Option<Digest>,
}

impl Representation {
    pub(crate) fn new(opened: OpenedFile<'_>, content: Content, options: &Options) -> Self {
        let OpenedFile { name, identity, now, digest } = opened;
        let settled = identity.is_settled(now);
        let etag = etag_of(digest, &identity, settled);
        let modified = modified(identity.modified, now);
        let head = Head::new(name, &etag, modified, options);
        Self {
            name: name.into(),
            identity,
            settled,
            etag,
            modified,
            head,
            prepared: Prepared::default(),
            content,
            varies: false,
        }
    }

    /// Whether a file of this name and identity is the one that it was made of.
    pub(crate) fn still_is(&self, name: &[u8], identity: &Identity) -> bool {
        self.still_has(identity) && *self.name == *name
    }

    /// Whether a file of this identity has this content.
    pub(crate) fn still_has(&self, identity: &Identity) -> bool {
        self.settled && self.identity == *identity
    }

    /// Its length in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.identity.size
    }

    /// As it is said in every response.
    pub(crate) fn content_type(&self) -> Option<&str> {
        std::str::from_utf8(value(&self.head.fields, "Content-Type")?).ok()
    }

    /// All of it; nothing where the content is kept elsewhere.
    pub(crate) fn body(&self) -> Body<'_> {
        match &self.content {
            Content::Memory(content) => Body::Shared(content),
            Content::Open(file) => {
                let source: Arc<dyn FileSource> = Arc::clone(file) as _;
                Body::File(FileRange { source, offset: 0, len: self.size() })
            }
            Content::Compressed(_) => Body::Empty,
        }
    }

    /// The response with all of it; where the content is kept elsewhere, all but that.
    pub(crate) fn ready(&self) -> &PreparedResponse {
        let make = || match &self.content {
            Content::Compressed(_) => {
                PreparedResponse::without_content(Status::OK, &self.head.fields, self.size())
            }
            Content::Memory(_) | Content::Open(_) => {
                PreparedResponse::new(Status::OK, &self.head.fields, self.body())
            }
        };
        self.prepared.0.get_or_init(make)
    }

    /// What is said of it, to be changed. The response is made anew.
    fn head_mut(&mut self) -> &mut Head {
        self.prepared = Prepared::default();
        &mut self.head
    }

    /// Has every response say that another request may get another representation.
    pub(crate) fn vary(&mut self) {
        if !std::mem::replace(&mut self.varies, true) {
            let Head { fields, not_modified } = self.head_mut();
            for fields in [fields, not_modified] {
                *fields = with(std::mem::take(fields), "Vary", "Accept-Encoding");
            }
        }
    }

    /// The file in a coding, with a tag of its own; all else that is said of it stays.
    pub(crate) fn coded(
        &self,
        coding: Coding,
        etag: &str,
        identity: Identity,
        settled: bool,
        content: Content,
    ) -> Self {
        let mut coded = self.clone();
        coded.vary();
        let etag = coding.etag(etag);
        let Head { fields, not_modified } = coded.head_mut();
        for fields in [&mut *fields, not_modified] {
            *fields = with(without(fields, &["ETag"]), "ETag", &etag);
        }
        *fields = with(std::mem::take(fields), "Content-Encoding", coding.name());
        Self { etag, identity, settled, content, ..coded }
    }

    /// What is said of the file in a coding that it would have to be made in first: all but its length
    /// and its ETag, which nobody knows yet (RFC 9110, 9.3.2).
    pub(crate) fn fields_of_unmade(&self, coding: Coding) -> Fields {
        let fields = without(&self.head.fields, &["ETag", "Accept-Ranges"]);
        with(fields, "Content-Encoding", coding.name())
    }

    /// The memory that its content takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match &self.content {
            // Short content is in the prepared response, too.
            Content::Memory(bytes) => bytes.len() + bytes.len().min(PreparedResponse::LONGEST_COPY),
            Content::Open(_) | Content::Compressed(_) => 0,
        }
    }
}

/// The tag of a content by its digest, or by its identity where it was not read. Salts are never
/// used twice, so neither is a tag that might name two contents.
pub(crate) fn etag_of(digest: Option<Digest>, identity: &Identity, settled: bool) -> String {
    static SALT: AtomicU64 = AtomicU64::new(1);
    match digest {
        Some(digest) => digest.etag(),
        None if settled => identity.etag(0),
        None => identity.etag(SALT.fetch_add(1, Ordering::Relaxed)),
    }
}

/// Modified before 1980-01-02, a file bears the date that tools write who want the same files to be
/// the same bytes everywhere (the first second of 1970, the first day of a zip): no content is told
/// from another by it.
const DATED: i64 = 315_619_200;

/// When a file was modified, as far as that means anything.
fn modified(modified: Stamp, now: Stamp) -> Option<WallTime> {
    // A date ahead of the response's own is replaced by it (RFC 9110, 8.8.2.1).
    let secs = modified.secs.min(now.secs);
    let secs = u64::try_from(secs).ok().filter(|_| secs >= DATED)?;
    Some(WallTime::from_secs(secs))
}
