//! Listings, from a store to the text.

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sockeye_proto::{Budget, CancelToken, Client, Waiter};

use super::assets::{HOST_SCRIPT, POLICY, SCRIPT, STYLE};
use super::document::Document;
use super::page::{MAX_LEN, Page};
use super::query::{Format, ListingQuery};
use super::read::Listing;
use super::readme::Readme;
use super::view::View;
use crate::limits::lease::Lease;
use crate::store::absent::{Absent, Permission, Special};
use crate::store::memory::{InjectedFault, Memory};

fn lease() -> Lease {
    crate::tests::lease(1 << 30)
}

fn view(store: &Memory, path: &str, query: &str, format: Format) -> View {
    let folder = path.trim_matches('/').as_bytes();
    let listing = Listing::read(store, folder, lease(), &CancelToken::default()).unwrap();
    let (readme, _) = Readme::read(&listing, store, folder, lease());
    let query = ListingQuery::parse(Some(query.as_bytes()), true).unwrap();
    let path = path.as_bytes().into();
    View::new(Arc::new(listing), query, format, true, path, readme, lease()).unwrap()
}

fn document(store: &Memory, path: &str, query: &str, format: Format) -> Document {
    Document::new(view(store, path, query, format))
}

fn page(store: &Memory, path: &str, query: &str) -> Page {
    let view = view(store, path, query, Format::Html);
    Page::render(view, lease(), &CancelToken::default()).unwrap()
}

fn written(store: &Memory, path: &str, query: &str, format: Format) -> String {
    if format == Format::Html {
        return String::from_utf8(page(store, path, query).html.to_vec()).unwrap();
    }
    let mut out = Vec::new();
    assert!(!document(store, path, query, format).fill(&mut out, usize::MAX));
    String::from_utf8(out).unwrap()
}

/// A store with hostile names, written at a known time.
fn store_with_hostile_names() -> Memory {
    let store = Memory::new();
    for (name, size) in [
        ("docs/<b>&\".txt", 1),
        ("docs/a\u{202e}b\n", 2),
        ("docs/caf\u{e9} 100%?#.html", 3),
        ("docs/sub/x", 4),
        ("docs/file10", 1 << 20),
        ("docs/File9", 5),
    ] {
        store.write(name, vec![b'x'; size]);
    }
    store
}

#[test]
fn the_policy_allows_only_our_style_and_script() {
    for (text, directive) in
        [(STYLE, "style-src"), (SCRIPT, "script-src"), (HOST_SCRIPT, "script-src")]
    {
        let with_hash = format!("'sha256-{}'", base64(&Sha256::digest(text)));
        assert!(POLICY.contains(&with_hash), "the policy should have {with_hash}");
        // Text that would end the element, or violate the policy.
        for bad in ["</", "<!--", "http:", "https:", "url(", "@import", "innerHTML", "eval"] {
            assert!(!text.contains(bad), "{directive}: {bad}");
        }
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0, |word, byte| word << 8 | usize::from(*byte));
        let word = word << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = char::from(DIGITS[word >> (18 - 6 * at) & 63]);
            text.push(if at <= three.len() { digit } else { '=' });
        }
    }
    text
}

#[test]
fn pages_list_folders_first_and_escape_names() {
    let page = written(&store_with_hostile_names(), "/docs/", "", Format::Html);
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("<tr class")).collect();
    let expected = [
        ("sub/", "sub/", ""),
        ("%3Cb%3E%26%22.txt", "&lt;b&gt;&amp;&quot;.txt", "1 B"),
        ("a%E2%80%AEb%0A", "a\\u{202e}b\\x0a", "2 B"),
        ("caf%C3%A9%20100%25%3F%23.html", "café 100%?#.html", "3 B"),
        ("File9", "File9", "5 B"),
        ("file10", "file10", "1.0 MiB"),
    ];
    assert_eq!(rows.len(), expected.len());
    for (row, (href, name, size)) in rows.iter().zip(expected) {
        assert!(row.contains(&format!("<a href=\"{href}\">")), "{row}");
        assert!(row.contains(&format!("<bdi>{name}</bdi>")), "{row}");
        assert!(row.contains(&format!(">{size}</td>")), "{row}");
        assert!(row.ends_with("</tr>"), "{row}");
    }
    assert!(rows[5].contains("title=\"1,048,576 bytes\""));
    assert!(
        rows[1].contains("<time datetime=\"2001-09-09T01:46:40Z\">2001-09-09<span> 01:46</span>")
    );
    assert!(page.contains("<p class=\"sum\">1 folder, 5 files, 1.0 MiB</p>"));
    assert!(page.contains("<li><a href=\"../\"><bdi class=\"host\">Files</bdi></a></li>"));
    assert!(!page.contains("class=\"pages\""), "no links to pages: there is only one");
}

#[test]
fn links_to_folders_above_are_relative_and_escaped() {
    let store = Memory::new();
    store.write("a <b>/c&/d/e", "");
    let path = "/a%20%3Cb%3E/c%26/d/";
    let mut view = view(&store, "/a <b>/c&/d/", "", Format::Html);
    view.path = path.as_bytes().into();
    let page = Page::render(view, lease(), &CancelToken::default()).unwrap();
    let page = std::str::from_utf8(&page.html).unwrap();
    let crumbs = page.lines().find(|line| line.contains("<ol class=\"crumbs\"")).unwrap();
    assert!(
        crumbs.contains("<a href=\"../../../\"><bdi class=\"host\">Files</bdi></a>"),
        "{crumbs}"
    );
    assert!(crumbs.contains("<a href=\"../../\"><bdi>a &lt;b&gt;</bdi></a>"), "{crumbs}");
    assert!(crumbs.contains("<a href=\"../\"><bdi>c&amp;</bdi></a>"), "{crumbs}");
    assert!(page.contains("<h1><bdi>d</bdi></h1>"));
}

#[test]
fn sorting_filtering_and_paging_are_links_and_a_form() {
    let store = Memory::new();
    (1..=25).for_each(|at| store.write(&format!("file{at}.txt"), vec![0; at]));
    store.write("other", "");
    let page = written(&store, "/", "q=FILE&sort=size&order=desc&per=10&page=2", Format::Html);
    let shown: Vec<_> = page
        .lines()
        .filter_map(|line| line.split_once("<bdi>file")?.1.split_once(".txt"))
        .map(|(number, _)| number)
        .collect();
    assert_eq!(shown, ["15", "14", "13", "12", "11", "10", "9", "8", "7", "6"]);
    let keep = "q=FILE";
    for part in [
        "<input type=\"hidden\" name=\"sort\" value=\"size\">".to_owned(),
        "<input type=\"hidden\" name=\"order\" value=\"desc\">".to_owned(),
        "value=\"FILE\">".to_owned(),
        format!("rel=\"prev\" href=\"?sort=size&amp;order=desc&amp;{keep}&amp;per=10\""),
        format!("rel=\"next\" href=\"?sort=size&amp;order=desc&amp;{keep}&amp;page=3&amp;per=10\""),
        format!(
            "class=\"s\" aria-sort=\"descending\"><a href=\"?sort=size&amp;{keep}&amp;per=10\""
        ),
        "<span>Page 2 of 3</span>".to_owned(),
        "25 files".to_owned(),
        "<a href=\"?sort=size&amp;order=desc&amp;per=10\">Show all</a>".to_owned(),
    ] {
        assert!(page.contains(&part), "{part} in {page}");
    }
    let page = written(&store, "/", "q=nothing", Format::Html);
    assert!(
        page.contains("No name contains “<bdi>nothing</bdi>”. <a href=\"?sort=name\">Show all</a>")
    );
    let page = written(&store, "/", "page=9", Format::Html);
    assert!(
        page.contains("There is no such page.")
            && page.contains("rel=\"prev\" href=\"?sort=name\"")
    );
}

/// A store with this many names of this length.
fn store_with_names(count: usize, len: usize) -> Memory {
    let store = Memory::new();
    (0..count).for_each(|at| store.write(&format!("{at:0len$}"), ""));
    store
}

fn rows_of(page: &str) -> usize {
    page.matches("<tr class").count()
}

#[test]
fn a_page_has_up_to_10000_names_and_says_how_many_are_missing() {
    let whole = written(&store_with_names(2500, 8), "/", "", Format::Html);
    assert_eq!(rows_of(&whole), 2500);
    assert!(!whole.contains("missing") && !whole.contains("class=\"pages\""));
    assert!(whole.contains("<tbody role=\"rowgroup\" class=\"many\">"));
    let few = written(&store_with_names(1000, 8), "/", "", Format::Html);
    assert!(few.contains("<tbody role=\"rowgroup\">"));
    let store = store_with_names(10_001, 8);
    for (query, link) in [("", ""), ("sort=name&order=desc", "&amp;order=desc")] {
        let cut = written(&store, "/", query, Format::Html);
        assert_eq!(rows_of(&cut), 10_000);
        let note = format!(
            "<p class=\"note\">1 of 10,001 names are missing here. All are in the listing as \
             <a href=\"?format=json&amp;sort=name{link}\">JSON</a>"
        );
        assert!(cut.contains(&note), "{query}");
        let next = format!("rel=\"next\" href=\"?sort=name{link}&amp;page=2&amp;per=10000\"");
        assert!(cut.contains(&next) && cut.contains("Page 1 of 2"), "{query}");
    }
    let next = written(&store, "/", "page=2&per=10000", Format::Html);
    assert!(rows_of(&next) == 1 && !next.contains("missing"));
    assert_eq!(rows_of(&written(&store, "/", "page=2", Format::Html)), 1000);
    assert_eq!(written(&store, "/", "", Format::Text).lines().count(), 10_001);
}

#[test]
fn a_page_has_up_to_4_mib_and_the_next_one_begins_where_it_ends() {
    let store = store_with_names(9000, 250);
    let cut = written(&store, "/", "", Format::Html);
    let rows = rows_of(&cut);
    assert!((MAX_LEN - 4096..=MAX_LEN).contains(&cut.len()), "{}", cut.len());
    let missing = super::human::Count(9000 - rows as u64);
    assert!(cut.contains(&format!("{missing} of 9,000 names are missing here.")));
    assert!(cut.contains(&format!("rel=\"next\" href=\"?sort=name&amp;page=2&amp;per={rows}\"")));
    let next = written(&store, "/", &format!("page=2&per={rows}"), Format::Html);
    assert!(next.contains(&format!("<bdi>{rows:0250}</bdi>")));
    // A page of requested length, too.
    let cut = written(&store, "/", "page=1&per=9000&q=0", Format::Html);
    assert!(cut.len() <= MAX_LEN && rows_of(&cut) < 9000 && cut.contains("missing here"));
}

/// Names on a later page may be longer than those on the first.
#[test]
fn the_links_to_next_pages_lead_to_every_name() {
    let store = store_with_names(3000, 8);
    (0..3000).for_each(|at| store.write(&format!("z{at:04}{}", "&".repeat(245)), ""));
    let (mut query, mut seen, mut pages) = ("per=2500".to_owned(), HashSet::new(), 0);
    loop {
        let page = written(&store, "/", &query, Format::Html);
        let rows = page.split("<tr class").skip(1);
        seen.extend(rows.map(|row| row.split("<bdi>").nth(1).unwrap()[..8].to_owned()));
        pages += 1;
        let Some((_, next)) = page.split_once("rel=\"next\" href=\"?") else { break };
        query = next.split('"').next().unwrap().replace("&amp;", "&");
        assert!(pages < 10, "{query}");
    }
    assert_eq!(seen.len(), 6000, "{pages} pages");
}

#[test]
fn a_page_within_no_budget_is_refused() {
    let store = store_with_names(2000, 8);
    let refused = |lease, cancel: &CancelToken| {
        let view = view(&store, "/", "", Format::Html);
        Page::render(view, lease, cancel).map(|page| page.html.len()).unwrap_err()
    };
    assert_eq!(refused(crate::tests::lease(100_000), &CancelToken::default()), Absent::Exhausted);
    let (waiter, cancel) = Waiter::new();
    drop(waiter);
    assert_eq!(refused(lease(), &cancel), Absent::Exhausted);
}

#[test]
fn the_copied_rows_of_a_page_count_against_the_total() {
    let store = store_with_names(10_001, 8);
    let listing = Listing::read(&store, b"", lease(), &CancelToken::default()).unwrap();
    // A local client may have half.
    let budget = Budget::new("listings", 2 * listing.rows.weight() as u64);
    let left = Lease::new(&budget, Client::Unix).unwrap();
    let _other = budget.take_shared(budget.total() - 1000).unwrap();
    let query = ListingQuery::parse(None, true).unwrap();
    let path = b"/"[..].into();
    let view = View::new(Arc::new(listing), query, Format::Html, true, path, None, left);
    assert_eq!(view.err(), Some(Absent::Exhausted));
}

#[test]
fn the_readme_is_rendered_below_the_entries() {
    let store = Memory::new();
    store.write("README.md", "# Title\n\n<script>alert(1)</script>\n");
    for query in ["", "view=grid"] {
        let page = written(&store, "/", query, Format::Html);
        let (entries, readme) = page.split_once("<section class=\"readme\"").unwrap();
        assert!(entries.contains("id=\"files\""));
        assert!(readme.contains("<h2 id=\"readme\"><a href=\"README.md\">README.md</a></h2>"));
        let html = "<h3 id=\"readme-title\">Title</h3>\n\
                    <pre class=\"raw\">&lt;script&gt;alert(1)&lt;/script&gt;\n</pre>";
        assert!(readme.contains(html), "{readme}");
    }
}

#[test]
fn an_empty_folder_and_an_empty_filter_each_say_one_thing() {
    let store = Memory::new();
    let page = written(&store, "/", "", Format::Html);
    let main = |page: &str| page.split("main>").nth(1).unwrap().to_owned();
    assert_eq!(main(&page), "\n<p class=\"none\">This folder is empty.</p>\n</");
    assert!(!page.contains("class=\"sum\"") && !page.contains("class=\"skip\""), "{page}");
    store.write("a", "");
    let page = main(&written(&store, "/", "q=b", Format::Html));
    assert_eq!(page.matches("<p").count(), 2, "{page}");
    assert!(page.contains("<p class=\"found\" role=\"status\"></p>"), "{page}");
    assert!(!page.contains("files\"") && page.contains("id=\"q\""), "{page}");
}

#[test]
fn a_grid_shows_images_and_keeps_order_and_filter() {
    let store = Memory::new();
    for (name, size) in
        [("d/a b'.JPG", 9), ("d/b.svg", 8), ("d/empty.png", 0), ("d/x.tiff", 9), ("d/s/y.jpg", 9)]
    {
        store.write(name, vec![0; size]);
    }
    let page = written(&store, "/d/", "view=grid&sort=size&order=desc&per=50", Format::Html);
    let image = "<li class=\"n\"><a href=\"a%20b%27.JPG\"><span class=\"pic\"><img loading=\"lazy\" \
                 decoding=\"async\" alt=\"\" src=\"a%20b%27.JPG\"></span><bdi>a b&#39;.JPG</bdi></a>\
                 <span class=\"s\" title=\"9 bytes\">9 B</span></li>";
    assert!(page.contains(image), "{page}");
    assert_eq!(
        (page.matches("<img").count(), page.matches("<li class=").count()),
        (2, 5),
        "{page}"
    );
    for part in [
        "<li class=\"f\"><a href=\"s/?view=grid\">",
        "<ol class=\"crumbs\"><li><a href=\"../?view=grid\">",
        "<a href=\"?sort=size&amp;order=desc&amp;per=50\"><svg",
        "<a href=\"?view=grid&amp;sort=size&amp;order=desc&amp;per=50\" aria-current=\"true\"><svg",
        "<input type=\"hidden\" name=\"view\" value=\"grid\">",
        "<span class=\"current\"><a href=\"?view=grid&amp;sort=size&amp;per=50\">",
        "<a href=\"?format=json&amp;sort=size&amp;order=desc\">JSON</a>",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let page = written(&store, "/d/", "", Format::Html);
    assert!(page.contains("<a href=\"?view=grid&amp;sort=name\"><svg"), "{page}");
}

#[test]
fn the_download_is_named_for_what_it_has() {
    let store = store_with_names(20, 8);
    for query in ["", "q=1", "per=5", "view=grid"] {
        let page = written(&store, "/", query, Format::Html);
        let link = "<a class=\"button\" href=\"?format=tar\" download>Download folder ";
        assert!(page.contains(link), "{query}: {page}");
    }
    assert!(!written(&Memory::new(), "/", "", Format::Html).contains("Download"));
}

#[test]
fn json_has_the_documented_shape() {
    assert_eq!(
        written(&store_with_hostile_names(), "/docs/", "sort=size&order=desc", Format::Json),
        "{\"path\":\"/docs/\",\"folders\":1,\"files\":5,\"bytes\":1048587,\"complete\":true,\"omitted\":{},\"entries\":[\n\
         {\"name\":\"sub\",\"kind\":\"folder\",\"modified\":\"1970-01-01T00:00:00Z\",\"url\":\"sub/\"},\n\
         {\"name\":\"file10\",\"kind\":\"file\",\"size\":1048576,\"modified\":\"2001-09-09T01:46:40Z\",\"url\":\"file10\"},\n\
         {\"name\":\"File9\",\"kind\":\"file\",\"size\":5,\"modified\":\"2001-09-09T01:46:40Z\",\"url\":\"File9\"},\n\
         {\"name\":\"café 100%?#.html\",\"kind\":\"file\",\"size\":3,\"modified\":\"2001-09-09T01:46:40Z\",\"url\":\"caf%C3%A9%20100%25%3F%23.html\"},\n\
         {\"name\":\"a\\u202eb\\u000a\",\"kind\":\"file\",\"size\":2,\"modified\":\"2001-09-09T01:46:40Z\",\"url\":\"a%E2%80%AEb%0A\"},\n\
         {\"name\":\"<b>&\\\".txt\",\"kind\":\"file\",\"size\":1,\"modified\":\"2001-09-09T01:46:40Z\",\"url\":\"%3Cb%3E%26%22.txt\"}\n\
         ]}\n"
    );
    let paged = written(&store_with_hostile_names(), "/docs/", "per=4&page=2", Format::Json);
    assert!(paged.contains(",\"page\":2,\"pages\":2,\"complete\":true,"), "{paged}");
    assert_eq!(paged.matches("\"name\"").count(), 2);
    assert_eq!(
        written(&Memory::new(), "/", "", Format::Json),
        "{\"path\":\"/\",\"folders\":0,\"files\":0,\"bytes\":0,\"complete\":true,\"omitted\":{},\"entries\":[\n]}\n"
    );
}

#[test]
fn what_is_left_out_is_counted_and_said() {
    let store = Memory::new();
    for name in ["a", "out", "out2", "pipe", ".hidden", "to-hidden", "denied"] {
        store.write(name, "");
    }
    let complete = document(&store, "/", "", Format::Json).etag;
    for (name, absent) in [
        ("out", Absent::Outside),
        ("out2", Absent::Outside),
        ("pipe", Absent::NotRegular(Special::Pipe)),
        ("to-hidden", Absent::Hidden),
        ("denied", Absent::Denied(Permission::Read)),
    ] {
        store.fail(name, Some(InjectedFault::Absent(absent)));
    }
    let json = written(&store, "/", "", Format::Json);
    let expected = "\"files\":2,\"bytes\":0,\"complete\":false,\
                    \"omitted\":{\"special\":1,\"outside\":2},\"entries\":[\n";
    assert!(json.contains(expected), "{json}");
    assert!(json.contains("\"name\":\"denied\""), "unreadable, but it is known what it is");
    assert_ne!(document(&store, "/", "", Format::Json).etag, complete);
    let page = written(&store, "/", "", Format::Html);
    let note = "<p class=\"note\">3 entries are not shown: 1 pipe, socket or device, \
                2 links that lead out of the folder.</p>";
    assert!(page.contains(note), "{page}");
    assert_eq!(written(&store, "/", "", Format::Text).lines().count(), 2, "only names");
    store.remove("a");
    store.remove("denied");
    let page = written(&store, "/", "", Format::Html);
    let nothing = "<main>\n<p class=\"none\">Nothing in this folder can be shown: 1 pipe, socket or \
                   device, 2 links that lead out of the folder.</p>\n</main>";
    assert!(page.contains(nothing), "{page}");
}

#[test]
fn plain_text_has_three_columns() {
    assert_eq!(
        written(&store_with_hostile_names(), "/docs/", "q=b", Format::Text),
        "1970-01-01T00:00:00Z\t-\tsub/\n\
         2001-09-09T01:46:40Z\t1\t<b>&\".txt\n\
         2001-09-09T01:46:40Z\t2\ta\\u{202e}b\\x0a\n"
    );
}

#[test]
fn documents_are_written_in_pieces_of_the_requested_size() {
    let store = Memory::new();
    (0..2000).for_each(|at| store.write(&format!("{at:06}"), ""));
    for format in [Format::Json, Format::Text] {
        let whole = written(&store, "/", "per=2000", format);
        let mut document = document(&store, "/", "per=2000", format);
        let (mut pieces, mut all) = (0, Vec::new());
        loop {
            let mut piece = Vec::new();
            let more = document.fill(&mut piece, 4096);
            all.extend_from_slice(&piece);
            pieces += 1;
            // Only the parts around the rows are larger.
            assert!(!more || piece.len() >= 4096);
            assert!(piece.len() < 4096 + 16 * 1024, "{format:?} {}", piece.len());
            if !more {
                break;
            }
        }
        assert!(all == whole.as_bytes(), "{format:?}");
        assert!(pieces >= whole.len() / (4096 + 16 * 1024), "{format:?} {pieces}");
    }
}

#[test]
fn etags_differ_when_content_differs() {
    let store = store_with_hostile_names();
    let etag = |query, format| match format {
        Format::Html => page(&store, "/docs/", query).etag,
        _ => document(&store, "/docs/", query, format).etag,
    };
    let tags = [
        etag("", Format::Html),
        etag("", Format::Json),
        etag("sort=size", Format::Html),
        etag("q=b", Format::Html),
        etag("q=b", Format::Json),
        etag("sort=date", Format::Json),
        etag("per=2", Format::Html),
        etag("per=2&page=2", Format::Html),
    ];
    for (at, one) in tags.iter().enumerate() {
        assert!(one.starts_with("\"") && tags[..at].iter().all(|other| other != one));
    }
    assert_eq!(tags[0], etag("", Format::Html));
    store.write("docs/File9", "123456");
    assert_ne!(tags[0], etag("", Format::Html));
}
