//! Senders and their connections, with a simulated peer.

use std::time::Duration;

use sockeye::message::protocol::{ClientEnd, ClientHandler, Message};
use sockeye::proto::harness::Harness;
use sockeye::proto::{Consumed, Event, Fault, Protocol, Time, Turn};

use super::*;
use crate::send::printer::tests::FULL_QUEUE;

/// A sender, its run, and the warnings that it has logged.
struct TestSender {
    run: Rc<Run>,
    sender: Rc<RefCell<Sender>>,
    warnings: Rc<RefCell<Vec<String>>>,
}

impl TestSender {
    fn new(contents: &[&'static str], keep_alive: bool) -> Self {
        let warnings = Rc::new(RefCell::new(Vec::new()));
        let message = |content: &&'static str| Message::binary("a/b", *content);
        let run = Run {
            tls: None,
            config: Config::default(),
            limits: Limits { content: 16 << 20, ..Limits::default() },
            messages: contents.iter().map(message).collect(),
            total: contents.len(),
            timeout: Duration::from_secs(60),
            style: Style::Text,
            labelled: false,
            printer: Printer::default(),
            summary: RefCell::default(),
            warn: Box::new({
                let warnings = Rc::clone(&warnings);
                move |warning| warnings.borrow_mut().push(warning)
            }),
        };
        let sender = Rc::new(RefCell::new(Sender::new(1, keep_alive)));
        Self { run: Rc::new(run), sender, warnings }
    }

    /// The sender's next connection, as its peer sees it: `output` is what the sender sends.
    fn open(&self) -> Harness {
        assert!(self.has_more(), "there is nothing left to send");
        Harness::new(open(&self.run, &self.sender))
    }

    fn has_more(&self) -> bool {
        self.sender.borrow().has_more(&self.run)
    }

    fn printer(&self) -> &Printer {
        &self.run.printer
    }

    /// All warnings, one per line.
    fn warnings(&self) -> String {
        self.warnings.borrow().join("\n")
    }

    /// The numbers of good responses and of errors.
    fn counts(&self) -> (u64, u64) {
        let summary = self.run.summary.borrow();
        (summary.answered, summary.errors)
    }
}

/// The frame of a response, with `keys` at the end of its header.
fn response(keys: &str, content: &[u8]) -> Vec<u8> {
    let header = format!(
        "{{\"byteorder\": \"little\", \"content-type\": \"a/b\", \
         \"content-encoding\": \"binary\", \"content-length\": {}{keys}}}",
        content.len()
    );
    let len = u16::try_from(header.len()).unwrap().to_be_bytes();
    [&len, header.as_bytes(), content].concat()
}

/// The header keys of a response that keeps the connection alive.
fn keep_alive_keys(id: u64) -> String {
    format!(", \"id\": {id}, \"connection\": \"keep-alive\"")
}

#[test]
fn responses_wait_for_a_slow_standard_output_and_never_time_out() {
    let test = TestSender::new(&["one", "two"], true);
    let mut peer = test.open();
    peer.output();
    let large = vec![b'x'; FULL_QUEUE];
    peer.input(&response(&keep_alive_keys(0), &large));
    assert_eq!(test.counts(), (1, 0));
    assert!(
        !peer.output().is_empty(),
        "the peer keeps the connection alive, so the next message is sent"
    );
    peer.input(&response(&keep_alive_keys(1), b"the second"));
    assert_eq!(test.counts(), (1, 0), "there is no room for the second response");
    peer.pass(Duration::from_secs(3600));
    assert_eq!(test.printer().take(), large);
    peer.deliver();
    assert_eq!(test.printer().take(), b"the second");
    assert_eq!((test.counts(), test.has_more()), ((2, 0), false));
    peer.output();
    assert_eq!(test.warnings(), "");
}

/// Treats each input as a response, and the end of input as a reset by the peer.
struct Resetting(Connection);

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
fn a_response_that_waits_for_standard_output_is_printed_after_a_reset() {
    let test = TestSender::new(&["one", "two", "three"], true);
    let connection = Connection::new(Rc::clone(&test.sender), Rc::clone(&test.run));
    let mut peer = Harness::new(Resetting(connection));
    peer.input(&vec![b'x'; FULL_QUEUE]);
    peer.input(b"last words");
    assert_eq!(test.counts(), (1, 0), "there is no room for the second response");
    peer.eof();
    assert_eq!(test.counts(), (2, 0));
    assert!(test.printer().take().ends_with(b"xlast words"));
    assert_eq!(test.warnings(), "connection 1: the peer reset us");
    assert!(!test.has_more());
}

#[test]
fn closing_standard_output_ends_the_sender_without_an_error() {
    let test = TestSender::new(&["one", "two"], false);
    test.printer().close();
    let mut peer = test.open();
    peer.output();
    peer.input(&response("", b"1"));
    peer.output();
    assert!(!test.has_more());
    assert!(test.run.summary.borrow().output_closed);
    assert_eq!((test.counts(), test.warnings().as_str()), ((0, 0), ""));
}

#[test]
fn a_sender_opens_another_connection_after_each_response() {
    let test = TestSender::new(&["one", "two"], false);
    for (message, answer) in [(b"one", b"1"), (b"two", b"2")] {
        let mut peer = test.open();
        assert!(peer.output().ends_with(message));
        peer.input(&response("", answer));
        peer.output();
    }
    assert!(!test.has_more());
    assert_eq!(test.printer().take(), b"12");
}

#[test]
fn keep_alive_is_not_requested_again_from_a_peer_that_refused_it() {
    let test = TestSender::new(&["one", "two", "three"], true);
    let mut peer = test.open();
    assert!(peer.output().ends_with(b"one"));
    peer.input(&response("", b"1"));
    peer.output();
    assert!(!test.sender.borrow().keep_alive);
    let mut peer = test.open();
    let request = peer.output();
    assert!(request.ends_with(b"}two"), "the third message is not sent");
    let header = String::from_utf8(request).unwrap();
    assert!(!header.contains("keep-alive"), "{header}");
}

#[test]
fn a_failed_sender_sends_nothing_more() {
    let test = TestSender::new(&["one", "two"], false);
    let mut peer = test.open();
    peer.output();
    peer.eof();
    peer.output();
    assert_eq!(test.warnings(), "connection 1: the peer closed the connection without a response");
    assert!(!test.has_more());
}
