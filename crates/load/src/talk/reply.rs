//! What is known of a response: before it comes, while it comes, and when it has.

use std::fmt;

use bytes::Bytes;
use sockeye_http::client::Shape;

use crate::plan::{Ask, Plan};
use crate::trouble::Trouble;

/// Content that can be kept to compare others with.
const MOST_KEPT: usize = 256 << 20;

/// What a response looked like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// Of HTTP: its head.
    pub(super) shape: Option<Shape>,
    /// Of messages: its header, with the length in front.
    pub(super) header: Bytes,
    /// Its content, if others are to be compared with it.
    pub(super) content: Option<Bytes>,
    /// The length of its content.
    pub(super) len: u64,
    /// Of messages: the server keeps the connection.
    pub(super) keeps: bool,
    /// It is an error.
    pub(crate) error: Option<String>,
}

/// What is known about the request that is being answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) ask: &'a Ask,
    /// No other request follows on this connection.
    pub(crate) last: bool,
    /// What its response probably looks like.
    pub(crate) model: Option<&'a Model>,
    /// Content is compared with the model's, or kept where there is none.
    pub(crate) verify: bool,
    /// Bytes of a response's content.
    pub(crate) most: u64,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(plan: &'a Plan, request: usize, last: bool, model: Option<&'a Model>) -> Self {
        let Plan { asks, verify, max_content, .. } = plan;
        Self { ask: &asks[request], last, model, verify: *verify, most: *max_content }
    }
}

/// A step through a response.
#[derive(Debug)]
pub(crate) enum Step {
    /// More input is needed.
    Short,
    /// A part of a response was read.
    Part,
    /// A response is complete.
    Done(Done),
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Done {
    /// The status, for HTTP; else 200.
    pub(crate) status: u16,
    /// Bytes of its content.
    pub(crate) content: u64,
    /// The response is an error, and what it says.
    pub(crate) error: Option<String>,
    /// The content isn't the model's.
    pub(crate) different: bool,
    /// The server takes another request on this connection.
    pub(crate) persistent: bool,
    /// Interim responses before it, for HTTP.
    pub(crate) interim: u32,
    /// The response, where there was no model.
    pub(crate) learned: Option<Box<Model>>,
}

/// What came is no response; the end of a sentence that begins with "the peer".
#[derive(Debug)]
pub(crate) struct Garbage(pub(crate) String);

impl Garbage {
    #[cold]
    pub(super) fn too_large(most: u64) -> Self {
        Self(format!("sent a reply with content of more than {most} B (max-content)"))
    }
}

/// How much of a response had come when its connection ended, as a part of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nothing.
    Before,
    /// Nothing but so many interim responses.
    Interim(u32),
    /// So many bytes of its head.
    Head(u64),
    /// So many bytes of its content, of all of them where their number is known.
    Content { read: u64, length: Option<u64> },
}

impl Cut {
    pub(super) fn head(bytes: usize) -> Self {
        Self::Head(bytes as u64)
    }

    pub(super) fn content(read: u64, length: Option<u64>) -> Self {
        Self::Content { read, length }
    }

    /// What it is called where the server has closed the connection.
    pub(crate) fn trouble(self) -> Trouble {
        match self {
            Self::Before | Self::Interim(_) => Trouble::Closed,
            Self::Head(_) => Trouble::CutHead,
            Self::Content { .. } => Trouble::CutContent,
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before => f.write_str("before the first byte of a reply"),
            Self::Interim(1) => f.write_str("after 1 interim response (1xx) and no final one"),
            Self::Interim(count) => {
                write!(f, "after {count} interim responses (1xx) and no final one")
            }
            Self::Head(bytes) => write!(f, "in the middle of a reply's head, after {bytes} bytes"),
            Self::Content { read, length: Some(length) } => {
                write!(f, "in the middle of a reply's content, after {read} of {length} bytes")
            }
            Self::Content { read, length: None } => {
                write!(f, "in the middle of a reply's content, after {read} bytes")
            }
        }
    }
}

/// Content as it comes: counted, and held against the model's or kept, as far as that is wanted.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) at: u64,
    pub(super) different: bool,
    pub(super) kept: Vec<u8>,
}

impl Content {
    pub(super) fn take(&mut self, bytes: &[u8], asked: &Asked<'_>) -> Result<(), Garbage> {
        if self.at + bytes.len() as u64 > asked.most {
            return Err(Garbage::too_large(asked.most));
        }
        if asked.verify {
            match asked.model {
                None if self.kept.len() + bytes.len() > MOST_KEPT => {
                    let what = "sent more than 256 MiB of content, too much to hold others against";
                    return Err(Garbage(what.into()));
                }
                None => self.kept.extend_from_slice(bytes),
                Some(model) => self.compare(bytes, model.content.as_deref().unwrap_or_default()),
            }
        }
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn compare(&mut self, bytes: &[u8], model: &[u8]) {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        let theirs = model.get(at..).and_then(|rest| rest.get(..bytes.len()));
        self.different |= theirs != Some(bytes);
    }

    /// All has come. Whether it differs, and what was kept.
    pub(super) fn end(&mut self, asked: &Asked<'_>) -> (bool, u64, Option<Bytes>) {
        let Self { at, different, kept } = std::mem::take(self);
        let short = asked.verify && asked.model.is_some_and(|model| model.len != at);
        (different || short, at, asked.verify.then(|| kept.into()))
    }
}
