//! A response's trailer section (RFC 9112, 7.1.2): found and checked, and otherwise ignored.

use memchr::memchr_iter;

use super::error::BadReply;
use super::head::unfolded;
use super::limits::LIMITS;
use crate::h1::head::{Progress, trailers};
use crate::semantics::refusal::Refusal;

/// The length of the trailer section at the beginning of `input`, of whose first `seen` bytes it is
/// known that they hold no end; `None` while it is incomplete.
pub(super) fn len(input: &[u8], seen: usize) -> Result<Option<usize>, BadReply> {
    let mut end = None;
    for at in memchr_iter(b'\n', &input[seen..]).map(|at| seen + at) {
        match input[..at] {
            [b'\r'] | [.., b'\n', b'\r'] => {
                end = Some(at + 1);
                break;
            }
            [.., b'\r'] => {}
            _ => return Err(Refusal::LF_WITHOUT_CR.into()),
        }
    }
    if end.unwrap_or(input.len()) > LIMITS.head {
        return Err(BadReply("sent trailers of more than 64 KiB"));
    }
    Ok(end)
}

/// Checks a whole trailer section. Folded field values are taken (RFC 9112, 5.2).
pub(super) fn check(section: &[u8]) -> Result<(), BadReply> {
    let plain = unfolded(section, 0);
    trailers(&plain, &mut Progress::default(), &LIMITS, &mut Vec::new())?;
    Ok(())
}
