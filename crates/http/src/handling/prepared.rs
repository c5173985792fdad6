//! Prepared responses: encoded once, except for the date and the fields about the connection.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use sockeye_proto::{FileRange, Output};

use crate::h1::write::write_length;
use crate::h2::exchange::encode_fields;
use crate::semantics::body::MAX_COPIED_LEN;
use crate::semantics::exchange::ContentLength;
use crate::semantics::fields::fields_of_lines;
use crate::{Body, Fields, Status};

/// A response that is encoded once and can be sent many times with
/// [`Responder::send_prepared`](crate::Responder::send_prepared), which is cheaper than
/// [`Responder::send`](crate::Responder::send).
///
/// ```
/// # use std::rc::Rc;
/// # use sockeye_proto::harness::Harness;
/// use sockeye_http::*;
///
/// struct Health(Rc<PreparedResponse>);
///
/// impl Handler for Health {
///     fn on_request(&mut self, _: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
///         responder.send_prepared(&self.0)
///     }
/// }
///
/// let fields = Fields::new().with("Content-Type", b"text/plain")?;
/// let response = Rc::new(PreparedResponse::new(Status::OK, &fields, Body::Static(b"fine\n")));
/// let server = Server::new(Rc::default(), move |_: &_| Health(response.clone()));
/// let mut client = Harness::new(server);
/// client.input(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
/// assert!(client.output().ends_with(b"Content-Length: 5\r\n\r\nfine\n"));
/// # Ok::<(), BadField>(())
/// ```
#[derive(Clone)]
pub struct PreparedResponse {
    pub(crate) status: Status,
    // The fields as HTTP/1.1 sends them, with Content-Length and the blank line, then the content
    // if it is in memory and short. For HTTP/2, `fields` parses the fields again.
    pub(crate) bytes: Box<[u8]>,
    /// The fields as HTTP/2 sends them, encoded when this response is first sent over HTTP/2. They
    /// use HPACK's static table only, so every connection can send them.
    h2_block: OnceLock<Box<[u8]>>,
    /// Where the content begins in `bytes`.
    pub(crate) content_start: usize,
    /// Content that is not in `bytes`, because it is longer than `MAX_COPIED_LEN` or from a file.
    uncopied: Option<Uncopied>,
    /// Whether responses of this status have content.
    pub(crate) has_content: bool,
}

/// Content that is not copied into each response.
#[derive(Clone, Debug)]
enum Uncopied {
    Shared(Bytes),
    File(FileRange),
}

impl PreparedResponse {
    /// Content in memory of up to this many bytes is copied into each response. Longer content is
    /// shared by all responses.
    pub const MAX_COPIED_LEN: usize = MAX_COPIED_LEN;

    /// Prepares the response that [`Responder::send`](crate::Responder::send) would send.
    #[must_use]
    pub fn new(status: Status, fields: &Fields, body: Body<'_>) -> Self {
        let mut response = Self::without_content(status, fields, body.len());
        if response.has_content {
            response.uncopied = match body {
                Body::Copied(content) if content.len() > MAX_COPIED_LEN => {
                    Some(Uncopied::Shared(Bytes::copy_from_slice(content)))
                }
                Body::Static(content) if content.len() > MAX_COPIED_LEN => {
                    Some(Uncopied::Shared(Bytes::from_static(content)))
                }
                Body::Shared(content) if content.len() > MAX_COPIED_LEN => {
                    Some(Uncopied::Shared(content.clone()))
                }
                Body::File(range) => Some(Uncopied::File(range)),
                short => {
                    response.bytes = [&response.bytes, short.copied()].concat().into();
                    None
                }
            };
        }
        response
    }

    /// Like [`PreparedResponse::new`], for content of `len` bytes that the caller passes to
    /// [`Responder::send_prepared_with`](crate::Responder::send_prepared_with) each time.
    #[must_use]
    pub fn without_content(status: Status, fields: &Fields, len: u64) -> Self {
        let is_reset = status == Status::RESET_CONTENT;
        let length = ContentLength::of(status, if is_reset { 0 } else { len });
        let mut bytes = fields.as_bytes().to_vec();
        write_length(length, &mut bytes);
        let (content_start, has_content) =
            (bytes.len(), length != ContentLength::Absent && !is_reset);
        let (bytes, h2_block) = (bytes.into(), OnceLock::new());
        Self { status, bytes, h2_block, content_start, uncopied: None, has_content }
    }

    /// The names and values of the response's fields, including Content-Length.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        fields_of_lines(&self.bytes[..self.content_start])
    }

    /// The response's fields as HTTP/2 sends them.
    #[inline]
    pub(crate) fn h2_block(&self) -> &[u8] {
        self.h2_block.get_or_init(|| {
            let mut block = Vec::new();
            encode_fields(self.fields(), true, &mut block);
            block.into()
        })
    }

    /// Writes the content that is not in `bytes`, if any.
    #[inline]
    pub(crate) fn write_uncopied(&self, out: &mut Output) {
        match &self.uncopied {
            Some(Uncopied::Shared(bytes)) => out.write_shared(bytes.clone()),
            Some(Uncopied::File(range)) => out.write_file(range.clone()),
            None => {}
        }
    }
}

/// Shows only the status: the values of fields may be secret.
impl fmt::Debug for PreparedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedResponse").field("status", &self.status).finish_non_exhaustive()
    }
}
