//! Clients that don't read hold limited resources, and other clients are answered meanwhile.

use std::fs::{self, DirEntry};
use std::io;
use std::net::Ipv4Addr;

use sockeye_http::{Clients, Request, ServerConfig};
use sockeye_proto::{Client as Payer, Peer};

use super::codings::{noise, text};
use super::scratch::Scratch;
use super::*;
use crate::{BudgetLimits, Budgets, Options};

/// Charges the client that the field `X-Client` names, as behind a proxy.
#[derive(Debug)]
struct ClientField;

impl Clients for ClientField {
    fn client(&self, peer: &Peer, request: &Request<'_>) -> Payer {
        let name = request.field("x-client").and_then(|name| name.first());
        name.map_or(Payer::of(peer.address), |name| {
            Payer::V4(Ipv4Addr::new(192, 0, 2, *name).octets())
        })
    }
}

pub(super) const ALICE: &str = "X-Client: A\r\n";
const BOB: &str = "X-Client: B\r\n";

/// A connection that has sent a request and read nothing.
fn send_request(site: &Site, target: &str, fields: &str) -> Harness {
    let mut client = send_head(site, target, fields);
    while client.run_jobs() > 0 {}
    client
}

/// A connection of the client with this name that has sent a request. No job has run.
pub(super) fn ask_as(site: &Site, target: &str, name: &str) -> Harness {
    send_head(site, target, &format!("X-Client: {name}\r\n"))
}

fn send_head(site: &Site, target: &str, fields: &str) -> Harness {
    let shared = Rc::new(ServerConfig::default().clients(Rc::new(ClientField)));
    let mut client = Harness::new(Server::new(shared, site.clone()));
    let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    client.input(head.as_bytes());
    client
}

/// The response that the connection reads afterwards.
fn read(mut client: Harness) -> Response {
    parse_response(&client.output())
}

fn site_of(files: &[(&str, &str)], limits: BudgetLimits) -> Site {
    let (store, _) = memory(files);
    store.pass(3_000_000_000);
    let options = Options { listing: true, ..Options::default() };
    Folder::new(store)
        .with_options(options)
        .with_budgets(&Budgets::new(limits))
        .site(CacheLimits::default())
}

#[test]
fn unread_responses_hold_a_clients_share_of_open_files() {
    let large = "x".repeat(MAX_SMALL_FILE as usize + 1);
    let site = site_of(
        &[("a", &large), ("b", &large), ("c", &large)],
        BudgetLimits { open_files: 8, ..BudgetLimits::default() },
    );
    let mut held: Vec<_> = ["/a", "/b"].map(|name| send_request(&site, name, ALICE)).into();
    let refused = read(send_request(&site, "/c", ALICE));
    assert_eq!((refused.status, refused.field("Retry-After")), (503, Some("1")));
    // Requests that need no file are answered, and so are other clients.
    let range = "Range: bytes=99999999-\r\n";
    assert_eq!(read(send_request(&site, "/c", &format!("{ALICE}{range}"))).status, 416);
    assert_eq!(read(send_request(&site, "/c", BOB)).body.len(), large.len());
    // A local client may be a proxy: its share is twice as large.
    let local: Vec<_> = (0..4).map(|_| send_request(&site, "/c", "")).collect();
    assert_eq!(read(send_request(&site, "/c", "")).status, 503);
    drop(local);
    // Reading frees the budget, and so does closing a connection.
    assert_eq!(read(held.remove(0)).body.len(), large.len());
    assert_eq!(read(send_request(&site, "/c", ALICE)).status, 200);
    drop(held);
    let parts = "Range: bytes=0-9,20000-20009\r\n";
    let two: Vec<_> =
        (0..2).map(|_| send_request(&site, "/a", &format!("{ALICE}{parts}"))).collect();
    assert_eq!(read(send_request(&site, "/c", ALICE)).status, 503);
    drop(two);
    assert_eq!(read(send_request(&site, "/c", ALICE)).status, 200);
}

#[test]
fn a_refused_client_is_not_blamed_for_what_others_hold() {
    let large = "x".repeat(MAX_SMALL_FILE as usize + 1);
    let limits = BudgetLimits { open_files: 1, listings: 0, ..BudgetLimits::default() };
    let site = site_of(&[("a", &large), ("d/b", "")], limits);
    let _held = send_request(&site, "/a", BOB);
    for (target, expected) in [
        ("/a", "Too much is being sent, to you or to others."),
        ("/d/?format=json", "Too many folders or pages are being read, for you or for others."),
    ] {
        let refused = read(send_request(&site, target, ALICE));
        let text = String::from_utf8(refused.body).unwrap();
        assert!(refused.status == 503 && text.contains(expected), "{target}: {text}");
    }
}

#[test]
fn pipelined_requests_wait_while_two_files_are_unsent() {
    let large = "x".repeat(MAX_SMALL_FILE as usize + 1);
    let site = site_of(&[("a", &large), ("b", "small")], BudgetLimits::default());
    let mut client = send_request(&site, "/a", "");
    assert!(client.output().ends_with(large.as_bytes()));
    let request = |name: &str| format!("GET /{name} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let batch = ["a", "a", "b", "a"].map(request).concat();
    client.input(batch.as_bytes());
    while client.run_jobs() > 0 {}
    let text = String::from_utf8(client.output()).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "the first two");
    while client.run_jobs() > 0 {}
    let text = String::from_utf8(client.output()).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "and the rest");
    assert!(text.contains("\r\n\r\nsmallHTTP/1.1"));
}

#[test]
fn clients_beyond_their_share_of_compressed_bytes_get_files_uncompressed() {
    // Compressed to a half: 100 KiB each.
    let hex = |skip: usize| -> String {
        noise().skip(skip).take(100 << 10).map(|byte| format!("{byte:02x}")).collect()
    };
    let (one, two, three) = (hex(0), hex(7), hex(77));
    let site = site_of(
        &[("1.txt", &one), ("2.txt", &two), ("3.txt", &three)],
        BudgetLimits { compressed: 1 << 20, ..BudgetLimits::default() },
    );
    let zstd = |name: &str| format!("{name}Accept-Encoding: zstd\r\n");
    let held = ["/1.txt", "/2.txt"].map(|target| send_request(&site, target, &zstd(ALICE)));
    let plain = read(send_request(&site, "/3.txt", &zstd(ALICE)));
    assert_eq!((plain.field("Content-Encoding"), plain.body.len()), (None, three.len()));
    let compressed = read(send_request(&site, "/3.txt", &zstd(BOB)));
    assert_eq!(compressed.field("Content-Encoding"), Some("zstd"));
    // The compressed content is shared, and each client is charged.
    drop(held);
    let compressed = read(send_request(&site, "/3.txt", &zstd(ALICE)));
    assert_eq!(compressed.field("Content-Encoding"), Some("zstd"));
}

#[test]
fn unsent_compressed_contents_are_evicted_for_others() {
    let pages: Vec<_> = (0..40).map(|number| (format!("{number}.txt"), text(60_000))).collect();
    let files: Vec<_> =
        pages.iter().map(|(name, page)| (&**name, format!("{name} {page}"))).collect();
    let files: Vec<_> = files.iter().map(|(name, page)| (*name, &**page)).collect();
    let budgets = BudgetLimits { compressed: 1 << 20, ..BudgetLimits::default() };
    let (store, _) = memory(&files);
    store.pass(3_000_000_000);
    let budgets = Budgets::new(budgets);
    let site = Folder::new(store).with_budgets(&budgets).site(CacheLimits::default());
    for (name, _) in &files {
        let got = read(send_request(&site, &format!("/{name}"), "Accept-Encoding: gzip\r\n"));
        assert_eq!(got.field("Content-Encoding"), Some("gzip"), "{name}");
        assert!(budgets.compressed.used() <= budgets.compressed.total());
    }
}

#[test]
fn clients_beyond_their_share_of_listings_are_refused() {
    let names: Vec<_> = (0..20_000).map(|number| format!("d/name-{number:05}")).collect();
    let files: Vec<_> = names.iter().map(|name| (&**name, "")).collect();
    // A listing of it takes 20,000 × 34 bytes.
    let site = site_of(&files, BudgetLimits { listings: 5 << 20, ..BudgetLimits::default() });
    let held = send_request(&site, "/d/?format=json", ALICE);
    assert!(held.held() > 0, "the listing was started");
    let refused = read(send_request(&site, "/d/?format=json&sort=size", ALICE));
    assert_eq!((refused.status, refused.field("Retry-After")), (503, Some("1")));
    assert_eq!(read(send_request(&site, "/d/?format=json", BOB)).status, 200);
    drop(held);
    assert_eq!(read(send_request(&site, "/d/?format=json&q=1", ALICE)).status, 200);
}

#[test]
fn head_requests_are_not_charged() {
    let large = "x".repeat(MAX_SMALL_FILE as usize + 1);
    let site = site_of(&[("a", &large)], BudgetLimits { open_files: 0, ..Default::default() });
    let mut client = Client::new(&site);
    let got = client.request("HEAD", "/a", "");
    assert_eq!((got.status, got.field("Content-Length")), (200, Some("32769")));
    assert_eq!(client.request("GET", "/a", "").status, 503);
}

#[test]
fn clients_beyond_their_share_of_archives_are_refused() {
    let large = "x".repeat(200_000);
    let site = site_of(
        &[("d/a", &large), ("d/b", &large)],
        BudgetLimits { listings: 16 << 20, open_files: 16, ..BudgetLimits::default() },
    );
    // Each may have two files open.
    let held: Vec<_> = (0..2).map(|_| send_request(&site, "/d/?format=tar", ALICE)).collect();
    assert_eq!(read(send_request(&site, "/d/?format=tar", ALICE)).status, 503);
    assert_eq!(read(send_request(&site, "/d/?format=tar", BOB)).status, 200);
    assert_eq!(read(send_request(&site, "/d/", ALICE)).status, 200);
    drop(held);
    assert_eq!(read(send_request(&site, "/d/?format=tar", ALICE)).status, 200);
}

#[test]
fn folders_evict_each_others_compressed_contents() {
    let hex = |skip| -> String {
        noise().skip(skip).take(100 << 10).map(|byte| format!("{byte:02x}")).collect()
    };
    let pages: Vec<_> = (0..24).map(hex).collect();
    let names: Vec<_> = (0..24).map(|number| format!("{number}.txt")).collect();
    let files: Vec<_> = names.iter().map(|name| &**name).zip(pages.iter().map(|p| &**p)).collect();
    let budgets = Budgets::new(BudgetLimits { compressed: 1 << 20, ..BudgetLimits::default() });
    // The compressed contents of one folder would spend the budget.
    let mut sites = Vec::new();
    for part in files.chunks(12) {
        let (store, _) = memory(part);
        store.pass(3_000_000_000);
        let site = Folder::new(store).with_budgets(&budgets).site(CacheLimits::default());
        for (name, _) in part {
            let got = read(send_request(&site, &format!("/{name}"), "Accept-Encoding: gzip\r\n"));
            assert_eq!(got.field("Content-Encoding"), Some("gzip"), "{name}");
        }
        sites.push(site);
    }
}

#[test]
fn archives_are_charged_until_their_last_file_is_sent() {
    let (store, _) = memory(&[("d/a", &"x".repeat(200_000))]);
    let options = Options { listing: true, ..Options::default() };
    let budgets = Budgets::new(BudgetLimits::default());
    let site = Folder::new(store)
        .with_options(options)
        .with_budgets(&budgets)
        .site(CacheLimits::default());
    let mut client = send_request(&site, "/d/?format=tar", "");
    assert_eq!(budgets.open_files.used(), 2, "all is written, nothing is sent");
    while !client.output().is_empty() || client.run_jobs() > 0 {}
    assert_eq!(budgets.open_files.used(), 0);
}

#[test]
fn each_client_has_its_own_job_to_read_a_large_file() {
    let site = site_of(&[("a", &"x".repeat(MAX_SMALL_FILE as usize + 1))], BudgetLimits::default());
    let ask = |fields: &str| {
        let shared = Rc::new(ServerConfig::default().clients(Rc::new(ClientField)));
        let mut client = Harness::new(Server::new(shared, site.clone()));
        client.input(format!("GET /a HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").as_bytes());
        client
    };
    let (mut alice, mut bob, mut again) = (ask(ALICE), ask(BOB), ask(ALICE));
    // They share the lookup, which ends when the file has to be read.
    assert_eq!(alice.run_jobs(), 1);
    bob.deliver();
    again.deliver();
    let ran = [&mut alice, &mut bob, &mut again].map(Harness::run_jobs);
    assert_eq!(ran, [1, 1, 0], "one for each client");
    again.deliver();
    for client in [alice, bob, again] {
        assert_eq!(read(client).status, 200);
    }
}

#[test]
fn fallbacks_have_the_same_fields_with_and_without_compression() {
    let hex: String = noise().take(100 << 10).map(|byte| format!("{byte:02x}")).collect();
    let (store, _) = memory(&[("index.html", &hex)]);
    store.pass(3_000_000_000);
    let options = Options { spa: true, ..Options::default() };
    let budgets = Budgets::new(BudgetLimits { compressed: 1 << 20, ..BudgetLimits::default() });
    let site = Folder::new(store)
        .with_options(options)
        .with_budgets(&budgets)
        .site(CacheLimits::default());
    let fields = format!("{ALICE}Accept: text/html\r\nAccept-Encoding: zstd\r\n");
    let held: Vec<_> = (0..2).map(|_| send_request(&site, "/deep", &fields)).collect();
    let plain = read(send_request(&site, "/deep", &fields));
    assert_eq!((plain.status, plain.body.len()), (200, hex.len()));
    let caching_fields = |got: &Response| -> Vec<String> {
        let is_caching =
            |line: &&str| line.starts_with("Cache-Control:") || line.starts_with("Vary:");
        got.head.lines().filter(is_caching).map(String::from).collect()
    };
    for compressed in held.into_iter().map(read) {
        assert_eq!(compressed.field("Content-Encoding"), Some("zstd"));
        assert_eq!(caching_fields(&compressed), caching_fields(&plain));
    }
}

#[test]
fn unsettled_large_files_are_not_compressed() {
    let (store, site) = memory(&[]);
    store.write("a.txt", &*text(60_000));
    let mut client = Client::new(&site);
    let got = client.request("GET", "/a.txt", "Accept-Encoding: gzip\r\n");
    assert_eq!((got.field("Content-Encoding"), got.body.len()), (None, 60_000));
    store.pass(3_000_000_000);
    client.pass(3000);
    let got = client.request("GET", "/a.txt", "Accept-Encoding: gzip\r\n");
    assert_eq!(got.field("Content-Encoding"), Some("gzip"));
}

/// A frame of HTTP/2.
pub(super) fn h2_frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The HEADERS frame of a GET, of the client that `fields` names.
pub(super) fn h2_get(stream: u8, path: &str, client: &str) -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        client.trim_end().split_once(": ").unwrap(),
    ];
    h2_frame(1, 5, stream, &h2_block(&fields))
}

/// A block of header fields.
pub(super) fn h2_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal with a new name (RFC 7541, 6.2.2).
        block.extend([&[0, name.len() as u8], name.to_lowercase().as_bytes()].concat());
        block.extend([&[value.len() as u8], value.as_bytes()].concat());
    }
    block
}

/// The streams that end in `output`, with their statuses and lengths so far.
fn h2_read(output: &[u8], lens: &mut [(u16, usize)]) -> Vec<u8> {
    let (mut rest, mut ended) = (output, Vec::new());
    while let [0, high, low, kind, flags, 0, 0, 0, stream, next @ ..] = rest {
        let (payload, next) = next.split_at(usize::from(*high) << 8 | usize::from(*low));
        let (status, len) = &mut lens[usize::from(*stream)];
        match (kind, payload) {
            (1, [0x88, ..]) => *status = 200,
            (1, [0x8d, ..]) => *status = 404,
            (0, payload) => *len += payload.len(),
            _ => {}
        }
        if matches!(kind, 0 | 1) && flags & 1 == 1 {
            ended.push(*stream);
        }
        rest = next;
    }
    assert!(rest.is_empty());
    ended
}

#[test]
fn streams_beyond_a_clients_share_of_open_files_wait() {
    let large = "x".repeat(MAX_SMALL_FILE as usize + 1);
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let files: Vec<_> = names.iter().map(|name| (*name, &*large)).collect();
    let (store, _) = memory(&files);
    store.pass(3_000_000_000);
    let budgets = Budgets::new(BudgetLimits { open_files: 8, ..BudgetLimits::default() });
    let site = Folder::new(store).with_budgets(&budgets).site(CacheLimits::default());
    let budget = &budgets.open_files;
    let shared = Rc::new(ServerConfig::default().clients(Rc::new(ClientField)));
    let mut client = Harness::new(Server::new(shared, site.clone()));
    client.input(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    // Windows that hold all.
    client.input(&[h2_frame(4, 0, 0, &[]), h2_frame(8, 0, 0, &[0x40, 0, 0, 0])].concat());
    for (at, name) in (0..).zip(names) {
        client.input(&h2_get(1 + 2 * at, &format!("/{name}"), ALICE));
    }
    // They hold none while they wait, and requests that need no file don't wait.
    client.input(&h2_get(15, "/none", ALICE));
    while client.run_jobs() > 0 {}
    assert_eq!(budget.used(), 2);
    // Over HTTP/1.1, where each has a connection, it is a 503. Other clients have their share.
    assert_eq!(read(send_request(&site, "/c", ALICE)).status, 503);
    assert_eq!(read(send_request(&site, "/c", BOB)).status, 200);
    // One that its client resets gives way to the others.
    client.input(&h2_frame(3, 0, 9, &[0, 0, 0, 8]));
    let (mut lens, mut ended) = ([(0, 0); 20], Vec::new());
    let mut output = client.output();
    while !output.is_empty() {
        ended.extend(h2_read(&output, &mut lens));
        assert!(budget.used() <= 2);
        // Permits bring jobs.
        client.deliver();
        while client.run_jobs() > 0 {}
        output = client.output();
    }
    ended.sort_unstable();
    assert_eq!(ended, [1, 3, 5, 7, 11, 13, 15]);
    assert_eq!(lens[15].0, 404);
    for stream in [1, 3, 5, 7, 11, 13] {
        assert_eq!(lens[stream], (200, large.len()), "stream {stream}");
    }
    assert_eq!(budget.used(), 0);
}

#[test]
fn streams_of_one_file_share_a_permit() {
    let large = "x".repeat(MAX_SMALL_FILE as usize + 1);
    let (store, _) = memory(&[("a", &large), ("b", &large)]);
    store.pass(3_000_000_000);
    let budgets = Budgets::new(BudgetLimits { open_files: 4, ..BudgetLimits::default() });
    let site = Folder::new(store).with_budgets(&budgets).site(CacheLimits::default());
    let shared = Rc::new(ServerConfig::default().clients(Rc::new(ClientField)));
    let mut client = Harness::new(Server::new(shared, site.clone()));
    client.input(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    // A window that lets nothing through.
    client.input(&h2_frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for stream in (1..200).step_by(2) {
        client.input(&h2_get(stream, "/a", ALICE));
    }
    while client.run_jobs() > 0 {}
    assert_eq!(budgets.open_files.used(), 1);
    let (mut lens, output) = ([(0, 0); 202], client.output());
    assert!(h2_read(&output, &mut lens).is_empty());
    assert_eq!(lens.iter().filter(|(status, _)| *status == 200).count(), 100, "none waits");
    // Another file waits until the last stream of the first one has ended.
    let reset = |stream| h2_frame(3, 0, stream, &[0, 0, 0, 8]);
    (1..197).step_by(2).for_each(|stream| client.input(&reset(stream)));
    client.input(&h2_get(201, "/b", ALICE));
    while client.run_jobs() > 0 {}
    client.input(&reset(197));
    h2_read(&client.output(), &mut lens);
    assert_eq!((lens[201].0, budgets.open_files.used()), (0, 1));
    client.input(&reset(199));
    client.deliver();
    while client.run_jobs() > 0 {}
    h2_read(&client.output(), &mut lens);
    assert_eq!((lens[201].0, budgets.open_files.used()), (200, 1));
}

/// Otherwise the results of lookups, of which a client of HTTP/2 starts any number, would hold more
/// files than the budget allows.
#[test]
fn jobs_keep_no_more_files_open_over_http2_than_a_client_may_have() {
    let scratch = Scratch::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        fs::write(scratch.path().join(name), vec![b'x'; MAX_SMALL_FILE as usize + 1]).unwrap();
    }
    let budgets = Budgets::new(BudgetLimits { open_files: 8, ..BudgetLimits::default() });
    let folder = Folder::open(scratch.path()).unwrap().with_budgets(&budgets);
    let shared = Rc::new(ServerConfig::default().clients(Rc::new(ClientField)));
    // Keeps no file open for later requests.
    let site = folder.site(CacheLimits { descriptors: 0, ..CacheLimits::default() });
    let mut client = Harness::new(Server::new(shared, site.clone()));
    client.input(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.input(&[h2_frame(4, 0, 0, &[]), h2_frame(8, 0, 0, &[0x40, 0, 0, 0])].concat());
    for (at, name) in (0..).zip(names) {
        client.input(&h2_get(1 + 2 * at, &format!("/{name}"), ALICE));
    }
    let is_of_scratch = |file: &io::Result<DirEntry>| {
        let target = file.as_ref().ok().and_then(|file| fs::read_link(file.path()).ok());
        target.is_some_and(|target| names.iter().any(|name| target == scratch.path().join(name)))
    };
    let open = || fs::read_dir("/proc/self/fd").unwrap().filter(is_of_scratch).count();
    loop {
        let count = client.run_jobs_only();
        assert!(open() <= 2, "{} files are open", open());
        client.deliver();
        assert!(open() <= 2, "{} files are open", open());
        if count == 0 {
            break;
        }
    }
    assert_eq!((open(), budgets.open_files.used()), (2, 2));
    let (mut lens, mut ended) = ([(0, 0); 20], Vec::new());
    let mut output = client.output();
    while !output.is_empty() {
        ended.extend(h2_read(&output, &mut lens));
        // Permits bring jobs.
        client.deliver();
        while client.run_jobs() > 0 {}
        output = client.output();
    }
    ended.sort_unstable();
    assert_eq!(ended, [1, 3, 5, 7, 9, 11]);
    assert!(lens.iter().all(|(status, _)| matches!(status, 0 | 200)), "{lens:?}");
    assert_eq!(budgets.open_files.used(), 0);
    // Over HTTP/1.1, a connection has one lookup at a time.
    assert_eq!(read(send_request(&site, "/a", ALICE)).status, 200);
}
