//! The style, script and icons of HTML listings.

pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");
pub(super) const ICONS: &str = include_str!("icons.svg");

/// The `Content-Security-Policy` of a listing: it allows the style and script, by hashes that a
/// test checks, images from this server and the page's icon, and the form.
pub(crate) const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-ikHxOeIXQb1xxLXhUa+k0JfdKOwvjc4esqKswGovmLo='; script-src 'sha256-CmbVvSO7v/CAspjjgX2RFppuFf/rsXly+DfasE06OIo='; img-src 'self' data:; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'self'";
