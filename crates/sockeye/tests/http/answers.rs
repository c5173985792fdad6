//! Responses that are ready, come later, or are invalid.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use sockeye::http::{
    self, AllowedHosts, Body, HttpService, Method, Options, PendingReply, RawTarget, Reply,
    Request, Response, StatusCode, Version,
};
use sockeye::proto::harness::Harness;
use sockeye::{Peer, http_core};

use crate::client::{Client, serve, stop};

#[test]
fn a_handler_sees_the_request_in_the_types_of_the_http_crate() {
    let (serving, address) = serve(|request: Request<Body>| {
        let (head, body) = request.into_parts();
        let fields: Vec<_> =
            head.headers.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let peer = head.extensions.get::<Peer>().unwrap().address.to_string();
        assert!(peer.starts_with("127.0.0.1:"), "{peer}");
        let Version::HTTP_11 = head.version else { panic!("{:?}", head.version) };
        format!("{} {} {fields:?} {:?}", head.method, head.uri, body.length())
    });
    let mut client = Client::new(&address);
    client
        .head("PATCH /a%20b?c=[d]", &["X-One: 1", "Accept: a", "x-one:  2 ", "Content-Length: 3"]);
    client.send("abc");
    assert_eq!(
        client.response().text(),
        "PATCH /a%20b?c=[d] [\"host=\\\"localhost\\\"\", \"x-one=\\\"1\\\"\", \"x-one=\\\"2\\\"\", \
         \"accept=\\\"a\\\"\", \"content-length=\\\"3\\\"\"] Some(3)"
    );
    for (target, received) in [
        ("http://localhost:80/x?y", "http://localhost:80/x?y"),
        ("*", "*"),
        ("//double", "//double"),
        ("/%zz", "/%zz"),
    ] {
        let answer = client.request(&format!("OPTIONS {target}"));
        assert!(answer.text().starts_with(&format!("OPTIONS {received} [")), "{}", answer.text());
    }
    client.head("POST /", &["Transfer-Encoding: chunked"]);
    client.send("0\r\n\r\n");
    assert!(client.response().text().ends_with(" None"));
    stop(serving);
}

/// RFC 9112, 3.2.2.
#[test]
fn the_host_field_has_the_host_of_an_absolute_target() {
    let (serving, address) = serve(|request: Request<Body>| {
        let hosts: Vec<_> = request.headers().get_all("host").iter().collect();
        format!("{hosts:?} {}", request.uri())
    });
    let mut client = Client::new(&address);
    for (target, host) in [
        ("/", "localhost"),
        ("http://b.example:80/x", "b.example:80"),
        ("HTTPS://B.example?x", "B.example"),
        ("http://[::1]/", "[::1]"),
        ("//b.example/", "localhost"),
    ] {
        let answer = client.request(&format!("GET {target}"));
        let expected = format!("[{host:?}] ");
        assert!(answer.text().starts_with(&expected), "{target}: {}", answer.text());
    }
    assert!(client.request("OPTIONS *").text().starts_with("[\"localhost\"] *"));
    client.send("GET http://b.example/ HTTP/1.0\r\n\r\n");
    assert!(client.response().text().starts_with("[\"b.example\"] "));
    stop(serving);
}

#[test]
fn http2_is_answered_unless_it_is_off() {
    for (http2, first) in [(true, &b"\0\0"[..]), (false, b"HTTP/1.1 505 ")] {
        let options = Options { workers: NonZeroUsize::MIN, http2, ..Options::default() };
        let serving = http::serve(&["127.0.0.1:0".parse().unwrap()], options, |_| "Hello").unwrap();
        let mut client = Client::new(&serving.addresses()[0].to_string());
        // A frame that a client must not send ends the connection.
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\0\0\0\0\0\0");
        assert!(client.rest().starts_with(first), "{http2}");
        drop(client);
        stop(serving);
    }
}

#[test]
fn a_handler_sees_urls_with_characters_that_no_uri_has() {
    let (serving, address) = serve(|request: Request<Body>| {
        let raw = request.extensions().get::<RawTarget>().map(|raw| raw.0.clone());
        let raw = raw.map(|raw| String::from_utf8(raw.to_vec()).unwrap());
        format!("{} {:?} {raw:?}", request.uri().path(), request.uri().query())
    });
    let mut client = Client::new(&address);
    for (target, seen) in [
        ("/a|b^{c}?d|{e}^`\\", "/a|b^{c} Some(\"d|{e}^`\\\\\") None"),
        ("/a`b?c", "/a%60b Some(\"c\") Some(\"/a`b?c\")"),
        ("/<a>?b=\"<c>\"", "/%3Ca%3E Some(\"b=%22%3Cc%3E%22\") Some(\"/<a>?b=\\\"<c>\\\"\")"),
        ("/a%3C?%22", "/a%3C Some(\"%22\") None"),
        ("http://localhost/`", "/%60 None Some(\"http://localhost/`\")"),
    ] {
        let answer = client.request(&format!("GET {target}"));
        assert_eq!((answer.status, answer.text()), (200, seen), "{target}");
    }
    for target in ["/a\\b", "/a#b", "/a?b#c", "/\u{e9}", "/?\u{e9}"] {
        assert_eq!(Client::new(&address).request(&format!("GET {target}")).status, 400, "{target}");
    }
    stop(serving);
}

#[test]
fn a_handler_sees_any_method_and_decides_about_it() {
    let (serving, address) = serve(|request: Request<Body>| -> Reply {
        match request.method().as_str() {
            "BREW" => StatusCode::IM_A_TEAPOT.into(),
            _ if *request.method() == Method::GET => "got".into(),
            "get" => "not got".into(),
            method => {
                let method = method.to_owned();
                request.into_body().collect(10, move |body| format!("{method} {}", body.len()))
            }
        }
    });
    let mut client = Client::new(&address);
    assert_eq!(client.request("BREW /pot").status, 418);
    assert_eq!(client.request("GET /").text(), "got");
    assert_eq!(client.request("get /").text(), "not got");
    let longest = "M".repeat(http_core::Method::MAX_LEN);
    for method in ["PROPFIND", "!#$%&'*+-.^_`|~", &longest] {
        let answer = client.request_with_body(&format!("{method} /"), b"body");
        assert_eq!(answer.text(), format!("{method} 4"));
    }
    for method in ["CONNECT localhost:1", "TRACE /"] {
        assert_eq!(Client::new(&address).request(method).status, 405, "{method}");
    }
    stop(serving);
}

#[test]
fn every_value_that_converts_into_a_reply_is_sent() {
    let (serving, address) = serve(|request: Request<Body>| -> Reply {
        match request.uri().path() {
            "/str" => "text".into(),
            "/string" => String::from("text").into(),
            "/vec" => vec![1, 2].into(),
            "/status" => StatusCode::IM_A_TEAPOT.into(),
            "/ok" => Ok::<_, StatusCode>("fine").into(),
            "/err" => Err::<&str, _>(StatusCode::CONFLICT).into(),
            "/error" => Reply::error(StatusCode::NOT_FOUND, "Nobody knows it."),
            "/none" => StatusCode::NO_CONTENT.into(),
            "/large" => vec![b'x'; 100_000].into(),
            _ => Response::builder().status(299).header("x-a", "b").body("made").unwrap().into(),
        }
    });
    let mut client = Client::new(&address);
    for (path, status, kind, body) in [
        ("/str", 200, Some("text/plain; charset=utf-8"), "text"),
        ("/string", 200, Some("text/plain; charset=utf-8"), "text"),
        ("/vec", 200, Some("application/octet-stream"), "\u{1}\u{2}"),
        ("/status", 418, Some("text/plain; charset=utf-8"), "418 I'm a teapot\n"),
        ("/ok", 200, Some("text/plain; charset=utf-8"), "fine"),
        ("/err", 409, Some("text/plain; charset=utf-8"), "409 Conflict\n"),
        ("/error", 404, Some("text/plain; charset=utf-8"), "404 Not Found\nNobody knows it.\n"),
        ("/none", 204, None, ""),
        ("/other", 299, None, "made"),
    ] {
        let answer = client.request(&format!("GET {path}"));
        let received = (answer.status, answer.field("content-type"), answer.text());
        assert_eq!(received, (status, kind, body), "{path}");
        let head = client.request(&format!("HEAD {path}"));
        assert_eq!((head.status, head.fields.len()), (status, answer.fields.len()), "{path}");
    }
    assert_eq!(client.request("GET /large").body, vec![b'x'; 100_000]);
    assert_eq!(client.request("GET /").field("x-a"), Some("b"));
    stop(serving);
}

#[test]
fn json_is_sent_with_its_type_and_status() {
    let (serving, address) = serve(|request: Request<Body>| match request.uri().path() {
        "/unwritable" => Reply::json(StatusCode::OK, &BTreeMap::from([((1, 2), 3)])),
        _ => Reply::json(StatusCode::CREATED, &BTreeMap::from([("a", [1.5, 2.0])])),
    });
    let mut client = Client::new(&address);
    let answer = client.request("POST /");
    assert_eq!((answer.status, answer.text()), (201, "{\"a\":[1.5,2.0]}"));
    assert_eq!(answer.field("content-type"), Some("application/json"));
    let answer = client.request("GET /unwritable");
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("key"), "the reason is for the log: {}", answer.text());
    stop(serving);
}

#[test]
fn the_server_frames_responses() {
    let (serving, address) = serve(|request: Request<Body>| {
        let builder = Response::builder();
        match request.uri().path() {
            "/close" => builder.header("connection", "close").body("x"),
            "/length" => builder.header("content-length", "5").body("x"),
            "/head" => builder.header("content-length", "12345").body(""),
            "/coding" => builder.header("transfer-encoding", "chunked").body("x"),
            "/lengths" => builder.header("content-length", "1, 1").body("x"),
            "/interim" => builder.status(100).body("x"),
            _ => builder.header("date", "now").header("keep-alive", "x").header("a", "b").body("x"),
        }
        .unwrap()
    });
    let mut client = Client::new(&address);
    let answer = client.request("GET /length");
    assert_eq!((answer.field("content-length"), answer.text()), (Some("1"), "x"));
    // The length of the response to GET, without its content.
    assert_eq!(client.request("HEAD /head").field("content-length"), Some("12345"));
    assert_eq!(client.request("GET /head").field("content-length"), Some("0"));
    for path in ["/coding", "/lengths", "/interim"] {
        assert_eq!(client.request(&format!("GET {path}")).status, 500, "{path}");
    }
    let answer = client.request("GET /");
    assert_eq!((answer.field("a"), answer.field("keep-alive")), (Some("b"), None));
    assert!(answer.field("date").unwrap().ends_with(" GMT"));
    assert_eq!(client.request("GET /close").field("connection"), Some("close"));
    assert!(client.is_closed());
    stop(serving);
}

#[test]
fn a_response_to_head_has_the_content_length_of_get_or_none() {
    let (serving, address) = serve(|request: Request<Body>| -> Reply {
        let builder = Response::builder();
        match request.uri().path() {
            "/made" => builder.body("Hello").unwrap().into(),
            "/text" => "Hello".into(),
            "/bytes" => vec![b'x'; 100_000].into(),
            "/page" => StatusCode::NOT_FOUND.into(),
            "/run" => Reply::run(|| "Hello"),
            "/unmade" => builder.body("").unwrap().into(),
            "/unmade-run" => Reply::run(|| Response::new("")),
            "/no-text" => "".into(),
            "/no-bytes" => Vec::new().into(),
            "/declared" => builder.header("content-length", "5").body("").unwrap().into(),
            "/declared-0" => builder.header("content-length", "0").body("").unwrap().into(),
            "/pieces" => Reply::pieces(Response::new(()), ["Hello"]),
            "/events" => Reply::events(|_| {}),
            "/pieces-declared" => {
                let head = builder.header("content-length", "5").body(()).unwrap();
                Reply::pieces(head, ["Hello"])
            }
            "/204" => builder.status(204).header("content-length", "5").body("").unwrap().into(),
            "/205" => builder.status(205).header("content-length", "5").body("").unwrap().into(),
            _ => builder.status(304).header("content-length", "5").body("").unwrap().into(),
        }
    });
    let mut client = Client::new(&address);
    for (path, length, coding) in [
        ("/made", Some("5"), None),
        ("/text", Some("5"), None),
        ("/bytes", Some("100000"), None),
        ("/page", Some("14"), None),
        ("/run", Some("5"), None),
        ("/unmade", None, None),
        ("/unmade-run", None, None),
        ("/no-text", None, None),
        ("/no-bytes", None, None),
        ("/declared", Some("5"), None),
        ("/declared-0", Some("0"), None),
        ("/pieces", None, Some("chunked")),
        ("/events", None, Some("chunked")),
        ("/pieces-declared", Some("5"), None),
        ("/204", None, None),
        ("/205", Some("0"), None),
        ("/304", None, None),
    ] {
        let answer = client.request(&format!("HEAD {path}"));
        let received = (answer.field("content-length"), answer.field("transfer-encoding"));
        assert_eq!(received, (length, coding), "{path}");
    }
    assert_eq!(client.request("GET /unmade").field("content-length"), Some("0"));
    stop(serving);
}

#[test]
fn other_threads_can_respond_and_a_dropped_pending_reply_is_a_500() {
    let (to_worker, pending_replies) = mpsc::channel::<PendingReply>();
    let (serving, address) = serve(move |_: Request<Body>| {
        let to_worker = to_worker.clone();
        Reply::later(move |pending| to_worker.send(pending).unwrap())
    });
    let mut clients = [Client::new(&address), Client::new(&address)];
    clients[0].head("GET /", &[]);
    let first = pending_replies.recv().unwrap();
    clients[1].head("GET /", &[]);
    let second = pending_replies.recv().unwrap();
    // The last request is answered first.
    thread::spawn(move || second.send("second")).join().unwrap();
    assert_eq!(clients[1].response().text(), "second");
    drop(first);
    assert_eq!(clients[0].response().status, 500);
    // The connection stays open.
    clients[0].head("GET /", &[]);
    pending_replies.recv().unwrap().send(StatusCode::ACCEPTED);
    assert_eq!(clients[0].response().status, 202);
    stop(serving);
}

#[test]
fn each_pipelined_request_gets_its_own_response_in_order() {
    // The first response comes later, and then from a job.
    let (to_worker, pending_replies) = mpsc::channel::<PendingReply>();
    let (serving, address) = serve(move |request: Request<Body>| {
        let to_worker = to_worker.clone();
        match request.uri().path() {
            "/old" => {
                Reply::run(move || Reply::later(move |pending| to_worker.send(pending).unwrap()))
            }
            _ => Reply::later(move |pending| to_worker.send(pending).unwrap()),
        }
    });
    let mut client = Client::new(&address);
    // Both requests arrive before a response. The responses are in order.
    client.head("GET /old", &[]);
    client.head("GET /new", &[]);
    pending_replies.recv().unwrap().send("old");
    assert_eq!(client.response().text(), "old");
    pending_replies.recv().unwrap().send("new");
    assert_eq!(client.response().text(), "new");
    stop(serving);
}

#[test]
fn blocking_work_runs_on_the_pool_and_is_counted() {
    let here = thread::current().id();
    let (serving, address) = serve(move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        Reply::run(move || {
            assert_ne!(thread::current().id(), here);
            assert_ne!(path, "/panic");
            path
        })
    });
    let mut client = Client::new(&address);
    assert_eq!(client.request("GET /a").text(), "/a");
    assert_eq!(client.request("GET /panic").status, 500);
    assert_eq!(client.request("GET /b").text(), "/b");
    drop(client);
    let jobs = stop(serving).jobs;
    assert_eq!((jobs.run, jobs.dropped), (3, 0));
    assert!(jobs.waited >= jobs.longest_wait);
}

#[test]
fn work_is_answered_with_503_if_the_pool_is_full() {
    let http = HttpService::new(|_: Request<Body>| Reply::run(|| "never"));
    let server =
        http_core::Server::new(Rc::new(http_core::ServerConfig::default()), http.handlers());
    let mut client = Harness::new(server);
    client.input(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.drop_jobs();
    let output = String::from_utf8(client.output()).unwrap();
    assert!(output.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{output}");
    assert!(!client.finished(), "the connection stays open");
}

#[test]
fn a_panic_is_a_500_for_its_request_only() {
    let (serving, address) = serve(|request: Request<Body>| {
        assert_ne!(request.method(), Method::DELETE, "on purpose");
        "alive"
    });
    let mut client = Client::new(&address);
    let mut other = Client::new(&address);
    assert_eq!(client.request("DELETE /").status, 500);
    assert_eq!(other.request("GET /").text(), "alive");
    assert_eq!(Client::new(&address).request("GET /").text(), "alive");
    drop(other);
    assert_eq!(stop(serving).closed_for("handler_panicked"), 1);
}

#[test]
fn a_panic_over_http2_is_counted_and_leaves_the_connection_open() {
    let (serving, address) = serve(|_: Request<Body>| -> &'static str { panic!("on purpose") });
    let mut client = Client::new(&address);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    for stream in ["\x01", "\x03"] {
        // HEADERS: four fields whose names are in the static table.
        let block = "\x02\x03GET\x06\x04http\x04\x01/\x01\x01a";
        client.send(format!("\0\0{}\x01\x05\0\0\0{stream}{block}", '\x11'));
    }
    // GOAWAY
    client.send("\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0");
    client.rest();
    let stats = stop(serving);
    assert_eq!(stats.failed_streams.get("handler_panicked"), Some(&2));
    assert_eq!(stats.closed_for("handler_panicked"), 0);
}

#[test]
fn draining_waits_for_responses_in_flight() {
    let (to_worker, pending_replies) = mpsc::channel::<PendingReply>();
    let (serving, address) = serve(move |_: Request<Body>| {
        let to_worker = to_worker.clone();
        Reply::later(move |pending| to_worker.send(pending).unwrap())
    });
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    let pending = pending_replies.recv().unwrap();
    serving.handle().drain();
    pending.send("at last");
    assert_eq!(client.response().text(), "at last");
    assert_eq!(serving.join().unwrap().cut, 0);
}

#[test]
fn hosts_are_checked_if_the_options_say_so() {
    for (hosts, expected) in [(None, 200), (Some(AllowedHosts::default().hint("Ask us")), 421)] {
        let workers = NonZeroUsize::MIN;
        let options = Options { workers, allowed_hosts: hosts, ..Options::default() };
        let at = ["127.0.0.1:0".parse().unwrap(), "0.0.0.0:0".parse().unwrap()];
        let serving = http::serve(&at, options, |_: Request<Body>| "here").unwrap();
        let ports: Vec<u16> = serving.ip_addresses().map(|address| address.port()).collect();
        for (port, host, status) in [
            (ports[0], "localhost", 200),
            (ports[0], "evil.example", expected),
            // Hosts are checked only at loopback addresses.
            (ports[1], "evil.example", 200),
        ] {
            let mut client = Client::new(&format!("127.0.0.1:{port}"));
            client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
            let answer = client.response();
            assert_eq!(answer.status, status, "{host}");
            let refusal = "evil.example, which is not allowed here. Ask us.\n";
            assert_eq!(answer.text().ends_with(refusal), status == 421, "{}", answer.text());
        }
        stop(serving);
    }
}
