//! The output doesn't depend on how the input is cut, and no input panics.

use proptest::prelude::*;

use super::*;

/// The output for `input`, cut at `cuts`, running all jobs, and the fault.
fn output_of(input: &[u8], cuts: &[usize]) -> (Vec<u8>, Option<String>) {
    let mut client = connect();
    let mut output = Vec::new();
    let mut start = 0;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    ends.push(input.len());
    ends.sort_unstable();
    for end in ends {
        // The driver passes no input after the end of a connection.
        if client.fault().is_none() && client.end().is_none() {
            client.input(&input[start..end]);
        }
        while client.run_jobs() > 0 {}
        output.extend(client.output());
        start = end;
    }
    (output, client.fault().map(ToString::to_string))
}

/// Sequences of valid and invalid requests, and of parts of requests.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => Just(&b"GET /a?b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n"[..]),
        2 => Just(&b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n"[..]),
        2 => Just(&b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"[..]),
        2 => Just(&b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"[..]),
        1 => Just(&b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"[..]),
        1 => Just(&b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"[..]),
        1 => Just(&b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n"[..]),
        1 => Just(&b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nA: "[..]),
        1 => Just(&b"GET / HTTP/2.0\r\n"[..]),
        1 => Just(&b"\x16\x03\x01"[..]),
        1 => Just(&b"\r\n"[..]),
        1 => Just(&b"\r"[..]),
        1 => Just(&b"\n"[..]),
        1 => Just(&b"GET / HTTP/1.1\r\nHost: a\r\nA: b"[..]),
    ];
    (proptest::collection::vec(piece, 1..6), proptest::option::of((any::<usize>(), any::<u8>())))
        .prop_map(|(pieces, change)| {
            let mut stream = pieces.concat();
            if let Some((at, byte)) = change {
                let at = at % stream.len();
                stream[at] = byte;
            }
            stream
        })
}

proptest! {
    #[test]
    fn any_cut_of_a_stream_gives_the_same_bytes(
        stream in streams(),
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        let whole = output_of(&stream, &[]);
        prop_assert_eq!(&output_of(&stream, &cuts), &whole);
        let every: Vec<usize> = (0..stream.len()).collect();
        prop_assert_eq!(&output_of(&stream, &every), &whole);
    }

    #[test]
    fn random_bytes_are_refused_or_waited_for(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        cuts in proptest::collection::vec(any::<usize>(), 0..3),
    ) {
        let (output, _) = output_of(&bytes, &cuts);
        prop_assert!(output.is_empty() || output.starts_with(b"HTTP/1.1 4") || output.starts_with(b"HTTP/1.1 5"));
    }
}

#[test]
fn a_large_head_cut_everywhere_gives_the_same_bytes() {
    let fields: String = (0..120).map(|n| format!("Field-{n}: {}\r\n", "v".repeat(n))).collect();
    let stream = format!("GET /{} HTTP/1.1\r\nHost: a\r\n{fields}\r\n", "p".repeat(4000));
    let every: Vec<usize> = (0..stream.len()).collect();
    let whole = output_of(stream.as_bytes(), &[]);
    assert!(whole.0.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert_eq!(output_of(stream.as_bytes(), &every), whole);
}
