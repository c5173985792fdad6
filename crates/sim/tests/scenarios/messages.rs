//! Messages, on both sides of the engine: each response belongs to its request, however both travel.

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

/// Sends content back: what begins with an odd byte at once, the rest from elsewhere.
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
            _ => responder.fail("the work for it was lost"),
        }
    }
}

/// What one client asks, and what it hears.
#[derive(Debug, Default)]
struct Told {
    asks: Vec<Bytes>,
    asked: usize,
    responses: BTreeMap<u64, Bytes>,
    ending: Option<ClientEnd>,
}

struct Curious(Rc<RefCell<Told>>);

impl ClientHandler for Curious {
    fn next_message(&mut self) -> Option<Message> {
        let mut told = self.0.borrow_mut();
        let content = told.asks.get(told.asked).cloned()?;
        told.asked += 1;
        Some(Message::binary(KIND, content))
    }

    fn on_response(&mut self, number: u64, response: Message, _: &mut Turn<'_>) -> ClientAction {
        let before = self.0.borrow_mut().responses.insert(number, response.content);
        assert!(before.is_none(), "request {number} has one response");
        ClientAction::Continue
    }

    fn on_end(&mut self, ending: ClientEnd) {
        let before = self.0.borrow_mut().ending.replace(ending);
        assert!(before.is_none(), "a connection ends once");
    }
}

/// A few clients that ask a mirror, each in its way.
fn ask(seed: u64, faults: Faults) -> Vec<Told> {
    let mut rng = Rng::new(seed ^ 0x3E55);
    let most = if faults.send_buffer.min(faults.receive_buffer) < 256 { 200 } else { 10_000 };
    let mut world = World::new(seed, faults);
    let limits = Rc::new(Limits::default());
    let (servers, at_server) = service(move |_| Server::new(Rc::clone(&limits), Mirror));
    world.server(&[here()], Config::default(), servers);
    let client = world.client(Config::default(), None);

    let (mut told, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..rng.between(1, 4) {
        let (mode, count) = match rng.below(3) {
            0 => (ConnectionMode::Single, 1),
            _ => (ConnectionMode::KeepAlive { in_flight: rng.between(1, 20) }, rng.between(1, 30)),
        };
        let mut content = || {
            let len = rng.below(most);
            rng.bytes(len).into()
        };
        let asks = (0..count).map(|_| content()).collect();
        let this = Rc::new(RefCell::new(Told { asks, ..Told::default() }));
        let settings = ClientConfig { mode, ..ClientConfig::default() };
        let (protocol, log) = checked(Client::new(settings, Curious(Rc::clone(&this))));
        world.shard_mut(client).connect(&here(), protocol, 0);
        told.push(this);
        seen.push(log);
    }
    world.settle();
    world.finish();
    assert_no_violations(&seen);
    assert_no_violations(&at_server.borrow());
    told.into_iter()
        .map(|this| Rc::into_inner(this).expect("the client has gone").into_inner())
        .collect()
}

#[test]
fn every_request_gets_its_reply_however_they_travel() {
    seeds(0..300, |seed| {
        // A connect may find no descriptor, and what drips in for too long is given up: that is
        // other tests'.
        let mut faults = Faults { no_descriptor: 0, ..Faults::lossless(&mut Rng::new(seed)) };
        faults.send_buffer = faults.send_buffer.max(256);
        faults.receive_buffer = faults.receive_buffer.max(256);
        for told in ask(seed, faults) {
            assert_eq!(told.ending, Some(ClientEnd::Completed));
            let responses: Vec<_> = told.responses.into_values().collect();
            assert!(responses == told.asks, "{} of {} responses", responses.len(), told.asks.len());
        }
    });
}

#[test]
fn whatever_goes_wrong_no_reply_is_false_and_every_client_hears_its_end() {
    seeds(0..300, |seed| {
        for told in ask(seed, Faults::lossy(&mut Rng::new(seed))) {
            assert!(told.ending.is_some());
            for (number, response) in &told.responses {
                let asked = &told.asks[*number as usize];
                let refused = response.starts_with(b"{\"result\": \"Error: ");
                assert!(response == asked || refused, "request {number}");
            }
        }
    });
}
