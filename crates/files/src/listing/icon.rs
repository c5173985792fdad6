//! How a file is shown in front of its name: by an icon, or in a grid by the image itself.

use crate::naming::mime::content_type;

/// The most bytes of an image that a grid shows. A larger image has an icon.
const MAX_IMAGE: u64 = 16 * 1024 * 1024;

/// Whether a grid shows a file of this name and size as an image. It does so for the media types
/// that all browsers can show, unless the file is empty or too large.
pub(super) fn is_image(name: &[u8], size: u64) -> bool {
    const KINDS: [&str; 9] = [
        "image/apng",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/svg+xml",
        "image/x-icon",
        "image/webp",
    ];
    let kind = content_type(name);
    // Without the parameter `charset`, which the type of an SVG has.
    let kind = kind.split(';').next().unwrap_or_default();
    (1..=MAX_IMAGE).contains(&size) && KINDS.contains(&kind)
}

/// The icon for a file of this name: the `id` of a symbol in the page's SVG. Each `id` is the first
/// letter of a word: image, movie, sound, text, zip (any archive) or binary.
pub(super) fn icon(name: &[u8]) -> &'static str {
    let kind = content_type(name);
    let kind = kind.split(';').next().unwrap_or_default();
    match kind.split_once('/') {
        Some(("image", _)) => "i",
        Some(("video", _)) => "m",
        Some(("audio", _)) => "s",
        Some(("text", _)) => "t",
        Some((_, "json" | "pdf" | "yaml" | "xml")) => "t",
        Some((_, "zip" | "gzip" | "zstd" | "x-tar" | "x-7z-compressed" | "x-bzip2" | "x-xz")) => {
            "z"
        }
        _ => "b",
    }
}
