//! The style, script and icons of HTML listings.

pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");
pub(super) const ICONS: &str = include_str!("icons.svg");

/// The colours of listings, light and dark, for other pages: the first two lines of the style.
pub(crate) const PALETTE: &str = first_lines(STYLE, 2);

const fn first_lines(text: &str, lines: usize) -> &str {
    let (mut end, mut left) = (0, lines);
    while left > 0 && end < text.len() {
        if text.as_bytes()[end] == b'\n' {
            left -= 1;
        }
        end += 1;
    }
    text.split_at(end).0
}

/// The `Content-Security-Policy` of a listing: it allows the style and script, by hashes that a
/// test checks, and the form.
pub(crate) const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-7dxGDdoB/cGgRbwNVb7DvHqGIlTZSTZsDibgu1EB2rg='; script-src 'sha256-CmbVvSO7v/CAspjjgX2RFppuFf/rsXly+DfasE06OIo='; img-src data:; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'self'";
