//! Messages between a client and a server on the engine: each response belongs to its request,
//! however both are split.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use sockeye_engine::Config;
use sockeye_message::{
    Answer, Client, ClientAction, ClientConfig, ClientEnd, ClientHandler, ConnectionMode, Handler,
    Limits, Message, Responder, Server,
};
use sockeye_proto::{Abandoned, Peer, Ticket, Turn};
use sockeye_sim::{Faults, Rng, World, seeds};

use crate::checked::{assert_no_violations, checked, service};
use crate::here;

const KIND: &str = "binary/test";

/// Sends content back: at once if it is empty or begins with an odd byte, otherwise after a job.
struct Mirror;

impl Handler for Mirror {
    fn on_message(
        &mut self,
        message: Message,
        _: &Peer,
        mut responder: Responder<'_, '_>,
    ) -> Answer {
        if message.content.first().is_none_or(|byte| byte % 2 == 1) {
            return responder.send(Message::binary(KIND, message.content));
        }
        let _ = responder.run(move || message.content);
        responder.later()
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match body.map(sockeye_proto::Message::downcast::<Bytes>) {
            Ok(Ok(content)) => responder.send(Message::binary(KIND, *content)),
            _ => responder.fail("the job was dropped"),
        }
    }
}

/// The requests and responses of one client.
#[derive(Debug, Default)]
struct ClientLog {
    requests: Vec<Bytes>,
    sent: usize,
    responses: BTreeMap<u64, Bytes>,
    end: Option<ClientEnd>,
}

struct TestClient(Rc<RefCell<ClientLog>>);

impl ClientHandler for TestClient {
    fn next_message(&mut self) -> Option<Message> {
        let mut logs = self.0.borrow_mut();
        let content = logs.requests.get(logs.sent).cloned()?;
        logs.sent += 1;
        Some(Message::binary(KIND, content))
    }

    fn on_response(&mut self, number: u64, response: Message, _: &mut Turn<'_>) -> ClientAction {
        let before = self.0.borrow_mut().responses.insert(number, response.content);
        assert!(before.is_none(), "request {number} has one response");
        ClientAction::Continue
    }

    fn on_end(&mut self, end: ClientEnd) {
        let before = self.0.borrow_mut().end.replace(end);
        assert!(before.is_none(), "a connection ends once");
    }
}

/// Runs some clients with random modes and requests.
fn run_clients(seed: u64, faults: Faults) -> Vec<ClientLog> {
    let mut rng = Rng::new(seed ^ 0x3E55);
    let max_len = if faults.send_buffer.min(faults.receive_buffer) < 256 { 200 } else { 10_000 };
    let mut world = World::new(seed, faults);
    let limits = Rc::new(Limits::default());
    let (servers, at_server) = service(move |_| Server::new(Rc::clone(&limits), Mirror));
    world.server(&[here()], Config::default(), servers);
    let client = world.client(Config::default(), None);

    let (mut client_logs, mut logs) = (Vec::new(), Vec::new());
    for _ in 0..rng.between(1, 4) {
        let (mode, count) = match rng.below(3) {
            0 => (ConnectionMode::Single, 1),
            _ => (ConnectionMode::KeepAlive { in_flight: rng.between(1, 20) }, rng.between(1, 30)),
        };
        let mut content = || {
            let len = rng.below(max_len);
            rng.bytes(len).into()
        };
        let requests = (0..count).map(|_| content()).collect();
        let client_log = Rc::new(RefCell::new(ClientLog { requests, ..ClientLog::default() }));
        let settings = ClientConfig { mode, ..ClientConfig::default() };
        let (protocol, log) = checked(Client::new(settings, TestClient(Rc::clone(&client_log))));
        world.worker_mut(client).connect(&here(), protocol, 0);
        client_logs.push(client_log);
        logs.push(log);
    }
    world.settle();
    world.finish();
    assert_no_violations(&logs);
    assert_no_violations(&at_server.borrow());
    client_logs
        .into_iter()
        .map(|client_log| Rc::into_inner(client_log).expect("the client has gone").into_inner())
        .collect()
}

#[test]
fn every_request_gets_its_own_response_despite_faults() {
    seeds(0..300, |seed| {
        // Other tests cover connects without a descriptor, and messages that arrive too slowly.
        let mut faults = Faults { no_descriptor: 0, ..Faults::lossless(&mut Rng::new(seed)) };
        faults.send_buffer = faults.send_buffer.max(256);
        faults.receive_buffer = faults.receive_buffer.max(256);
        for logs in run_clients(seed, faults) {
            assert_eq!(logs.end, Some(ClientEnd::Completed));
            let responses: Vec<_> = logs.responses.into_values().collect();
            assert!(
                responses == logs.requests,
                "{} of {} responses",
                responses.len(),
                logs.requests.len()
            );
        }
    });
}

#[test]
fn with_lossy_faults_responses_are_right_and_every_client_gets_its_end() {
    seeds(0..300, |seed| {
        for logs in run_clients(seed, Faults::lossy(&mut Rng::new(seed))) {
            assert!(logs.end.is_some());
            for (number, response) in &logs.responses {
                let sent = &logs.requests[*number as usize];
                let refused = response.starts_with(b"{\"result\": \"Error: ");
                assert!(response == sent || refused, "request {number}");
            }
        }
    });
}
