//! Range requests.

use std::fs;

use super::scratch::Scratch;
use super::{Client, Response, memory};
use crate::{CacheLimits, Folder, MAX_SMALL_FILE};

const DIGITS: &str = "0123456789";

/// A client of a site with a small, a large and an empty file; and the content of the large one.
fn client_and_large_file() -> (Client, String) {
    let large = DIGITS.repeat(10_000);
    let (_, site) = memory(&[("small", DIGITS), ("large", &large), ("empty", "")]);
    assert!(large.len() as u64 > MAX_SMALL_FILE);
    (Client::new(&site), large)
}

fn range(client: &mut Client, path: &str, range: &str, more: &str) -> Response {
    client.request("GET", path, &format!("Range: {range}\r\n{more}"))
}

#[test]
fn single_ranges_are_sent_with_content_range() {
    let (mut client, large) = client_and_large_file();
    for (requested, small_part, large_part) in [
        ("bytes=0-0", 0..1, 0..1),
        ("bytes=3-5", 3..6, 3..6),
        ("bytes=7-", 7..10, 7..100_000),
        ("bytes=-3", 7..10, 99_997..100_000),
        ("bytes=-200000", 0..10, 0..100_000),
        ("bytes=5-999999", 5..10, 5..100_000),
        ("bytes=0-1,1-4", 0..5, 0..5),
    ] {
        for (path, content, part) in
            [("/small", DIGITS, small_part), ("/large", &*large, large_part)]
        {
            // Looked up, and cached.
            for millis in [0, 1000] {
                client.pass(millis);
                let got = range(&mut client, path, requested, "");
                let (first, last) = (part.start, part.end - 1);
                let content_range = format!("bytes {first}-{last}/{}", content.len());
                assert_eq!((got.status, got.text()), (206, &content[part.clone()]), "{requested}");
                assert_eq!(got.field("Content-Range"), Some(&*content_range));
                assert_eq!(got.field("Content-Length"), Some(&*part.len().to_string()));
                assert!(got.field("ETag").is_some() && got.field("Last-Modified").is_some());
            }
        }
    }
}

#[test]
fn ranges_beyond_the_file_get_416_with_its_length() {
    let (mut client, _) = client_and_large_file();
    for requested in ["bytes=10-", "bytes=10-20,30-", "bytes=-0", "bytes=18446744073709551616-"] {
        let got = range(&mut client, "/small", requested, "");
        assert_eq!(
            (got.status, got.field("Content-Range")),
            (416, Some("bytes */10")),
            "{requested}"
        );
        assert_eq!(
            got.text(),
            "416 Range Not Satisfiable\nThe file ends before the requested range.\n"
        );
    }
}

#[test]
fn invalid_ranges_are_ignored() {
    let (mut client, _) = client_and_large_file();
    for requested in
        ["lines=1-2", "bytes=5-3", "bytes=x-", "bytes=", "bytes", "bytes=0-1\r\nRange: bytes=0-1"]
    {
        let got = range(&mut client, "/small", requested, "");
        assert_eq!((got.status, got.text()), (200, DIGITS), "{requested}");
        assert_eq!(got.field("Content-Range"), None);
    }
    // An empty file has no ranges.
    for requested in ["bytes=0-0", "bytes=-5"] {
        assert_eq!(range(&mut client, "/empty", requested, "").status, 200);
    }
}

/// RFC 9110, 14.2: a range is defined for GET alone.
#[test]
fn head_ignores_ranges() {
    let (mut client, _) = client_and_large_file();
    for requested in ["bytes=0-1", "bytes=100-"] {
        let head = client.request("HEAD", "/small", &format!("Range: {requested}\r\n"));
        assert_eq!(head.head, client.get("/small").head);
    }
}

#[test]
fn if_range_for_other_content_gets_the_whole_file() {
    let (mut client, _) = client_and_large_file();
    let first = client.get("/small");
    let etag = first.field("ETag").unwrap();
    let date = first.field("Last-Modified").unwrap();
    for (condition, status) in [
        (etag.to_owned(), 206),
        (date.to_owned(), 200),
        ("\"x\"".to_owned(), 200),
        (format!("W/{etag}"), 200),
        ("Sun, 09 Sep 2001 01:46:39 GMT".to_owned(), 200),
        ("Sun, 09 Sep 2001 01:46:41 GMT".to_owned(), 200),
        (format!("{etag}\r\nIf-Range: {etag}"), 200),
    ] {
        for millis in [0, 1000] {
            client.pass(millis);
            let more = format!("If-Range: {condition}\r\n");
            let got = range(&mut client, "/small", "bytes=2-3", &more);
            assert_eq!(got.status, status, "{condition}");
            assert_eq!(got.text(), if status == 206 { "23" } else { DIGITS });
            // If the content is another one, a range beyond its end is ignored, too.
            let beyond = range(&mut client, "/small", "bytes=20-", &more).status;
            assert_eq!(beyond, if status == 206 { 416 } else { 200 });
        }
    }
    // Without a range it is ignored.
    assert_eq!(client.request("GET", "/small", "If-Range: \"x\"\r\n").status, 200);
}

/// A file can change twice in a second, so a date doesn't tell which content the client has.
#[test]
fn if_range_with_a_date_gets_the_whole_file_after_two_changes_in_a_second() {
    let (store, site) = memory(&[]);
    store.write("f", "A".repeat(5000));
    let mut client = Client::new(&site);
    let date = client.get("/f").field("Last-Modified").unwrap().to_owned();
    store.pass(1);
    store.replace("f", "B".repeat(5000));
    store.pass(5_000_000_000);
    client.pass(5000);
    let got = range(&mut client, "/f", "bytes=2500-", &format!("If-Range: {date}\r\n"));
    assert_eq!(got.field("Last-Modified"), Some(&*date));
    assert_eq!((got.status, got.text()), (200, &*"B".repeat(5000)));
}

#[test]
fn preconditions_precede_ranges() {
    let (mut client, _) = client_and_large_file();
    let etag = client.get("/small").field("ETag").unwrap().to_owned();
    let mut status = |more: String| range(&mut client, "/small", "bytes=2-3", &more).status;
    assert_eq!(status(format!("If-None-Match: {etag}\r\n")), 304);
    assert_eq!(status(format!("If-None-Match: {etag}\r\nIf-Range: \"x\"\r\n")), 304);
    assert_eq!(status("If-Match: \"x\"\r\n".to_owned()), 412);
    assert_eq!(status(format!("If-Match: {etag}\r\nIf-Range: {etag}\r\n")), 206);
}

#[test]
fn changing_a_file_aborts_the_response_with_its_range() {
    let content = DIGITS.repeat(10_000);
    let (store, site) = memory(&[("large", &content)]);
    let mut client = Client::new(&site);
    client.ask("GET", "/large", "Range: bytes=10-19\r\n");
    client.run_all();
    store.pass(1_000_000);
    store.write("large", "x".repeat(content.len()));
    let got = client.response().unwrap();
    assert_eq!((got.status, got.text()), (206, ""));
}

/// The parts of a multipart response, with their headers, split at the boundary as a client does.
fn parts(got: &Response) -> Vec<(String, String)> {
    let kind = got.field("Content-Type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("several parts");
    let text = got.text().strip_suffix(&format!("\r\n--{boundary}--\r\n")).expect("an end");
    let text = format!("\r\n{text}");
    let delimiter = format!("\r\n--{boundary}\r\n");
    let mut parts = text.split(&delimiter);
    assert_eq!(parts.next(), Some(""));
    parts
        .map(|part| {
            let (head, content) = part.split_once("\r\n\r\n").expect("a head");
            (head.to_owned(), content.to_owned())
        })
        .collect()
}

#[test]
fn several_ranges_are_sent_as_parts_in_the_requested_order() {
    let small: String = DIGITS.repeat(200);
    let large = DIGITS.repeat(10_000);
    let (_, site) = memory(&[("small.txt", &small), ("large.txt", &large)]);
    let mut client = Client::new(&site);
    for (path, content) in [("/small.txt", &small), ("/large.txt", &large)] {
        for millis in [0, 1000] {
            client.pass(millis);
            let got = range(&mut client, path, "bytes=1000-1004,-3,3-5,90000000-", "");
            let size = content.len();
            assert_eq!(got.status, 206);
            assert_eq!(got.field("Content-Length"), Some(&*got.body.len().to_string()));
            assert_eq!(got.field("Content-Range"), None);
            assert!(got.field("ETag").is_some() && got.field("Last-Modified").is_some());
            let part = |first: usize, last: usize| {
                let content_range = format!("Content-Range: bytes {first}-{last}/{size}");
                let head = format!("Content-Type: text/plain; charset=utf-8\r\n{content_range}");
                (head, content[first..=last].to_owned())
            };
            let expected = [part(1000, 1004), part(size - 3, size - 1), part(3, 5)];
            assert_eq!(parts(&got), expected);
            assert_eq!(got.head.matches("\r\nContent-Type: ").count(), 1);
        }
    }
    // The connection stays usable.
    assert_eq!(client.get("/small.txt").text(), small);
}

#[test]
fn merged_ranges_are_sent_as_one() {
    let (mut client, large) = client_and_large_file();
    let got = range(&mut client, "/large", "bytes=0-99,50-199,200-299", "");
    assert_eq!((got.status, got.text()), (206, &large[..300]));
    assert_eq!(got.field("Content-Range"), Some("bytes 0-299/100000"));
}

/// CVE-2011-3192, CVE-2017-7529: no response is longer than the file and the headers between its
/// parts.
#[test]
fn no_ranges_make_a_response_much_larger_than_the_file() {
    let (mut client, large) = client_and_large_file();
    let overlapping = (0..16).map(|at| format!("{at}-")).collect::<Vec<_>>().join(",");
    let many = (0..1000).map(|at| format!("{at}-{at}")).collect::<Vec<_>>().join(",");
    let close = (0..16).map(|at| format!("{0}-{1}", at * 300, at * 300 + 20)).collect::<Vec<_>>();
    for requested in [
        "0-,".repeat(16),
        "0-".to_owned() + &",0-".repeat(15),
        overlapping,
        many,
        close.join(","),
        "-1,-2,-3,-99999,0-99999".to_owned(),
        "0-99999,-9223372036854775807,18446744073709551615-".to_owned(),
        "-18446744073709551615,1-18446744073709551615".to_owned(),
    ] {
        let got = range(&mut client, "/large", &format!("bytes={requested}"), "");
        assert!(matches!(got.status, 200 | 206), "{requested}");
        assert_eq!(got.field("Content-Length"), Some(&*got.body.len().to_string()));
        assert!(got.body.len() <= large.len() + 512, "{} for {requested}", got.body.len());
    }
}

/// A download from disk that is aborted anywhere and resumed, again and again.
#[test]
fn downloads_can_be_resumed_exactly() {
    let scratch = Scratch::new();
    let content: Vec<u8> =
        (0u32..80_000).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(scratch.path().join("film"), &content).unwrap();
    let site = Folder::open(scratch.path()).unwrap().site(CacheLimits::default());
    let mut client = Client::new(&site);
    let etag = client.request("HEAD", "/film", "").field("ETag").unwrap().to_owned();
    let mut got = Vec::new();
    for step in [1, 4095, 4096, 65_536, 3, 100_000, 17, 1 << 30] {
        client.pass(1000);
        let more = format!("If-Range: {etag}\r\n");
        let part = range(&mut client, "/film", &format!("bytes={}-", got.len()), &more);
        assert_eq!(part.status, 206);
        got.extend_from_slice(&part.body[..part.body.len().min(step)]);
    }
    assert!(got == content);
    // After a deploy of the same content, the download is resumed. With other content, it starts
    // again.
    for (content, status) in [(&content[..], 206), (b"another film", 200)] {
        fs::write(scratch.path().join("next"), content).unwrap();
        fs::rename(scratch.path().join("next"), scratch.path().join("film")).unwrap();
        client.pass(1000);
        let more = format!("If-Range: {etag}\r\n");
        assert_eq!(range(&mut client, "/film", "bytes=5-", &more).status, status);
    }
}

#[test]
fn changing_a_file_aborts_a_multipart_response() {
    let content = DIGITS.repeat(10_000);
    let (store, site) = memory(&[("large", &content)]);
    let mut client = Client::new(&site);
    client.ask("GET", "/large", "Range: bytes=0-9,90000-90009\r\n");
    client.run_all();
    store.pass(1_000_000);
    store.write("large", "x".repeat(content.len()));
    let got = client.response().unwrap();
    assert_eq!(got.status, 206);
    assert!(!got.text().contains("xxx") && !got.text().contains(DIGITS));
}
