//! The entries of a page as a table.

use super::human::{Count, DateTime, Size};
use super::icon::icon;
use super::query::Sort;
use super::rows::Row;
use super::text::{self, put};
use super::view::View;
use crate::store::traits::Kind;

/// If a table has more rows than this, browsers lay out only the visible rows.
const MAX_LAID_OUT: usize = 1000;

/// Writes the table up to its first entry: the caption, the column headers and, if `has_parent`, a
/// row with a link to the folder above.
pub(super) fn opening(view: &View, has_parent: bool, out: &mut Vec<u8>) {
    // `vh`: visually hidden, so only screen readers read it.
    put!(
        out,
        "<table id=\"files\" role=\"table\">\n<caption class=\"vh\">Files and folders</caption>\n"
    );
    // On small screens the style lays the rows out as blocks. Without the roles, screen readers
    // would then no longer see a table.
    put!(out, "<thead role=\"rowgroup\"><tr role=\"row\">");
    for (sort, class) in [(Sort::Name, ""), (Sort::Size, "s"), (Sort::Date, "d")] {
        put!(out, "<th scope=\"col\" role=\"columnheader\" class=\"{class}\"");
        if view.query.sort == sort {
            let order = if view.query.descending { "descending" } else { "ascending" };
            put!(out, " aria-sort=\"{order}\"");
        }
        put!(out, ">");
        sort_link(view, sort, out);
        put!(out, "</th>");
    }
    // With this class, browsers lay out a row only when it becomes visible. A screen reader may
    // miss the text of the other rows, so only long tables have the class.
    let many = if view.rows().len() > MAX_LAID_OUT { " class=\"many\"" } else { "" };
    put!(out, "</tr></thead>\n<tbody role=\"rowgroup\"{many}>\n");
    if has_parent {
        put!(
            out,
            "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\"><a href=\"../\"><svg aria-hidden=\"true\">"
        );
        put!(out, "<use href=\"#u\"/></svg><span>Folder above</span></a></th>");
        put!(out, "<td class=\"s\" role=\"cell\"></td><td class=\"d\" role=\"cell\"></td></tr>\n");
    }
}

/// Writes a link to the same entries, sorted by `sort`; in the reverse order if they are sorted by
/// `sort` already.
pub(super) fn sort_link(view: &View, sort: Sort, out: &mut Vec<u8>) {
    let (is_current, descending) = (view.query.sort == sort, view.query.descending);
    // If the entries are sorted by another column, the link sorts names in ascending order, and
    // sizes and dates in descending order.
    let next = if is_current { !descending } else { sort != Sort::Name };
    put!(out, "<a href=\"");
    view.query.link_sorted(sort, next, out);
    put!(
        out,
        "\">{}",
        match sort {
            Sort::Name => "Name",
            Sort::Size => "Size",
            Sort::Date => "Modified<span class=\"utc\"> (UTC)</span>",
        }
    );
    if is_current {
        put!(out, "<span aria-hidden=\"true\"> {}</span>", if descending { "↓" } else { "↑" });
    }
    put!(out, "</a>");
}

/// Writes the row of one entry. If the entry is a file, its link ends with `query`, which begins
/// with a question mark or is empty.
pub(super) fn row(row: Row<'_>, query: &str, out: &mut Vec<u8>) {
    let Row { name, kind, size, modified } = row;
    let (class, icon, slash, query) = match kind {
        Kind::Folder => ("f", "d", "/", ""),
        Kind::File => ("n", icon(name), "", query),
    };
    put!(out, "<tr class=\"{class}\" role=\"row\"><th scope=\"row\" role=\"rowheader\"><a href=\"");
    text::url(name, out);
    put!(out, "{slash}{query}\"><svg aria-hidden=\"true\"><use href=\"#{icon}\"/></svg><bdi>");
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

/// Writes the end of the table.
pub(super) fn closing(out: &mut Vec<u8>) {
    put!(out, "</tbody>\n</table>\n");
}
