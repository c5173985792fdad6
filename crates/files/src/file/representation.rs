//! One representation of a file (RFC 9110, 3.2), ready to be sent: its content or descriptor, and
//! the fields of its responses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sockeye_http::{Body, PreparedResponse, Status};
use sockeye_proto::{FileRange, FileSource, WallTime};

use super::content::Content;
use super::content_type::ContentType;
use super::head::Head;
use crate::options::codings::Coding;
use crate::options::fields::{value, with, without};
use crate::options::folder_options::Options;
use crate::store::digest::Digest;
use crate::store::identity::{Identity, Stamp};

/// A file as it is, or in a content coding.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    /// The path of the file in the served folder.
    pub(crate) name: Box<[u8]>,
    pub(crate) identity: Identity,
    /// Whether any later change will change `identity`.
    pub(crate) settled: bool,
    /// Empty if the file has none: see `has_unknown_size`.
    pub(crate) etag: String,
    /// Whether the ETag is made of the content. A compressed representation has the value of the
    /// original.
    pub(crate) is_hashed: bool,
    /// Whether the size on disk is not that of the content, as in `/proc` and `/sys`. Such a file
    /// is read for each request, and has no ETag, date or ranges.
    pub(crate) has_unknown_size: bool,
    pub(crate) modified: Option<WallTime>,
    pub(crate) head: Head,
    /// The response with all of the content, made when it is first sent.
    prepared: OnceLock<PreparedResponse>,
    pub(crate) content: Content,
    /// Whether the fields have `Vary: Accept-Encoding`.
    has_vary: bool,
}

/// What is known about a file that was just opened.
pub(crate) struct OpenedFile<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: ContentType,
    pub(crate) identity: Identity,
    /// The clock of the store, read before the file was opened.
    pub(crate) now: Stamp,
    /// The hash of the file's content, if the ETag is to be made of this hash.
    pub(crate) digest: Option<Digest>,
}

impl Representation {
    pub(crate) fn new(opened: OpenedFile<'_>, content: Content, options: &Options) -> Self {
        let OpenedFile { name, kind, identity, now, digest } = opened;
        let settled = identity.is_settled(now);
        let etag = etag_of(digest, &identity, now);
        let modified = last_modified(identity.modified, now);
        let head = Head::new(name, &kind, &etag, modified, options);
        let file = Self {
            name: name.into(),
            identity,
            settled,
            etag,
            is_hashed: digest.is_some(),
            has_unknown_size: false,
            modified,
            head,
            prepared: OnceLock::new(),
            content,
            has_vary: false,
        };
        if file.content.has_size(identity.size) { file } else { file.with_unknown_size() }
    }

    /// The representation of a file whose size on disk is not that of its content. The content is
    /// in memory.
    fn with_unknown_size(mut self) -> Self {
        if let Content::Memory(bytes) = &self.content {
            self.identity.size = bytes.len() as u64;
        }
        let (etag, head) = (String::new(), self.head.with_unknown_size());
        Self { etag, head, modified: None, settled: false, has_unknown_size: true, ..self }
    }

    /// Whether this is a representation of the file with this name and identity.
    pub(crate) fn is_of_file(&self, name: &[u8], identity: &Identity) -> bool {
        self.has_same_content(identity) && *self.name == *name
    }

    /// Whether a file with this identity is sure to have this content.
    pub(crate) fn has_same_content(&self, identity: &Identity) -> bool {
        self.settled && self.identity == *identity
    }

    /// The length of the content in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.identity.size
    }

    pub(crate) fn content_type(&self) -> Option<&str> {
        std::str::from_utf8(value(&self.head.fields, "Content-Type")?).ok()
    }

    /// Whether the content is in a coding.
    pub(crate) fn is_encoded(&self) -> bool {
        value(&self.head.fields, "Content-Encoding").is_some()
    }

    /// All of the content; empty if the content is in the cache of compressed contents.
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

    /// The response with all of the content. If the content is in the cache of compressed contents,
    /// the response is without it, and whoever sends the response adds it.
    pub(crate) fn prepared(&self) -> &PreparedResponse {
        let make = || match &self.content {
            Content::Compressed(_) => {
                PreparedResponse::without_content(Status::OK, &self.head.fields, self.size())
            }
            Content::Memory(_) | Content::Open(_) => {
                PreparedResponse::new(Status::OK, &self.head.fields, self.body())
            }
        };
        self.prepared.get_or_init(make)
    }

    /// The fields, to be changed. Drops the prepared response, which has the old fields.
    fn head_mut(&mut self) -> &mut Head {
        self.prepared = OnceLock::new();
        &mut self.head
    }

    /// Adds `Vary: Accept-Encoding` to every response.
    pub(crate) fn add_vary(&mut self) {
        if !std::mem::replace(&mut self.has_vary, true) {
            let Head { fields, not_modified } = self.head_mut();
            for fields in [fields, not_modified] {
                *fields = with(std::mem::take(fields), "Vary", "Accept-Encoding");
            }
        }
    }

    /// The same file in `coding`; `content` is already compressed. The ETag is `etag` with the
    /// coding's name. `Content-Encoding` and `Vary` are added; all other fields are the same.
    pub(crate) fn encoded(
        &self,
        coding: Coding,
        etag: &str,
        identity: Identity,
        settled: bool,
        content: Content,
    ) -> Self {
        let mut encoded = self.clone();
        encoded.add_vary();
        let etag = coding.etag(etag);
        let Head { fields, not_modified } = encoded.head_mut();
        for fields in [&mut *fields, not_modified] {
            *fields = with(without(fields, &["ETag"]), "ETag", &etag);
        }
        *fields = with(std::mem::take(fields), "Content-Encoding", coding.name());
        Self { etag, identity, settled, content, ..encoded }
    }

    /// The memory that the content takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match &self.content {
            // Short content is in the prepared response, too. Longer content is not, so its weight
            // is a little too large.
            Content::Memory(bytes) => {
                bytes.len() + bytes.len().min(PreparedResponse::MAX_COPIED_LEN)
            }
            Content::Open(_) | Content::Compressed(_) => 0,
        }
    }
}

/// An ETag: a digest of the content or, if the content was not hashed, of size and modification
/// time. If a later write may leave the modification time as it is, an ETag of the latter kind is
/// used only once: see [`Identity::is_modification_settled`]. `now` was read before the identity.
pub(crate) fn etag_of(digest: Option<Digest>, identity: &Identity, now: Stamp) -> String {
    static SALT: AtomicU64 = AtomicU64::new(1);
    match digest {
        Some(digest) => digest.etag(),
        None if identity.is_modification_settled(now) => identity.etag(0),
        None => identity.etag(SALT.fetch_add(1, Ordering::Relaxed)),
    }
}

/// 1980-01-02, in seconds since 1970. Earlier dates are not sent: tools for reproducible builds set
/// them (the first second of 1970, the first day that zip can represent), whatever the content.
const EARLIEST_MODIFIED: i64 = 315_619_200;

/// The value of `Last-Modified`, if the date is meaningful.
fn last_modified(modified: Stamp, now: Stamp) -> Option<WallTime> {
    // Never later than `Date` (RFC 9110, 8.8.2.1).
    let secs = modified.secs.min(now.secs);
    let secs = u64::try_from(secs).ok().filter(|_| secs >= EARLIEST_MODIFIED)?;
    Some(WallTime::from_secs(secs))
}
