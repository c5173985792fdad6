//! Which media types the client accepts.

use super::accept_encoding::thousandths;

/// The weight of the media type `kind` in an `Accept` field (RFC 9110, 12.5.1), in thousandths: the
/// weight of the most specific range that includes it, or 0.
pub(crate) fn quality(accept: &[u8], kind: &[u8]) -> u16 {
    let slash = kind.iter().position(|byte| *byte == b'/').unwrap_or(0);
    let mut best = (0, 0);
    for range in accept.split(|byte| *byte == b',') {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let specific = if name == b"*/*" {
            1
        } else if name.eq_ignore_ascii_case(kind) {
            3
        } else if name
            .strip_suffix(b"/*")
            .is_some_and(|name| name.eq_ignore_ascii_case(&kind[..slash]))
        {
            2
        } else {
            continue;
        };
        let weight = parts.find_map(|part| match part {
            [b'q' | b'Q', b'=', value @ ..] => Some(thousandths(value).unwrap_or(0)),
            _ => None,
        });
        if specific >= best.0 {
            best = (specific, weight.unwrap_or(1000));
        }
    }
    best.1
}
