//! Responses don't depend on how the input is cut, and no input causes a panic.

use proptest::prelude::*;

use super::*;

/// The output for `input`, cut at `cuts`; jobs run when all input has arrived.
fn output_of(input: &[u8], cuts: &[usize]) -> (Vec<u8>, Option<String>) {
    let mut client = slow_server();
    let mut start = 0;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    ends.push(input.len());
    ends.sort_unstable();
    for end in ends {
        // A connection that has ended takes no more input.
        if client.fault().is_none() && client.end().is_none() {
            client.input(&input[start..end]);
        }
        start = end;
    }
    while client.run_jobs() > 0 {}
    let output = client.output();
    (output, client.fault().map(ToString::to_string))
}

/// Valid and invalid frames, and parts of them.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => (0u64..9).prop_map(|id| request_with_id(id, "\"now\"")),
        6 => (0u64..9).prop_map(|id| request_with_id(id, "\"later\"")),
        2 => Just(request_with_id(1, "\"never\"")),
        1 => Just(request_with_id(1, "\"forgotten\"")),
        1 => Just(request_with_id(1, "not JSON")),
        2 => Just(request("\"now\"")),
        1 => Just(request("\"later\"")),
        1 => Just(request_with(", \"deadline-ms\": 0", "1")),
        1 => Just(b"\0\0".to_vec()),
        1 => Just(b"\0\x02{}".to_vec()),
        1 => Just(b"GET / HTTP/1.1".to_vec()),
    ];
    (proptest::collection::vec(piece, 1..24), proptest::option::of((any::<usize>(), any::<u8>())))
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
    }

    #[test]
    fn random_bytes_are_refused_or_need_more_input(
        start in prop_oneof![Just(Vec::new()), Just(vec![0, 40, b'{']), Just(request("1"))],
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        cuts in proptest::collection::vec(any::<usize>(), 0..3),
    ) {
        let (output, _) = output_of(&[start, bytes].concat(), &cuts);
        prop_assert!(frames(&output).len() <= 1);
    }
}

#[test]
fn memory_grows_with_the_content_that_has_arrived() {
    let content = format!("\"{}\"", "x".repeat(1 << 20));
    let stream = request(&content);
    let mut client = slow_server();
    for piece in stream.chunks(65_536) {
        client.input(piece);
        assert_eq!(client.unused(), 0);
    }
    client.run_jobs();
    assert_eq!(results(&client.output())[0].1.len(), 1 << 20);
}
