//! Lanes and their connections, with a peer that the test plays.

use std::time::Duration;

use sockeye::message::protocol::{ClientEnd, ClientHandler, Message};
use sockeye::proto::harness::Harness;
use sockeye::proto::{Consumed, Event, Fault, Time, Turn};

use super::*;
use crate::send::printer::tests::TOO_MUCH;

/// What a test holds in its hands besides the peer.
struct Desk {
    caller: Caller,
    lane: Rc<RefCell<Lane>>,
    complaints: Rc<RefCell<Vec<String>>>,
}

impl Desk {
    fn new(contents: &[&'static str], keep_alive: bool) -> Self {
        let complaints = Rc::new(RefCell::new(Vec::new()));
        let message = |content: &&'static str| Message::binary("a/b", *content);
        let common = Common {
            messages: contents.iter().map(message).collect(),
            total: contents.len(),
            silence: Duration::from_secs(60),
            look: Look::Text,
            labelled: false,
            printer: Printer::default(),
            summary: RefCell::default(),
            complain: Box::new({
                let complaints = Rc::clone(&complaints);
                move |complaint| complaints.borrow_mut().push(complaint)
            }),
        };
        let caller =
            Caller { config: Config::default(), limits: limits(16 << 20), common: Rc::new(common) };
        Self { caller, lane: Rc::new(RefCell::new(Lane::new(1, keep_alive))), complaints }
    }

    /// The lane's next connection.
    fn open(&self) -> Harness {
        assert!(self.wants_more(), "there is nothing left to send");
        Harness::new(self.caller.conversation(&self.lane))
    }

    fn wants_more(&self) -> bool {
        self.lane.borrow().wants_more(&self.caller.common)
    }

    fn printer(&self) -> &Printer {
        &self.caller.common.printer
    }

    fn complaint(&self) -> String {
        self.complaints.borrow().join("\n")
    }

    /// Answered, with an error.
    fn counts(&self) -> (u64, u64) {
        let summary = self.caller.common.summary.borrow();
        (summary.answered, summary.errors)
    }
}

/// A response's frame; `more` stands at the end of its header.
fn reply(more: &str, content: &[u8]) -> Vec<u8> {
    let header = format!(
        "{{\"byteorder\": \"little\", \"content-type\": \"a/b\", \
         \"content-encoding\": \"binary\", \"content-length\": {}{more}}}",
        content.len()
    );
    let len = u16::try_from(header.len()).unwrap().to_be_bytes();
    [&len, header.as_bytes(), content].concat()
}

/// What a peer that keeps connections puts into a response's header.
fn id(id: u64) -> String {
    format!(", \"id\": {id}, \"connection\": \"keep-alive\"")
}

#[test]
fn a_slow_standard_output_holds_a_reply_back_and_is_not_the_peers_silence() {
    let desk = Desk::new(&["one", "two"], true);
    let mut peer = desk.open();
    peer.output();
    let large = vec![b'x'; TOO_MUCH];
    peer.input(&reply(&id(0), &large));
    assert_eq!(desk.counts(), (1, 0));
    assert!(!peer.output().is_empty(), "the peer keeps connections, so the next is sent");
    peer.input(&reply(&id(1), b"the second"));
    assert_eq!(desk.counts(), (1, 0), "there is no room for it");
    peer.pass(Duration::from_secs(3600));
    assert_eq!(desk.printer().read(), large);
    peer.deliver();
    assert_eq!(desk.printer().read(), b"the second");
    assert_eq!((desk.counts(), desk.wants_more()), ((2, 0), false));
    peer.output();
    assert_eq!(desk.complaint(), "");
}

/// Input is a response, and its end a reset.
struct Resetting(Talk);

impl Protocol for Resetting {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.0.on_response(0, Message::binary("a/b", input.to_vec()), turn);
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => drop(self.0.next_message()),
            Event::Eof { .. } => self.0.on_end(ClientEnd::Failed("the peer reset us".into())),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn a_reply_that_is_held_back_when_its_connection_breaks_is_printed_all_the_same() {
    let desk = Desk::new(&["one", "two", "three"], true);
    let talk = Talk::new(Rc::clone(&desk.lane), Rc::clone(&desk.caller.common));
    let mut peer = Harness::new(Resetting(talk));
    peer.input(&vec![b'x'; TOO_MUCH]);
    peer.input(b"last words");
    assert_eq!(desk.counts(), (1, 0), "there is no room for the second");
    peer.eof();
    assert_eq!(desk.counts(), (2, 0));
    assert!(desk.printer().read().ends_with(b"xlast words"));
    assert_eq!(desk.complaint(), "connection 1: the peer reset us");
    assert!(!desk.wants_more());
}

#[test]
fn a_standard_output_that_nobody_reads_ends_the_lane_without_an_error() {
    let desk = Desk::new(&["one", "two"], false);
    desk.printer().close();
    let mut peer = desk.open();
    peer.output();
    peer.input(&reply("", b"1"));
    peer.output();
    assert!(!desk.wants_more());
    assert!(desk.caller.common.summary.borrow().unread);
    assert_eq!((desk.counts(), desk.complaint().as_str()), ((0, 0), ""));
}

#[test]
fn a_lane_goes_on_with_another_connection_behind_each_reply() {
    let desk = Desk::new(&["one", "two"], false);
    for (message, answer) in [(b"one", b"1"), (b"two", b"2")] {
        let mut peer = desk.open();
        assert!(peer.output().ends_with(message));
        peer.input(&reply("", answer));
        peer.output();
    }
    assert!(!desk.wants_more());
    assert_eq!(desk.printer().read(), b"12");
}

#[test]
fn a_peer_that_turns_out_to_be_old_is_not_asked_to_keep_connections_again() {
    let desk = Desk::new(&["one", "two", "three"], true);
    let mut peer = desk.open();
    assert!(peer.output().ends_with(b"one"));
    peer.input(&reply("", b"1"));
    peer.output();
    assert!(!desk.lane.borrow().keeps_alive());
    let mut peer = desk.open();
    let request = peer.output();
    assert!(request.ends_with(b"}two"), "and nothing of the third");
    let header = String::from_utf8(request).unwrap();
    assert!(!header.contains("keep-alive"), "{header}");
}

#[test]
fn a_failed_lane_sends_nothing_more() {
    let desk = Desk::new(&["one", "two"], false);
    let mut peer = desk.open();
    peer.output();
    peer.eof();
    peer.output();
    assert_eq!(desk.complaint(), "connection 1: the peer closed the connection without a reply");
    assert!(!desk.wants_more());
}
