//! What all pages (listings and Markdown files) have around their content: the head, and links to
//! the folders above.
//!
//! A page is cached for all clients. The server writes no host into it, because a client can send
//! any `Host`. The browser knows the host, and a script shows it.

use super::assets::{HOST_SCRIPT, ICONS, STYLE};
use super::query::percent_decoded;
use super::text::{self, put};

/// The page's icon: a folder.
const FAVICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 \
    24'%3E%3Cpath fill='%23c98a2b' d='M3 6.5A1.5 1.5 0 0 1 4.5 5h4.6l2.2 2.5h8.2A1.5 1.5 0 0 1 21 \
    9v8.5a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 17.5z'/%3E%3C/svg%3E";

/// The name of the root on a page. A script replaces it by the host.
pub(super) const ROOT: &str = "Files";

/// The segments of a path, decoded for display.
pub(super) fn segments(path: &[u8]) -> Vec<Vec<u8>> {
    let named = path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty());
    named.map(percent_decoded).collect()
}

/// Writes the beginning of a page, before its `<header>`.
pub(super) fn head(title: &[u8], out: &mut Vec<u8>) {
    put!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    put!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    put!(out, "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    text::html(title, out);
    put!(
        out,
        "</title>\n<link rel=\"icon\" href=\"{FAVICON}\">\n<style>{STYLE}</style>\n</head>\n"
    );
    put!(out, "<body>\n{ICONS}");
}

/// Writes links to the folders above, and the last of `segments` as heading. If there are no
/// segments, as for the root, only the heading [`ROOT`] is written.
///
/// The links are relative, so they work wherever the root is mounted. Each ends with `query`, which
/// begins with a question mark or is empty. If `is_file`, the last segment is a file, and the links
/// are relative to its folder.
pub(super) fn heading(segments: &[Vec<u8>], is_file: bool, query: &str, out: &mut Vec<u8>) {
    let Some((name, above)) = segments.split_last() else {
        put!(out, "<h1><bdi class=\"host\">{ROOT}</bdi></h1>\n");
        return;
    };
    let up = |out: &mut Vec<u8>, levels: usize| match levels - usize::from(is_file) {
        0 => put!(out, "./"),
        levels => (0..levels).for_each(|_| put!(out, "../")),
    };
    put!(out, "<nav aria-label=\"Folders above\"><ol class=\"crumbs\"><li><a href=\"");
    up(out, segments.len());
    put!(out, "{query}\"><bdi class=\"host\">{ROOT}</bdi></a></li>");
    for (at, name) in above.iter().enumerate() {
        put!(out, "<li><a href=\"");
        up(out, segments.len() - at - 1);
        put!(out, "{query}\"><bdi>");
        text::html(name, out);
        put!(out, "</bdi></a></li>");
    }
    put!(out, "</ol></nav>\n<h1><bdi>");
    text::html(name, out);
    put!(out, "</bdi></h1>\n");
}

/// Writes the end of the `<header>`, and the start of the content.
pub(super) fn content(out: &mut Vec<u8>) {
    put!(out, "</header>\n<script>{HOST_SCRIPT}</script>\n<main>\n");
}
