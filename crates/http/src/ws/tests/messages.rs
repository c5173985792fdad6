//! Messages in both directions, however they are cut, and backpressure.

use proptest::prelude::*;

use super::*;
use crate::ws::{SharedMessage, TrySendError};

#[test]
fn messages_arrive_however_they_are_cut() {
    let stream = [
        frame(Opcode::Text, true, "héllo".as_bytes()),
        frame(Opcode::Text, false, b"in "),
        frame(Opcode::Continuation, false, b""),
        frame(Opcode::Ping, true, b"p"),
        frame(Opcode::Continuation, true, &"pärts".as_bytes()[..2]),
    ]
    .concat();
    // The last message ends within a character, so it is invalid; one more fragment completes it.
    let mut whole = stream[..stream.len() - 8].to_vec();
    whole.extend(frame(Opcode::Continuation, false, &"pärts".as_bytes()[..2]));
    whole.extend(frame(Opcode::Pong, true, b"unasked"));
    whole.extend(frame(Opcode::Continuation, true, &"pärts".as_bytes()[2..]));
    whole.extend(frame(Opcode::Binary, true, &[7; 300]));
    whole.extend(frame(Opcode::Binary, true, b""));
    let expected = [
        "text héllo".to_owned(),
        "text in pärts".to_owned(),
        format!("binary {}", "\\x07".repeat(300)),
        "binary ".to_owned(),
    ];
    for cut in 0..whole.len() {
        let mut client = Client::new();
        client.harness.input(&whole[..cut]);
        client.harness.input(&whole[cut..]);
        assert_eq!(client.events(), expected, "cut at {cut}");
        assert_eq!(client.frames(), ["Pong p"]);
        assert_eq!(client.harness.unused(), 0);
    }
    let mut client = Client::new();
    client.harness.drip(&whole);
    assert_eq!(client.events(), expected);
}

proptest! {
    #[test]
    fn fragments_and_packets_change_nothing(
        messages in prop::collection::vec(
            (any::<bool>(), "\\PC{0,40}", prop::collection::vec(0..40_usize, 0..4)), 0..6),
        packets in prop::collection::vec(1..30_usize, 1..10),
    ) {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (is_text, text, cuts) in &messages {
            let bytes = text.as_bytes();
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.min(&bytes.len()).to_owned()).collect();
            ends.sort_unstable();
            ends.push(bytes.len());
            let (mut start, last) = (0, ends.len() - 1);
            for (index, end) in ends.into_iter().enumerate() {
                let opcode = match (index, is_text) {
                    (0, true) => Opcode::Text,
                    (0, false) => Opcode::Binary,
                    _ => Opcode::Continuation,
                };
                stream.extend(frame(opcode, index == last, &bytes[start..end]));
                start = end;
            }
            expected.push(match is_text {
                true => format!("text {text}"),
                false => format!("binary {}", bytes.escape_ascii()),
            });
        }
        let mut client = Client::new();
        let (mut rest, mut packets) = (&stream[..], packets.iter().cycle());
        while !rest.is_empty() {
            let (packet, later) = rest.split_at(rest.len().min(*packets.next().unwrap()));
            client.harness.input(packet);
            rest = later;
        }
        // Texts that are commands of the recorder aren't made by the strategy in practice.
        prop_assert_eq!(client.events(), expected);
        prop_assert!(client.harness.fault().is_none());
    }
}

#[test]
fn what_is_sent_is_one_frame_without_a_mask() {
    let mut client = Client::new();
    for len in [0, 1, 120, 121, 60_000, 70_000] {
        let text = format!("echo {}", "x".repeat(len));
        client.text(&text);
        assert_eq!(client.frames(), [format!("Text {text}")]);
    }
}

#[test]
fn pings_are_answered_in_order_and_wait_while_the_output_is_full() {
    let mut client = Client::new();
    let stream = [
        frame(Opcode::Ping, true, b"1"),
        frame(Opcode::Text, true, b"echo 2"),
        frame(Opcode::Ping, true, b"3"),
    ];
    client.harness.input(&stream.concat());
    assert_eq!(client.frames(), ["Pong 1", "Text echo 2", "Pong 3"]);
    let flood = frame(Opcode::Ping, true, &[7; 125]).repeat(5000);
    client.harness.input(&flood);
    assert!(client.harness.held() < Harness::ROOM + 1000, "{}", client.harness.held());
    assert!(client.harness.unused() > flood.len() / 2, "the rest is not read");
    assert_eq!(client.frames().len(), 5000);
}

#[test]
fn messages_wait_while_the_output_is_full() {
    let mut client = Client::new();
    let stream = [
        frame(Opcode::Text, true, b"fill 30000"),
        frame(Opcode::Text, true, b"second"),
        frame(Opcode::Text, true, b"third"),
    ]
    .concat();
    client.harness.input(&stream);
    assert_eq!(client.events(), ["text fill 30000"]);
    assert_eq!(client.frames().len(), 30_000);
    assert_eq!(client.events(), ["text second", "text third"]);
}

#[test]
fn a_handler_gets_room_when_it_asks_for_it() {
    let mut client = Client::new();
    client.text("room");
    client.harness.output();
    assert_eq!(client.events(), ["text room", "room"]);
}

#[test]
fn a_paused_handler_gets_no_message_until_it_resumes() {
    let mut client = Client::new();
    let stream = [
        frame(Opcode::Text, true, b"job"),
        frame(Opcode::Text, true, b"later"),
        frame(Opcode::Ping, true, b""),
    ];
    client.harness.input(&stream.concat());
    assert_eq!((client.events(), client.frames().len()), (vec!["text job".into()], 0));
    client.harness.run_jobs();
    assert_eq!(client.events(), ["job Some(7)", "text later"]);
    assert_eq!(client.frames(), ["Pong "]);
}

#[test]
fn any_thread_can_send_and_close() {
    let mut client = Client::new();
    let sender = client.seen.sender.borrow().clone().unwrap();
    sender.try_send("one").unwrap();
    sender.send(vec![1, 2]).unwrap();
    client.harness.deliver();
    assert_eq!(client.frames(), ["Text one", "Binary \\x01\\x02"]);
    let long = SharedMessage::text(&"x".repeat(5000));
    sender.try_send(long.clone()).unwrap();
    client.harness.deliver();
    assert_eq!(client.frames(), [format!("Text {}", "x".repeat(5000))]);
    sender.close(CloseCode(3000), "enough");
    client.harness.deliver();
    assert_eq!(client.frames(), ["Close 3000 enough"]);
    sender.try_send("dropped").unwrap();
    client.harness.deliver();
    assert!(client.frames().is_empty());
    assert!(!sender.is_gone());
    client.send(Opcode::Close, &3000_u16.to_be_bytes());
    assert_eq!(client.events(), ["closed 3000 "]);
    client.harness.output();
    drop(client);
    assert!(sender.is_gone());
    assert_eq!(sender.try_send(long), Err(TrySendError::Gone));
}

#[test]
fn senders_wait_while_the_output_is_full() {
    let mut client = Client::new();
    let sender = client.seen.sender.borrow().clone().unwrap();
    client.text("fill 30000");
    let mut sent = 0;
    while sender.try_send("more").is_ok() {
        sent += 1;
        client.harness.deliver();
    }
    assert_eq!(sent, 16, "as many as may wait");
    assert_eq!(sender.try_send("more"), Err(TrySendError::Full));
    // A close needs no room.
    sender.close(CloseCode::TRY_AGAIN_LATER, "too slow");
    client.harness.deliver();
    let frames = client.frames();
    assert_eq!((frames.len(), &*frames[30_016]), (30_017, "Close 1013 too slow"));
    sender.try_send("more").unwrap();
}

#[test]
fn remotes_notify_the_handler() {
    let mut client = Client::new();
    let remote = client.seen.remote.borrow().clone().unwrap();
    remote.wake();
    remote.wake();
    client.harness.deliver();
    assert_eq!(client.events(), ["woken"]);
    remote.try_send(Box::new(8_u32)).unwrap();
    client.harness.deliver();
    assert_eq!(client.events(), ["remote Some(8)"]);
    client.harness.eof();
    client.events();
    remote.wake();
    client.harness.deliver();
    assert!(client.events().is_empty(), "it is closed");
}

#[test]
fn an_incomplete_message_is_charged_to_the_client_as_it_grows() {
    let mut client = Client::new();
    let header = FrameHeader::whole(Opcode::Binary, 1 << 20, Some(KEY)).encode();
    client.harness.input(&header.0[..header.1]);
    assert_eq!(client.harness.charged(), 0, "nothing has come but the announcement");
    for part in 1..=10 {
        client.harness.input(&[0; 60_000]);
        let charged = client.harness.charged();
        assert!(charged + 16 * 1024 >= part * 60_000 && charged <= 2 * part * 60_000, "{charged}");
    }
    client.harness.input(&vec![0; (1 << 20) - 600_000]);
    assert_eq!(client.harness.charged(), 0);
    assert_eq!(client.events().len(), 1);
}

#[test]
fn memory_for_a_frame_is_reserved_once_when_half_of_it_has_arrived() {
    let mut client = Client::new();
    let stream = frame(Opcode::Binary, true, &[0; 65_536]);
    client.harness.input(&stream[..60_000]);
    assert_eq!(client.harness.charged(), 65_536);
    client.harness.input(&stream[60_000..]);
    assert_eq!(client.harness.charged(), 0);
    assert_eq!(client.events().len(), 1);
}

#[test]
fn a_message_allocates_nothing() {
    struct Echo;
    impl Handler for Echo {
        fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
            socket.send(message);
        }
    }
    let mut harness = Harness::new(Connection::server(Rc::default(), Echo));
    let stream = frame(Opcode::Text, true, &[b'x'; 1000]).repeat(10);
    harness.input(&stream);
    let len = harness.output().len();
    let mut out = Vec::new();
    let counted = allocation_counter::measure(|| {
        harness.input(&stream);
        out = harness.output();
    });
    assert_eq!(out.len(), len);
    // The harness copies the output.
    assert!(counted.count_total <= 2, "{}", counted.count_total);
}

#[test]
fn a_large_message_has_the_memory_of_the_last_one() {
    let mut harness = Harness::new(Connection::server(
        Rc::default(),
        |_: Message<'_>, _: &mut Socket<'_, '_>| {},
    ));
    let stream = frame(Opcode::Binary, true, &[b'x'; 60_000]);
    let mut send = |part: &[u8]| {
        allocation_counter::measure(|| {
            harness.input(part);
        })
    };
    let (first, rest) = stream.split_at(40_000);
    assert!(send(first).bytes_max >= 60_000);
    send(rest);
    let again = send(first);
    assert!(again.bytes_max < 1000, "{again:?}");
    send(rest);
    // The beginning of a message gets no memory that it may never need.
    let begun = send(&stream[..1000]);
    assert!((1000..5000).contains(&begun.bytes_max), "{begun:?}");
}

#[test]
fn without_budget_no_large_message_is_kept() {
    let whole = frame(Opcode::Binary, true, &[0; 100_000]);
    let mut client = Client::new();
    client.harness.input(&whole[..50_000]);
    client.harness.set_over_budget(true);
    client.harness.input(&whole[50_000..]);
    assert_eq!(client.events().len(), 1, "a message that is complete is delivered");
    client.harness.input(&whole[..1000]);
    assert!(client.harness.fault().is_none(), "a small part may be kept");
    client.harness.input(&whole[1000..50_000]);
    assert_eq!(client.harness.fault().unwrap().code, "websocket_over_budget");
    assert!(client.frames()[0].starts_with("Close 1013 "));
}

/// Fills the output whenever there is room, `rounds_left` times.
struct Flood {
    rounds_left: u32,
    closed_with: Rc<RefCell<Option<u32>>>,
}

impl Flood {
    fn send(&mut self, socket: &mut Socket<'_, '_>) {
        while !socket.is_full() {
            socket.send("0123456789");
        }
        self.rounds_left -= 1;
        if self.rounds_left > 0 {
            socket.want_room();
        }
    }
}

impl Handler for Flood {
    fn on_message(&mut self, _: Message<'_>, socket: &mut Socket<'_, '_>) {
        self.send(socket);
    }

    fn on_room(&mut self, socket: &mut Socket<'_, '_>) {
        self.send(socket);
    }

    fn on_close(&mut self, _: Closed<'_>, _: &mut Socket<'_, '_>) {
        *self.closed_with.borrow_mut() = Some(self.rounds_left);
    }
}

#[test]
fn a_handler_that_always_has_more_to_send_keeps_nobody_from_being_read() {
    let closed_with = Rc::<RefCell<Option<u32>>>::default();
    let flood = Flood { rounds_left: 20, closed_with: Rc::clone(&closed_with) };
    let mut harness = Harness::new(Connection::server(Rc::default(), flood));
    let close = frame(Opcode::Close, true, &[3, 0xE8]);
    harness.input(&[frame(Opcode::Text, true, b"flood"), close].concat());
    assert_eq!(closed_with.take(), None, "the output is full");
    harness.output();
    assert_eq!(closed_with.take(), Some(18), "it is read when there is room for the first time");
}
