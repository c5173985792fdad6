//! What a folder's owner may choose about codings.

use super::Coding;

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
/// options.codings.made = vec![Coding::Gzip];
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codings {
    /// Whether files that lie beside a file, packed ahead of time, are sent in its place:
    /// `page.html.zst`, `page.html.br` and `page.html.gz` beside `page.html`. Only those that
    /// unpack to the very file are.
    pub siblings: bool,
    /// The codings that text is packed in when it is first asked for in one of them: files of
    /// 1 KiB to 8 MiB, of types that packing makes smaller.
    pub made: Vec<Coding>,
}

impl Codings {
    /// Every file is sent as it is.
    pub const NONE: Self = Self { siblings: false, made: Vec::new() };
}

impl Default for Codings {
    fn default() -> Self {
        Self { siblings: true, made: Coding::ALL.to_vec() }
    }
}
