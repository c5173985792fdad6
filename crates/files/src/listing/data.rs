//! Listings for programs: JSON, and plain text in columns.
//!
//! ```json
//! {"path":"/docs/","folders":1,"files":1,"bytes":4700,"complete":false,"omitted":{"outside":1},"entries":[
//! {"name":"img","kind":"folder","modified":"2026-11-22T18:39:05Z","url":"img/"},
//! {"name":"a b.txt","kind":"file","size":4700,"modified":"2026-11-22T18:39:05Z","url":"a%20b.txt"}
//! ]}
//! ```
//!
//! `folders`, `files` and `bytes` are sums over the entries that match the filter, on all pages. If
//! the listing is paged, `page` and `pages` come before `complete`. `complete` is about the whole
//! folder, whatever the filter and the page: it is false if the folder has more entries than can be
//! listed, or if `omitted` is not empty. `omitted` has the numbers of entries that can't be served,
//! by the codes of [`Omission`]. Hidden names and links to them are left out, too, but not counted.
//! `size` is in bytes. In `name`, a byte that is not UTF-8 becomes U+FFFD. `url` is exact, and
//! relative to the URL of the folder.
//!
//! In plain text each entry is a line of three fields, separated by tabs: the modification time,
//! the size in bytes (`-` for a folder) and the name (with a slash after a folder's). In names,
//! invisible characters and bytes that are not UTF-8 are escaped: a line break is `\x0a`. Entries
//! that are left out are counted in a header, since programs may take each line for an entry:
//! `Listing-Omitted: unreadable=1, outside=2`. If the folder has more entries than can be listed, a
//! last line says so. It is the only line that is no entry, and has `-` for time and size.
//!
//! [`Omission`]: crate::Omission

use super::human::{Count, DateTime};
use super::read::MAX_ENTRIES;
use super::rows::Row;
use super::text::{self, put};
use super::view::{Paging, Totals, View};
use crate::store::traits::Kind;

pub(super) fn json_opening(view: &View, out: &mut Vec<u8>) {
    let Totals { folders, files, bytes } = view.totals;
    put!(out, "{{\"path\":");
    text::json(&view.path, out);
    put!(out, ",\"folders\":{folders},\"files\":{files},\"bytes\":{bytes}");
    if let Some(Paging { page, pages }) = view.paging {
        put!(out, ",\"page\":{},\"pages\":{pages}", u64::from(page) + 1);
    }
    put!(out, ",\"complete\":{},\"omitted\":{{", !view.truncated && view.omitted.total() == 0);
    for (at, (reason, count)) in view.omitted.by_reason().enumerate() {
        put!(out, "{}\"{}\":{count}", if at == 0 { "" } else { "," }, reason.code());
    }
    put!(out, "}},\"entries\":[");
}

/// Writes one entry, with a comma before it unless it is the first.
pub(super) fn json_row(row: Row<'_>, first: bool, out: &mut Vec<u8>) {
    let Row { name, kind, size, modified } = row;
    put!(out, "{}{{\"name\":", if first { "\n" } else { ",\n" });
    text::json(name, out);
    match kind {
        Kind::Folder => put!(out, ",\"kind\":\"folder\""),
        Kind::File => put!(out, ",\"kind\":\"file\",\"size\":{size}"),
    }
    put!(out, ",\"modified\":\"{}\",\"url\":\"", DateTime::new(modified));
    text::url(name, out);
    put!(out, "{}\"}}", if kind == Kind::Folder { "/" } else { "" });
}

pub(super) fn text_row(row: Row<'_>, out: &mut Vec<u8>) {
    let Row { name, kind, size, modified } = row;
    put!(out, "{}\t", DateTime::new(modified));
    match kind {
        Kind::Folder => put!(out, "-\t"),
        Kind::File => put!(out, "{size}\t"),
    }
    text::plain(name, out);
    put!(out, "{}", if kind == Kind::Folder { "/\n" } else { "\n" });
}

/// Writes the last line of plain text, if the folder has more entries than can be listed.
pub(super) fn text_closing(view: &View, out: &mut Vec<u8>) {
    if view.truncated {
        put!(out, "-\t-\t(there are more than {})\n", Count(MAX_ENTRIES as u64));
    }
}
