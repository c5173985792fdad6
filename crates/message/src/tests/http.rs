//! Messages over HTTP.

use proptest::prelude::*;
use sockeye_http as http_core;
use sockeye_proto::{Client, End};

use super::*;
use crate::AllowedOrigins;

const DATE: &str = "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\n";

pub(super) fn over_http<H: Handler + 'static>(limits: Limits, handler: H) -> Harness {
    let shared = Rc::new(http_core::ServerConfig::new(limits.http()));
    Harness::new(http_core::Server::new(shared, Http::new(Rc::new(limits), handler)))
}

fn connect() -> Harness {
    over_http(Limits::default(), Reference::default())
}

pub(super) fn post(fields: &str, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n{fields}\r\n");
    [head.as_bytes(), content].concat()
}

pub(super) fn chunked(fields: &str, chunks: &[&[u8]]) -> Vec<u8> {
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{fields}\r\n");
    let mut request = head.into_bytes();
    for chunk in chunks {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend_from_slice(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

/// A response: its status, its fields, its content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HttpResponse {
    pub(super) status: u16,
    fields: String,
    content: Vec<u8>,
}

impl HttpResponse {
    /// The responses in `output`, each of them with a length.
    pub(super) fn all(mut output: &[u8]) -> Vec<Self> {
        let mut response = Vec::new();
        while !output.is_empty() {
            let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            let head = std::str::from_utf8(&output[..end + 2]).unwrap();
            let (line, fields) = head.split_once("\r\n").unwrap();
            let length = fields.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            response.push(Self {
                status: line[9..12].parse().unwrap(),
                fields: fields.to_owned(),
                content: output[end + 4..end + 4 + length].to_vec(),
            });
            output = &output[end + 4 + length..];
        }
        response
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.content).expect("JSON")
    }

    pub(super) fn error_code(&self) -> String {
        assert!(self.json()["result"].as_str().unwrap().starts_with("Error: "));
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.lines().any(|line| line == field)
    }

    /// Whether a field begins with `start`.
    pub(super) fn contains(&self, start: &str) -> bool {
        self.fields.lines().any(|line| line.starts_with(start))
    }
}

/// Sends `input` at once to `client`, and byte by byte to `dripped`. Returns the one response,
/// which is the same.
fn exchange(mut client: Harness, mut dripped: Harness, input: &[u8]) -> HttpResponse {
    client.input(input);
    let output = client.output();
    for byte in input {
        if dripped.fault().is_none() && dripped.end().is_none() {
            dripped.input(&[*byte]);
        }
    }
    assert_eq!(dripped.output(), output, "byte by byte");
    let mut responses = HttpResponse::all(&output);
    assert_eq!(responses.len(), 1, "{}", output.escape_ascii());
    responses.remove(0)
}

/// [`exchange`] with the reference service.
fn respond(input: &[u8]) -> HttpResponse {
    exchange(connect(), connect(), input)
}

#[test]
fn an_error_has_the_type_of_the_request() {
    for (request, status) in [
        ("POST / HTTP/1.1\r\nOrigin: http://other", 403),
        ("POST /search HTTP/1.1", 404),
        ("PUT / HTTP/1.1", 405),
        ("NEWS / HTTP/1.1", 501),
    ] {
        for (sent, expected) in [
            ("text/json", "text/json; charset=utf-8"),
            ("application/json", "application/json"),
            ("text/plain", "application/json"),
        ] {
            let response =
                respond(format!("{request}\r\nHost: a\r\nContent-Type: {sent}\r\n\r\n").as_bytes());
            let content_type = format!("Content-Type: {expected}");
            assert_eq!((response.status, response.has(&content_type)), (status, true), "{sent}");
        }
    }
}

#[test]
fn a_search_byte_for_byte() {
    let mut client = connect();
    client.input(&post("Content-Type: text/json\r\n", br#"{"action":"search","value":"ring"}"#));
    let expected = format!(
        "HTTP/1.1 200 OK\r\n{DATE}X-Content-Type-Options: nosniff\r\n\
         Content-Type: text/json; charset=utf-8\r\nContent-Length: 60\r\n\r\n\
         {{\"result\": \"In the caves beneath the Misty Mountains. \u{1f48d}\"}}"
    );
    assert_eq!(String::from_utf8(client.output()).unwrap(), expected);
    assert!(client.end().is_none(), "the connection is kept");
}

#[test]
fn a_response_uses_the_json_name_of_its_request() {
    let search = r#"{"action": "search", "value": "é"}"#;
    let utf16: Vec<u8> = search.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let latin: Vec<u8> = search.chars().map(|c| c as u8).collect();
    let none = "{\"result\": \"No match for 'é'.\"}";
    let text = "Content-Type: text/json; charset=utf-8";
    let application = "Content-Type: application/json";
    let binary = "Content-Type: binary/custom-server-binary-type";
    for (content_type, content, response_type, expected) in [
        ("text/json", search.as_bytes(), text, none),
        ("application/json", search.as_bytes(), application, none),
        ("Application/JSON; charset=UTF-8", search.as_bytes(), application, none),
        ("text/json; charset=utf-16be", &utf16, text, none),
        ("text/json; charset=\"iso-8859-1\"", &latin, text, none),
        ("text/json", b"{}", text, "{\"result\": \"Error: invalid action 'None'.\"}"),
        ("text/plain", b"hello", binary, "First 10 bytes of request: hello"),
        ("a/b", b"", binary, "First 10 bytes of request: "),
    ] {
        let fields = format!("Content-Type: {content_type}\r\n");
        let (begin, end) = content.split_at(content.len() / 2);
        let mut chunks = vec![begin, end];
        chunks.retain(|chunk| !chunk.is_empty());
        for input in [post(&fields, content), chunked(&fields, &chunks)] {
            let response = respond(&input);
            assert_eq!(response.status, 200, "{content_type}");
            assert!(response.has(response_type), "{content_type}: {}", response.fields);
            assert!(response.has("X-Content-Type-Options: nosniff"));
            assert_eq!(String::from_utf8(response.content).unwrap(), expected, "{content_type}");
        }
    }
}

#[test]
fn each_error_has_its_status_and_code() {
    let typed = |content_type: &str, content: &[u8]| {
        post(&format!("Content-Type: {content_type}\r\n"), content)
    };
    let plain = |line: &str| format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    for (input, status, code) in [
        (typed("text/json", b"{"), 400, "bad_content"),
        (typed("text/json", b""), 400, "bad_content"),
        (typed("text/json", b"\"\xff\""), 400, "bad_content"),
        (typed("text/json", b"[]"), 400, "bad_request"),
        (typed("text/json; charset=klingon", b"{}"), 415, "unsupported_encoding"),
        (typed("text/json; charset=binary", b"{}"), 415, "unsupported_encoding"),
        (typed("application/x-www-form-urlencoded", b"{}"), 415, "unsupported_type"),
        (typed("Multipart/Form-Data; boundary=x", b"{}"), 415, "unsupported_type"),
        (post("", b"{}"), 415, "unsupported_type"),
        (plain("POST /"), 415, "unsupported_type"),
        (typed("json", b"{}"), 400, "bad_header"),
        (typed("text/json; charset", b"{}"), 400, "bad_header"),
        (post("Content-Type: a/b\r\nContent-Type: a/b\r\n", b"{}"), 400, "bad_header"),
        (
            post("Content-Type: text/json\r\nContent-Encoding: gzip\r\n", b"{}"),
            415,
            "unsupported_encoding",
        ),
        (plain("PUT /"), 405, "method_not_allowed"),
        (plain("DELETE /"), 405, "method_not_allowed"),
        (plain("TRACE /"), 405, "method_not_allowed"),
        (plain("get /"), 501, "unknown_method"),
        (plain("PROPFIND /"), 501, "unknown_method"),
        (plain("PROPFIND /search"), 501, "unknown_method"),
        (plain("GET /index.html"), 404, "not_found"),
        (plain("POST /search"), 404, "not_found"),
        (b"POST / HTTP/1.1\r\n\r\n".to_vec(), 400, "bad_header"),
        (plain(&format!("GET /{}", "x".repeat(9000))), 414, "too_large"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_vec(),
            501,
            "unknown_coding",
        ),
        (post("Content-Type: a/b\r\nTransfer-Encoding: chunked\r\n", b"{}"), 400, "bad_header"),
    ] {
        let shown = input[..input.len().min(100)].escape_ascii().to_string();
        let response = respond(&input);
        assert_eq!((response.status, response.error_code().as_str()), (status, code), "{shown}");
        let name = if shown.contains("text/json") && code != "bad_header" {
            "Content-Type: text/json; charset=utf-8"
        } else {
            "Content-Type: application/json"
        };
        assert!(response.has(name), "{shown}: {}", response.fields);
        assert_eq!(response.has("Allow: GET, HEAD, OPTIONS, POST"), status == 405, "{shown}");
        assert_eq!(response.has("Accept-Encoding: identity"), shown.contains("gzip\\r\\n\\r\\n{}"));
    }
    let response = respond(&typed("application/x-www-form-urlencoded", b"{\"action\":\"search\"}"));
    let result = response.json()["result"].as_str().unwrap().to_owned();
    assert!(result.contains("-H 'content-type: application/json'"), "{result}");
    assert!(response.has("Accept: application/json, text/json, */*;q=0.5"));
}

#[test]
fn get_returns_a_description() {
    let plain = |line: &str| respond(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    let help = plain("GET /?a=b");
    assert_eq!(help.status, 200);
    assert!(help.has("Content-Type: text/plain; charset=utf-8"));
    assert!(String::from_utf8(help.content).unwrap().starts_with("This port answers messages"));
    let mut client = connect();
    client.input(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = String::from_utf8(client.output()).unwrap();
    assert!(head.contains(&format!("{}\r\n", help.fields)), "{head}");
    for line in ["OPTIONS /", "OPTIONS *"] {
        let response = plain(line);
        assert_eq!((response.status, response.content), (204, vec![]));
        assert!(
            response.fields.contains("Allow: GET, HEAD, OPTIONS, POST\r\n"),
            "{}",
            response.fields
        );
    }
}

#[test]
fn content_above_the_limit_is_refused_at_once() {
    let limits = Limits { content: 10, ..Limits::default() };
    let connect = || over_http(limits.clone(), Slow::default());
    let kind = "Content-Type: a/b\r\n";
    for request in
        [post(kind, &[0; 11]), chunked(kind, &[&[0; 11]]), chunked(kind, &[&[0; 10], &[0]])]
    {
        let response = exchange(connect(), connect(), &request);
        assert_eq!((response.status, response.error_code().as_str()), (413, "too_large"));
        assert_eq!(response.has("Connection: close"), request.ends_with(b"0\r\n\r\n"));
    }
    for request in [post(kind, &[0; 10]), chunked(kind, &[&[0; 9], &[0]])] {
        assert_eq!(exchange(connect(), connect(), &request).error_code(), "no");
    }

    // With Expect: 100-continue, it is refused before the content is sent.
    let mut client = connect();
    client.input(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Length: 999999999\r\n\
          Expect: 100-continue\r\n\r\n",
    );
    let responses = HttpResponse::all(&client.output());
    assert_eq!((responses.len(), responses[0].status), (1, 413));
    assert!(responses[0].has("Connection: close"));
    assert_eq!(client.end(), Some(End::Linger));

    let mut client = connect();
    client.input(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/json\r\nContent-Length: 5\r\n\
          Expect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.output(), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.input(b"\"now\"");
    assert_eq!(HttpResponse::all(&client.output())[0].json(), json!({"result": "now"}));
}

#[test]
fn timeouts_and_incomplete_requests_are_answered_in_json() {
    let request = post("Content-Type: text/json\r\n", b"\"now\"");
    for (sent, after) in [(request.len() - 1, 31), (20, 11)] {
        let mut client = connect();
        client.input(&request[..sent]);
        client.pass(seconds(after));
        let response = &HttpResponse::all(&client.output())[0];
        assert_eq!((response.status, response.error_code().as_str()), (408, "timeout"));
    }
    let mut client = connect();
    client.input(&request[..request.len() - 1]);
    client.eof();
    let response = &HttpResponse::all(&client.output())[0];
    assert_eq!((response.status, response.error_code().as_str()), (400, "incomplete"));
}

#[test]
fn later_responses_are_sent_in_the_order_of_the_requests() {
    let mut client = over_http(Limits::default(), Slow::default());
    let kind = "Content-Type: text/json\r\n";
    let asked: Vec<u8> = ["\"one\"", "\"now\"", "\"never\"", "\"forgotten\"", "\"two\""]
        .iter()
        .flat_map(|content| post(kind, content.as_bytes()))
        .collect();
    client.input(&asked);
    let mut output = client.output();
    assert!(output.is_empty(), "the first response is not ready");
    for _ in 0..asked.len() {
        client.run_jobs();
        output.extend(client.output());
    }
    let responses = HttpResponse::all(&output);
    let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [200, 200, 500, 500, 200]);
    assert_eq!(responses[0].json(), json!({"result": "one"}));
    assert_eq!(
        (responses[2].error_code(), responses[3].error_code()),
        ("internal".into(), "internal".into())
    );
    assert_eq!(responses[4].json(), json!({"result": "two"}));

    client.input(&post(kind, b"\"last\""));
    client.drop_jobs();
    assert_eq!(HttpResponse::all(&client.output())[0].error_code(), "internal");
    assert!(client.end().is_none(), "the connection goes on");
}

#[test]
fn a_response_that_http_cannot_send_is_our_fault() {
    struct Odd;
    impl Handler for Odd {
        fn on_message(
            &mut self,
            message: Message,
            _: &Peer,
            responder: Responder<'_, '_>,
        ) -> Answer {
            let text = message.to_text().unwrap().into_owned();
            responder.send(Message::binary(text, "x"))
        }
    }
    for (content_type, status) in
        [("a/b\r\nSet-Cookie: a=b", 500), ("a\0", 500), ("", 200), ("strange", 200)]
    {
        let mut client = over_http(Limits::default(), Odd);
        client.input(&post("Content-Type: text/plain\r\n", content_type.as_bytes()));
        let output = client.output();
        assert!(!output.windows(10).any(|ten| ten == b"Set-Cookie"));
        assert_eq!(HttpResponse::all(&output)[0].status, status, "{content_type:?}");
    }
}

struct Panics;

impl Handler for Panics {
    fn on_message(&mut self, _: Message, _: &Peer, _: Responder<'_, '_>) -> Answer {
        panic!("no secret")
    }
}

#[test]
fn a_panic_in_a_handler_is_answered_with_500() {
    let mut client = over_http(Limits::default(), Panics);
    client.input(&post("Content-Type: a/b\r\n", b""));
    let response = &HttpResponse::all(&client.output())[0];
    assert_eq!((response.status, response.error_code().as_str()), (500, "internal"));
    assert_eq!(client.fault().unwrap().code, "handler_panicked");
}

/// What a browser sends for a form or a script of any page.
const SIMPLE: &str = "Content-Type: text/plain\r\nOrigin: http://evil.example\r\n\
                      Sec-Fetch-Site: cross-site\r\n";

#[test]
fn a_message_from_a_page_of_another_site_is_refused_before_the_handler() {
    let client = || over_http(Limits::default(), Panics);
    for fields in [SIMPLE, "Content-Type: text/plain\r\nOrigin: null\r\n"] {
        let response = exchange(client(), client(), &post(fields, b"hello"));
        assert_eq!((response.status, response.error_code().as_str()), (403, "forbidden_origin"));
        assert!(response.has("Content-Type: application/json"), "{response:?}");
    }
    let own = "Content-Type: text/plain\r\nOrigin: http://a\r\n";
    assert_eq!(respond(&post(own, b"hello")).status, 200);
}

#[test]
fn refused_origins_and_hosts_get_a_hint() {
    let connect = |origins: AllowedOrigins, hosts: http_core::AllowedHosts| {
        let check = http_core::HostCheck::new(hosts.hint("--host NAME allows it"), |_| true);
        let shared = ServerConfig::new(Limits::default())
            .checking_hosts(check)
            .allowing_origins(origins.hint("--origin URL allows it"));
        Harness::new(FramesOrHttp::new(Rc::new(shared), Reference::default()))
    };
    let (origins, hosts) = (AllowedOrigins::default(), http_core::AllowedHosts::default());
    let evil = origins.clone().allow("http://evil.example");
    let a = hosts.clone().allow("a").unwrap();
    for (origins, hosts, status, code, hint) in [
        (&origins, &hosts, 421, "host_not_allowed", "asked for the host a, which is not allowed"),
        (&evil, &hosts, 421, "host_not_allowed", "--host NAME allows it"),
        (&origins, &a, 403, "forbidden_origin", "--origin URL allows it"),
    ] {
        let connect = || connect(origins.clone(), hosts.clone());
        let response = exchange(connect(), connect(), &post(SIMPLE, b"hello"));
        assert_eq!((response.status, response.error_code().as_str()), (status, code));
        let result = response.json()["result"].as_str().unwrap().to_owned();
        assert!(result.contains(hint), "{result}");
    }
    let connect = || connect(evil.clone(), a.clone());
    assert_eq!(exchange(connect(), connect(), &post(SIMPLE, b"hello")).status, 200);
}

proptest! {
    #[test]
    fn frames_http_and_websocket_have_the_same_responses(
        content in prop_oneof![
            Just(b"{\"action\": \"search\", \"value\": \"ring\"}".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..40),
            "\\{\"action\": (\"search\"|1|\\[\\]|null), \"value\": (\"\"|\"x\"|1|1\\.5|true)\\}"
                .prop_map(String::into_bytes),
        ],
        content_type in proptest::sample::select(vec!["text/json", "text/plain", "a/b"]),
        encoding in proptest::sample::select(vec!["utf-8", "utf-16", "latin-1", "ascii"]),
    ) {
        let header = format!(
            "{{\"byteorder\": \"little\", \"content-type\": \"{content_type}\", \
             \"content-encoding\": \"{encoding}\", \"content-length\": {}}}",
            content.len()
        );
        let mut client = reference_server();
        client.input(&framed(&header, &content));
        let framed = frames(&client.output()).remove(0).1;
        let fields = format!("Content-Type: {content_type}; charset={encoding}\r\n");
        let response = respond(&post(&fields, &content));
        prop_assert_eq!(&response.content, &framed.content);
        let frame = super::framed(&header, &content);
        prop_assert_eq!(&websocket::respond_in_binary(&frame), &framed);
        if let Ok(text) = str::from_utf8(&content)
            && (content_type, encoding) == ("text/json", "utf-8")
        {
            prop_assert_eq!(&websocket::respond_in_text(text), &framed);
        }
        let is_error = super::super::ErrorResponse::of(&framed).is_some_and(|e| e.code.is_some());
        prop_assert_eq!(response.status >= 400, is_error);
    }
}

/// The field `Client` names the client, as a proxy might.
#[derive(Debug)]
struct ClientField;

impl http_core::Clients for ClientField {
    fn client(&self, _: &Peer, request: &http_core::Request<'_>) -> Client {
        Client::V4([192, 0, 2, request.field("client").unwrap()[0]])
    }
}

#[test]
fn jobs_are_charged_to_the_client_that_a_proxy_names() {
    let limits = Limits::default();
    let config = http_core::ServerConfig::new(limits.http()).clients(Rc::new(ClientField));
    let (config, limits) = (Rc::new(config), Rc::new(limits));
    let http = Http::new(limits, Slow::default());
    let mut client = Harness::new(http_core::Server::new(config, http));
    for name in ["a", "b"] {
        let fields = format!("Content-Type: text/json\r\nClient: {name}\r\n");
        client.input(&post(&fields, b"\"yes\""));
        assert_eq!(client.job_clients(), [Client::V4([192, 0, 2, name.as_bytes()[0]])]);
        client.run_jobs();
        assert_eq!(HttpResponse::all(&client.output())[0].json()["result"], "yes");
    }
    client.input(format!("{}Client: c\r\n\r\n", websocket::OPEN).as_bytes());
    assert!(client.output().starts_with(b"HTTP/1.1 101 "));
    let mut socket = websocket::Socket(client);
    socket.text("\"yes\"");
    assert_eq!(socket.0.job_clients(), [Client::V4([192, 0, 2, b'c'])]);
}
