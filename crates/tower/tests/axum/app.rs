//! An axum app: extractors, methods, limits and hosts.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use sockeye::Peer;
use sockeye::http::{AllowedHosts, Options};
use sockeye_tower::RawTarget;

use super::RunningApp;

async fn who(Extension(peer): Extension<Peer>) -> String {
    peer.address.to_string()
}

async fn tag(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-layer", "was here".parse().unwrap());
    response
}

fn app() -> Router {
    let count = Arc::new(AtomicUsize::new(0));
    let inner = Router::new()
        .route(
            "/{id}",
            get(|Path((name, id)): Path<(String, u32)>| async move { format!("{name} {id}") }),
        )
        .layer(middleware::from_fn(tag));
    Router::new()
        .route("/", get(|| async { "Hello" }))
        .route("/count", post(|State(count): State<Arc<AtomicUsize>>| async move {
            count.fetch_add(1, Ordering::Relaxed).to_string()
        }))
        .route("/sum", post(|Json(value): Json<Value>| async move {
            Json(json!({ "sum": value["a"].as_i64().unwrap_or(0) + value["b"].as_i64().unwrap_or(0) }))
        }))
        .route("/headers", any(|headers: HeaderMap| async move {
            headers.get_all("x-a").iter().map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>().join("|")
        }))
        .route("/large", get(|| async { vec![b'x'; 5_000_000] }))
        .route("/bytes", post(|body: axum::body::Bytes| async move { body }))
        .route("/who", get(who))
        .route("/panic", get(|| async { panic!("on purpose") as &str }))
        .route("/switch", get(|| async { StatusCode::SWITCHING_PROTOCOLS }))
        .route("/chunked", get(|| async { ([("transfer-encoding", "chunked")], "by the server") }))
        .route("/coding", get(|| async { ([("transfer-encoding", "gzip")], "no") }))
        .route("/close", get(|| async { ([("connection", "close")], "bye") }))
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .nest("/in/{name}", inner)
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such route").into_response() })
        .with_state(count)
}

#[test]
fn extractors_state_and_nested_routers_work() {
    let running = RunningApp::new(app());
    let mut client = running.client();
    assert_eq!(client.request("GET /").text(), "Hello");
    assert_eq!(client.request("POST /count").text(), "0");
    assert_eq!(client.request("POST /count").text(), "1");
    let answer = client.request("GET /in/there/42");
    assert_eq!((answer.text(), answer.field("x-layer")), ("there 42", Some("was here")));
    assert_eq!(client.request("GET /in/there/x").status, 400);
    let json = b"{\"a\": 40, \"b\": 2}";
    client.head("POST /sum", &["Content-Type: application/json", "Content-Length: 17"]);
    client.send(json);
    let answer = client.response();
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(answer.text(), "{\"sum\":42}");
    assert_eq!(client.request_with_body("POST /sum", json).status, 415);
    client.head("GET /headers", &["X-A: 1", "B: 2", "x-a: 3"]);
    assert_eq!(client.response().text(), "1|3");
    assert!(client.request("GET /who").text().starts_with("127.0.0.1:"));
    assert_eq!(client.request("DELETE /").status, 405);
    let answer = client.request("GET /nowhere");
    assert_eq!((answer.status, answer.text()), (404, "no such route"));
    drop(client);
    running.stop();
}

/// Browsers and other clients send these characters as they are.
#[test]
fn extractors_decode_characters_that_no_uri_has() {
    type Answer = (Path<String>, Query<HashMap<String, String>>, Option<Extension<RawTarget>>);
    let names = |(Path(name), Query(query), raw): Answer| async move {
        let raw = raw.map(|Extension(RawTarget(raw))| String::from_utf8(raw.to_vec()).unwrap());
        format!("{name} {} {raw:?}", query["q"])
    };
    let running = RunningApp::new(Router::new().route("/names/{name}", get(names)));
    let mut client = running.client();
    for (target, seen) in [
        ("/names/a|b^{c}?q=d|{e}^`\\", "a|b^{c} d|{e}^`\\ None"),
        ("/names/%7C?q=%7C", "| | None"),
        ("/names/`<\">?q=`<\">", "`<\"> `<\"> Some(\"/names/`<\\\">?q=`<\\\">\")"),
        ("/names/%60%3C%22%3E?q=%60%3C%22%3E", "`<\"> `<\"> None"),
    ] {
        let answer = client.request(&format!("GET {target}"));
        assert_eq!((answer.status, answer.text()), (200, seen), "{target}");
    }
    drop(client);
    running.stop();
}

#[test]
fn any_method_reaches_the_service() {
    let method = |method: Method| async move { method.to_string() };
    let app = Router::new().route("/any", any(method)).route("/get", get(|| async {}));
    let running = RunningApp::new(app);
    let mut client = running.client();
    for method in ["PROPFIND", "get", "M-SEARCH"] {
        assert_eq!(client.request(&format!("{method} /any")).text(), method);
        assert_eq!(client.request(&format!("{method} /get")).status, 405, "by axum");
    }
    drop(client);
    running.stop();
}

#[test]
fn the_server_frames_responses() {
    let running = RunningApp::new(app());
    let mut client = running.client();
    let answer = client.request("HEAD /");
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("5")));
    assert_eq!(client.request("HEAD /large").field("content-length"), Some("5000000"));
    let answer = client.request("GET /large");
    assert_eq!(answer.field("content-length"), Some("5000000"));
    assert_eq!(answer.body, vec![b'x'; 5_000_000]);
    let answer = client.request("GET /chunked");
    assert_eq!((answer.text(), answer.field("content-length")), ("by the server", Some("13")));
    assert_eq!(client.request("GET /empty").status, 204);
    for path in ["/switch", "/coding"] {
        assert_eq!(client.request(&format!("GET {path}")).status, 500, "{path}");
    }
    assert_eq!(client.request("GET /close").field("connection"), Some("close"));
    assert!(client.is_closed());
    running.stop();
}

#[test]
fn a_panic_is_a_500_for_its_request_only() {
    let running = RunningApp::new(app());
    let mut client = running.client();
    assert_eq!(client.request("GET /panic").status, 500);
    assert_eq!(client.request("GET /").text(), "Hello");
    drop(client);
    running.stop();
}

#[test]
fn bodies_are_limited_by_the_app() {
    let running = RunningApp::new(app());
    let mut client = running.client();
    assert_eq!(client.request_with_body("POST /bytes", &[b'x'; 300_000]).body, [b'x'; 300_000]);
    client.head("POST /bytes", &["Transfer-Encoding: chunked"]);
    client.send("3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "abc");
    assert_eq!(client.request("POST /bytes").text(), "");
    // One byte more than the limit of axum's extractors.
    assert_eq!(client.request_with_body("POST /bytes", &vec![b'x'; (2 << 20) + 1]).status, 413);
    drop(client);
    running.stop();
}

#[test]
fn a_request_after_the_runtime_shut_down_is_a_500() {
    let running = RunningApp::new(app());
    let mut client = running.client();
    assert_eq!(client.request("GET /").text(), "Hello");
    let RunningApp { runtime, serving, .. } = running;
    runtime.shutdown_background();
    assert_eq!(client.request("GET /").status, 500);
    drop(client);
    serving.handle().drain();
    serving.join().unwrap();
}

#[test]
fn hosts_are_checked_if_the_options_say_so() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let app = || Router::new().route("/", get(|| async { "here" }));
    for (hosts, expected) in [(None, 200), (Some(AllowedHosts::default()), 421)] {
        let workers = NonZeroUsize::MIN;
        let options = Options { workers, allowed_hosts: hosts, ..Options::default() };
        let at = ["127.0.0.1:0".parse().unwrap()];
        let serving = sockeye_tower::serve(&at, options, runtime.handle(), app()).unwrap();
        for (host, status) in [("localhost", 200), ("evil.example", expected)] {
            let mut client = crate::client::Client::new(&serving.addresses()[0].to_string());
            client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
            assert_eq!(client.response().status, status, "{host}");
        }
        serving.handle().drain();
        assert_eq!(serving.join().unwrap().cut, 0);
    }
}
