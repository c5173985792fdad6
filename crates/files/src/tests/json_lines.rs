//! The same folder over HTTP/1.1 and over a wire for tests gives the same responses.

use serde_json::{Value, json};
use sockeye_http::JsonLines;

use super::codings::text;
use super::*;

/// A response: its status, its fields except the date, and its content.
type Response = (u64, Vec<(String, String)>, Vec<u8>);

fn over_http1(site: &Site, method: &str, target: &str, fields: &str) -> Response {
    let got = Client::new(site).request(method, target, fields);
    let lines = got.head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let fields = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
    (got.status.into(), without_date(fields), got.body)
}

fn without_date(fields: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut fields: Vec<_> = fields.filter(|(name, _)| name != "Date").collect();
    fields.sort();
    fields
}

fn ask(client: &mut Harness, stream: usize, method: &str, target: &str, fields: &str) {
    let fields = fields.lines().filter_map(|line| line.split_once(": "));
    let fields: Vec<_> = fields.chain([("Host", "localhost")]).collect();
    let line = json!({"stream": stream, "method": method, "path": target, "fields": fields});
    client.input(format!("{line}\n").as_bytes());
}

/// The responses in `output`, by their streams. Every one is complete.
fn responses(mut output: &[u8], count: usize) -> Vec<Response> {
    let mut all = vec![(0, Vec::new(), Vec::new()); count];
    let mut ended = 0;
    while !output.is_empty() {
        let end = output.iter().position(|byte| *byte == b'\n').expect("a line");
        let line: Value = serde_json::from_slice(&output[..end]).expect("JSON");
        output = &output[end + 1..];
        let response = &mut all[line["stream"].as_u64().expect("a stream") as usize - 1];
        if let Some(len) = line["content"].as_u64() {
            let (content, rest) = output.split_at(len as usize);
            response.2.extend_from_slice(content);
            output = rest;
        } else if let Some(status) = line["status"].as_u64() {
            let fields = line["fields"].as_array().expect("fields").iter();
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            response.0 = status;
            response.1 = without_date(fields.map(|field| (text(&field[0]), text(&field[1]))));
        } else {
            assert!(line["end"].is_array(), "{line}");
            ended += 1;
        }
    }
    assert_eq!(ended, count);
    all
}

const REQUESTS: [(&str, &str, &str); 18] = [
    ("GET", "/small.txt", ""),
    ("HEAD", "/small.txt", ""),
    ("GET", "/page.html", "Accept-Encoding: gzip, deflate, br, zstd\r\n"),
    ("GET", "/large.bin", ""),
    ("GET", "/large.bin", "Range: bytes=100000-299999\r\n"),
    ("GET", "/large.bin", "Range: bytes=0-9,100000-100009\r\n"),
    ("GET", "/large.bin", "Range: bytes=9999999-\r\n"),
    ("GET", "/small.txt", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n"),
    ("GET", "/folder", ""),
    ("GET", "/folder/", "Accept: text/html\r\n"),
    ("GET", "/folder/", "Accept: application/json\r\n"),
    ("GET", "/none", ""),
    ("GET", "/small.txt?a|\\\"", ""),
    ("GET", "//folder?a|\\\"", ""),
    ("OPTIONS", "/small.txt", ""),
    ("PROPFIND", "/", ""),
    ("GET", "/missing", "Accept: text/html\r\n"),
    ("GET", "/folder/?page=0", "Accept: text/html\r\n"),
];

fn folder() -> Site {
    let page = format!("<!doctype html><p>{}", text(5000));
    let large = text(400_000);
    let files = [
        ("small.txt", "a few words\n"),
        ("page.html", &page),
        ("large.bin", &large),
        ("folder/a.txt", "a"),
        ("folder/b.txt", "b"),
    ];
    let (store, _) = memory(&files);
    let options = crate::Options { listing: true, ..crate::Options::default() };
    Folder::new(store).with_options(options).site(CacheLimits::default())
}

#[test]
fn both_wires_get_the_same_responses() {
    let site = folder();
    let expected: Vec<Response> = REQUESTS
        .iter()
        .map(|(method, target, fields)| over_http1(&site, method, target, fields))
        .collect();
    assert_eq!(expected[3].2.len(), 400_000);
    // Each on a connection of its own, as over HTTP/1.1.
    for ((method, target, fields), expected) in REQUESTS.iter().zip(&expected) {
        let mut client = Harness::new(JsonLines::new(Rc::default(), site.clone()));
        ask(&mut client, 1, method, target, fields);
        while client.run_jobs() > 0 {}
        let got = responses(&client.output(), 1).remove(0);
        assert_eq!(
            &without_boundary(&got),
            &without_boundary(expected),
            "{method} {target} {fields}"
        );
    }
    let site = folder();
    let mut client = Harness::new(JsonLines::new(Rc::default(), site));
    for (at, (method, target, fields)) in REQUESTS.iter().enumerate() {
        ask(&mut client, at + 1, method, target, fields);
    }
    let mut output = client.output();
    while client.run_jobs() > 0 {
        output.extend(client.output());
    }
    let got = responses(&output, REQUESTS.len());
    for (at, expected) in expected.iter().enumerate() {
        let (got, expected) = (without_boundary(&got[at]), without_boundary(expected));
        assert_eq!(got, expected, "{:?}", REQUESTS[at]);
    }
}

/// A response of several ranges has a boundary that is drawn once for a site.
fn without_boundary((status, fields, content): &Response) -> (u64, Vec<(String, String)>, String) {
    let content = String::from_utf8_lossy(content).into_owned();
    let boundary = fields.iter().find_map(|(_, value)| value.split("boundary=").nth(1));
    let Some(boundary) = boundary else { return (*status, fields.clone(), content) };
    let fields = fields.iter().map(|(name, value)| (name.clone(), value.replace(boundary, "b")));
    (*status, fields.collect(), content.replace(boundary, "b"))
}

#[test]
fn resetting_a_stream_cancels_its_lookup() {
    let mut client = Harness::new(JsonLines::new(Rc::default(), folder()));
    ask(&mut client, 1, "GET", "/small.txt", "");
    client.input(b"{\"stream\": 1, \"cancel\": true}\n");
    assert_eq!(client.output(), b"{\"aborted\":true,\"stream\":1}\n");
    while client.run_jobs() > 0 {}
    client.deliver();
    assert_eq!(client.output(), b"");
    ask(&mut client, 2, "GET", "/small.txt", "");
    while client.run_jobs() > 0 {}
    let output = String::from_utf8(client.output()).unwrap();
    let head: Value = serde_json::from_str(output.lines().next().unwrap()).unwrap();
    assert_eq!((&head["stream"], &head["status"]), (&json!(2), &json!(200)));
}
