//! The entries of a listing page as a grid. Images in formats that all browsers support are shown,
//! unless they are empty or too large. Other entries have icons. The browser loads only images that
//! are visible or nearly visible.

use super::human::{Count, Size};
use super::icon::{icon, is_image};
use super::query::Sort;
use super::rows::Row;
use super::table::sort_link;
use super::text::{self, put};
use super::view::View;
use crate::store::traits::Kind;

/// Writes the grid up to its first entry.
pub(super) fn opening(view: &View, out: &mut Vec<u8>) {
    put!(out, "<p class=\"order\">Sort by");
    for sort in [Sort::Name, Sort::Size, Sort::Date] {
        let current = if view.query.sort == sort { " class=\"current\"" } else { "" };
        put!(out, " <span{current}>");
        sort_link(view, sort, out);
        put!(out, "</span>");
    }
    put!(out, "</p>\n<ul id=\"files\" class=\"grid\" aria-label=\"Files and folders\">\n");
}

/// Writes one entry. The link to a file ends with `query`, which begins with a question mark or is
/// empty.
pub(super) fn row(row: Row<'_>, query: &str, out: &mut Vec<u8>) {
    let Row { name, kind, size, .. } = row;
    // The classes of the page's style sheet: `f` for a folder, `n` for a file. The link to a folder
    // has the query `?view=grid`, so that the folder is shown as a grid, too.
    let (class, slash, query) = match kind {
        Kind::Folder => ("f", "/", "?view=grid"),
        Kind::File => ("n", "", query),
    };
    put!(out, "<li class=\"{class}\"><a href=\"");
    text::url(name, out);
    put!(out, "{slash}{query}\"><span class=\"pic\">");
    if kind == Kind::File && is_image(name, size) {
        put!(out, "<img loading=\"lazy\" decoding=\"async\" alt=\"\" src=\"");
        text::url(name, out);
        put!(out, "\">");
    } else {
        let icon = if kind == Kind::Folder { "d" } else { icon(name) };
        put!(out, "<svg aria-hidden=\"true\"><use href=\"#{icon}\"/></svg>");
    }
    put!(out, "</span><bdi>");
    text::html(name, out);
    put!(out, "{slash}</bdi></a>");
    if kind == Kind::File {
        put!(out, "<span class=\"s\" title=\"{} bytes\">{}</span>", Count(size), Size(size));
    }
    put!(out, "</li>\n");
}

/// Writes the end of the grid.
pub(super) fn closing(out: &mut Vec<u8>) {
    put!(out, "</ul>\n");
}
