//! Names with a hash of the content, as bundlers write them: `app.3f9a2b1c.js`,
//! `index-BxYz12ab.css`. A file with such a name never changes, so caches may keep it.
//!
//! A false match would be cached for a year after its content changed. So words, dates and versions
//! must not match: `photo-20240131.jpg`, `index-Version2.js`, `layout-2columns.css`. A hash without
//! a digit inside it can't be distinguished from a word; such a file is revalidated, which costs
//! little.

/// The extensions of files that bundlers put a hash in the name of. Pages and documents have none.
const EXTENSIONS: &[&[u8]] = &[
    b"js", b"mjs", b"cjs", b"css", b"map", b"wasm", b"json", b"txt", b"woff", b"woff2", b"ttf",
    b"otf", b"eot", b"png", b"jpg", b"jpeg", b"gif", b"webp", b"avif", b"jxl", b"svg", b"ico",
    b"mp3", b"mp4", b"m4a", b"ogg", b"opus", b"webm", b"wav", b"flac",
];

/// Folders whose files never change under their names: SvelteKit, Next.js, Astro.
const FINGERPRINTED_FOLDERS: &[&[u8]] = &[b"_app/immutable/", b"_next/static/", b"_astro/"];

/// Whether a name contains a hash of the file's content.
pub(crate) fn is_fingerprinted(name: &[u8]) -> bool {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    let mut parts = file.rsplit(|byte| *byte == b'.');
    let Some(kind) = parts.next() else { return false };
    if !EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return false;
    }
    if FINGERPRINTED_FOLDERS.iter().any(|folder| is_in(name, folder)) {
        return true;
    }
    // From the end: `app.HASH.chunk.js.map`, `app-HASH.min.js`. The first part is the name.
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let is_first = parts.peek().is_none();
        let whole = if is_first { is_long_hash(part) } else { is_hash(part) };
        if whole || after_dashes(part).any(is_hash) {
            return true;
        }
    }
    false
}

/// Whether `name` is in the folder `folder`, at any depth.
fn is_in(name: &[u8], folder: &[u8]) -> bool {
    name.windows(folder.len())
        .enumerate()
        .any(|(at, window)| window == folder && (at == 0 || name[at - 1] == b'/'))
}

/// The text after each dash except a leading one. Some hashes contain dashes, too.
fn after_dashes(part: &[u8]) -> impl Iterator<Item = &[u8]> {
    let dashes = part.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'-');
    dashes.map(|(at, _)| &part[at + 1..])
}

/// Whether this is a hash that may be the whole name of a file.
fn is_long_hash(text: &[u8]) -> bool {
    text.len() >= 16 && is_hex_hash(text)
}

fn is_hash(text: &[u8]) -> bool {
    is_hex_hash(text) || is_base64_hash(text) || is_base32_hash(text)
}

/// Hexadecimal digits, in the lengths that webpack, Sprockets, Hugo and Django use: with letters
/// and digits, so neither a date nor a word.
fn is_hex_hash(text: &[u8]) -> bool {
    let length = matches!(text.len(), 8 | 10 | 12 | 16 | 20 | 24 | 32 | 40 | 48 | 64 | 96 | 128);
    length
        && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && text.iter().any(u8::is_ascii_digit)
        && text.iter().any(u8::is_ascii_lowercase)
}

/// Eight characters of URL-safe base64 (Rollup and Vite), with lower case, upper case, and a digit
/// before a letter.
fn is_base64_hash(text: &[u8]) -> bool {
    text.len() == 8
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && text.iter().any(u8::is_ascii_lowercase)
        && text.iter().any(u8::is_ascii_uppercase)
        && has_digit_within(text)
}

/// Eight characters of base32 (RFC 4648; esbuild), with a digit before a letter.
fn is_base32_hash(text: &[u8]) -> bool {
    text.len() == 8
        && text.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
        && has_digit_within(text)
}

/// Whether a letter follows a digit: versions and counts are at the end.
fn has_digit_within(text: &[u8]) -> bool {
    let digit = text.iter().position(u8::is_ascii_digit);
    digit.is_some_and(|at| text[at..].iter().any(u8::is_ascii_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_bundlers_write() {
        for name in [
            "app.3f9a2b1c.js",
            "static/js/main.3f9a2b1c.chunk.js",
            "static/js/787.3f9a2b1c.chunk.js.map",
            "main.3f9a2b1c8d7e6f5a4b3c.css",
            "assets/index-BxYz12ab.css",
            "assets/index-B_9xYz-a.js",
            "assets/vendor-lib-Dk3p0QxZ.mjs",
            "assets/Inter-4f3a9c2b.woff2",
            "main-5ZQSD2XH.js",
            "chunk-7AJ4K2QD.js",
            "css/base.55e7cbb9ba48.css",
            "application-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.css",
            "style.min.0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.css",
            "0123456789abcdef0123456789abcdef.png",
            "app-3f9a2b1c.min.js",
            "logo.3f9a2b1c.SVG",
            "_app/immutable/entry/start.js",
            "base/_app/immutable/chunks/x.js",
            "_next/static/chunks/pages/index.js",
            "_astro/page.css",
        ] {
            assert!(is_fingerprinted(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_that_people_write() {
        for name in [
            "index.html",
            "index.3f9a2b1c.html",
            "report-3f9a2b1c.pdf",
            "app.js",
            "app.min.js",
            "jquery-3.7.1.min.js",
            "jquery.migrate.js",
            "bootstrap-grid.css",
            "index-homepage.css",
            "index-HomePage.css",
            "index-Version2.js",
            "index-VERSION2.js",
            "layout-2columns.css",
            "photo-20240131.jpg",
            "photo.20240131.jpg",
            "photo-2024013112.jpg",
            "IMG-20240131-WA0001.jpg",
            "holiday-DSC01234.jpg",
            "P1010234.jpg",
            "3f9a2b1c.js",
            "BxYz12ab.js",
            "deadbeef.js",
            "app.deadbeef.js",
            "app.facade.css",
            "app-3f9a2b1.js",
            "app_3f9a2b1c.js",
            "-3f9a2b1c.js",
            "app.3F9A2B1C.js",
            "v1.2.3.js",
            "font-awesome.css",
            "my_next/static/a.js",
            "_app/version.json",
            "3f9a2b1c",
            "",
            ".js",
        ] {
            assert!(!is_fingerprinted(name.as_bytes()), "{name}");
        }
    }
}
