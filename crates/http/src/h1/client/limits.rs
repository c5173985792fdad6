//! How much of a response's head is taken.

use std::sync::LazyLock;

use crate::Limits;

/// What a response's head and trailers may be at the most: 64 KiB and 256 fields. Servers send more
/// than clients do: cookies, policies.
pub(super) static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
    request_line: 64 * 1024,
    head: 64 * 1024,
    fields: 256,
    ..Limits::default()
});
