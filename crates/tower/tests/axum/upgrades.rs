//! `hyper::upgrade` with protocols other than WebSocket.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, mpsc};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sockeye::http::Options;
use sockeye::proto::Budget;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, Semaphore};

use super::RunningApp;
use super::client::{Client, TIMEOUT};
use super::websocket_client::{connect, start_http2, within};

type Io = TokioIo<Upgraded>;

/// What a client sends for an upgrade to `shout/1`.
const ASK: &[&str] = &["Connection: upgrade", "Upgrade: shout/1, other"];

/// The response that switches to `name`.
fn switch(name: &'static str) -> Response {
    (StatusCode::SWITCHING_PROTOCOLS, [(CONNECTION, "upgrade"), (UPGRADE, name)]).into_response()
}

/// Runs `task` with the upgraded connection, once there is one.
fn upgrade<F: Future<Output = ()> + Send>(
    request: &mut Request,
    task: impl FnOnce(hyper::Result<Io>) -> F + Send + 'static,
) {
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move { task(upgraded.await.map(TokioIo::new)).await });
}

/// An app whose handler switches to `shout/1`, and runs `task`.
fn app<F: Future<Output = ()> + Send>(
    task: impl FnOnce(Io) -> F + Clone + Send + Sync + 'static,
) -> Router {
    let handler = |mut request: Request| async move {
        upgrade(&mut request, |io| task(io.unwrap()));
        match request.extensions().get::<Protocol>() {
            None => switch("shout/1"),
            Some(protocol) if protocol.as_str() == "shout" => StatusCode::ACCEPTED.into_response(),
            Some(_) => StatusCode::BAD_REQUEST.into_response(),
        }
    };
    Router::new().route("/", any(handler)).route("/get", get(|| async { "got" }))
}

/// Sends everything back in upper case, until the client ends its side.
async fn shout(mut io: Io) {
    shout_on(&mut io).await;
}

/// Like [`shout`], but leaves `io` open.
async fn shout_on(io: &mut Io) {
    let mut buffer = [0; 1000];
    loop {
        let count = io.read(&mut buffer).await.unwrap();
        if count == 0 {
            break io.shutdown().await.unwrap();
        }
        buffer[..count].make_ascii_uppercase();
        io.write_all(&buffer[..count]).await.unwrap();
    }
}

/// A client whose connection has switched.
fn switched(running: &RunningApp) -> Client {
    let mut client = running.client();
    client.head("GET /", ASK);
    assert_eq!(client.response_head().status, 101);
    client
}

fn told(told: &mpsc::Receiver<String>) -> String {
    told.recv_timeout(TIMEOUT).unwrap()
}

#[test]
fn a_task_reads_and_writes_until_both_sides_have_ended() {
    // The task keeps `io`. If it dropped `io` soon enough, the connection would end as
    // `peer_closed`.
    let running = RunningApp::new(app(|mut io: Io| async move {
        shout_on(&mut io).await;
        std::future::pending::<()>().await;
    }));
    let mut client = running.client();
    // Bytes may follow the request at once.
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout/1\r\n\r\nhel");
    let response = client.response_head();
    assert_eq!(response.status, 101);
    assert_eq!(response.field("upgrade"), Some("shout/1"));
    client.send("lo");
    client.end();
    assert_eq!(client.rest(), b"HELLO");
    assert_eq!(running.stop().closed_for("finished"), 1);
}

#[test]
fn megabytes_that_nobody_reads_yet_arrive_whole() {
    const LEN: usize = 16 << 20;
    let go = Arc::new(Notify::new());
    let (to_test, finished) = mpsc::channel::<String>();
    let app = app({
        let go = Arc::clone(&go);
        move |mut io: Io| async move {
            // The client waits until we read.
            go.notified().await;
            let mut received = Vec::new();
            io.read_to_end(&mut received).await.unwrap();
            assert!(received == pattern(LEN));
            // We wait until the client reads.
            let write = tokio::spawn(async move {
                io.write_all(&received).await.unwrap();
                io.shutdown().await.unwrap();
            });
            write.await.unwrap();
            to_test.send("wrote".into()).unwrap();
        }
    });
    let running = RunningApp::new(app);
    let mut client = switched(&running);
    let sent = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            client.send(pattern(LEN));
            client.end();
        });
        go.notify_one();
        sending.join()
    });
    sent.unwrap();
    assert!(client.rest() == pattern(LEN));
    assert_eq!(told(&finished), "wrote");
    running.stop();
}

#[test]
fn upgrades_and_requests_share_a_connection_of_http2() {
    const LEN: usize = 4 << 20;
    let running = RunningApp::new(app(shout));
    running.runtime.block_on(within(async {
        let address = &*running.address;
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut requests = start_http2(stream, address).await;
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let request = connect(address, "/", "shout", &[]);
            let response = requests.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200, "whatever 2xx the service returns");
            let io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
            let (mut reads, mut writes) = tokio::io::split(io);
            let (text, expected) = (b"shout! ".repeat(LEN / 7), b"SHOUT! ".repeat(LEN / 7));
            tasks.push(tokio::spawn(async move {
                writes.write_all(&text).await.unwrap();
                writes.shutdown().await.unwrap();
            }));
            tasks.push(tokio::spawn(async move {
                let mut received = Vec::new();
                reads.read_to_end(&mut received).await.unwrap();
                assert!(received == expected);
            }));
            let get = Request::get(format!("http://{address}/get")).body(String::new());
            assert_eq!(requests.send_request(get.unwrap()).await.unwrap().status(), 200);
        }
        for task in tasks {
            task.await.unwrap();
        }
        let other = requests.send_request(connect(address, "/", "other", &[])).await.unwrap();
        assert_eq!(other.status(), 400);
    }));
    running.stop();
}

#[test]
fn pending_upgrades_of_http2_are_charged() {
    let go = Arc::new(Semaphore::new(0));
    let handler = any({
        let go = Arc::clone(&go);
        move |mut request: Request| async move {
            upgrade(&mut request, |io| async move { drop(io) });
            go.acquire().await.unwrap().forget();
            StatusCode::OK
        }
    });
    let collected = Budget::new("bytes", 80_000); // A local client may have half of it.
    let options = Options { collected: Arc::clone(&collected), ..Options::default() };
    let running = RunningApp::with_options(options, Router::new().route("/", handler));
    running.runtime.block_on(within(async {
        let address = &*running.address;
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut requests = start_http2(stream, address).await;
        let [first, second, third] =
            [(); 3].map(|()| requests.send_request(connect(address, "/", "x", &[])));
        let third = third.await.unwrap();
        assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(collected.used(), 2 * 16 * 1024);
        go.add_permits(2);
        assert_eq!([first.await.unwrap().status(), second.await.unwrap().status()], [200, 200]);
        assert_eq!(collected.used(), 0);
    }));
    running.stop();
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 253) as u8).collect()
}

#[test]
fn a_task_that_drops_its_end_closes_the_connection_after_its_last_bytes() {
    let app = app(|mut io: Io| async move { io.write_all(&pattern(100_000)).await.unwrap() });
    let running = RunningApp::new(app);
    let mut client = switched(&running);
    client.send("the server reads none of this");
    assert!(client.rest() == pattern(100_000));
    running.stop();
}

#[test]
fn a_task_learns_how_the_connection_has_ended() {
    let (to_test, errors) = mpsc::channel::<String>();
    let app = app(move |mut io: Io| async move {
        to_test.send("open".into()).unwrap();
        let read: io::Result<usize> = io.read(&mut [0]).await;
        to_test.send(format!("{:?}", read.unwrap_err().kind())).unwrap();
        assert_eq!(io.read(&mut [0]).await.unwrap(), 0, "an error comes once");
        to_test.send(format!("{:?}", io.write(b"x").await.unwrap_err().kind())).unwrap();
    });
    let running = RunningApp::new(app);
    let mut client = running.client();
    // It leaves the response unread, and so resets the connection.
    client.head("GET /", ASK);
    assert_eq!(told(&errors), "open");
    client.reset();
    assert_eq!(told(&errors), "ConnectionReset");
    assert_eq!(told(&errors), "BrokenPipe");
    assert_eq!(running.stop().closed_for("reset"), 1);
}

/// A task that waits for an upgrade ends in every case.
#[test]
fn an_upgrade_that_is_not_accepted_fails() {
    let (to_test, errors) = mpsc::channel::<String>();
    let refuse = |response: fn() -> Response| {
        let to_test = to_test.clone();
        get(move |mut request: Request| async move {
            upgrade(&mut request, move |io| async move {
                to_test.send(io.unwrap_err().to_string()).unwrap();
            });
            response()
        })
    };
    let app = Router::new()
        .route("/ok", refuse(|| "no upgrade here".into_response()))
        .route("/panic", refuse(|| panic!("on purpose")))
        .route("/other", refuse(|| switch("not-asked-for")))
        .route("/nameless", refuse(|| StatusCode::SWITCHING_PROTOCOLS.into_response()))
        .route("/malformed", refuse(|| switch("foo bar")));
    let running = RunningApp::new(app);
    let mut client = running.client();
    for (path, status) in [("/ok", 200), ("/panic", 500), ("/other", 500), ("/nameless", 500)] {
        client.head(&format!("GET {path}"), ASK);
        assert_eq!(client.response().status, status, "{path}");
        assert_eq!(told(&errors), "operation was canceled", "{path}");
    }
    client.head("GET /malformed", &["Connection: upgrade", "Upgrade: foo bar"]);
    assert_eq!(client.response().status, 500, "not 503: the server isn't stopping");
    assert_eq!(told(&errors), "operation was canceled");
    // Without a request for an upgrade, there is none.
    client.head("GET /ok", &["Upgrade: shout/1"]);
    assert_eq!(client.response().status, 200);
    assert_eq!(told(&errors), "no upgrade available");
    client.head("GET /ok", &["Connection: upgrade", "Upgrade: shout/1", "Content-Length: 1"]);
    client.send("x");
    assert_eq!(client.response().status, 200);
    assert_eq!(told(&errors), "no upgrade available");
    drop(client);
    running.stop();
}

#[test]
fn an_upgrade_fails_when_the_client_leaves_before_it_is_accepted() {
    let (to_test, errors) = mpsc::channel::<String>();
    let app = Router::new().route("/at-once", get(|| async {})).route(
        "/never",
        get(move |mut request: Request| async move {
            to_test.send("began".to_owned()).unwrap();
            let to_test = to_test.clone();
            upgrade(&mut request, move |io| async move {
                to_test.send(io.unwrap_err().to_string()).unwrap();
            });
            std::future::pending::<StatusCode>().await
        }),
    );
    let running = RunningApp::new(app);
    let mut client = running.client();
    client.head("GET /at-once", &[]);
    client.wait();
    client.head("GET /never", ASK);
    assert_eq!(told(&errors), "began");
    client.reset();
    assert_eq!(told(&errors), "operation was canceled");
    running.stop();
}

#[test]
fn a_server_that_began_to_stop_refuses_an_upgrade() {
    let go = Arc::new(Notify::new());
    let (to_test, notifications) = mpsc::channel::<String>();
    let handler = get({
        let go = Arc::clone(&go);
        move |mut request: Request| async move {
            to_test.send("began".into()).unwrap();
            upgrade(&mut request, move |io| async move {
                to_test.send(io.unwrap_err().to_string()).unwrap();
            });
            go.notified().await;
            switch("shout/1")
        }
    });
    let running = RunningApp::new(Router::new().route("/", handler));
    let mut client = running.client();
    client.head("GET /", ASK);
    assert_eq!(told(&notifications), "began");
    running.serving.handle().drain();
    // When no one else is served, the drain has begun.
    while TcpStream::connect(&running.address).is_ok() {
        std::thread::yield_now();
    }
    go.notify_one();
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (503, Some("close")));
    assert_eq!(response.text(), "503 Service Unavailable\nThe server is stopping.\n");
    assert_eq!(told(&notifications), "operation was canceled");
    running.stop();
}

#[test]
fn connections_end_with_their_runtime() {
    let running = RunningApp::new(app(shout));
    let mut client = switched(&running);
    let RunningApp { runtime, serving, .. } = running;
    runtime.shutdown_background();
    assert_eq!(client.rest(), b"");
    drop(client);
    serving.handle().drain();
    assert_eq!(serving.join().unwrap().cut, 0);
}

#[test]
fn a_service_that_accepts_and_takes_no_upgrade_closes_the_connection() {
    let running = RunningApp::new(Router::new().route("/", get(|| async { switch("other") })));
    let mut client = switched(&running);
    assert_eq!(client.rest(), b"");
    drop(client);
    running.stop();
}

#[test]
fn only_a_request_for_an_upgrade_has_one() {
    let has = |request: Request| async move {
        request.extensions().get::<OnUpgrade>().is_some().to_string()
    };
    let running = RunningApp::new(Router::new().route("/", get(has)));
    let mut client = running.client();
    for (fields, expected) in [(&[][..], "false"), (&["Upgrade: x"], "false"), (ASK, "true")] {
        client.head("GET /", fields);
        assert_eq!(client.response().text(), expected, "{fields:?}");
    }
    drop(client);
    running.stop();
}
