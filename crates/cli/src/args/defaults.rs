//! The defaults of flags.

use std::num::NonZeroUsize;
use std::sync::LazyLock;

use sockeye::engine::Config;
use sockeye::files::{BudgetLimits, Options};
use sockeye::http_core;
use sockeye::message::protocol as message;

use crate::quantity::Size;

/// The engine's defaults, which are stated there and shown here.
pub(super) static ENGINE: LazyLock<Config> = LazyLock::new(Config::default);
/// Those of HTTP.
pub(super) static HTTP: LazyLock<http_core::Limits> = LazyLock::new(http_core::Limits::default);
/// Those of folders.
pub(super) static FILES: LazyLock<Options> = LazyLock::new(Options::default);
pub(super) static BUDGETS: LazyLock<BudgetLimits> = LazyLock::new(BudgetLimits::default);
/// Those of messages.
pub(super) static MESSAGE: LazyLock<message::Limits> = LazyLock::new(message::Limits::default);

/// A default limit. None of them is 0, which a test holds.
pub(super) fn nonzero(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN)
}

/// A default limit, which any machine can count to.
pub(super) fn size(limit: u64) -> Size {
    Size(usize::try_from(limit).unwrap_or(usize::MAX))
}
