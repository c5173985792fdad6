//! Responses, and how they are divided into frames and pieces of input.

use proptest::prelude::*;

use super::*;

/// The responses to three GET requests, a HEAD and a GET request, in many forms.
fn stream() -> (Vec<u8>, Vec<&'static str>) {
    let padded = b"\x03\0\0\0\0\x0f\x88\x5c\x015\0\0\0";
    let block = block(200, &[("content-type", "text/plain"), ("x-y", "z")]);
    let input = [
        settings(&[(settings::MAX_CONCURRENT_STREAMS, 100), (0xf0f0, 7)]),
        frame(kind::SETTINGS, flags::ACK, 0, b""),
        // An interim response, one with trailers in between, and one without content.
        headers(NONE, 1, 103, &[("link", "</a.css>")]),
        headers(NONE, 3, 200, &[("Content-Length", "5"), ("date", "today")]),
        data(NONE, 3, b"He"),
        headers(NONE, 1, 200, &[]),
        frame(kind::PING, NONE, 0, b"12345678"),
        data(NONE, 1, b"a"),
        data(NONE, 3, b"llo"),
        frame(0xfa, 0xff, 3, b"unknown"),
        headers(END, 3, 0, &[("x-check", "sum")]),
        headers(END, 5, 204, &[]),
        // Padding, a priority, and a deprecated frame.
        frame(kind::HEADERS, flags::END_HEADERS | flags::PADDED | flags::PRIORITY, 7, padded),
        frame(kind::PRIORITY, NONE, 7, b"\0\0\0\0\x0f"),
        data(END, 7, b""),
        frame(kind::DATA, flags::PADDED, 1, b"\x02bc\0\0"),
        frame(kind::DATA, flags::PADDED | END, 1, b"\x01\0"),
        // A header block in three frames.
        frame(kind::HEADERS, NONE, 9, &block[..2]),
        frame(kind::CONTINUATION, NONE, 9, b""),
        frame(kind::CONTINUATION, flags::END_HEADERS, 9, &block[2..]),
        data(NONE, 9, b"x"),
        frame(kind::RST_STREAM, NONE, 9, b"\0\0\0\x08"),
    ];
    let events = vec![
        "2: 200 of 5",
        "2: 'He'",
        "1: 200 after 1",
        "1: 'a'",
        "2: 'llo'",
        "2: end",
        "3: 204",
        "3: end",
        "4: 200 of 5",
        "4: end",
        "1: 'bc'",
        "1: end",
        "5: 200",
        "5: 'x'",
        "5: CANCEL",
    ];
    (input.concat(), events)
}

fn client() -> Client {
    let mut client = Client::new();
    for number in [GET, GET, GET, HEAD, GET] {
        client.request(number, None);
    }
    client.sent();
    client
}

/// Reads `input`, cut at `cuts`, as an event loop offers it: unused bytes again, with newer ones.
fn read_cut(client: &mut Client, input: &[u8], cuts: &[usize]) -> Result<(), Error> {
    let mut used = 0;
    for end in cuts.iter().copied().chain([input.len()]) {
        if end > used {
            used += client.read(&input[used..end])?;
        }
    }
    assert_eq!(used, input.len());
    Ok(())
}

#[test]
fn responses_arrive_in_any_order_and_form() {
    let (input, events) = stream();
    let mut client = client();
    client.read_all(&input);
    assert_eq!(client.events(), events);
    assert_eq!(client.connection.in_flight(), 0);
    let sent = [(kind::SETTINGS, flags::ACK, 0, 0), (kind::PING, flags::ACK, 0, 8)];
    assert_eq!(client.frames(), sent);
}

#[test]
fn byte_by_byte_it_is_the_same() {
    let (input, events) = stream();
    let mut client = client();
    let cuts: Vec<_> = (1..input.len()).collect();
    read_cut(&mut client, &input, &cuts).unwrap();
    assert_eq!(client.events(), events);
}

proptest! {
    /// Also of input in which a byte was changed.
    #[test]
    fn any_cut_of_the_input_gives_the_same_events(
        mut cuts in proptest::collection::vec(any::<usize>(), 0..8),
        change in proptest::option::of((any::<usize>(), any::<u8>())),
    ) {
        let (mut input, _) = stream();
        let len = input.len();
        if let Some((at, byte)) = change {
            input[at % len] = byte;
        }
        cuts.iter_mut().for_each(|cut| *cut %= len + 1);
        cuts.sort_unstable();
        let mut whole = client();
        let expected = whole.read(&input).map(drop);
        let mut cut = client();
        let mut used = 0;
        let mut result = Ok(());
        for end in cuts.into_iter().chain([len]) {
            match cut.read(&input[used..end.max(used)]) {
                Ok(count) => used += count,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        prop_assert_eq!(result, expected);
        if expected.is_ok() {
            prop_assert_eq!(&cut.events, &whole.events);
            prop_assert_eq!(cut.sent(), whole.sent());
        }
    }
}

#[test]
fn the_same_head_is_recognised_until_the_table_changes() {
    let mut client = Client::new();
    let mut input = settings(&[]);
    // Inserted into the dynamic table as entry 62, and then referred to there.
    let mut first = block(200, &[]);
    encode::field_indexed(b"content-length", b"1", &mut first);
    let mut second = block(200, &[]);
    encode::indexed(62, &mut second);
    let mut third = block(200, &[]);
    encode::field_indexed(b"content-length", b"2", &mut third);
    for block in [&first, &second, &second, &third, &second, &second, &first, &second] {
        client.request(GET, None);
        let id = client.count * 2 - 1;
        input.extend(frame(kind::HEADERS, flags::END_HEADERS, id, block));
        input.extend(frame(kind::RST_STREAM, NONE, id, &[0; 4]));
    }
    client.read_all(&input);
    let lengths = client.events();
    let lengths = lengths.iter().filter_map(|event| event.split_once(" of "));
    assert_eq!(lengths.map(|(_, length)| length).collect::<String>(), "11122211".to_owned());
}

#[test]
fn the_url_of_a_redirect_is_reported() {
    let mut client = Client::new();
    for _ in 0..6 {
        client.request(GET, None);
    }
    // The name as an index of the static table, and a value that is not UTF-8.
    let indexed = b"\x08\x03302\x0f\x1f\x02/\xff";
    let first = [("location", "https://a/"), ("location", "https://b/")];
    client.read_all(
        &[
            settings(&[]),
            headers(END, 1, 301, &first),
            // The same head again is not decoded.
            headers(END, 3, 301, &first),
            headers(END, 5, 307, &[]),
            headers(END, 7, 201, &[("location", "/made")]),
            frame(kind::HEADERS, flags::END_HEADERS | END, 9, indexed),
            headers(NONE, 11, 200, &[]),
            headers(END, 11, 0, &[("location", "/trailer")]),
        ]
        .concat(),
    );
    client.events.retain(|event| !event.ends_with("end"));
    let expected = ["1: 301 to https://a/", "2: 301 to https://a/", "3: 307", "4: 201"];
    assert_eq!(client.events[..4], expected);
    assert_eq!(client.events[4..], ["5: 302 to /\u{fffd}", "6: 200"]);
}

#[test]
fn windows_are_enlarged_in_large_steps() {
    use super::super::limits::WINDOW;
    use super::super::stream::receive;

    let half = WINDOW as usize / 2;
    let mut received = 0;
    assert_eq!(receive(&mut received, half - 1), Some(0));
    assert_eq!(receive(&mut received, 2), Some(WINDOW / 2 + 1));
    assert_eq!((received, receive(&mut received, 5)), (0, Some(0)));
    assert_eq!(receive(&mut received, WINDOW as usize - 5), Some(WINDOW));
    assert_eq!(receive(&mut received, WINDOW as usize + 1), None);
    assert_eq!(receive(&mut received, usize::MAX), None);

    // 512 MiB of content of the largest frames, of which the client keeps nothing.
    let mut client = Client::new();
    client.request(GET, None);
    client.sent();
    client.read_all(&[settings(&[]), headers(NONE, 1, 200, &[])].concat());
    client.frames();
    let content = data(NONE, 1, &[b'x'; 16_384]);
    for _ in 0..WINDOW / 2 / 16_384 {
        assert_eq!(client.frames(), []);
        let mut rest = &content[..];
        while client.connection.read(&mut rest, &mut client.out).unwrap().is_some() {}
    }
    let updates = [(kind::WINDOW_UPDATE, 0, 1, 4), (kind::WINDOW_UPDATE, 0, 0, 4)];
    assert_eq!(client.frames(), updates);
}

#[test]
fn requests_above_the_last_stream_of_a_goaway_were_not_processed() {
    let mut client = client();
    let goaway = |last: u8| frame(kind::GOAWAY, NONE, 0, &[0, 0, 0, last, 0, 0, 0, 0]);
    // The first of two announces the end: all streams are answered, and no new one is opened.
    let last = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    client.read_all(&[settings(&[]), frame(kind::GOAWAY, NONE, 0, &last)].concat());
    assert!(!client.connection.can_send() && client.connection.is_ending());
    assert_eq!(client.events(), <[&str; 0]>::default());
    client.read_all(&[headers(END, 1, 200, &[]), goaway(5)].concat());
    assert_eq!(client.events(), ["1: 200", "1: end", "5: unprocessed", "4: unprocessed"]);
    client.read_all(&[headers(END, 5, 200, &[]), headers(END, 3, 404, &[])].concat());
    assert_eq!(client.events(), ["3: 200", "3: end", "2: 404", "2: end"]);
    assert_eq!(client.connection.in_flight(), 0);
    assert_eq!(client.connection.going_away().map(|going_away| going_away.code), Some(0));
}

#[test]
fn a_refused_stream_was_not_processed_unless_its_response_has_begun() {
    let refuse = |id| frame(kind::RST_STREAM, NONE, id, b"\0\0\0\x07");
    let mut client = Client::new();
    (0..3).for_each(|_| client.request(GET, None));
    let interim = frame(kind::HEADERS, flags::END_HEADERS, 3, &block(103, &[]));
    let head = frame(kind::HEADERS, flags::END_HEADERS, 5, &block(200, &[]));
    client.read_all(&[settings(&[]), refuse(1), interim, refuse(3), head, refuse(5)].concat());
    let expected = ["1: unprocessed", "2: REFUSED_STREAM", "3: 200", "3: REFUSED_STREAM"];
    assert_eq!(client.events(), expected);
}
