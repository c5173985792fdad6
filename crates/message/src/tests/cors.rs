//! Pages of other origins that send messages over HTTP (CORS).

use super::*;
use crate::AllowedOrigins;

const APP: &str = "https://app.example";

/// Sends a request over HTTP. Returns the response's head, with the fields in lower case.
fn respond(config: ServerConfig, line: &str, fields: &str, content: &str) -> String {
    let mut client = Harness::new(FramesOrHttp::new(Rc::new(config), Slow::default()));
    let len = content.len();
    let head = format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n{fields}\r\n");
    client.input(head.as_bytes());
    client.input(content.as_bytes());
    client.run_jobs();
    let output = String::from_utf8(client.output()).unwrap();
    let (head, _) = output.split_once("\r\n\r\n").unwrap();
    head.to_ascii_lowercase()
}

fn open() -> ServerConfig {
    let origins = AllowedOrigins::default().allow(APP);
    let limits = Limits { content: 100, ..Limits::default() };
    ServerConfig::new(limits).allowing_origins(origins)
}

/// What the browser of a page of `origin` asks before it sends JSON.
fn preflight(origin: &str) -> String {
    format!(
        "Origin: {origin}\r\nSec-Fetch-Site: cross-site\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: content-type\r\n"
    )
}

#[test]
fn a_page_of_an_allowed_origin_may_send_messages() {
    let head = respond(open(), "OPTIONS /", &preflight(APP), "");
    assert!(head.starts_with("http/1.1 204 "), "{head}");
    for field in [
        "\r\nallow: get, head, options, post",
        "\r\naccess-control-allow-origin: https://app.example",
        "\r\naccess-control-allow-methods: get, head, post",
        "\r\naccess-control-allow-headers: content-type",
        "\r\naccess-control-max-age: 86400",
        "\r\nvary: origin",
    ] {
        assert!(head.contains(field), "{field:?} is missing in {head}");
    }
}

#[test]
fn a_page_of_an_allowed_origin_reads_every_response() {
    const JSON: &str = "Content-Type: application/json\r\n";
    for (line, fields, content, status) in [
        ("POST /", JSON, "\"now\"", "200"),
        ("POST /", JSON, "\"later\"", "200"),
        ("POST /", JSON, "no JSON", "422"),
        ("POST /", JSON, "\"never\"", "500"),
        ("POST /", "", "\"now\"", "415"),
        ("POST /", JSON, &"x".repeat(101), "413"),
        ("POST /other", JSON, "\"now\"", "404"),
        ("PUT /", JSON, "\"now\"", "405"),
        ("QUACK /", "", "", "501"),
        ("GET /", "", "", "200"),
        ("GET /", "Accept: text/html\r\n", "", "200"),
        ("GET /", "Upgrade: websocket\r\nConnection: upgrade\r\n", "", "400"),
        ("OPTIONS /", "", "", "204"),
    ] {
        let fields = format!("Origin: {APP}\r\nSec-Fetch-Site: cross-site\r\n{fields}");
        let head = respond(open(), line, &fields, content);
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{line} {fields} {head}");
        let allowed = "\r\naccess-control-allow-origin: https://app.example\r\n";
        assert!(head.contains(allowed), "{line} {fields} {head}");
        assert!(head.contains("\r\nvary: origin"), "{line} {fields} {head}");
    }
}

#[test]
fn other_clients_get_no_fields_of_cors() {
    let own = "Origin: http://a\r\nContent-Type: text/json\r\n";
    let evil = preflight("https://evil.example");
    for (config, line, fields, status) in [
        (open(), "OPTIONS /", &*evil, "403"),
        (open(), "POST /", &evil, "403"),
        (open(), "POST /", own, "200"),
        (ServerConfig::new(Limits::default()), "POST /", own, "200"),
        (ServerConfig::new(Limits::default()), "OPTIONS /", &preflight(APP), "403"),
        (ServerConfig::new(Limits::default()), "OPTIONS /", "", "204"),
    ] {
        let head = respond(config, line, fields, "\"now\"");
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{line} {fields} {head}");
        assert!(!head.contains("access-control"), "{line} {fields} {head}");
    }
}
