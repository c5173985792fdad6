//! Cross-origin resource sharing: the response to a preflight request (Fetch standard, "CORS
//! protocol").
//!
//! A browser sends a preflight request, OPTIONS with `Access-Control-Request-Method`, before a
//! script's request to another origin, unless the method and the headers of that request are
//! CORS-safelisted. The caller decides which origins are allowed, and adds
//! `Access-Control-Allow-Origin` and `Vary`.

use super::fields::Fields;

/// How long a browser may remember the response: a day, in seconds.
const MAX_AGE: &[u8] = b"86400";

/// The fields that tell a browser what scripts of an allowed origin may send: `methods`, and the
/// headers in `names`, which is the request's `Access-Control-Request-Headers`. `None` if one of
/// the two is not a valid field value.
#[must_use]
pub fn preflight_fields(methods: &str, names: Option<&[u8]>) -> Option<Fields> {
    let mut fields = Fields::new();
    fields.push("Access-Control-Allow-Methods", methods.as_bytes()).ok()?;
    if let Some(names) = names {
        fields.push("Access-Control-Allow-Headers", names).ok()?;
    }
    fields.push("Access-Control-Max-Age", MAX_AGE).ok()?;
    Some(fields)
}
