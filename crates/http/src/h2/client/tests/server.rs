//! Our client with our server.

use std::rc::Rc;

use proptest::prelude::*;
use sockeye_proto::Peer;
use sockeye_proto::harness::Harness;

use super::*;
use crate::{Answer, Body, Fields, Handler, Request, Responder, Server, ServerConfig, Status};

/// Answers `/N` with `N` bytes.
struct Sized;

impl Handler for Sized {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let len = std::str::from_utf8(&request.path()[1..]).unwrap().parse().unwrap();
        let content = Bytes::from(vec![b'x'; len]);
        responder.send(Status::OK, &Fields::new(), Body::Shared(&content))
    }
}

/// A request that is in flight, and how much content has arrived.
struct Pending {
    number: usize,
    status: u16,
    received: usize,
}

/// Sends `requests`, indices of `sizes`, with at most `max` in flight, and moves bytes in pieces of
/// `piece`. Drains the server after `drain` responses. Returns the requests that were not
/// processed.
fn run(sizes: &[usize], requests: &[usize], max: usize, piece: usize, drain: usize) -> Vec<usize> {
    let mut heads = RequestHeads::default();
    for size in sizes {
        heads.add("GET", "http", "localhost", &format!("/{size}"), &[("user-agent", b"test")]);
    }
    let mut server = Harness::new(Server::new(Rc::<ServerConfig>::default(), |_: &Peer| Sized));
    let mut out = Output::new();
    let mut connection = Connection::new(&mut out);
    let mut waiting = requests.iter().copied();
    let (mut done, mut unprocessed) = (0, Vec::new());
    let mut unused = Vec::new();
    loop {
        while connection.can_send() && connection.in_flight() < max {
            let Some(number) = waiting.next() else { break };
            let pending = Pending { number, status: 0, received: 0 };
            connection.request(&heads, number, None, pending, &mut out);
        }
        for piece in take(&mut out).chunks(piece) {
            server.input(piece);
        }
        let output = server.output();
        if output.is_empty() && connection.in_flight() == 0 {
            break;
        }
        for piece in output.chunks(piece) {
            unused.extend_from_slice(piece);
            let mut rest = &unused[..];
            while let Some(event) = connection.read(&mut rest, &mut out).unwrap() {
                match event {
                    Event::Head { head, data, .. } => {
                        assert_eq!(head.length, Some(sizes[data.number] as u64));
                        data.status = head.status;
                    }
                    Event::Content { bytes, data } => data.received += bytes.len(),
                    Event::End(Pending { number, status, received }) => {
                        assert_eq!((status, received), (200, sizes[number]));
                        done += 1;
                        if done == drain {
                            server.drain();
                        }
                    }
                    Event::Reset(code, _) => panic!("{}", code_name(code)),
                    Event::Unprocessed(pending) => unprocessed.push(pending.number),
                }
            }
            unused = rest.to_vec();
        }
    }
    unprocessed.extend(waiting);
    assert_eq!(done + unprocessed.len(), requests.len());
    assert!(unused.is_empty());
    unprocessed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_is_answered(
        requests in proptest::collection::vec(0..4_usize, 1..60),
        max in 1..120_usize,
        piece in prop_oneof![1..40_usize, 1_000..100_000_usize],
    ) {
        let unprocessed = run(&[0, 5, 20_000, 100_000], &requests, max, piece, usize::MAX);
        prop_assert_eq!(unprocessed, Vec::<usize>::new());
    }

    /// `run` checks that each request is answered or known not to be processed.
    #[test]
    fn a_server_that_drains_loses_no_request(
        requests in proptest::collection::vec(0..4_usize, 10..60),
        max in 1..20_usize,
        piece in prop_oneof![1..40_usize, 1_000..100_000_usize],
        drain in 1..10_usize,
    ) {
        let unprocessed = run(&[0, 5, 20_000, 100_000], &requests, max, piece, drain);
        prop_assert!(unprocessed.len() <= requests.len() - drain);
    }
}
