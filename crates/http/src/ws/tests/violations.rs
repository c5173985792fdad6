//! Peers that break the protocol, or exceed limits.

use super::*;

/// Sends `bytes` to a server. Returns the code of its close frame, and that of the fault.
fn refused(limits: Limits, bytes: &[u8]) -> (String, &'static str) {
    let mut client = Client::with(limits);
    client.harness.input(bytes);
    let frames = client.frames();
    let close = frames.last().unwrap().clone();
    let events = client.events();
    let closed = close.replacen("Close", "closed", 1);
    assert_eq!(events.last().unwrap(), &closed, "the handler knows");
    let code = close.split(' ').nth(1).unwrap().to_owned();
    (code, client.harness.fault().expect("a fault").code)
}

#[test]
fn broken_frames_close_with_the_right_code() {
    let text = |is_final, bytes: &[u8]| frame(Opcode::Text, is_final, bytes);
    let more = |is_final, bytes: &[u8]| frame(Opcode::Continuation, is_final, bytes);
    let close = |payload: &[u8]| frame(Opcode::Close, true, payload);
    let mut compressed = text(true, b"x");
    compressed[0] |= 0x40;
    for (bytes, code, name) in [
        (b"\x81\x01x".to_vec(), "1002", "websocket_protocol_error"),
        (compressed, "1002", "websocket_protocol_error"),
        (vec![0x83, 0x80], "1002", "websocket_protocol_error"),
        (vec![0x09, 0x80], "1002", "websocket_protocol_error"),
        (more(true, b"x"), "1002", "websocket_protocol_error"),
        ([text(false, b"x"), text(true, b"y")].concat(), "1002", "websocket_protocol_error"),
        (close(&[3]), "1002", "websocket_protocol_error"),
        (close(&1005_u16.to_be_bytes()), "1002", "websocket_protocol_error"),
        (close(&[3, 0xE8, 0xFF]), "1007", "websocket_invalid_data"),
        (text(true, b"\xFF"), "1007", "websocket_invalid_data"),
        (text(true, b"\xC3"), "1007", "websocket_invalid_data"),
        // A surrogate, and one more byte than a character may have.
        (text(true, b"\xED\xA0\x80"), "1007", "websocket_invalid_data"),
        (text(true, b"\xF4\x90\x80\x80"), "1007", "websocket_invalid_data"),
        ([text(false, b"\xC3"), more(true, b"x")].concat(), "1007", "websocket_invalid_data"),
        ([text(false, b"\xC3"), more(true, b"")].concat(), "1007", "websocket_invalid_data"),
    ] {
        let shown = bytes.escape_ascii().to_string();
        assert_eq!(refused(Limits::default(), &bytes), (code.into(), name), "{shown}");
    }
}

#[test]
fn the_first_byte_that_is_not_utf8_ends_the_connection() {
    let whole = frame(Opcode::Text, true, b"good \xFF and much more");
    for end in 6 + 6..whole.len() {
        assert_eq!(refused(Limits::default(), &whole[..end]).0, "1007", "{end}");
    }
    let mut client = Client::new();
    client.harness.input(&whole[..6 + 5]);
    assert!(client.harness.fault().is_none());
}

#[test]
fn large_messages_are_refused_when_they_are_announced() {
    let limits = || Limits { message: 10, ..Limits::default() };
    let announced = |opcode, len| {
        let (header, count) = FrameHeader::whole(opcode, len, Some(KEY)).encode();
        header[..count].to_vec()
    };
    let too_large = ("1009".to_owned(), "websocket_message_too_large");
    assert_eq!(refused(limits(), &announced(Opcode::Text, 11)), too_large);
    assert_eq!(refused(limits(), &announced(Opcode::Binary, i64::MAX as usize)), too_large);
    let first = frame(Opcode::Binary, false, &[1; 6]);
    let next = announced(Opcode::Continuation, 5);
    assert_eq!(refused(limits(), &[first.clone(), next].concat()), too_large);
    let mut client = Client::with(limits());
    client.harness.input(&[first, frame(Opcode::Continuation, true, &[1; 4])].concat());
    client.send(Opcode::Text, b"0123456789");
    assert_eq!(client.events().len(), 2);
}

#[test]
fn fragments_are_counted_empty_ones_too() {
    let limits = || Limits { fragments: 3, ..Limits::default() };
    let fragments = |count: usize| {
        let mut stream = frame(Opcode::Text, false, b"");
        stream.extend(frame(Opcode::Continuation, false, b"").repeat(count - 1));
        stream
    };
    let result = refused(limits(), &fragments(4));
    assert_eq!(result, ("1008".to_owned(), "websocket_too_many_fragments"));
    let mut client = Client::with(limits());
    client.harness.input(&fragments(2));
    client.harness.input(&frame(Opcode::Continuation, true, b"x"));
    assert_eq!(client.events(), ["text x"]);
}

#[test]
fn incomplete_messages_are_refused_while_the_budget_is_spent() {
    let mut client = Client::new();
    client.harness.set_over_budget(true);
    // A little is allowed, and what is complete at once takes no memory.
    client.send(Opcode::Binary, &vec![b'a'; 100_000]);
    client.harness.input(&frame(Opcode::Binary, false, &vec![b'a'; 40_000]));
    assert!(client.harness.fault().is_none());
    client.harness.input(&frame(Opcode::Continuation, false, &vec![b'a'; 40_000]));
    assert_eq!(client.frames(), ["Close 1013 holds too much memory with incomplete messages"]);
    assert_eq!(client.harness.fault().unwrap().code, "websocket_over_budget");
    assert_eq!(client.events().len(), 2);
}

#[test]
fn nothing_is_read_after_a_violation() {
    let mut client = Client::new();
    client
        .harness
        .input(&[frame(Opcode::Continuation, true, b""), frame(Opcode::Text, true, b"x")].concat());
    client.text("y");
    assert_eq!(client.frames().len(), 1);
    assert_eq!(client.events().len(), 1);
}
