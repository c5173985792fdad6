//! Large content, JSON with many values, and the budget for collected content.

use sockeye_proto::Reason;

use super::super::text::Encoding;
use super::super::{LARGE_CONTENT, error_response};
use super::http::{HttpResponse, over_http, post};
use super::*;

/// A search with a further key, too large to be parsed on the event loop.
fn search(value: &str) -> String {
    format!(
        r#"{{"action": "search", "value": "{value}", "more": "{}"}}"#,
        "x".repeat(LARGE_CONTENT)
    )
}

fn limits_with_json_nodes(json_nodes: usize) -> Limits {
    Limits { json_nodes, ..Limits::default() }
}

fn server(limits: Limits) -> Harness {
    Harness::new(Server::new(Rc::new(limits), Reference::default()))
}

#[test]
fn large_json_is_parsed_on_another_thread_and_the_next_request_is_answered_first() {
    let mut client = reference_server();
    client.input(&request_with_id(1, &search("ring")));
    client.input(&request_with_id(2, r#"{"action": "search", "value": "cat"}"#));
    client.input(&request_with_id(3, &format!("[{}", " ".repeat(LARGE_CONTENT))));
    assert_eq!(results(&client.output()), [(Some(2), "No match for 'cat'.".to_owned())]);
    assert_eq!(client.run_jobs(), 2);
    let results = results(&client.output());
    assert_eq!(results[0].0, Some(1));
    assert!(results[0].1.starts_with("In the caves"), "{results:?}");
    assert_eq!(results[1].0, Some(3));
    assert!(results[1].1.starts_with("Error: the content is not JSON"), "{results:?}");
    client.input(&request_with_id(4, r#"{"action": "search", "value": "cat"}"#));
    assert_eq!(frames(&client.output()).len(), 1, "the connection stays open");
}

#[test]
fn small_json_and_other_content_is_answered_at_once() {
    let padding = LARGE_CONTENT - r#"{"action":"search","value":""}"#.len();
    let content = format!(r#"{{"action":"search","value":"{}"}}"#, "x".repeat(padding));
    assert_eq!(content.len(), LARGE_CONTENT);
    let mut client = reference_server();
    client.input(&request_with_id(1, &content));
    assert_eq!((frames(&client.output()).len(), client.run_jobs()), (1, 0));
    let text = Message::binary("text/plain", "x".repeat(LARGE_CONTENT + 1));
    let head = frame::head(&Header::of(&text)).unwrap();
    client.input(&[&head, &text.content[..]].concat());
    assert_eq!((frames(&client.output()).len(), client.run_jobs()), (1, 0));
}

#[test]
fn large_json_over_http_is_parsed_on_another_thread() {
    let mut client = over_http(Limits::default(), Reference::default());
    let json = "Content-Type: application/json\r\n";
    client.input(&post(json, search("ring").as_bytes()));
    client.input(&post(json, b"{}"));
    assert!(client.output().is_empty());
    assert_eq!(client.run_jobs(), 1);
    let responses = HttpResponse::all(&client.output());
    assert_eq!([responses[0].status, responses[1].status], [200, 200]);
    assert!(responses[0].json()["result"].as_str().unwrap().starts_with("In the caves"));
}

#[test]
fn a_lost_job_is_an_error() {
    let mut client = reference_server();
    client.input(&request_with_id(1, &search("ring")));
    client.drop_jobs();
    assert_eq!(error_code(&client.output()), "internal");
}

/// A list with this many nodes, itself included.
fn list(nodes: usize) -> String {
    format!("[{}]", vec!["1"; nodes - 1].join(","))
}

#[test]
fn json_with_too_many_values_is_refused_and_the_connection_stays_open() {
    for drip in [false, true] {
        let mut client = server(limits_with_json_nodes(10));
        for (id, nodes) in [(1, 10), (2, 11), (3, 10)] {
            let request = request_with_id(id, &list(nodes));
            if drip {
                client.drip(&request);
            } else {
                client.input(&request);
            }
        }
        let frames = frames(&client.output());
        let code = |at: usize| frames[at].1.to_json().unwrap()["error"]["code"].clone();
        assert_eq!([code(0), code(1), code(2)], ["bad_request", "too_complex", "bad_request"]);
        assert!(frames.iter().all(|(header, _)| header.keep_alive), "the connection stays open");
        assert_eq!(frames[1].0.id, Some(Id::number(2)));
    }
    // Without an id it is the only request.
    let mut client = server(limits_with_json_nodes(10));
    client.input(&request(&list(11)));
    assert_eq!(error_code(&client.output()), "too_complex");
    assert_eq!(client.fault().map(|fault| fault.code), Some("too_complex"));
}

#[test]
fn the_default_limit_is_100_000_values_and_applies_to_json_only() {
    let mut client = reference_server();
    client.input(&request_with_id(1, &list(100_000)));
    client.input(&request_with_id(2, &list(100_001)));
    assert_eq!(client.run_jobs(), 1);
    let results = results(&client.output());
    assert_eq!(results[0].0, Some(2));
    let expected = "the content has more than 100000 JSON values and keys";
    assert_eq!(results[0].1, format!("Error: {expected}"));
    assert!(results[1].1.starts_with("Error: the content must be an object"), "{results:?}");

    let text = Message::text("text/plain", Encoding::Utf8, &list(100_001)).unwrap();
    let head = frame::head(&Header::of(&text)).unwrap();
    client.input(&[&head, &text.content[..]].concat());
    assert_eq!(frames(&client.output())[0].1.content, b"First 10 bytes of request: [1,1,1,1,1"[..]);
}

#[test]
fn json_with_too_many_values_over_http_is_413() {
    for (fields, content) in [
        ("Content-Type: application/json\r\n", list(11).into_bytes()),
        (
            "Content-Type: text/json; charset=utf-16le\r\n",
            list(11).encode_utf16().flat_map(u16::to_le_bytes).collect(),
        ),
    ] {
        let mut client = over_http(limits_with_json_nodes(10), Reference::default());
        client.input(&post(fields, &content));
        client.drip(&post(fields, &content));
        client.input(&http::chunked(fields, &[&content]));
        client.input(&post("Content-Type: application/json\r\n", list(10).as_bytes()));
        let responses = HttpResponse::all(&client.output());
        let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
        assert_eq!(statuses, [413, 413, 413, 400]);
        assert_eq!(responses[0].error_code(), "too_complex");
    }
}

/// A deadline may pass while content that is discarded arrives.
#[test]
fn no_error_is_sent_after_the_deadline() {
    let mut client = server(limits_with_json_nodes(10));
    let request =
        request_with(r#", "id": 1, "connection": "keep-alive", "deadline-ms": 1000"#, &list(100));
    let (first, rest) = request.split_at(request.len() - 10);
    client.input(first);
    client.pass(seconds(2));
    client.input(rest);
    assert!(client.output().is_empty());
    client.input(&request_with_id(2, &list(10)));
    assert_eq!(results(&client.output()).len(), 1);
}

/// Answers with the error whose code and length the request names.
struct NamedError;

impl Handler for NamedError {
    fn on_message(&mut self, message: Message, _: &Peer, responder: Responder<'_, '_>) -> Answer {
        let value = message.to_json().unwrap();
        let text = "\"} ".repeat(value[1].as_u64().unwrap() as usize);
        match value[0].as_str() {
            // Not as `error_response` writes it.
            Some("more") => responder.send(Message::json_text(format!(
                r#"{{"result": "Error: {}", "error": {{"code": "own"}}, "more": 1}}"#,
                "x".repeat(text.len())
            ))),
            Some(code) => responder.send(error_response(code, &text)),
            // Ends as an error response does, in a string.
            None => {
                responder.send(result(&format!("Error: {text}, \"error\": {{\"code\": \"x\"}}")))
            }
        }
    }
}

#[test]
fn the_status_of_an_error_follows_from_its_code_at_any_length() {
    // A long error in another form is not parsed for its code.
    for (len, other) in [(1, 422), (LARGE_CONTENT, 200)] {
        let codes = [("\"not_found\"", 404), ("\"own\"", 422), ("null", 200), ("\"more\"", other)];
        for (code, status) in codes {
            let mut client = over_http(Limits::default(), NamedError);
            client
                .input(&post("Content-Type: text/json\r\n", format!("[{code},{len}]").as_bytes()));
            let responses = HttpResponse::all(&client.output());
            assert_eq!(responses[0].status, status, "{code} {len}");
        }
    }
}

/// Limits with a budget of this many bytes; a local client has half of it.
fn limits_with_budget(total: u64) -> Limits {
    Limits { collected: sockeye_proto::Budget::new("bytes", total), ..Limits::default() }
}

/// JSON with one value that is larger than the free amount.
fn long_json(len: usize) -> String {
    format!("\"{}\"", "x".repeat(len))
}

#[test]
fn collected_content_is_charged_until_its_request_is_answered() {
    let limits = limits_with_budget(1 << 20);
    let budget = std::sync::Arc::clone(&limits.collected);
    let slow_server = || Harness::new(Server::new(Rc::new(limits.clone()), Slow::default()));
    // As a client that sends all content but its last byte.
    let request = request_with_id(1, &long_json(400 << 10));
    let mut first = slow_server();
    first.input(&request[..request.len() - 1]);
    let held = budget.used();
    assert!((330 << 10..=512 << 10).contains(&held), "{held}");

    let mut second = slow_server();
    for part in request.chunks(16 << 10) {
        second.input(part);
    }
    assert_eq!(error_code(&second.output()), "busy");
    assert_eq!(budget.used(), held, "refused content is not charged");
    second.input(&request_with_id(2, "\"now\""));
    assert_eq!(
        results(&second.output()),
        [(Some(2), "now".to_owned())],
        "the connection stays open"
    );

    first.input(&request[request.len() - 1..]);
    assert_eq!(budget.used(), held + 1, "a job holds the content");
    assert_eq!(first.run_jobs(), 1);
    assert_eq!((frames(&first.output()).len(), budget.used()), (1, 0));
    second.input(&request);
    assert!(budget.used() > 0);
    drop(second);
    assert_eq!(budget.used(), 0, "the client is gone");
}

#[test]
fn content_is_charged_until_the_job_that_holds_it_has_ended() {
    let json = "Content-Type: application/json\r\n";
    let content = search(&"x".repeat(300 << 10));
    for over_frames in [true, false] {
        let limits = limits_with_budget(1 << 20);
        let budget = std::sync::Arc::clone(&limits.collected);
        let mut client = if over_frames {
            let mut client = server(limits);
            client.input(&request_with_id(1, &content));
            client
        } else {
            let mut client = over_http(limits, Reference::default());
            client.input(&post(json, content.as_bytes()));
            client
        };
        let held = budget.used();
        assert!(held >= 300 << 10, "{held}");
        client.end_for(&Reason::Reset);
        assert_eq!(budget.used(), held, "the job waits, and holds the content");
        assert_eq!((client.run_jobs_only(), budget.used()), (1, 0));
    }
}

#[test]
fn content_above_the_budget_is_503_over_http() {
    let mut client = over_http(limits_with_budget(1 << 20), Reference::default());
    let fields = "Content-Type: application/json\r\n";
    client.input(&post(fields, long_json(700 << 10).as_bytes()));
    client.input(&post(fields, long_json(60 << 10).as_bytes()));
    let responses = HttpResponse::all(&client.output());
    assert_eq!((responses[0].status, responses[0].error_code()), (503, "busy".to_owned()));
    assert!(responses[0].has("Retry-After: 1"));
    assert_eq!(responses[1].status, 400, "content below the free amount needs no budget");
}

#[test]
fn the_default_budget_has_room_for_the_largest_content() {
    let limits = Limits::default();
    let client = sockeye_proto::Client::V4([192, 0, 2, 1]);
    assert!(limits.collected.take(client, limits.content).is_some());
}
