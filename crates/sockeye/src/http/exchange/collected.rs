//! Memory for collected bodies (read whole before they are handled), limited by a budget.

use sockeye_proto::Permit;

/// Maximum initial capacity for a collected body of known length, in bytes. Only memory beyond it
/// is charged to the budget. HTTP/2 uses 0 instead, because a connection can have many bodies at a
/// time.
pub(super) const UNCHARGED: u64 = 64 * 1024;

/// Makes room in `collected` for `more` bytes, and charges its capacity above `uncharged` to
/// `permit`. Returns false if the budget doesn't allow that. When capacity grows, it doubles, up to
/// `max`, the most bytes that the body can have. So the budget is charged a few times per body and
/// not for each piece. It is not charged for a Content-Length whose bytes may never come:
/// otherwise, clients could use up the budget with a few bytes each.
pub(super) fn reserve(
    collected: &mut Vec<u8>,
    permit: &mut Permit,
    more: usize,
    max: u64,
    uncharged: u64,
) -> bool {
    let needed = collected.len() + more;
    if needed <= collected.capacity() {
        return true;
    }
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let capacity = needed.max(max.min(2 * collected.capacity()));
    let charge = (capacity as u64).saturating_sub(uncharged);
    if charge > 0 && !permit.resize(charge) {
        return false;
    }
    collected.reserve_exact(capacity - collected.len());
    true
}
