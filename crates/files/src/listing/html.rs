//! A listing as an HTML page. It loads no other resources. Its script filters while the user types
//! and shows local times; the page works without it.

use super::assets::{ICONS, SCRIPT, STYLE};
use super::human::{Count, DateTime, Size};
use super::query::{Format, ListingQuery, Sort};
use super::read::MAX_ENTRIES;
use super::rows::Row;
use super::text::{self, put};
use super::view::{Paging, Totals, View};
use crate::naming::mime::content_type;
use crate::store::traits::Kind;

/// The page's icon: a folder.
const FAVICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 \
    24'%3E%3Cpath fill='%23c98a2b' d='M3 6.5A1.5 1.5 0 0 1 4.5 5h4.6l2.2 2.5h8.2A1.5 1.5 0 0 1 21 \
    9v8.5a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 17.5z'/%3E%3C/svg%3E";

/// Everything before the rows.
pub(super) fn opening(view: &View, out: &mut Vec<u8>) {
    let segments = view.segments();
    let name = segments.last().map_or(&b"Files"[..], |name| name);
    put!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    put!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    put!(out, "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    text::html(name, out);
    put!(
        out,
        "</title>\n<link rel=\"icon\" href=\"{FAVICON}\">\n<style>{STYLE}</style>\n</head>\n"
    );
    put!(out, "<body>\n{ICONS}<a class=\"skip\" href=\"#files\">To the files</a>\n");
    put!(out, "<header>\n");
    breadcrumbs(&segments, out);
    put!(out, "<h1><bdi>");
    text::html(name, out);
    put!(out, "</bdi></h1>\n");
    summary(view, out);
    put!(out, "</header>\n<main>\n");
    if view.truncated {
        put!(out, "<p class=\"note\">This folder has more entries than can be listed: these are ");
        put!(out, "{} of them.</p>\n", Count(MAX_ENTRIES as u64));
    }
    if let Some(shown) = view.cut {
        let (shown, all) = (u64::from(shown), view.totals.entries());
        put!(
            out,
            "<p class=\"note\">{} of {} names are missing here. ",
            Count(all - shown),
            Count(all)
        );
        put!(out, "All are in the listing as <a href=\"");
        view.query.link_format(Format::Json, out);
        put!(out, "\">JSON</a> or <a href=\"");
        view.query.link_format(Format::Text, out);
        put!(out, "\">plain text</a>.</p>\n");
    }
    let omitted = view.omitted.total();
    if omitted > 0 {
        let entries = if omitted == 1 { "entry is" } else { "entries are" };
        put!(
            out,
            "<p class=\"note\">{} {entries} not shown: {}.</p>\n",
            Count(omitted),
            view.omitted
        );
    }
    toolbar(view, out);
    pages(view, out);
    table(view, !segments.is_empty(), out);
}

/// One entry.
pub(super) fn row(row: Row<'_>, out: &mut Vec<u8>) {
    let Row { name, kind, size, modified } = row;
    let (class, icon, slash) = match kind {
        Kind::Folder => ("f", "d", "/"),
        Kind::File => ("n", icon(name), ""),
    };
    put!(out, "<tr class=\"{class}\" role=\"row\"><th scope=\"row\" role=\"rowheader\"><a href=\"");
    text::url(name, out);
    put!(out, "{slash}\"><svg aria-hidden=\"true\"><use href=\"#{icon}\"/></svg><bdi>");
    text::html(name, out);
    put!(out, "{slash}</bdi></a></th>");
    match kind {
        Kind::Folder => put!(out, "<td class=\"s\" role=\"cell\"></td>"),
        Kind::File => {
            put!(
                out,
                "<td class=\"s\" role=\"cell\" title=\"{} bytes\">{}</td>",
                Count(size),
                Size(size)
            );
        }
    }
    let time = DateTime::new(modified).to_string();
    let (day, minute) = (&time[..10], &time[11..16]);
    put!(
        out,
        "<td class=\"d\" role=\"cell\"><time datetime=\"{time}\">{day}<span> {minute}</span></time></td>"
    );
    put!(out, "</tr>\n");
}

/// Everything after the rows.
pub(super) fn closing(view: &View, out: &mut Vec<u8>) {
    if view.rows().len() == 0 {
        put!(
            out,
            "<tr role=\"row\"><td class=\"none\" role=\"cell\" colspan=\"3\">{}</td></tr>\n",
            empty_text(view)
        );
    }
    put!(out, "</tbody>\n</table>\n");
    pages(view, out);
    if let Some(readme) = &view.readme {
        readme.section(out);
    }
    put!(out, "</main>\n<footer>");
    put!(
        out,
        "<span class=\"keys\" hidden><kbd>/</kbd> filters, <kbd>↑</kbd> <kbd>↓</kbd> move. </span>"
    );
    put!(out, "The same as <a href=\"");
    view.query.link_format(Format::Json, out);
    put!(out, "\">JSON</a> or <a href=\"");
    view.query.link_format(Format::Text, out);
    put!(out, "\">plain text</a>.</footer>\n<script>{SCRIPT}</script>\n</body>\n</html>\n");
}

/// The text instead of rows.
fn empty_text(view: &View) -> &'static str {
    if view.totals.entries() > 0 {
        "There is no such page."
    } else if view.query.filter.is_empty() && view.omitted.total() > 0 {
        "Nothing in this folder can be shown."
    } else if view.query.filter.is_empty() {
        "This folder is empty."
    } else {
        "No name has this in it."
    }
}

/// Links to the folders above. They are relative, so they work with any URL of the root.
fn breadcrumbs(segments: &[Vec<u8>], out: &mut Vec<u8>) {
    let Some((_, above)) = segments.split_last() else { return };
    put!(out, "<nav aria-label=\"Folders above\"><ol class=\"crumbs\"><li><a href=\"");
    (0..segments.len()).for_each(|_| put!(out, "../"));
    put!(out, "\">Files</a></li>");
    for (at, name) in above.iter().enumerate() {
        put!(out, "<li><a href=\"");
        (at + 1..segments.len()).for_each(|_| put!(out, "../"));
        put!(out, "\"><bdi>");
        text::html(name, out);
        put!(out, "</bdi></a></li>");
    }
    put!(out, "</ol></nav>\n");
}

/// The numbers of folders and files, and their size.
fn summary(view: &View, out: &mut Vec<u8>) {
    let Totals { folders, files, bytes } = view.totals;
    let several = |count: u64| if count == 1 { "" } else { "s" };
    put!(out, "<p class=\"sum\">");
    let mut between = "";
    for (count, what) in [(folders, "folder"), (files, "file")] {
        if count > 0 {
            put!(out, "{between}{} {what}{}", Count(count), several(count));
            between = ", ";
        }
    }
    if files > 0 {
        put!(out, ", {}", Size(bytes));
    }
    if folders + files == 0 {
        put!(out, "Nothing here");
    }
    if let Some(readme) = &view.readme {
        put!(out, " · <a href=\"#readme\">");
        text::html(&readme.name, out);
        put!(out, "</a>");
    }
    put!(out, "</p>\n");
}

/// The filter form and the download link.
fn toolbar(view: &View, out: &mut Vec<u8>) {
    let query = &view.query;
    put!(out, "<div class=\"bar\">\n<form role=\"search\" method=\"get\">");
    put!(out, "<label class=\"vh\" for=\"q\">Filter by name</label>");
    put!(out, "<input type=\"search\" id=\"q\" name=\"q\" placeholder=\"Filter names\" ");
    put!(out, "autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\" value=\"");
    text::html(&query.filter, out);
    put!(out, "\">");
    let mut hidden = |name: &str, value: &str| {
        put!(out, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
    };
    if let Some(format) = query.format {
        hidden("format", format.as_str());
    }
    if query.sort != Sort::Name || query.descending {
        hidden("sort", query.sort.as_str());
        hidden("order", if query.descending { "desc" } else { "asc" });
    }
    if let Some(per_page) = query.per_page {
        hidden("per", &per_page.to_string());
    }
    put!(out, "<button>Filter</button></form>\n");
    if view.archives {
        put!(out, "<a class=\"button\" href=\"?format=tar\" download>Download all</a>\n");
    }
    put!(out, "</div>\n");
    put!(out, "<p class=\"found\" role=\"status\">");
    if !query.filter.is_empty() {
        put!(out, "Only names with “<bdi>");
        text::html(&query.filter, out);
        put!(out, "</bdi>”. <a href=\"");
        let all = ListingQuery { filter: Vec::new(), ..query.clone() };
        all.link_page(0, out);
        put!(out, "\">Show all</a>");
    }
    put!(out, "</p>\n");
}

/// Links to the previous and next page, if there are any.
fn pages(view: &View, out: &mut Vec<u8>) {
    let Some(paging) = view.paging.filter(|paging| paging.pages > 1 || paging.page > 0) else {
        return;
    };
    let Paging { page, pages } = paging;
    let link = |query: &ListingQuery, page: u32, rel: &str, text: &str, out: &mut Vec<u8>| {
        put!(out, "<a class=\"button\" rel=\"{rel}\" href=\"");
        query.link_page(page, out);
        put!(out, "\">{text}</a>");
    };
    put!(out, "<nav class=\"pages\" aria-label=\"Pages\">");
    if let Some((requested @ 1.., _)) = view.query.paging() {
        link(&view.query, (requested - 1).min(pages - 1), "prev", "← Previous", out);
    }
    put!(out, "<span>Page {} of {}</span>", Count(u64::from(page) + 1), Count(pages.into()));
    if page + 1 < pages {
        let per_page = view.cut.or(view.query.per_page);
        let query = ListingQuery { per_page, ..view.query.clone() };
        link(&query, page + 1, "next", "Next →", out);
    }
    put!(out, "</nav>\n");
}

/// The table up to its first row.
fn table(view: &View, has_parent: bool, out: &mut Vec<u8>) {
    put!(
        out,
        "<table id=\"files\" role=\"table\">\n<caption class=\"vh\">Files and folders</caption>\n"
    );
    // On small screens the style lays the rows out as blocks. The roles keep the table for screen
    // readers.
    put!(out, "<thead role=\"rowgroup\"><tr role=\"row\">");
    for (sort, class, title) in
        [(Sort::Name, "", "Name"), (Sort::Size, "s", "Size"), (Sort::Date, "d", "Modified")]
    {
        let current = view.query.sort == sort;
        // Sizes and dates are sorted with the largest and latest first.
        let descending = if current { !view.query.descending } else { sort != Sort::Name };
        put!(out, "<th scope=\"col\" role=\"columnheader\" class=\"{class}\"");
        let arrow = match (current, view.query.descending) {
            (false, _) => "",
            (true, false) => " ↑",
            (true, true) => " ↓",
        };
        if current {
            let order = if view.query.descending { "descending" } else { "ascending" };
            put!(out, " aria-sort=\"{order}\"");
        }
        put!(out, "><a href=\"");
        view.query.link_sorted(sort, descending, out);
        put!(out, "\">{title}");
        if sort == Sort::Date {
            put!(out, "<span class=\"utc\"> (UTC)</span>");
        }
        if current {
            put!(out, "<span aria-hidden=\"true\">{arrow}</span>");
        }
        put!(out, "</a></th>");
    }
    put!(out, "</tr></thead>\n<tbody role=\"rowgroup\">\n");
    if has_parent {
        put!(
            out,
            "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\"><a href=\"../\"><svg aria-hidden=\"true\">"
        );
        put!(out, "<use href=\"#u\"/></svg><span>Folder above</span></a></th>");
        put!(out, "<td class=\"s\" role=\"cell\"></td><td class=\"d\" role=\"cell\"></td></tr>\n");
    }
}

/// The icon for a file of this name.
fn icon(name: &[u8]) -> &'static str {
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
