//! Content codings (RFC 9110, 8.4): which of them a client reads, and which a file is sent in.
//!
//! - `coder`: what a folder's owner chose, and what is known about its files, for all shards.
//! - `coded`: the codings of one file, and the choice among them.
//! - `form`: a file, as it is or in a coding.
//! - `sibling`: those that lie beside it.
//! - `accept`: what a request says in `Accept-Encoding`, as a weight for each coding.
//! - `select`: which coding is sent, of those that there are.
//! - `codec`: the encoders and decoders; there are none without the feature `compression`.
//! - `pack`: packing what is not packed yet.
//! - `forms`: what was packed, kept for all shards.
//! - `unpack`: whether what somebody packed is the original.
//! - `verdicts`: which siblings are, found out once.

mod accept;
#[cfg_attr(not(feature = "compression"), path = "no_codec.rs")]
mod codec;
mod coded;
mod coder;
mod content;
mod form;
mod forms;
mod options;
mod pack;
mod recent;
mod select;
mod sibling;
mod unpack;
mod verdicts;

pub(crate) use accept::{AcceptEncoding, Accepted};
pub(crate) use coded::{Choice, Coded};
pub(crate) use coder::{Coder, Renewed};
pub(crate) use form::Form;
pub(crate) use forms::{Compressed, Forms};
pub use options::Codings;
#[cfg(test)]
pub(crate) use pack::packed;
use select::{Offer, select};
pub(crate) use sibling::Siblings;
#[cfg(test)]
pub(crate) use verdicts::COMPARED;
pub(crate) use verdicts::Side;

/// A coding that content is sent in.
///
/// The order of [`Coding::ALL`] settles what the weights of a request leave open, and browsers
/// leave everything open: they weigh all codings the same. Text of a site comes out about as small
/// with zstd as with brotli at the levels that a server can afford, in less time, and is decoded
/// faster; both come out smaller than with gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 8878, with the window of RFC 9659.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// All of them, the preferred first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The name that it has in `Accept-Encoding` and `Content-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What a name that is packed so ends with.
    pub(crate) const fn extension(self) -> &'static [u8] {
        match self {
            Self::Zstd => b".zst",
            Self::Brotli => b".br",
            Self::Gzip => b".gz",
        }
    }

    /// The tag of content in this coding, from one that no other content in it has.
    pub(crate) fn tag(self, tag: &str) -> String {
        let tag = tag.strip_suffix('"').unwrap_or(tag);
        format!("{tag}-{}\"", self.name())
    }

    /// The coding of that name; names are compared without regard to case.
    fn from_name(name: &[u8]) -> Option<Self> {
        // RFC 9110, 8.4.1.3: the old name of gzip means the same.
        let name = if name.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { name };
        Self::ALL.into_iter().find(|coding| coding.name().as_bytes().eq_ignore_ascii_case(name))
    }
}
