//! Step 7.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::support::{Server, run, run_failing, rust};

/// Sends pieces, closes the sending side, and returns all bytes that come back.
pub(crate) fn exchange<'a>(server: &Server, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut connection = TcpStream::connect(server.address()).unwrap();
    connection.set_nodelay(true).unwrap();
    pieces.into_iter().for_each(|piece| connection.write_all(piece).unwrap());
    connection.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    connection.read_to_end(&mut received).unwrap();
    received
}

#[test]
fn one_read_returns_two_messages_or_a_part_of_one() {
    let printed = run(rust!("step7-glued").arg("127.0.0.1:0"));
    assert_eq!(
        printed,
        [
            r#"one read: "Message 1 from client.Message 2 from client.""#,
            r#"one read: "Message 1 fr""#,
            r#"one read: "om client.""#,
        ]
    );
}

#[test]
fn each_message_is_answered_however_it_is_divided() {
    let server = Server::rust(&mut rust!("step7-server"));
    let texts =
        run(rust!("step7-client").arg(server.address().to_string()).args(["Hello", "", "x y"]));
    assert_eq!(texts, ["received: HELLO", "received: ", "received: X Y"]);

    let (sent, answer) = (b"\0\x05Hello\0\x05World", b"\0\x05HELLO\0\x05WORLD");
    assert_eq!(exchange(&server, [&sent[..]]), answer);
    assert_eq!(exchange(&server, sent.chunks(1)), answer);
    for at in 1..sent.len() {
        assert_eq!(exchange(&server, [&sent[..at], &sent[at..]]), answer, "split at {at}");
    }
}

#[test]
fn an_end_within_a_message_is_an_error_and_one_between_messages_is_not() {
    let server = Server::rust(&mut rust!("step7-server"));
    for (sent, end) in [
        (&b""[..], "end of 127.0.0.1:"),
        (b"\0\x01x", "end of 127.0.0.1:"),
        (b"\0", "error of 127.0.0.1:"),
        (b"\0\x0bHello", "error of 127.0.0.1:"),
    ] {
        exchange(&server, [sent]);
        assert!(server.program.line().starts_with("connection from "));
        let line = server.program.line();
        assert!(line.starts_with(end), "{sent:?}: {line}");
        assert_eq!(line.ends_with(": ended within a message"), end.starts_with("error"), "{line}");
    }
}

#[test]
fn a_message_of_64_kib_is_refused_by_the_client_and_one_byte_less_is_answered() {
    let server = Server::rust(&mut rust!("step7-server"));
    let client = |length| {
        let mut client = rust!("step7-client");
        client.arg(server.address().to_string()).arg("x".repeat(length));
        client
    };
    assert_eq!(run(&mut client(65_535)), [format!("received: {}", "X".repeat(65_535))]);
    let error = run_failing(&mut client(65_536));
    assert_eq!(error, "step7-client: a message of 65536 bytes: the limit is 65535\n");
}
