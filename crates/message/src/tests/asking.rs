//! The client's side.

use std::cell::RefCell;

use sockeye_proto::Turn;

use super::super::{Asker, Client, Ending, ErrorReply, Next, Settings, Style, error_reply};
use super::*;

#[derive(Default)]
struct Told {
    replies: Vec<(u64, String)>,
    missed: Vec<u64>,
    ending: Option<Ending>,
    open: Option<Promise>,
}

/// Asks so many things.
struct Many {
    left: usize,
    size: usize,
    pauses: bool,
    told: Rc<RefCell<Told>>,
}

impl Asker for Many {
    fn next_message(&mut self) -> Option<Message> {
        self.left = self.left.checked_sub(1)?;
        Some(result(&"x".repeat(self.size)))
    }
    fn on_reply(&mut self, number: u64, reply: Message, turn: &mut Turn<'_>) -> Next {
        let text = reply.to_json().unwrap()["result"].as_str().unwrap().to_owned();
        let mut told = self.told.borrow_mut();
        told.replies.push((number, text));
        if self.pauses {
            told.open = Some(turn.promise());
            return Next::Pause;
        }
        Next::On
    }
    fn on_missed(&mut self, number: u64) {
        self.told.borrow_mut().missed.push(number);
    }
    fn on_end(&mut self, ending: Ending) {
        let earlier = self.told.borrow_mut().ending.replace(ending);
        assert!(earlier.is_none(), "told once");
    }
}

fn client(left: usize, settings: Settings) -> (Harness, Rc<RefCell<Told>>) {
    let told = Rc::default();
    let many = Many { left, size: 3, pauses: false, told: Rc::clone(&told) };
    (Harness::new(Client::new(settings, many)), told)
}

fn keep_alive() -> Settings {
    Settings { style: Style::KeepAlive { in_flight: 4 }, ..Settings::default() }
}

/// A response under this id.
fn reply(id: Option<u64>, keep_alive: bool, message: &Message) -> Vec<u8> {
    let id = id.map(Id::number);
    let mut header = Header::of(message);
    (header.id, header.keep_alive) = (id, keep_alive);
    [frame::head(&header).unwrap(), message.content.to_vec()].concat()
}

fn ids(output: &[u8]) -> Vec<u64> {
    frames(output)
        .iter()
        .map(|(header, _)| header.id.as_ref().unwrap().as_number().unwrap())
        .collect()
}

#[test]
fn the_first_goes_alone_and_then_as_many_as_may() {
    let (mut server, told) = client(7, keep_alive());
    assert_eq!(ids(&server.output()), [0]);
    server.input(&reply(Some(0), true, &result("a")));
    assert_eq!(ids(&server.output()), [1, 2, 3, 4]);
    server.input(&reply(Some(3), true, &result("b")));
    assert_eq!(ids(&server.output()), [5]);
    for id in [1, 2, 4, 5] {
        server.input(&reply(Some(id), true, &result("c")));
    }
    assert_eq!(ids(&server.output()), [6]);
    server.input(&reply(Some(6), true, &result("d")));
    server.output();
    let numbers: Vec<u64> = told.borrow().replies.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [0, 3, 1, 2, 4, 5, 6]);
    assert_eq!(told.borrow().ending, Some(Ending::Finished));
}

#[test]
fn a_server_that_echoes_no_id_is_taken_for_an_old_one() {
    let (mut server, told) = client(3, keep_alive());
    server.output();
    server.input(&reply(None, false, &result("one")));
    server.output();
    assert_eq!(told.borrow().replies, [(0, "one".to_owned())]);
    assert_eq!(told.borrow().ending, Some(Ending::OldPeer));
}

#[test]
fn endings_say_what_happened() {
    type Act = fn(&mut Harness);
    let cases: Vec<(Act, Ending)> = vec![
        (|server| server.eof(), Ending::Closed { unanswered: 1, inside: false }),
        (
            |server| {
                server.input(&reply(Some(0), true, &result("a"))[..9]);
                server.eof();
            },
            Ending::Closed { unanswered: 1, inside: true },
        ),
        (
            |server| {
                let reply = reply(Some(0), true, &result("a"));
                server.input(&reply[..reply.len() - 1]);
                server.eof();
            },
            Ending::Closed { unanswered: 1, inside: true },
        ),
        (
            |server| {
                server.input(&reply(Some(0), true, &result("a")));
                server.input(&reply(None, false, &error_reply("timeout", "too slow")));
            },
            Ending::Refused(ErrorReply { code: Some("timeout".into()), text: "too slow".into() }),
        ),
        (|server| server.pass(seconds(60)), Ending::Silent { unanswered: 1 }),
        (
            |server| server.input(&reply(Some(0), false, &result("a"))),
            Ending::Closed { unanswered: 0, inside: false },
        ),
        (|server| server.drain(), Ending::Stopped),
    ];
    for (act, expected) in cases {
        let (mut server, told) = client(9, keep_alive());
        server.output();
        act(&mut server);
        server.output();
        assert_eq!(told.borrow().ending, Some(expected));
    }
    for (garbage, says) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "this port speaks HTTP (\"HTTP/1.1 400 Bad Request\"), and not messages in frames",
        ),
        (b"HTT", "this port speaks HTTP (\"HTT\"), and not messages in frames"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "this port speaks TLS, and not messages in frames"),
        (b"SSH-2.0-x\x1b\r\n", "something else than messages in frames (\"SSH-2.0-x\\x1b\")"),
        (b"\0\0", "a frame begins with the length of its header, not with 0"),
        (&reply(Some(7), true, &result("a")), "the reply's id is that of no request"),
    ] {
        let (mut server, told) = client(9, keep_alive());
        server.input(garbage);
        match &told.borrow().ending {
            Some(Ending::Garbage(what)) => assert!(what.contains(says), "{what}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_reply_may_come_before_the_request_is_sent() {
    let told = Rc::default();
    let many = Many { left: 1, size: 1 << 20, pauses: false, told: Rc::clone(&told) };
    let mut server = Harness::new(Client::new(Settings::default(), many));
    server.input(&reply(None, false, &error_reply("too_large", "too much")));
    assert!(server.output().is_empty(), "the rest is of no use");
    assert_eq!(told.borrow().replies, [(0, "Error: too much".to_owned())]);
    assert_eq!(told.borrow().ending, Some(Ending::Finished));
}

#[test]
fn a_pause_holds_replies_back_and_no_silence_is_counted() {
    let told: Rc<RefCell<Told>> = Rc::default();
    let many = Many { left: 2, size: 1, pauses: true, told: Rc::clone(&told) };
    let mut server = Harness::new(Client::new(keep_alive(), many));
    server.output();
    server
        .input(&[reply(Some(0), true, &result("a")), reply(Some(1), true, &result("b"))].concat());
    assert_eq!(told.borrow().replies.len(), 1);
    server.pass(seconds(300));
    assert!(server.fault().is_none());
    // The first response tells that more may be asked, and the second comes only after that.
    told.borrow_mut().open.take().unwrap().keep(Box::new(()));
    server.deliver();
    assert_eq!(told.borrow().replies.len(), 2);
    told.borrow_mut().open.take().unwrap().keep(Box::new(()));
    server.deliver();
    server.output();
    assert_eq!(told.borrow().ending, Some(Ending::Finished));
}

#[test]
fn what_got_no_reply_in_time_is_missed_and_a_late_one_is_let_pass() {
    let settings = Settings { deadline_ms: Some(1000), ..keep_alive() };
    let (mut server, told) = client(3, settings);
    server.output();
    server.input(&reply(Some(0), true, &result("a")));
    server.pass(seconds(1));
    assert_eq!(told.borrow().missed, [1, 2]);
    server.output();
    assert_eq!(told.borrow().ending, Some(Ending::Finished));

    let settings = Settings { deadline_ms: Some(1000), ..keep_alive() };
    let (mut server, told) = client(9, settings);
    server.input(&reply(Some(0), true, &result("a")));
    server.pass(seconds(1));
    server.input(&reply(Some(1), true, &result("late")));
    assert!(server.fault().is_none());
    assert_eq!(told.borrow().replies.len(), 1);
}

#[test]
fn our_two_sides_understand_each_other() {
    let (mut asking, told) = client(50, keep_alive());
    let mut answering = slow();
    while told.borrow().ending.is_none() {
        let asked = asking.output();
        answering.input(&asked);
        answering.run_jobs();
        asking.input(&answering.output());
    }
    assert_eq!(told.borrow().replies.len(), 50);
    assert_eq!(told.borrow().ending, Some(Ending::Finished));
}
