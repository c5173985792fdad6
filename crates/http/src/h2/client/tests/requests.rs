//! Requests, as far as the server's settings and windows allow.

use proptest::prelude::*;

use super::*;

const HEADERS_FLAGS: u8 = flags::END_HEADERS | END;

#[test]
fn requests_are_one_frame_each_and_later_ones_are_small() {
    let mut client = Client::new();
    client.request(GET, None);
    client.request(GET, Some(&Bytes::new()));
    client.request(POST, Some(&Bytes::from_static(b"hello")));
    let frames = client.frames();
    let [first, second, third, content] = frames[..] else { panic!("{frames:?}") };
    assert_eq!(first, (kind::HEADERS, HEADERS_FLAGS, 1, first.3));
    assert!(first.3 > 4, "{first:?}");
    // The method, the scheme, the authority and the path, a byte each.
    assert_eq!(second, (kind::HEADERS, HEADERS_FLAGS, 3, 4));
    assert_eq!(third, (kind::HEADERS, flags::END_HEADERS, 5, 4));
    assert_eq!(content, (kind::DATA, END, 5, 5));
}

#[test]
fn the_server_limits_the_requests_in_flight() {
    let mut client = Client::new();
    let send_all = |client: &mut Client| {
        while client.connection.can_send() && client.connection.in_flight() < 200 {
            client.request(GET, None);
        }
        client.connection.in_flight()
    };
    assert_eq!(send_all(&mut client), 100, "before its settings have arrived");
    client.read_all(&settings(&[]));
    assert_eq!(send_all(&mut client), 200, "no limit");
    client.read_all(&settings(&[(settings::MAX_CONCURRENT_STREAMS, 150)]));
    for id in (1..).step_by(2).take(60) {
        assert!(client.connection.in_flight() < 150 || !client.connection.can_send());
        client.read_all(&headers(END, id, 200, &[]));
    }
    assert_eq!(send_all(&mut client), 150);
}

#[test]
fn a_long_head_is_continued_in_frames_of_the_allowed_length() {
    let mut client = Client::new();
    let long = "é".repeat(20_000);
    let number = client.heads.add("GET", "http", "localhost", "/", &[("x", long.as_bytes())]);
    let content = Bytes::from_static(b"hello");
    client.request(number, Some(&content));
    let frames = client.frames();
    let kinds: Vec<_> = frames.iter().map(|(kind, flags, ..)| (*kind, *flags)).collect();
    let continued = [(kind::HEADERS, NONE), (kind::CONTINUATION, NONE)];
    let end = [(kind::CONTINUATION, flags::END_HEADERS), (kind::DATA, END)];
    assert_eq!(kinds, [continued, end].concat());
    assert!(frames.iter().all(|(.., len)| *len <= 16_384), "{frames:?}");
    client.read_all(&settings(&[(settings::MAX_FRAME_SIZE, 1 << 20)]));
    client.frames();
    client.request(number, None);
    assert_eq!(client.frames().len(), 1);
}

#[test]
fn content_is_sent_as_windows_allow() {
    let update =
        |id, increment: u32| frame(kind::WINDOW_UPDATE, NONE, id, &increment.to_be_bytes());
    let mut client = Client::new();
    let content = Bytes::from(vec![b'x'; 100_000]);
    client.request(POST, Some(&content));
    let sent = |client: &mut Client| -> usize {
        let frames = client.frames();
        frames.iter().filter(|frame| frame.0 == kind::DATA).map(|frame| frame.3).sum()
    };
    assert_eq!(sent(&mut client), 65_535);
    // The windows of the stream and of the connection hold both.
    client.read_all(&[settings(&[]), update(1, 10_000)].concat());
    assert_eq!(sent(&mut client), 0);
    client.read_all(&update(0, 5_000));
    assert_eq!(sent(&mut client), 5_000);
    client.read_all(&update(0, 1_000_000));
    assert_eq!(sent(&mut client), 5_000);
    // A lower initial window makes that of the stream negative.
    client.read_all(&settings(&[(settings::INITIAL_WINDOW_SIZE, 35_535)]));
    client.read_all(&update(1, 30_000));
    assert_eq!(sent(&mut client), 0);
    client.read_all(&settings(&[(settings::INITIAL_WINDOW_SIZE, 35_536)]));
    assert_eq!(sent(&mut client), 1);
    client.request(POST, Some(&content));
    assert_eq!(sent(&mut client), 35_536);
    assert!(client.connection.is_sending_content());
    client.read_all(&[update(3, 1 << 20), update(1, 1 << 20)].concat());
    assert_eq!(sent(&mut client), 2 * 100_000 - 75_536 - 35_536);
    assert!(!client.connection.is_sending_content());
}

#[test]
fn an_early_response_ends_the_request() {
    let mut client = Client::new();
    let content = Bytes::from(vec![b'x'; 100_000]);
    client.request(POST, Some(&content));
    client.read_all(&settings(&[]));
    client.frames();
    client.read_all(&headers(END, 1, 413, &[]));
    assert_eq!(client.events(), ["1: 413", "1: end"]);
    assert_eq!(client.frames(), [(kind::RST_STREAM, NONE, 1, 4)]);
    // Frames that were on the way.
    client.read_all(&frame(kind::WINDOW_UPDATE, NONE, 1, b"\0\x01\0\0"));
    client.read_all(&frame(kind::RST_STREAM, NONE, 1, &[0; 4]));
    assert_eq!(client.events(), <[&str; 0]>::default());
    assert!(!client.connection.is_sending_content());
}

#[test]
fn requests_that_were_not_sent_can_be_taken_back() {
    let mut client = Client::new();
    (0..3).for_each(|_| client.request(GET, None));
    assert_eq!(client.connection.take_newest_if(|number| *number > 2), Some(3));
    assert_eq!(client.connection.take_newest_if(|number| *number > 2), None);
    assert_eq!(client.connection.pending().copied().collect::<Vec<_>>(), [1, 2]);
}

proptest! {
    /// Whatever the server does with the windows, nothing exceeds them, and all content arrives
    /// once they allow it.
    #[test]
    fn content_never_exceeds_a_window(
        changes in proptest::collection::vec((0..4_u32, 0..60_000_u32), 0..40),
    ) {
        let mut client = Client::new();
        client.read_all(&settings(&[]));
        let content = Bytes::from(vec![b'x'; 80_000]);
        (0..2).for_each(|_| client.request(POST, Some(&content)));
        // What was allowed and sent: on the connection, and on streams 1 and 3.
        let (mut allowed, mut sent) = ([65_535_i64; 3], [0_i64; 3]);
        let mut initial = 65_535;
        for (window, amount) in changes.into_iter().chain([(0, 1 << 20), (1, 1 << 20), (2, 1 << 20)]) {
            for (kind_of, _, stream, len) in client.frames() {
                if kind_of == kind::DATA {
                    for at in [0, stream.div_ceil(2) as usize] {
                        sent[at] += len as i64;
                        prop_assert!(sent[at] <= allowed[at]);
                    }
                }
            }
            if window == 3 {
                let change = i64::from(amount) - initial;
                initial = i64::from(amount);
                // What was sent before the change may be more than is allowed now.
                allowed.iter_mut().skip(1).for_each(|allowed| *allowed += change);
                client.read_all(&settings(&[(settings::INITIAL_WINDOW_SIZE, amount)]));
            } else if amount > 0 {
                allowed[window as usize] += i64::from(amount);
                let id = [0, 1, 3][window as usize];
                let update = amount.to_be_bytes();
                client.read_all(&frame(kind::WINDOW_UPDATE, NONE, id, &update));
            }
        }
        client.read_all(&frame(kind::WINDOW_UPDATE, NONE, 0, &[0, 16, 0, 0]));
        let rest: usize = client.frames().iter().filter(|it| it.0 == 0).map(|it| it.3).sum();
        prop_assert_eq!(sent[0] + rest as i64, 160_000);
    }
}
