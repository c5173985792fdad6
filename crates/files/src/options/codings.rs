//! The content codings (RFC 9110, 8.4) that files are sent in, and which of them an owner chooses.

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
    pub(crate) fn etag(self, etag: &str) -> String {
        let etag = etag.strip_suffix('"').unwrap_or(etag);
        format!("{etag}-{}\"", self.name())
    }

    /// The coding of that name; names are compared without regard to case.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        // RFC 9110, 8.4.1.3: the old name of gzip means the same.
        let name = if name.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { name };
        Self::ALL.into_iter().find(|coding| coding.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// Which codings a folder is sent in. All of them, at first.
///
/// How much memory compressed forms take is [`BudgetLimits::compressed`](crate::BudgetLimits).
///
/// What is packed is a file, the same for everybody: nothing of a request and no secret of another
/// user stands beside it, so its length gives nothing away (the attack called BREACH needs both).
///
/// Without the crate's feature `compression`, every file is sent as it is, whatever is chosen here.
///
/// ```
/// use sockeye_files::{Coding, Codings, Options};
///
/// let mut options = Options::default();
/// options.codings = Codings::NONE;
/// options.codings.on_demand = vec![Coding::Gzip];
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codings {
    /// Whether files that lie beside a file, packed ahead of time, are sent in its place:
    /// `page.html.zst`, `page.html.br` and `page.html.gz` beside `page.html`. Only those that
    /// unpack to the very file are.
    pub precompressed: bool,
    /// The codings that text is packed in when it is first asked for in one of them: files of
    /// 1 KiB to 8 MiB, of types that packing makes smaller.
    pub on_demand: Vec<Coding>,
}

impl Codings {
    /// Every file is sent as it is.
    pub const NONE: Self = Self { precompressed: false, on_demand: Vec::new() };
}

impl Default for Codings {
    fn default() -> Self {
        Self { precompressed: true, on_demand: Coding::ALL.to_vec() }
    }
}
