//! A listing as an HTML page. It loads nothing except the images of a grid and of a README, and the
//! script of `--live`. Its own script filters while the user types and shows local times; the page
//! works without it.

use super::assets::SCRIPT;
use super::human::{Count, Size};
use super::markdown_name::{PAGE_QUERY, is_markdown};
use super::query::{Format, Layout, ListingQuery, Sort};
use super::read::MAX_ENTRIES;
use super::rows::Row;
use super::text::{self, put};
use super::view::{Paging, Totals, View};
use super::{frame, grid, table};
use crate::store::traits::Kind;

/// Writes everything before the rows.
pub(super) fn opening(view: &View, out: &mut Vec<u8>) {
    let segments = view.segments();
    frame::head(segments.last().map_or(frame::ROOT.as_bytes(), |name| name), out);
    if has_entries(view) {
        put!(out, "<a class=\"skip\" href=\"#files\">Skip to the files</a>\n");
    }
    put!(out, "<header>\n");
    // Links to the folders above keep the layout.
    let query = match view.query.layout {
        Layout::List => "",
        Layout::Grid => "?view=grid",
    };
    frame::heading(&segments, false, query, out);
    summary(view, out);
    frame::content(out);
    notes(view, out);
    if is_empty_folder(view) {
        return;
    }
    toolbar(view, out);
    if has_entries(view) {
        pages(view, out);
        match view.query.layout {
            Layout::List => table::opening(view, !segments.is_empty(), out),
            Layout::Grid => grid::opening(view, out),
        }
    }
}

/// Writes one entry.
pub(super) fn row(view: &View, row: Row<'_>, out: &mut Vec<u8>) {
    // Browsers get links to Markdown files as pages. Programs that read listings, such as download
    // tools, look for links to the files themselves, and `links_pages` is false for them.
    let is_page = view.links_pages && row.kind == Kind::File && is_markdown(row.name);
    let query = if is_page { PAGE_QUERY } else { "" };
    match view.query.layout {
        Layout::List => table::row(row, query, out),
        Layout::Grid => grid::row(row, query, out),
    }
}

/// Writes everything after the rows.
pub(super) fn closing(view: &View, out: &mut Vec<u8>) {
    if has_entries(view) {
        match view.query.layout {
            Layout::List => table::closing(out),
            Layout::Grid => grid::closing(out),
        }
    } else {
        nothing(view, out);
    }
    pages(view, out);
    if let Some(readme) = &view.readme {
        readme.section(out);
    }
    put!(out, "</main>\n<footer>This listing is also available as <a href=\"");
    view.query.link_format(Format::Json, out);
    put!(out, "\">JSON</a> and as <a href=\"");
    view.query.link_format(Format::Text, out);
    put!(out, "\">plain text</a>.</footer>\n<script>{SCRIPT}</script>\n</body>\n</html>\n");
    // The script of `--live`, if that option is on.
    out.extend_from_slice(&view.script);
}

/// Whether this page has any entries.
fn has_entries(view: &View) -> bool {
    view.rows().len() > 0
}

/// Whether the folder has nothing that can be shown. With a filter, this is unknown: `false`.
fn is_empty_folder(view: &View) -> bool {
    view.totals.entries() == 0 && view.query.filter.is_empty()
}

/// Writes why there are no entries.
fn nothing(view: &View, out: &mut Vec<u8>) {
    put!(out, "<p class=\"none\">");
    if view.totals.entries() > 0 {
        put!(out, "There is no such page.");
    } else if view.query.filter.is_empty() && view.omitted.total() > 0 {
        put!(out, "Nothing in this folder can be shown: {}.", view.omitted);
    } else if view.query.filter.is_empty() {
        put!(out, "This folder is empty.");
    } else {
        put!(out, "No name contains “<bdi>");
        text::html(&view.query.filter, out);
        put!(out, "</bdi>”. ");
        show_all(view, out);
    }
    put!(out, "</p>\n");
}

/// Writes the numbers of folders and of files, and the total size of the files.
fn summary(view: &View, out: &mut Vec<u8>) {
    let Totals { folders, files, bytes } = view.totals;
    if folders + files == 0 {
        return;
    }
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
    if let Some(readme) = &view.readme {
        put!(out, " · <a href=\"#readme\">");
        text::html(&readme.name, out);
        put!(out, "</a>");
    }
    put!(out, "</p>\n");
}

/// Writes notes about what the page doesn't show.
fn notes(view: &View, out: &mut Vec<u8>) {
    if view.truncated {
        put!(out, "<p class=\"note\">This folder has more entries than can be listed: these are ");
        put!(out, "{} of them.</p>\n", Count(MAX_ENTRIES as u64));
    }
    if let Some(shown) = view.shown_rows {
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
    if omitted > 0 && !is_empty_folder(view) {
        let entries = if omitted == 1 { "entry is" } else { "entries are" };
        put!(
            out,
            "<p class=\"note\">{} {entries} not shown: {}.</p>\n",
            Count(omitted),
            view.omitted
        );
    }
}

/// Writes the filter form, the links to the layouts, and the download link.
fn toolbar(view: &View, out: &mut Vec<u8>) {
    let query = &view.query;
    put!(out, "<div class=\"bar\">\n<form role=\"search\">");
    put!(out, "<label class=\"vh\" for=\"q\">Filter by name</label>");
    put!(
        out,
        "<span class=\"box\"><input type=\"search\" id=\"q\" name=\"q\" placeholder=\"Filter names\" "
    );
    put!(out, "autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\" value=\"");
    text::html(&query.filter, out);
    put!(out, "\"><kbd hidden aria-hidden=\"true\">/</kbd></span>");
    let mut hidden = |name: &str, value: &str| {
        put!(out, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
    };
    if let Some(format) = query.format {
        hidden("format", format.as_str());
    }
    if query.layout == Layout::Grid {
        hidden("view", query.layout.as_str());
    }
    if query.sort != Sort::Name || query.descending {
        hidden("sort", query.sort.as_str());
        hidden("order", if query.descending { "desc" } else { "asc" });
    }
    if let Some(per_page) = query.per_page {
        hidden("per", &per_page.to_string());
    }
    put!(out, "<button>Filter</button></form>\n");
    if has_entries(view) {
        put!(out, "<nav class=\"views\" aria-label=\"Layout\">");
        for (layout, icon, text) in [(Layout::List, "l", "List"), (Layout::Grid, "g", "Grid")] {
            put!(out, "<a href=\"");
            ListingQuery { layout, ..query.clone() }.link(out);
            let current = if layout == query.layout { " aria-current=\"true\"" } else { "" };
            put!(
                out,
                "\"{current}><svg aria-hidden=\"true\"><use href=\"#{icon}\"/></svg>{text}</a>"
            );
        }
        put!(out, "</nav>\n");
    }
    if view.archives {
        // An archive has the whole folder, whatever this page shows of it.
        put!(out, "<a class=\"button\" href=\"?format=tar\" download>");
        put!(out, "Download folder <span>(.tar)</span></a>\n");
    }
    put!(out, "</div>\n");
    put!(out, "<p class=\"found\" role=\"status\">");
    if !query.filter.is_empty() && has_entries(view) {
        put!(out, "Only names that contain “<bdi>");
        text::html(&query.filter, out);
        put!(out, "</bdi>”. ");
        show_all(view, out);
    }
    put!(out, "</p>\n");
}

/// Writes a link to the folder without the filter.
fn show_all(view: &View, out: &mut Vec<u8>) {
    put!(out, "<a href=\"");
    let all = ListingQuery { filter: Vec::new(), ..view.query.clone() };
    all.link_page(0, out);
    put!(out, "\">Show all</a>");
}

/// Writes links to the previous and the next page, if there are any.
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
        // If this page was cut, and shows fewer rows than the query selects, the further pages have
        // as many rows as this one.
        let per_page = view.shown_rows.or(view.query.per_page);
        let query = ListingQuery { per_page, ..view.query.clone() };
        link(&query, page + 1, "next", "Next →", out);
    }
    put!(out, "</nav>\n");
}
