//! What requests and idle connections cost.

use std::time::Duration;

use allocation_counter::measure;

use super::switch::Tunnels;
use super::*;
use crate::PreparedResponse;
use crate::h2::frame::{flags, kind};

/// Answers `/prepared` with a prepared response, `/none` with a 304, and other paths at once.
struct Fast(Rc<PreparedResponse>);

impl Handler for Fast {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        match request.path() {
            b"/prepared" => responder.send_prepared(&self.0),
            b"/none" => responder.send(Status::NOT_MODIFIED, &Fields::new(), Body::Empty),
            _ => responder.send(Status::OK, &Fields::new(), Body::Static(b"at once")),
        }
    }
}

#[test]
fn a_request_that_is_answered_at_once_allocates_nothing() {
    let fields = Fields::new().with("Content-Type", b"text/plain").unwrap();
    let response = Rc::new(PreparedResponse::new(Status::OK, &fields, Body::Static(b"prepared")));
    let server = Server::new(Rc::default(), move |_: &Peer| Fast(Rc::clone(&response)));
    let mut client = Client::with_settings(Harness::new(server), &[]);
    let mut stream = 1;
    let mut count = |path: &str, requests: usize| {
        let mut least = u64::MAX;
        // The first rounds grow the buffers.
        for _ in 0..4 {
            let mut bytes = Vec::new();
            for _ in 0..requests {
                let fields = head("GET", path, &[("accept", "*/*"), ("user-agent", "a client")]);
                bytes.extend(raw(kind::HEADERS, END, stream, &block(&fields)));
                stream += 2;
            }
            if requests == 0 {
                bytes = raw(kind::PING, flags::ACK, 0, &[0; 8]);
            }
            least = least.min(measure(|| client.input(&bytes)).count_total);
            assert_eq!(client.harness.fault(), None);
            let len: usize = client.read().iter().filter(|frame| frame.contains("DATA")).count();
            assert_eq!(len, if path == "/none" { 0 } else { requests });
        }
        least
    };
    let baseline = count("", 0);
    for path in ["/", "/prepared", "/none"] {
        for requests in [1, 30] {
            assert!(count(path, requests) <= baseline, "{path}, {requests}");
        }
    }
}

/// Their streams wait for each other, and for the connection.
#[test]
fn requests_whose_responses_are_sent_in_parts_allocate_nothing_while_they_go_on() {
    const REQUESTS: u64 = 32;
    let fields = Fields::new();
    let response = Rc::new(PreparedResponse::new(Status::OK, &fields, Body::Static(&LARGE)));
    let server = Server::new(Rc::default(), move |_: &Peer| Fast(Rc::clone(&response)));
    let mut client = Client::with_settings(Harness::new(server), &[(4, 1 << 20)]);
    client.frame(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
    let mut harness = client.harness;
    let mut stream = 1;
    let mut count = || {
        let mut input = Vec::new();
        for _ in 0..REQUESTS {
            input.extend(raw(kind::HEADERS, END, stream, &block(&head("GET", "/prepared", &[]))));
            stream += 2;
        }
        let info = measure(|| {
            harness.input(&input);
            assert!(harness.output().len() > REQUESTS as usize * LARGE.len());
        });
        assert_eq!(harness.fault(), None);
        info.count_total
    };
    count();
    // The test's own buffer for the output grows some times.
    let counts = [count(), count()];
    assert!(counts.iter().all(|count| *count < REQUESTS / 2), "{counts:?}");
    // The memory is freed when the connection is idle.
    let info = measure(|| harness.pass(Duration::from_millis(1000)));
    assert!(info.bytes_current < -10_000, "{info:?}");
}

/// Its buffers are those of the worker.
#[test]
fn an_idle_connection_keeps_little_memory() {
    let kept = |requests: u32| {
        let mut scene = None;
        let info = measure(|| {
            let mut client = Client::with_settings(server(Limits::default()).0, &[]);
            for request in 0..requests {
                client.get(
                    2 * request + 1,
                    ["/x", "/large", "/fields", "/never"][request as usize % 4],
                );
                client.reset(2 * request + 1);
                client.read();
            }
            client.streams.clear();
            client.blocks = Vec::new();
            scene = Some(client);
        });
        info.bytes_current
    };
    let (none, many) = (kept(0), kept(60));
    assert!(many - none < 100 * 1024, "{none}, {many}");
}

#[test]
fn priorities_that_came_early_are_forgotten_with_their_memory() {
    let kept = |priorities: u32| {
        let mut scene = None;
        let info = measure(|| {
            let mut client = Client::with_settings(server(Limits::default()).0, &[]);
            for stream in (0..priorities).map(|number| 2 * number + 1) {
                client.frame(
                    kind::PRIORITY_UPDATE,
                    0,
                    0,
                    &[&stream.to_be_bytes()[..], b"u=1"].concat(),
                );
            }
            client.get(201, "/x");
            client.read();
            client.streams.clear();
            client.blocks = Vec::new();
            scene = Some(client);
        });
        info.bytes_current
    };
    assert_eq!(kept(100), kept(0));
}

#[test]
fn streams_that_were_reset_are_forgotten_when_the_connection_is_idle() {
    let mut client = Client::with_settings(server(Limits::default()).0, &[]);
    for stream in (1..100).step_by(2) {
        client.headers(stream, flags::END_STREAM, &[(":method", "GET")]);
        assert_eq!(client.read(), [format!("{stream} RST_STREAM PROTOCOL_ERROR")]);
    }
    let mut harness = client.harness;
    assert_eq!(measure(|| harness.pass(Duration::from_secs(29))).bytes_current, 0);
    // It may have been on its way.
    harness.input(&raw(kind::DATA, 0, 1, b"x"));
    assert_eq!(measure(|| harness.pass(Duration::from_secs(29))).bytes_current, 0);
    let info = measure(|| harness.pass(Duration::from_secs(1)));
    assert!(info.bytes_current <= -50 * 8, "{info:?}");
    harness.input(&raw(kind::DATA, 0, 1, b"x"));
    assert!(harness.fault().is_some_and(|fault| fault.code == "http2_stream_closed"));
}

#[test]
fn an_idle_tunnel_keeps_little_memory() {
    let kept = |count: u32| {
        let mut scene = None;
        let info = measure(|| {
            let mut tunnels = Tunnels::new();
            for stream in (0..count).map(|number| 2 * number + 1) {
                tunnels.connect(stream, "/");
                tunnels.client.data(stream, &[b'y'; 4000]);
                tunnels.client.window_update(0, 4000);
                tunnels.client.read();
            }
            tunnels.client.streams.clear();
            tunnels.client.blocks = Vec::new();
            tunnels.events();
            scene = Some(tunnels);
        });
        info.bytes_current
    };
    let each = (kept(100) - kept(1)) / 99;
    assert!(each < 1100, "{each}");
}
