//! The request that opens a WebSocket, and the page that does.

use super::http::HttpResponse;
use super::*;
use crate::AllowedOrigins;

/// The response to a request to open a WebSocket.
fn handshake(config: ServerConfig, request: &str) -> HttpResponse {
    let mut client = Harness::new(FramesOrHttp::new(Rc::new(config), Slow::default()));
    client.input(request.as_bytes());
    HttpResponse::all(&client.output()).remove(0)
}

#[test]
fn a_refused_handshake_is_an_error_in_json() {
    let config = || {
        let check = http_core::HostCheck::new(
            http_core::AllowedHosts::default().allow("a").unwrap().hint("use --host NAME"),
            |_| true,
        );
        let origins = AllowedOrigins::default().allow("https://app.example");
        ServerConfig::new(Limits::default())
            .checking_hosts(check)
            .allowing_origins(origins.hint("use --origin URL"))
    };
    for (request, status, code, hint) in [
        (OPEN.replace("Version: 13", "Version: 8"), 400, "bad_header", "version 13"),
        (OPEN.replace("dGhl", ""), 400, "bad_header", "Sec-WebSocket-Key"),
        (OPEN.replace("GET", "PUT"), 405, "method_not_allowed", "GET"),
        (OPEN.replace("GET /", "GET /other"), 404, "not_found", "to /"),
        (OPEN.replace("Host: a", "Host: b"), 421, "host_not_allowed", "--host NAME"),
        (format!("{OPEN}Origin: http://evil.example\r\n"), 403, "forbidden_origin", "--origin URL"),
        (format!("{OPEN}Origin: null\r\n"), 403, "forbidden_origin", "--origin URL"),
    ] {
        let response = handshake(config(), &format!("{request}\r\n"));
        assert_eq!((response.status, &*response.error_code()), (status, code), "{request}");
        let result = response.json()["result"].to_string();
        assert!(result.contains(hint), "{result}");
        let is_bad = status == 400;
        assert_eq!(response.has("Sec-WebSocket-Version: 13"), is_bad, "{request}");
    }
    for origin in ["", "Origin: http://a\r\n", "Origin: https://app.example\r\n"] {
        let response = handshake(config(), &format!("{OPEN}{origin}\r\n"));
        assert_eq!(response.status, 101, "{origin}");
        assert!(response.has("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    let mut client = Harness::new(FramesOrHttp::new(Rc::new(config()), Slow::default()));
    client.input(&OPEN.as_bytes()[..20]);
    client.drain();
    client.input(format!("{}\r\n", &OPEN[20..]).as_bytes());
    let response = HttpResponse::all(&client.output()).remove(0);
    assert_ne!(response.status, 101, "the server is stopping");
}

#[test]
fn get_is_a_page_in_a_browser() {
    let get = |accept: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{accept}\r\n");
        handshake(ServerConfig::new(Limits::default()), &request)
    };
    for (accept, is_page) in [
        ("Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n", true),
        ("Accept: application/xml, Text/HTML;level=1\r\n", true),
        ("Accept: */*\r\n", false),
        ("Accept: text/htmlx, application/json\r\n", false),
        ("", false),
    ] {
        let response = get(accept);
        let html = response.has("Content-Type: text/html; charset=utf-8");
        assert_eq!((response.status, html), (200, is_page), "{accept}");
        assert!(response.has("X-Content-Type-Options: nosniff") && response.has("Vary: Accept"));
        let policy = "Content-Security-Policy: default-src 'none'; style-src 'sha256-";
        assert_eq!(response.contains(policy), is_page);
    }
}
