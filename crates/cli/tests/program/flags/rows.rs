//! A row for each flag: a value, a probe, and its results without and with the flag.

use super::clients::*;
use super::servers::*;
use super::tls::*;
use super::websocket::*;
use super::{Row, SWITCH, row, slow_default};

/// Flags of every server.
pub(super) const SERVER: &[Row] = &[
    row("--listen", "unix:{dir}/socket", |run| run.start().screen.join(" "), "://", "unix:"),
    slow_default("--port", "0", port_of_a_host, "another port than the default"),
    row("--workers", "13", listeners, "listeners", "13 listeners"),
    row("--log", "debug", log_of_one_connection, "Stopped", "accepted"),
    row("--max-connections", "1", two_at_once, "at once", "in turn")
        .base("--log debug --workers 1"),
    slow_default("--max-connections-per-address", "1", is_loopback_answered, "[true, true]"),
    slow_default("--max-buffered", "64M", floods_without_reading, "all was read"),
    slow_default(
        "--write-timeout",
        "50ms",
        |run| closes_before_default(run, flood),
        BEFORE_DEFAULT,
    ),
    slow_default(
        "--idle-timeout",
        "50ms",
        |run| closes_before_default(run, silent),
        BEFORE_DEFAULT,
    ),
    row("--lame-duck", "1h", accepts_after_a_signal, "refused", "accepted").base("--workers 1"),
    slow_default(
        "--drain-timeout",
        "20ms",
        drains_before_default,
        "1 connection cut, before the default",
    ),
    row("--tls", "{dir}/.tls/both.pem", handshake, "not TLS", "TLS with localhost"),
    row("--tls-unknown-name", "refuse", handshake_for_unknown_name, "its name", "fatal alert")
        .base(TLS),
    row("--client-ca", "{dir}/.tls/ca.pem", without_client_certificate, "accepted", "refused")
        .base(TLS),
    row("--client-ca-optional", SWITCH, without_client_certificate, "refused", "accepted")
        .base(TLS_WITH_CLIENT_CA),
    row("--state", "{dir}/.state", self_signed_certificate, "elsewhere", "in the folder")
        .base("--tls self-signed"),
];

const TLS: &str = "--tls {dir}/.tls/both.pem";
const TLS_WITH_CLIENT_CA: &str = "--tls {dir}/.tls/both.pem --client-ca {dir}/.tls/ca.pem";

pub(super) const HTTP: &[Row] = &[
    row("--listing", SWITCH, |run| get(run, "/sub/"), "404 Not Found", "200 OK"),
    row("--no-listing", SWITCH, get_folder_on_terminal, "200 OK", "404 Not Found"),
    row("--spa", SWITCH, |run| get(run, "/any/page"), "404 Not Found", "the app"),
    row("--no-archives", SWITCH, |run| get(run, "/sub/?format=tar"), "200 OK", "400 Bad Request")
        .base("--listing"),
    row("--no-clean-urls", SWITCH, |run| get(run, "/about"), "200 OK", "404 Not Found"),
    row("--fresh", SWITCH, |run| get(run, "/a.foo"), ": max-age=600", ": no-cache"),
    row("--live", SWITCH, |run| get(run, "/about"), "200 OK", "/.sockeye/live.js"),
    row("--links-into", "{dir}/.kept", |run| get(run, "/kept.txt"), "404 Not Found", "200 OK"),
    row("--content-type", "*.foo: text/x-foo", |run| get(run, "/a.foo"), "octet-stream", "x-foo"),
    row("--content-encoding", "*.gz: gzip", |run| get(run, "/xs.txt.gz"), "/gzip", "ng: gzip"),
    row("--cache-control", "max-age=5", |run| get(run, "/a.css"), ": no-cache", ": max-age=5"),
    row("--header", "X-Probe: 1", |run| get(run, "/a.css"), "200 OK", "X-Probe: 1"),
    row("--no-security-headers", SWITCH, security_headers, "has nosniff", "has none"),
    row("--cors", "*", |run| get(run, "/a.css"), "200 OK", "Access-Control-Allow-Origin: *"),
    row("--hash-up-to", "1", |run| etags(run, get), "one ETag", "two ETags"),
    row("--compress", "gzip", |run| get(run, "/a.css"), "Encoding: zstd", "Encoding: gzip"),
    row("--compress-memory", "1", |run| encoding(run, "/a.css"), "encoded", "as it is"),
    row("--no-precompressed", SWITCH, |run| encoding(run, "/xs.txt"), "encoded", "as it is")
        .base("--compress none"),
    row("--max-request-line", "20", |run| get(run, "/about?and=more"), "200 OK", "414 "),
    row("--max-header", "100", |run| get(run, "/about"), "200 OK", "431 ")
        .base("--max-request-line 100"),
    row("--max-header-fields", "2", |run| get(run, "/about"), "200 OK", "431 "),
    slow_default(
        "--head-timeout",
        "50ms",
        |run| closes_before_default(run, begin_of_head),
        BEFORE_DEFAULT,
    ),
    row("--access-log", "{dir}/log", access_log, "no log", "\"GET /about HTTP/1.1\" 200"),
    row(
        "--access-log-format",
        "json",
        log_of_one_connection,
        "] \"GET /about",
        "\"target\":\"/about\"",
    )
    .base("--access-log -"),
    row(
        "--trusted-proxy",
        "127.0.0.0/8",
        log_of_one_connection,
        "127.0.0.1 - -",
        "198.51.100.9 - -",
    )
    .base("--access-log -"),
    row("--no-http2", SWITCH, version_over_tls, "h2", "http/1.1").base(TLS),
    row("--no-http2", SWITCH, version_by_preface, "h2", "505"),
    row("--no-http2", SWITCH, version_by_preface, "h2", "505").base(TLS),
    row("--host", "www.example.org", response_for_another_host, "421 ", "200 OK"),
    row("--https-redirect", "127.0.0.1:0", redirect_to_https, "no redirect", "308 ").base(TLS),
    row("--hsts", "1h", response_over_tls, "200 OK", "Strict-Transport-Security: max-age=3600")
        .base(TLS),
    // The defaults would ask Let's Encrypt.
    slow_default("--acme", "a.example", acme_screen, "Certificates for a.example come from"),
    row("--acme-email", "me@example.org", acme_screen, "come from", "(account: me@example.org)")
        .base("--acme a.example"),
    slow_default("--acme-directory", "https://127.0.0.1:2/dir", acme_screen, "from 127.0.0.1:2")
        .base("--acme a.example"),
    row("--acme-ca", "{dir}/missing.pem", acme_screen, "come from", "missing.pem")
        .base("--acme a.example"),
];

pub(super) const MESSAGE: &[Row] = &[
    row("--answers", "{dir}/answers.json", search_one, "No match for 'one'.", "eins"),
    row("--frames-only", SWITCH, response_to_curl, "HTTP/1.1 200 OK", "bad_header"),
    row("--no-http2", SWITCH, version_over_tls, "h2", "http/1.1").base(TLS),
    row("--no-http2", SWITCH, version_by_preface, "h2", "505"),
    row("--no-http2", SWITCH, version_by_preface, "h2", "505").base(TLS),
    row("--host", "www.example.org", response_for_another_host, "421 ", "200 OK"),
    row("--origin", "https://www.example.org", response_for_another_origin, "403 ", "200 OK"),
    row("--max-content", "1", search_one, "No match for 'one'.", "too_large"),
    row("--max-content", "1", search_over_websocket, "No match for 'one'.", "too_large"),
    row("--max-fragments", "1", search_over_websocket, "No match for 'one'.", "many fragments"),
    slow_default("--ping-after", "50ms", pings_before_default, BEFORE_DEFAULT),
    slow_default(
        "--header-timeout",
        "50ms",
        |run| closes_before_default(run, begin_of_header),
        BEFORE_DEFAULT,
    ),
    slow_default(
        "--content-timeout",
        "50ms",
        |run| closes_before_default(run, begin_of_content),
        BEFORE_DEFAULT,
    ),
];

const WEBSOCKET: &str = "--websocket";

pub(super) const ECHO: &[Row] = &[
    row("--websocket", SWITCH, |run| run.start().screen.join(" "), "tcp://", "ws://"),
    row("--deflate", SWITCH, response_to_compressing, "101 ", "permessage-deflate").base(WEBSOCKET),
    row("--max-message", "1", two_fragments, "hello", "sent a message that is too large")
        .base(WEBSOCKET),
    row("--max-fragments", "1", two_fragments, "hello", "sent a message in too many")
        .base(WEBSOCKET),
    slow_default("--ping-after", "50ms", pings_before_default, BEFORE_DEFAULT).base(WEBSOCKET),
    row("--host", "www.example.org", response_for_another_host, "421 ", "400 Bad").base(WEBSOCKET),
    row("--origin", "https://www.example.org", response_to_page, "403 ", "101 ").base(WEBSOCKET),
];

/// The flags of `http`. Those that concern folders change the response, the others are accepted.
pub(super) const EXPLAIN: &[Row] = &[
    row("--listing", SWITCH, |run| explain(run, "/sub/"), "404 Not Found", "200 OK"),
    row("--no-listing", SWITCH, on_terminal_explained, "listed on a terminal", "never listed"),
    row("--spa", SWITCH, |run| explain(run, "/any/page"), "404 Not Found", "200 OK"),
    row("--no-archives", SWITCH, |run| explain(run, "/sub/?format=tar"), "200 OK", "400 Bad Req")
        .base("--listing"),
    row("--no-clean-urls", SWITCH, |run| explain(run, "/about"), "200 OK", "404 Not Found"),
    row("--fresh", SWITCH, |run| explain(run, "/a.foo"), ": max-age=600", ": no-cache"),
    row("--live", SWITCH, |run| explain(run, "/about"), ": no-cache", ": no-store"),
    row("--links-into", "{dir}/.kept", |run| explain(run, "/kept.txt"), "404 Not Found", "200 OK"),
    row(
        "--content-type",
        "*.foo: text/x-foo",
        |run| explain(run, "/a.foo"),
        "octet-stream",
        "x-foo",
    ),
    row("--content-encoding", "*.gz: gzip", |run| explain(run, "/xs.txt.gz"), "/gzip", ": gzip"),
    row("--cache-control", "max-age=5", |run| explain(run, "/a.css"), ": no-cache", ": max-age=5"),
    row("--header", "X-Probe: 1", |run| explain(run, "/a.css"), "200 OK", "X-Probe: 1"),
    row("--no-security-headers", SWITCH, no_security_headers_explained, "has nosniff", "has none"),
    row("--cors", "*", |run| explain(run, "/a.css"), "200 OK", "Access-Control-Allow-Origin: *"),
    row("--hash-up-to", "1", |run| etags(run, explain), "one ETag", "two ETags"),
    row("--compress", "none", |run| varies(run, "/a.css"), "varies", "as it is"),
    row("--compress-memory", "1", |run| varies(run, "/a.css"), "varies", "as it is"),
    row("--no-precompressed", SWITCH, |run| varies(run, "/xs.txt"), "varies", "as it is")
        .base("--compress none"),
    slow_default("--listen", ":0", is_explained, "200 OK"),
    slow_default("--port", "0", is_explained, "200 OK"),
    slow_default("--workers", "2", is_explained, "200 OK"),
    slow_default("--log", "debug", is_explained, "200 OK"),
    slow_default("--max-connections", "1", is_explained, "200 OK"),
    slow_default("--max-connections-per-address", "1", is_explained, "200 OK"),
    slow_default("--max-buffered", "1", is_explained, "200 OK"),
    slow_default("--write-timeout", "1s", is_explained, "200 OK"),
    slow_default("--lame-duck", "1s", is_explained, "200 OK"),
    slow_default("--drain-timeout", "1s", is_explained, "200 OK"),
    slow_default("--max-request-line", "1", is_explained, "200 OK"),
    slow_default("--max-header", "1", is_explained, "200 OK"),
    slow_default("--max-header-fields", "1", is_explained, "200 OK"),
    slow_default("--head-timeout", "1s", is_explained, "200 OK"),
    slow_default("--idle-timeout", "1s", is_explained, "200 OK"),
    slow_default("--access-log", "-", is_explained, "200 OK"),
    slow_default("--access-log-format", "json", is_explained, "200 OK"),
    slow_default("--trusted-proxy", "unix", is_explained, "200 OK"),
    slow_default("--no-http2", SWITCH, is_explained, "200 OK"),
    slow_default("--host", "www.example.org", is_explained, "200 OK"),
    row("--tls", "{dir}/.tls/both.pem", https_explained, "by a proxy", "  certificate: "),
    row("--tls-unknown-name", "refuse", https_explained, "browsers refuse", "unrecognized_name")
        .base(TLS),
    row("--client-ca", "{dir}/.tls/ca.pem", is_explained, "200 OK", "certificate: required")
        .base(TLS),
    row("--client-ca-optional", SWITCH, is_explained, ": required", ": optional")
        .base(TLS_WITH_CLIENT_CA),
    slow_default("--state", "/", is_explained, "200 OK"),
    row(
        "--https-redirect",
        ":80",
        |run| explain(run, "http://localhost/"),
        "listen at port 80 ",
        "308 ",
    )
    .base(TLS),
    row("--hsts", "1h", is_explained, "200 OK", "Security: max-age=3600").base(TLS),
    slow_default("--acme", "a.example", is_explained, "200 OK"),
    slow_default("--acme-email", "me@example.org", is_explained, "200 OK").base("--acme a.example"),
    slow_default("--acme-directory", "staging", is_explained, "200 OK").base("--acme a.example"),
    slow_default("--acme-ca", "ca.pem", is_explained, "200 OK").base("--acme a.example"),
];

pub(super) const SEND: &[Row] = &[
    row("--connections", "3", |run| to_echo(run, &["hi"]), "hi", "connection 3: received"),
    row(
        "--half-close",
        SWITCH,
        to_server_that_waits_for_eof,
        "when 0 of 2 bytes",
        "after the end of hi",
    )
    .base("--timeout 50ms"),
    slow_default(
        "--timeout",
        "50ms",
        |run| ends_before_default(run, &["x"], silent_peer),
        BEFORE_DEFAULT,
    ),
    slow_default(
        "--connect-timeout",
        "50ms",
        |run| ends_before_default(run, &["x"], full_peer),
        BEFORE_DEFAULT,
    ),
    row("--log", "debug", |run| to_echo(run, &["hi"]), "1 finished", "closed"),
    row(
        "--binary",
        SWITCH,
        |run| to_websocket(run, &["\u{ff}"]),
        "Text \u{ff}; ",
        "Binary \u{ff}; ",
    ),
    row(
        "--deflate",
        SWITCH,
        |run| to_websocket(run, &["x"]),
        "exit code Some(0)",
        "Sec-WebSocket-Extensions: permessage-deflate",
    ),
    row("--header", "X-Probe: 1", |run| to_websocket(run, &["x"]), "exit code", "X-Probe: 1\r\n"),
    row("--type", "a/b", |run| to_messages(run, &["x"]), "binary/custom", "\"type\":\"a/b\""),
    row("--encoding", "utf-16", |run| to_messages(run, &["[1]"]), "\"utf-8\"", "\"utf-16\""),
    row("--file", "{dir}/one.txt", |run| to_messages(run, &[]), "\"length\":0", "\"length\":8"),
    row("--keep-alive", SWITCH, |run| to_messages(run, &["x"]), "connection\":null", "keep-alive")
        .base("--count 2"),
    row("--count", "3", |run| to_messages(run, &["x"]), "1 message: 1 answered", "3 messages"),
    row("--output", "{dir}/out", output_of_message, "no file", "binary/custom"),
    row("--max-content", "1", |run| to_messages(run, &["x"]), "exit code Some(0)", "Some(1)"),
    row("--connect-to", "127.0.0.1:1", |run| to_echo(run, &["hi"]), "1 finished", "refused"),
    row(
        "--ca",
        "{dir}/ca.pem",
        |run| to_tls(run, "tls", &["hi"]),
        "which is not trusted",
        "1 finished",
    ),
    row(
        "--insecure",
        SWITCH,
        |run| to_tls(run, "tls", &["hi"]),
        "which is not trusted",
        "1 finished",
    ),
    row(
        "--cert",
        "{dir}/client.pem",
        |run| to_tls_with_client_ca(run, "tls", &["hi"]),
        "add --cert",
        "1 finished",
    )
    .base("--insecure"),
];

/// Short loads with a JSON report.
const SHORT: &str = "--json --requests 30";
const ALONE: &str = "--json --requests 4 --connections 1";
const ALONE_HTTP2: &str = "--http2 --json --requests 4 --connections 1";

pub(super) const LOAD: &[Row] = &[
    row("--connections", "3", load_echo, "\"connected\": ", "\"connected\": 3,").base(SHORT),
    row("--threads", "2", load_echo, "\"threads\": 1", "\"threads\": 2").base(SHORT),
    slow_default(
        "--duration",
        "50ms",
        |run| ends_before_default(run, &[], our_echo),
        BEFORE_DEFAULT,
    ),
    slow_default("--requests", "7", load_echo, "\"responses\": 7,").base("--json"),
    slow_default("--pipeline", "2", load_in_pairs, "\"responses\": 2,")
        .base("--json --connections 1"),
    row("--streams", "7", load_http, "\"streams\": 1,", "\"streams\": 7,").base(ALONE_HTTP2),
    row("--http2", SWITCH, load_http, "\"protocol\": \"HTTP/1.1\"", "\"protocol\": \"HTTP/2\"")
        .base(ALONE),
    row("--http1", SWITCH, load_https, "\"protocol\": \"HTTP/2\"", "\"protocol\": \"HTTP/1.1\"")
        .base("--insecure --close --json --requests 1 --connections 1"),
    row("--close", SWITCH, load_echo, "\"connected\": 1,", "\"connected\": 4,").base(ALONE),
    row("--requests-per-connection", "2", load_echo, "\"connected\": 1,", "\"connected\": 2,")
        .base(ALONE),
    row("--rate", "1k", load_echo, "\"rate\": null", "\"rate\": 1000").base(SHORT),
    row("--verify", SWITCH, load_falsified, "\"errors\": {}", "\"mismatch\"").base(ALONE),
    row("--max-content", "1", load_recorded, "\"errors\": {}", "more than 1 B").base(ALONE),
    slow_default(
        "--timeout",
        "50ms",
        |run| ends_before_default(run, &[], silent_peer),
        BEFORE_DEFAULT,
    ),
    slow_default(
        "--connect-timeout",
        "50ms",
        |run| ends_before_default(run, &[], full_peer),
        BEFORE_DEFAULT,
    ),
    row("--json", SWITCH, load_echo, "target  ", "\"targets\":").base("--requests 3"),
    row("--log", "debug", load_echo, "exit code Some(0)", "closed").base(SHORT),
    row("--method", "PUT", load_recorded, "GET / ", "PUT / ").base(ALONE),
    row("--header", "X-Probe: 1", load_recorded, "GET / ", "X-Probe: 1\r\n").base(ALONE),
    row("--body", "probe", load_recorded, "GET / ", "\r\n\r\nprobe").base(ALONE),
    row("--body-file", "{dir}/one.txt", load_recorded, "GET / ", "\r\n\r\nthe same").base(ALONE),
    row("--chunked", SWITCH, load_recorded, "Content-Length: 5", "5\r\nprobe\r\n0\r\n")
        .base("--requests 1 --connections 1 --body probe"),
    row("--unix-socket", "{dir}/socket", load_socket, "refused", "\"responses\": 4,").base(ALONE),
    row("--connect-to", "127.0.0.1:1", load_echo, "exit code Some(0)", "refused").base(SHORT),
    row(
        "--ca",
        "{dir}/ca.pem",
        |run| to_tls(run, "tls", &[]),
        "which is not trusted",
        "exit code Some(0)",
    )
    .base(SHORT),
    row(
        "--insecure",
        SWITCH,
        |run| to_tls(run, "tls", &[]),
        "which is not trusted",
        "exit code Some(0)",
    )
    .base(SHORT),
    row(
        "--cert",
        "{dir}/client.pem",
        |run| to_tls_with_client_ca(run, "tls", &[]),
        "add --cert",
        "exit code Some(0)",
    )
    .base("--insecure --json --requests 30"),
    row("--resume", SWITCH, |run| to_tls(run, "tls", &[]), "\"resumed\": 0", "\"resumed\": 4")
        .base("--insecure --close --json --requests 4 --connections 1"),
];

pub(super) const HEALTH: &[Row] = &[
    slow_default(
        "--timeout",
        "50ms",
        |run| ends_before_default(run, &[], silent_peer),
        BEFORE_DEFAULT,
    ),
    row("--unix-socket", "{dir}/socket", load_socket, "refused", "is healthy"),
    row("--connect-to", "127.0.0.1:1", load_echo, "is healthy", "refused"),
    row(
        "--ca",
        "{dir}/ca.pem",
        |run| to_tls_by_name(run, "tls", &[]),
        "which is not trusted",
        "is healthy",
    ),
    row(
        "--insecure",
        SWITCH,
        |run| to_tls_by_name(run, "tls", &[]),
        "which is not trusted",
        "is healthy",
    ),
    row(
        "--cert",
        "{dir}/client.pem",
        |run| to_tls_with_client_ca(run, "tls", &[]),
        "add --cert",
        "is healthy",
    )
    .base("--insecure"),
];
