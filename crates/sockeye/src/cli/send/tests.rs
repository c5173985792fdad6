//! The conversation of `send`, with a peer that the test plays.

use std::time::Duration;

use sockeye_proto::harness::Harness;

use super::input::Piece;
use super::input::tests::seat_alone;
use super::printer::Paper;
use super::printer::tests::TOO_MUCH;
use super::*;

/// What a test holds in its hands besides the peer.
struct Desk {
    paper: Paper,
    board: Rc<RefCell<Board>>,
    complaints: Rc<RefCell<Vec<String>>>,
}

impl Desk {
    fn summary(&self) -> String {
        let summary = self.board.borrow_mut().sum_up(Duration::ZERO).to_string();
        summary.trim_end_matches(" in 0 µs").to_owned()
    }

    fn complaint(&self) -> String {
        self.complaints.borrow().join("\n")
    }
}

fn talk_from(source: Source, labelled: bool) -> (Harness, Desk) {
    let complaints = Rc::new(RefCell::new(Vec::new()));
    let board = Rc::new(RefCell::new(Board::new(false, {
        let complaints = Rc::clone(&complaints);
        move |complaint: &str| complaints.borrow_mut().push(complaint.to_owned())
    })));
    let paper = Paper::default();
    let setting = Setting {
        labelled,
        silence: Duration::from_secs(60),
        paper: paper.clone(),
        board: Rc::clone(&board),
    };
    let peer = Harness::new(Conversation::new(1, source, setting));
    (peer, Desk { paper, board, complaints })
}

fn talk_of(messages: &[&'static [u8]], labelled: bool) -> (Harness, Desk) {
    let messages: Vec<Bytes> = messages.iter().map(|message| Bytes::from_static(message)).collect();
    talk_from(Source::Messages(cut(&messages)), labelled)
}

#[test]
fn messages_go_out_in_order_and_the_conversation_ends_when_all_came_back() {
    let (mut peer, desk) = talk_of(&[b"Message 1 from client.", b"Message 2 from client."], true);
    assert_eq!(peer.output(), b"Message 1 from client.Message 2 from client.");
    peer.input(b"Message 1 from client.Mess");
    assert!(!peer.finished());
    peer.input(b"age 2 from client.");
    assert!(peer.finished());
    assert_eq!(peer.output(), b"");
    assert_eq!(
        String::from_utf8(desk.paper.read()).unwrap(),
        "connection 1: received \"Message 1 from client.Mess\"\n\
         connection 1: received \"age 2 from client.\"\n"
    );
    assert_eq!(desk.summary(), "1 connection: 1 finished; sent 44 B, received 44 B");
    assert_eq!(desk.complaint(), "");
}

#[test]
fn a_single_connection_prints_the_bytes_as_they_came() {
    let (mut peer, desk) = talk_of(&[b"\x00\xff\n"], false);
    let sent = peer.output();
    peer.drip(&sent);
    assert_eq!(desk.paper.read(), b"\x00\xff\n");
}

#[test]
fn nothing_to_send_ends_at_once() {
    let (mut peer, desk) = talk_of(&[b""], false);
    assert!(peer.finished());
    assert_eq!(peer.output(), b"");
    assert_eq!(desk.summary(), "1 connection: 1 finished; sent 0 B, received 0 B");
}

#[test]
fn a_peer_that_closes_early_is_an_error_that_says_how_far_it_came() {
    let (mut peer, desk) = talk_of(&[b"Hello World"], false);
    assert_eq!(peer.output(), b"Hello World");
    peer.input(b"Hello");
    peer.eof();
    assert_eq!(peer.fault().unwrap().code, "closed_early");
    assert_eq!(desk.paper.read(), b"Hello", "what came is printed all the same");
    assert_eq!(
        desk.complaint(),
        "connection 1: the peer closed the connection when 5 of 11 bytes had come back"
    );
    assert_eq!(desk.summary(), "1 connection: 0 finished, 1 failed; sent 11 B, received 5 B");
}

#[test]
fn a_silent_peer_is_let_go_after_a_minute_without_progress() {
    let (mut peer, desk) = talk_of(&[b"Hello World"], false);
    peer.pass(Duration::from_secs(59));
    assert_eq!(peer.output(), b"Hello World");
    peer.pass(Duration::from_secs(59));
    peer.input(b"Hello");
    peer.pass(Duration::from_secs(59));
    assert!(peer.fault().is_none());
    peer.pass(Duration::from_secs(1));
    assert_eq!(peer.fault().unwrap().code, "silent");
    assert_eq!(
        desk.complaint(),
        "connection 1: the peer was silent for 60s when 5 of 11 bytes had come back"
    );
}

#[test]
fn a_large_message_waits_for_room_and_is_read_back_meanwhile() {
    let message: &'static [u8] = vec![b'x'; 10 * PIECE].leak();
    let (mut peer, desk) = talk_of(&[message], false);
    // `output` makes room again and again, so all of it comes in one call, piece by piece.
    let out = peer.output();
    assert_eq!(out.len(), message.len());
    for piece in out.chunks(1000) {
        peer.input(piece);
    }
    assert!(peer.finished());
    assert_eq!(desk.paper.read().len(), message.len());
}

#[test]
fn input_is_asked_for_a_piece_at_a_time_and_silence_between_is_nobodys_fault() {
    let (seat, answer) = seat_alone();
    let (mut peer, desk) = talk_from(Source::Input(seat), false);
    // Somebody is thinking about what to type.
    peer.pass(Duration::from_secs(3600));
    answer(Piece::Bytes(Bytes::from_static(b"Hello ")));
    peer.deliver();
    assert_eq!(peer.output(), b"Hello ");
    peer.input(b"Hello ");
    peer.pass(Duration::from_secs(3600));
    answer(Piece::Bytes(Bytes::from_static(b"World")));
    peer.deliver();
    assert_eq!(peer.output(), b"World");
    answer(Piece::End);
    peer.deliver();
    assert!(!peer.finished(), "our side stays open until all has come back");
    peer.input(b"World");
    assert!(peer.finished());
    assert_eq!(desk.paper.read(), b"Hello World");
    peer.output();
    assert_eq!(desk.summary(), "1 connection: 1 finished; sent 11 B, received 11 B");
}

#[test]
fn input_that_fails_ends_the_conversation_and_says_whose_fault_it_was() {
    let (seat, answer) = seat_alone();
    let (mut peer, desk) = talk_from(Source::Input(seat), false);
    answer(Piece::Failed("is a directory".into()));
    peer.deliver();
    assert_eq!(peer.fault().unwrap().code, "input_failed");
    assert_eq!(desk.complaint(), "connection 1: we could not read standard input: is a directory");
}

#[test]
fn a_peer_that_leaves_while_there_is_input_is_an_error() {
    let (seat, _answer) = seat_alone();
    let (mut peer, desk) = talk_from(Source::Input(seat), false);
    peer.eof();
    assert_eq!(
        desk.complaint(),
        "connection 1: the peer closed the connection before everything was sent"
    );
}

#[test]
fn a_conversation_that_ends_leaves_the_input_to_the_others() {
    let input: &[u8] = b"for all";
    let mut seats = input::share(input, 2).unwrap().into_iter().map(Source::Input);
    let (mut staying, desk) = talk_from(seats.next().unwrap(), false);
    let (leaving, _) = talk_from(seats.next().unwrap(), false);
    drop(leaving);
    // The thread answers when it gets to it.
    let mut sent = Vec::new();
    while sent != input {
        std::thread::yield_now();
        staying.deliver();
        sent.extend(staying.output());
    }
    staying.input(input);
    while !staying.finished() {
        std::thread::yield_now();
        staying.deliver();
    }
    assert_eq!(desk.paper.read(), input);
}

#[test]
fn a_slow_standard_output_stops_the_reading_and_is_not_the_peers_silence() {
    let message: &'static [u8] = vec![b'x'; TOO_MUCH + 5].leak();
    let (mut peer, desk) = talk_of(&[message], false);
    assert_eq!(peer.output().len(), message.len());
    peer.input(&message[..TOO_MUCH]);
    peer.input(&message[TOO_MUCH..]);
    assert_eq!(peer.unused(), 5, "there is no room for them");
    peer.pass(Duration::from_secs(3600));
    assert!(peer.fault().is_none());
    assert_eq!(desk.paper.read().len(), TOO_MUCH);
    peer.deliver();
    assert_eq!(desk.paper.read(), b"xxxxx");
    assert!(peer.finished());
}

#[test]
fn a_standard_output_that_nobody_reads_ends_the_conversation_without_an_error() {
    let (mut peer, desk) = talk_of(&[b"Hello World"], false);
    desk.paper.tear();
    peer.input(b"Hello");
    assert!(peer.finished());
    peer.output();
    assert_eq!(desk.complaint(), "");
    assert!(desk.summary().contains("1 given up, since nobody reads standard output"));
}

#[test]
fn messages_are_cut_into_pieces_and_put_together_again() {
    let messages = [Bytes::from(vec![1; 2 * PIECE + 1]), Bytes::new(), Bytes::from_static(b"abc")];
    let pieces = cut(&messages);
    let lengths: Vec<usize> = pieces.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [PIECE, PIECE, 1, 3]);
}
