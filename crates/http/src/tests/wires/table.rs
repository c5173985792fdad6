//! The table of requests, handlers and responses.

use std::time::Duration;

use super::*;
use crate::tests::attacks::Odd;
use crate::tests::bodies::Reader;
use crate::tests::late::Slow;
use crate::tests::leaving::Feed;
use crate::tests::prepared::Both;
use crate::tests::streams::Writer;
use crate::{AllowedHosts, HostCheck, Limits};

fn server<H: Handler + Default + 'static>(config: Rc<ServerConfig>) -> Harness {
    Harness::new(Server::new(config, |_: &Peer| H::default()))
}

fn feed(config: Rc<ServerConfig>) -> Harness {
    Harness::new(Server::new(config, |_: &Peer| Feed))
}

fn plain(log: Rc<Reasons>) -> ServerConfig {
    ServerConfig::default().logging(log)
}

const GET: Sent<'_> = Sent {
    method: "GET",
    path: "/",
    host: "a",
    fields: &[],
    content: None,
    trailers: &[],
    is_cut: false,
    then: Then::Jobs,
};

const fn get(path: &str) -> Sent<'_> {
    Sent { path, ..GET }
}

const fn of<'a>(method: &'a str, path: &'a str) -> Sent<'a> {
    Sent { method, path, ..GET }
}

const fn post<'a>(
    path: &'a str,
    fields: &'a [(&'a str, &'a str)],
    content: &'a [&'a str],
) -> Sent<'a> {
    Sent { method: "POST", path, fields, content: Some(content), ..GET }
}

const fn cut<'a>(sent: Sent<'a>, then: Then) -> Sent<'a> {
    Sent { is_cut: true, then, ..sent }
}

const FIVE: &[(&str, &str)] = &[("content-length", "5")];
const EXPECT: &[(&str, &str)] = &[("content-length", "5"), ("expect", "100-continue")];
const PAGE_500: &str = "500 500 Internal Server Error";

#[test]
fn responses_that_are_whole() {
    let method = "M".repeat(65);
    let path = format!("/{}", "p".repeat(9000));
    let many = vec![("a", "b"); 129];
    for (sent, expected) in [
        (get("/a"), "200 GET /a"),
        (of("HEAD", "/a"), "200"),
        (get("/none"), "304"),
        (get("/error"), "404 404 Not Found/There is no such thing."),
        (of("HEAD", "/error"), "404"),
        (of("FOO", "/a"), "200 FOO /a"),
        (of("get", "/a"), "200 get /a"),
        (of("OPTIONS", "*"), "200 OPTIONS *"),
        (get("/big"), "200 [262144]"),
        (get("/later"), "200 it took a while"),
        (Sent { then: Then::Drop, ..get("/later") }, PAGE_500),
        (Sent { then: Then::Eof, ..get("/later") }, "200 it took a while"),
        (Sent { then: Then::Drain, ..get("/later") }, "200 it took a while"),
        (Sent { then: Then::Reset, ..get("/later") }, " ABORTED (client-aborted)"),
        (
            of("TRACE", "/"),
            "405 405 Method Not Allowed/The client sent a request with a method that is not allowed \
             here.",
        ),
        (
            of(&method, "/"),
            "501 501 Not Implemented/The client sent a method of more than 64 bytes.",
        ),
        (
            get(&path),
            "414 414 URI Too Long/The client sent a request line that is longer than allowed.",
        ),
        (
            Sent { fields: &many, ..GET },
            "431 431 Request Header Fields Too Large/The client sent more header fields than allowed.",
        ),
    ] {
        let shown = over_http1(&server::<Mirror>, &plain, &sent).show();
        // The texts of refusals are the server's.
        let expected = if expected.starts_with(['4', '5']) { &*shown } else { expected };
        assert!(shown.starts_with(&expected[..3]), "{sent:?}: {shown}");
        check(&server::<Mirror>, &plain, &sent, expected);
    }
}

#[test]
fn requests_with_content() {
    let trailers = &[("a", "b"), ("host", "c")];
    for (sent, expected) in [
        (post("/echo", FIVE, &["hello"]), "200 5:hello"),
        (post("/echo", FIVE, &["he", "l", "lo"]), "200 5:hello"),
        (post("/echo", &[("content-length", "0")], &[]), "200 none:"),
        (post("/echo", &[], &["hello", "!"]), "200 chunked:hello!"),
        (post("/echo", &[], &[]), "200 chunked:"),
        (Sent { trailers, ..post("/echo", &[], &["a"]) }, "200 chunked:a|a=b|host=c"),
        (post("/slow", &[], &["he", "llo"]), "200 chunked:hello"),
        (post("/slow", FIVE, &["hello"]), "200 5:hello"),
        (post("/ask", FIVE, &["hello"]), "200 5:hello"),
        (get("/ask"), "200 none:"),
        (post("/tiny", &[("content-length", "4")], &["four"]), "200 4:four"),
        (post("/tiny", &[], &["fo", "ur"]), "200 chunked:four"),
        (post("/unread", FIVE, &["hello"]), "200 unread"),
        (post("/unread", &[], &["abc"]), "200 unread"),
        (post("/early", &[], &["ab", "cd"]), "200 early"),
        (post("/echo", EXPECT, &["hello"]), "100 200 5:hello"),
        (post("/unread", EXPECT, &[]), "200 unread"),
        (post("/tiny", FIVE, &[]), "413"),
        (post("/tiny", EXPECT, &[]), "413"),
        (post("/tiny", &[], &["abc", "de"]), "413"),
        (cut(post("/echo", &[("content-length", "16777217")], &[]), Then::Jobs), "413"),
        (post("/echo", &[("content-length", "2"), ("expect", "x")], &["ab"]), "417"),
        (cut(post("/echo", FIVE, &["hel"]), Then::Eof), "400"),
        (cut(post("/echo", &[], &["hel"]), Then::Eof), "400"),
        (cut(post("/echo", FIVE, &["hel"]), Then::Pass(30)), "408 (timed-out)"),
        (cut(post("/echo", &[], &["hel"]), Then::Pass(30)), "408 (timed-out)"),
        (cut(post("/echo", FIVE, &["hel"]), Then::Reset), " ABORTED (client-aborted)"),
        (cut(post("/slow", FIVE, &["hel"]), Then::Reset), " ABORTED (client-aborted)"),
    ] {
        // Over HTTP/2, content that is announced and doesn't come is malformed, not cut.
        let sent = match expected {
            "413" | "417" => Sent { is_cut: true, ..sent },
            _ if sent.fields == EXPECT && expected == "200 unread" => Sent { is_cut: true, ..sent },
            _ => sent,
        };
        let shown = over_http1(&server::<Reader>, &plain, &sent).show();
        if let Some(code) = expected.get(..3).filter(|code| code.starts_with('4')) {
            assert!(
                shown.starts_with(code) && shown.ends_with(&expected[3..]),
                "{sent:?}: {shown}"
            );
            check(&server::<Reader>, &plain, &sent, &shown);
        } else {
            check(&server::<Reader>, &plain, &sent, expected);
        }
    }
}

#[test]
fn responses_that_are_streamed() {
    for (sent, expected) in [
        (get("/large"), "200 [1000000]"),
        (get("/large-known"), "200 [1000000]"),
        (of("HEAD", "/large"), "200"),
        (of("HEAD", "/large-known"), "200"),
        (of("HEAD", "/events"), "200"),
        (of("HEAD", "/trailers"), "200"),
        (get("/none"), "204"),
        (get("/events"), "200 onetwo"),
        (get("/woken"), "200 woken two"),
        (get("/trailers"), "200 abc|a=b"),
        (post("/pipe", &[], &["hel", "lo"]), "200 hello"),
        (post("/pipe", FIVE, &["hello"]), "200 hello"),
        (get("/short"), "200 ab ABORTED (failed)"),
        (get("/panic"), "500 500 Internal Server Error"),
        (get("/panic-late"), "500 500 Internal Server Error"),
        (get("/panic-started"), "200 abc ABORTED (failed)"),
        (get("/upgrade"), "200 not upgraded"),
        (Sent { then: Then::Drop, ..get("/events") }, "200 ABORTED (failed)"),
        (Sent { then: Then::Reset, ..get("/events") }, "200 ABORTED (client-aborted)"),
        (Sent { then: Then::Drain, ..get("/events") }, "200"),
        (cut(post("/pipe", FIVE, &["hel"]), Then::Reset), "200 hel ABORTED (client-aborted)"),
    ] {
        check(&server::<Writer>, &plain, &sent, expected);
    }
    for (sent, expected) in [
        (get("/reset"), "205"),
        (get("/reset-page"), "205"),
        (get("/reset-stream"), "205"),
        (of("HEAD", "/endless"), "200"),
        (get("/too-much"), "200 ABORTED (failed)"),
        (post("/amplify", &[], &["a", "b", "c"]), "200 [196608]"),
        (post("/hold", FIVE, &["hello"]), "200 hello"),
    ] {
        check(&server::<Odd>, &plain, &sent, expected);
    }
}

#[test]
fn responses_in_time() {
    let limited = |log: Rc<Reasons>| {
        let response_timeout = Some(Duration::from_secs(5));
        ServerConfig::new(Limits { response_timeout, ..Limits::default() }).logging(log)
    };
    let late = "503 503 Service Unavailable/The response was not ready in time.";
    for (sent, expected) in [
        (Sent { then: Then::Pass(5), ..get("/later") }, late),
        (Sent { then: Then::Pass(4), ..get("/later") }, "200 done"),
        (Sent { then: Then::Pass(9), ..get("/on") }, "200 done"),
        (Sent { then: Then::Pass(10), ..get("/on") }, late),
        (Sent { then: Then::Pass(5), ..post("/body", FIVE, &["hello"]) }, late),
    ] {
        check(&server::<Slow>, &limited, &sent, expected);
    }
    for (sent, expected) in [
        (Sent { then: Then::EofPass(14), ..get("/feed") }, "200 tick"),
        (Sent { then: Then::EofPass(15), ..get("/feed") }, "200 ABORTED (client-aborted)"),
        (get("/abort"), "200 ABORTED (failed)"),
        (Sent { then: Then::EofPass(1000), ..get("/later") }, "200 late"),
    ] {
        // A feed never ends, so only its beginning is compared.
        let first = shown_feed(&sent);
        let shown = &first[..expected.len().min(first.len())];
        assert_eq!(shown, expected, "{sent:?}");
    }
}

/// The response of a [`Feed`]. `/feed` runs a job after each other, so this runs one only.
fn shown_feed(sent: &Sent<'_>) -> String {
    match sent.path {
        "/feed" => {
            let shown = |mut client: Client| {
                client.get(1, "/feed");
                client.read();
                client.harness.eof();
                let Then::EofPass(secs) = sent.then else { unreachable!() };
                client.harness.pass(Duration::from_secs(secs));
                client.harness.run_jobs();
                client.read();
                let received = &client.streams[&1];
                let aborted = match received.reset {
                    Some(_) => " ABORTED (client-aborted)".to_owned(),
                    None => format!(" {}", received.text()),
                };
                format!("{}{aborted}", received.statuses[0])
            };
            shown(Client::with_settings(feed(Rc::default()), &[]))
        }
        _ => {
            let expected = over_http1(&feed, &plain, sent).show();
            check(&feed, &plain, sent, &expected).show()
        }
    }
}

#[test]
fn hosts_and_fields_of_the_configuration() {
    let checked = |log: Rc<Reasons>| {
        let hosts = AllowedHosts::default().allow("files.example").unwrap();
        let check = HostCheck::new(hosts, |_| true);
        let config = ServerConfig::default().checking_hosts(check).logging(log);
        config.server_header(true).strict_transport_security(Duration::from_secs(60))
    };
    for (host, status) in [
        ("files.example", "200"),
        ("localhost:8000", "200"),
        ("evil.example", "421"),
        ("evil.example:80", "421"),
        ("FILES.example", "200"),
    ] {
        for method in ["GET", "HEAD", "FOO", "OPTIONS"] {
            let sent = Sent { host, ..of(method, "/a") };
            let shown = over_http1(&server::<Mirror>, &checked, &sent).show();
            assert!(shown.starts_with(status), "{host}: {shown}");
            let got = check(&server::<Mirror>, &checked, &sent, &shown);
            for (name, value) in
                [("server", "sockeye"), ("strict-transport-security", "max-age=60")]
            {
                assert!(got.fields.contains(&(name.to_owned(), value.to_owned())), "{got:?}");
            }
        }
    }
}

#[test]
fn prepared_responses() {
    let shared: &'static Bytes = Box::leak(Box::new(Bytes::from(vec![b's'; 5000])));
    let bodies = [
        Body::Empty,
        Body::Static(b"static"),
        Body::Static(&[b'x'; 3000]),
        Body::Copied(&[b'y'; 3000]),
        Body::Shared(shared),
    ];
    let statuses = [
        Status::OK,
        Status::NOT_FOUND,
        Status::NO_CONTENT,
        Status::NOT_MODIFIED,
        Status::RESET_CONTENT,
    ];
    for status in statuses {
        for body in &bodies {
            let both = Both::new(status, body.clone());
            let make = move |config: Rc<ServerConfig>| {
                let both = both.clone();
                Harness::new(Server::new(config, move |_: &Peer| both.clone()))
            };
            for method in ["GET", "HEAD", "POST"] {
                let sent = of(method, "/");
                let unprepared = over_http1(&make, &plain, &sent);
                for path in ["/", "/ready", "/with"] {
                    let sent = Sent { path, ..sent };
                    assert_eq!(over_http1(&make, &plain, &sent), unprepared, "{status} {sent:?}");
                    assert_eq!(over_http2(&make, &plain, &sent), unprepared, "{status} {sent:?}");
                }
            }
        }
    }
}
