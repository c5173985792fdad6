//! The connection, with a simulated peer.

use std::time::Duration;

use sockeye::proto::harness::Harness;

use super::connection::INPUT_END;
use super::*;
use crate::send::input::Piece;
use crate::send::input::tests::input_alone;
use crate::send::printer::tests::FULL_QUEUE;
use sockeye::proto::{End, Reason};

/// What a connection prints and reports.
struct TestOutput {
    printer: Printer,
    report: Rc<RefCell<Report>>,
    warnings: Rc<RefCell<Vec<String>>>,
}

impl TestOutput {
    fn summary(&self) -> String {
        let summary = self.report.borrow_mut().finish(Duration::ZERO).to_string();
        summary.trim_end_matches(" in 0 µs").to_owned()
    }

    fn warning(&self) -> String {
        self.warnings.borrow().join("\n")
    }
}

fn connect_with_source(source: Source, style: Style) -> (Harness, TestOutput) {
    connect_with_half_close(source, style, false)
}

fn connect_with_half_close(
    source: Source,
    style: Style,
    half_close: bool,
) -> (Harness, TestOutput) {
    let warnings = Rc::new(RefCell::new(Vec::new()));
    let report = Rc::new(RefCell::new(Report::new({
        let warnings = Rc::clone(&warnings);
        move |warning| warnings.borrow_mut().push(warning)
    })));
    let printer = Printer::default();
    let settings = Settings {
        style,
        half_close,
        with_tls: Some("tls://localhost:1".into()),
        timeout: Duration::from_secs(60),
        printer: printer.clone(),
        report: Rc::clone(&report),
    };
    let peer = Harness::new(Connection::new(1, source, settings));
    (peer, TestOutput { printer, report, warnings })
}

fn source(contents: &[&'static [u8]]) -> Source {
    let contents: Vec<Bytes> = contents.iter().map(|content| Bytes::from_static(content)).collect();
    Source::Contents(pieces(&contents))
}

fn connect_with_contents(messages: &[&'static [u8]], style: Style) -> (Harness, TestOutput) {
    connect_with_source(source(messages), style)
}

#[test]
fn contents_are_sent_in_order_and_the_connection_ends_when_all_came_back() {
    let (mut peer, output) = connect_with_contents(
        &[b"Message 1 from client.", b"Message 2 from client."],
        Style::Labelled,
    );
    assert_eq!(peer.output(), b"Message 1 from client.Message 2 from client.");
    peer.input(b"Message 1 from client.Mess");
    assert!(!peer.finished());
    peer.input(b"age 2 from client.");
    assert!(peer.finished());
    assert_eq!(peer.output(), b"");
    assert_eq!(
        String::from_utf8(output.printer.take()).unwrap(),
        "connection 1: received \"Message 1 from client.Mess\"\n\
         connection 1: received \"age 2 from client.\"\n"
    );
    assert_eq!(output.summary(), "1 connection: 1 finished; sent 44 B, received 44 B");
    assert_eq!(output.warning(), "");
}

#[test]
fn a_single_connection_prints_bytes_unchanged() {
    let (mut peer, output) = connect_with_contents(&[b"\x00\xff\n"], Style::Unchanged);
    let sent = peer.output();
    peer.drip(&sent);
    assert_eq!(output.printer.take(), b"\x00\xff\n");
}

#[test]
fn a_terminal_gets_escaped_characters_for_any_split_of_the_bytes() {
    let (mut peer, output) = connect_with_contents(&[b"0123456789"], Style::Terminal);
    peer.output();
    peer.drip("\x1b[2J\u{9b}\u{e9}\n\t".as_bytes());
    assert_eq!(String::from_utf8(output.printer.take()).unwrap(), "\\u{1b}[2J\\u{9b}\u{e9}\n\t");
    let (mut peer, output) = connect_with_contents(&[b"0123456789"], Style::Terminal);
    peer.input(b"a\xe2\x82");
    peer.eof();
    peer.output();
    assert_eq!(output.printer.take(), b"a\\xe2\\x82");
}

#[test]
fn half_close_ends_our_side_and_waits_for_the_peers_end() {
    for messages in [&[&b"GET /\r\n"[..]][..], &[b""]] {
        let (mut peer, output) = connect_with_half_close(source(messages), Style::Unchanged, true);
        let sent = peer.output();
        assert_eq!((sent, peer.end()), (messages.concat(), Some(End::Finish)));
        peer.pass(Duration::from_secs(59));
        peer.input(b"more than was sent, and in pieces, ");
        peer.pass(Duration::from_secs(59));
        peer.input(b"to the end");
        assert!(peer.fault().is_none());
        peer.eof();
        peer.output();
        let received_bytes = b"more than was sent, and in pieces, to the end";
        assert_eq!(output.printer.take(), received_bytes);
        let (sent, received) = (messages.concat().len(), received_bytes.len());
        let expected = format!("1 connection: 1 finished; sent {sent} B, received {received} B");
        assert_eq!((output.summary(), output.warning()), (expected, String::new()));
    }
}

#[test]
fn half_close_has_no_timeout_before_the_end_of_input() {
    let (input, answer) = input_alone();
    let (mut peer, output) = connect_with_half_close(Source::Input(input), Style::Unchanged, true);
    answer(Piece::Bytes(Bytes::from_static(b"Hello ")));
    peer.deliver();
    assert_eq!(peer.output(), b"Hello ");
    // There is no input yet, so nothing is due from the peer.
    peer.pass(Duration::from_secs(3600));
    assert_eq!((peer.fault(), peer.end()), (None, None));
    answer(Piece::End);
    peer.deliver();
    peer.output();
    assert_eq!(peer.end(), Some(End::Finish));
    peer.input(b"Hi");
    peer.pass(Duration::from_secs(60));
    assert_eq!(
        output.warning(),
        "connection 1: the peer was silent for 60 s after 2 bytes, and did not end its side"
    );

    let (input, _answer) = input_alone();
    let (mut peer, output) = connect_with_half_close(Source::Input(input), Style::Unchanged, true);
    peer.input(b"welcome");
    peer.eof();
    assert!(peer.fault().is_none(), "the end of input may be on its way");
    peer.pass(INPUT_END);
    peer.output();
    assert_eq!(
        output.warning(),
        "connection 1: the peer closed the connection before everything was sent"
    );
}

#[test]
fn a_peer_that_closes_before_the_end_of_input_is_known_has_got_everything() {
    for (last, fault) in
        [(Piece::End, None), (Piece::Bytes(Bytes::from_static(b"more")), Some("closed_early"))]
    {
        let (input, answer) = input_alone();
        let (mut peer, output) =
            connect_with_half_close(Source::Input(input), Style::Unchanged, true);
        answer(Piece::Bytes(Bytes::from_static(b"HEAD / HTTP/1.0\r\n\r\n")));
        peer.deliver();
        assert_eq!(peer.output(), b"HEAD / HTTP/1.0\r\n\r\n");
        peer.input(b"HTTP/1.1 200 OK\r\n\r\n");
        peer.eof();
        answer(last);
        peer.deliver();
        peer.output();
        assert_eq!(peer.fault().map(|fault| fault.code), fault);
        assert_eq!(output.report.borrow_mut().finish(Duration::ZERO).done, fault.map_or(1, |_| 0));
    }
}

#[test]
fn a_peer_that_is_no_echo_server_is_recognized() {
    const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let (mut peer, output) = connect_with_contents(&[b"Hello"], Style::Unchanged);
    peer.output();
    peer.input(HTTP);
    assert!(peer.finished());
    peer.output();
    assert_eq!(
        output.warning(),
        "connection 1: the peer speaks HTTP (\"HTTP/1.1 400 Bad Request\"), and only as many bytes \
         were read as were sent; --half-close reads all"
    );
    for (sends, warning) in [
        (
            HTTP,
            "connection 1: the peer closed the connection when 40 bytes were written and 28 were received; \
             the peer speaks HTTP (\"HTTP/1.1 400 Bad Request\"); --half-close reads everything",
        ),
        (
            b"220 mail\r\n",
            "connection 1: the peer closed the connection when 40 bytes were written and 10 were received; \
             the peer does not send back what it receives; --half-close reads everything",
        ),
    ] {
        let (mut peer, output) = connect_with_contents(&[&[b'x'; 40]], Style::Unchanged);
        peer.output();
        peer.drip(sends);
        peer.eof();
        peer.output();
        assert_eq!(output.warning(), warning);
    }
}

#[test]
fn empty_contents_end_the_connection_at_once() {
    let (mut peer, output) = connect_with_contents(&[b""], Style::Unchanged);
    assert!(peer.finished());
    assert_eq!(peer.output(), b"");
    assert_eq!(output.summary(), "1 connection: 1 finished; sent 0 B, received 0 B");
}

#[test]
fn an_early_close_is_an_error_with_the_progress() {
    let (mut peer, output) = connect_with_contents(&[b"Hello World"], Style::Unchanged);
    assert_eq!(peer.output(), b"Hello World");
    peer.input(b"Hello");
    peer.eof();
    assert_eq!(peer.fault().unwrap().code, "closed_early");
    assert_eq!(output.printer.take(), b"Hello", "received bytes are printed");
    assert_eq!(
        output.warning(),
        "connection 1: the peer closed the connection when 5 of 11 bytes had come back"
    );
    assert_eq!(output.summary(), "1 connection: 0 finished, 1 failed; sent 11 B, received 5 B");
}

#[test]
fn a_silent_peer_times_out_after_a_minute_without_progress() {
    let (mut peer, output) = connect_with_contents(&[b"Hello World"], Style::Unchanged);
    peer.pass(Duration::from_secs(59));
    assert_eq!(peer.output(), b"Hello World");
    peer.pass(Duration::from_secs(59));
    peer.input(b"Hello");
    peer.pass(Duration::from_secs(59));
    assert!(peer.fault().is_none());
    peer.pass(Duration::from_secs(1));
    assert_eq!(peer.fault().unwrap().code, "silent");
    assert_eq!(
        output.warning(),
        "connection 1: the peer was silent for 60 s when 5 of 11 bytes had come back"
    );
}

#[test]
fn large_content_is_written_and_read_back_in_pieces() {
    let message: &'static [u8] = vec![b'x'; 10 * PIECE].leak();
    let (mut peer, output) = connect_with_contents(&[message], Style::Unchanged);
    // `output` makes room after each piece, so one call returns everything.
    let out = peer.output();
    assert_eq!(out.len(), message.len());
    for piece in out.chunks(1000) {
        peer.input(piece);
    }
    assert!(peer.finished());
    assert_eq!(output.printer.take().len(), message.len());
}

#[test]
fn input_is_requested_by_the_piece_and_waiting_for_it_is_no_timeout() {
    let (input, answer) = input_alone();
    let (mut peer, output) = connect_with_source(Source::Input(input), Style::Unchanged);
    // There is no input yet.
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
    assert_eq!(output.printer.take(), b"Hello World");
    peer.output();
    assert_eq!(output.summary(), "1 connection: 1 finished; sent 11 B, received 11 B");
}

#[test]
fn failed_input_ends_the_connection_as_our_fault() {
    let (input, answer) = input_alone();
    let (mut peer, output) = connect_with_source(Source::Input(input), Style::Unchanged);
    answer(Piece::Failed("is a directory".into()));
    peer.deliver();
    assert_eq!(peer.fault().unwrap().code, "input_failed");
    assert_eq!(output.warning(), "connection 1: we could not read standard input: is a directory");
}

#[test]
fn a_peer_that_closes_before_the_end_of_input_is_an_error() {
    let (input, _answer) = input_alone();
    let (mut peer, output) = connect_with_source(Source::Input(input), Style::Unchanged);
    peer.eof();
    assert_eq!(
        output.warning(),
        "connection 1: the peer closed the connection before everything was sent"
    );
}

#[test]
fn the_other_connections_get_input_after_one_ends() {
    let input: &[u8] = b"for all";
    let mut inputs = input::share(input, 2).unwrap().into_iter().map(Source::Input);
    let (mut staying, output) = connect_with_source(inputs.next().unwrap(), Style::Unchanged);
    let (leaving, _) = connect_with_source(inputs.next().unwrap(), Style::Unchanged);
    drop(leaving);
    // Another thread fulfills the promises.
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
    assert_eq!(output.printer.take(), input);
}

#[test]
fn a_slow_standard_output_pauses_reading_without_a_timeout() {
    let message: &'static [u8] = vec![b'x'; FULL_QUEUE + 5].leak();
    let (mut peer, output) = connect_with_contents(&[message], Style::Unchanged);
    assert_eq!(peer.output().len(), message.len());
    peer.input(&message[..FULL_QUEUE]);
    peer.input(&message[FULL_QUEUE..]);
    assert_eq!(peer.unused(), 5, "there is no room for the last bytes");
    peer.pass(Duration::from_secs(3600));
    assert!(peer.fault().is_none());
    assert_eq!(output.printer.take().len(), FULL_QUEUE);
    peer.deliver();
    assert_eq!(output.printer.take(), b"xxxxx");
    assert!(peer.finished());
}

#[test]
fn a_standard_output_without_a_reader_ends_the_connection_without_an_error() {
    let (mut peer, output) = connect_with_contents(&[b"Hello World"], Style::Unchanged);
    output.printer.close();
    peer.input(b"Hello");
    assert!(peer.finished());
    peer.output();
    assert_eq!(output.warning(), "");
    assert!(output.summary().contains("1 aborted, since standard output has no reader"));
}

#[test]
fn bytes_that_are_dropped_for_lack_of_a_reader_do_not_count_as_sent() {
    let (mut peer, output) = connect_with_contents(&[b"Hello World"], Style::Unchanged);
    output.printer.close();
    peer.input(b"early");
    assert_eq!(peer.output(), b"");
    let summary = output.summary();
    assert!(summary.contains("sent 0 B"), "{summary}");
}

#[test]
fn bytes_that_a_failed_connection_did_not_send_do_not_count_even_if_as_many_came_back() {
    for (received, banner) in [(3, &b"220"[..]), (11, b"220 Welcome")] {
        let (mut peer, output) = connect_with_contents(&[b"Hello World"], Style::Unchanged);
        peer.input(banner);
        peer.end_for(&Reason::Reset);
        let expected = "connection 1: the peer reset the connection; the peer does not send back \
                        what it receives; --half-close reads everything";
        assert_eq!(output.warning(), expected);
        let expected = format!("0 finished, 1 failed; sent 0 B, received {received} B");
        assert_eq!(output.summary(), format!("1 connection: {expected}"));
    }
}

#[test]
fn contents_are_cut_into_pieces() {
    let messages = [Bytes::from(vec![1; 2 * PIECE + 1]), Bytes::new(), Bytes::from_static(b"abc")];
    let pieces = pieces(&messages);
    let lengths: Vec<usize> = pieces.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [PIECE, PIECE, 1, 3]);
}
