//! The content codings (RFC 9110, 8.4) that files are sent in, and which of them a folder uses.

/// A content coding.
///
/// Browsers give all codings the same weight. Of codings with the same weight, the server prefers
/// the one with the shortest precompressed file. If none has such a file, the server compresses in
/// the first of these codings in [`Coding::ALL`] that [`Codings::on_demand`] has. At the levels
/// that a server can afford, zstd compresses text about as well as brotli, and is faster to encode
/// and decode; both compress better than gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Zstandard (RFC 8878), with a window of at most 8 MiB (RFC 9659).
    Zstd,
    /// Brotli (RFC 7932).
    Brotli,
    /// gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// All codings, the preferred first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The name in `Accept-Encoding` and `Content-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The extension of precompressed files.
    pub(crate) const fn extension(self) -> &'static [u8] {
        match self {
            Self::Zstd => b".zst",
            Self::Brotli => b".br",
            Self::Gzip => b".gz",
        }
    }

    /// What content in this coding starts with, if that is always the same.
    pub(crate) const fn magic(self) -> &'static [u8] {
        match self {
            Self::Gzip => b"\x1F\x8B",
            // Zstandard content may begin with a skippable frame. Brotli has no magic number.
            Self::Zstd | Self::Brotli => b"",
        }
    }

    /// `etag` with the name of this coding: representations in other codings have other ETags.
    pub(crate) fn etag(self, etag: &str) -> String {
        let etag = etag.strip_suffix('"').unwrap_or(etag);
        format!("{etag}-{}\"", self.name())
    }

    /// The coding with this name, in upper or lower case.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        // RFC 9110, 8.4.1.3: the old name of gzip.
        let name = if name.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { name };
        Self::ALL.into_iter().find(|coding| coding.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// Which encodings the files of a folder are sent in. Default: all.
///
/// [`BudgetLimits::compressed`](crate::BudgetLimits) limits the memory of compressed contents. The
/// BREACH attack does not apply: files contain neither data of a request nor secrets of other
/// users.
///
/// Without the crate's feature `compression`, every file is sent as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codings {
    /// Send precompressed files: `page.html.zst`, `page.html.br` and `page.html.gz` in place of
    /// `page.html`. Only those that decompress to the same content are sent. Default: on.
    pub precompressed: bool,
    /// The codings in which the server itself compresses files, when a client requests them. It
    /// compresses files of 1 KiB to 8 MiB, of types that compress well. Default: all.
    pub on_demand: Vec<Coding>,
}

impl Codings {
    /// Every file is sent as it is stored.
    pub const NONE: Self = Self { precompressed: false, on_demand: Vec::new() };
}

impl Default for Codings {
    fn default() -> Self {
        Self { precompressed: true, on_demand: Coding::ALL.to_vec() }
    }
}
