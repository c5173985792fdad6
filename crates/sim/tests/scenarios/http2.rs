//! The folder over HTTP/2: responses don't depend on faults, and each one is whole, or its stream
//! or connection has ended.

use std::collections::BTreeMap;
use std::rc::Rc;

use sockeye_engine::Config;
use sockeye_files::memory::Memory;
use sockeye_files::{CacheLimits, Folder, Options, Site};
use sockeye_http::{Server, ServerConfig};
use sockeye_proto::{Access, Peer};
use sockeye_sim::{Faults, Outcome, Rng, Script, WorkerId, World, seeds};

use crate::{here, secs};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const MAX_WINDOW: u32 = 0x7fff_ffff;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    let mut frame = len[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The start of a connection: the windows of the streams, and that of the connection.
fn preface(window: u32) -> Vec<u8> {
    let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
    let update = (MAX_WINDOW - 65_535).to_be_bytes();
    [PREFACE, &frame(SETTINGS, 0, 0, &setting), &frame(WINDOW_UPDATE, 0, 0, &update)].concat()
}

fn literal(name: &[u8], value: &[u8], block: &mut Vec<u8>) {
    block.push(0);
    for text in [name, value] {
        block.push(text.len() as u8);
        block.extend(text);
    }
}

/// A request without content.
fn request(stream: u32, (method, path, fields): Row) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in
        [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")]
            .iter()
            .chain(fields)
    {
        literal(name.as_bytes(), value.as_bytes(), &mut block);
    }
    frame(HEADERS, 5, stream, &block)
}

/// A method, a path and fields.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const ROWS: [Row; 12] = [
    ("GET", "/small.txt", &[]),
    ("HEAD", "/small.txt", &[]),
    ("GET", "/page.html", &[("accept-encoding", "gzip, br"), ("priority", "u=1")]),
    ("GET", "/large.bin", &[]),
    ("GET", "/large.bin", &[("priority", "u=5, i")]),
    ("GET", "/large.bin", &[("range", "bytes=100000-299999")]),
    ("GET", "/small.txt", &[("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")]),
    ("GET", "/folder", &[]),
    ("GET", "/folder/", &[("accept", "application/json")]),
    ("GET", "/missing", &[("accept", "text/html")]),
    ("OPTIONS", "/small.txt", &[]),
    ("PROPFIND", "/", &[]),
];

/// A folder. Its files are read by threads, or by the event loop.
fn folder(access: Access) -> Site {
    let store = Memory::new();
    let text =
        |len: usize| -> Vec<u8> { (0..len).map(|at| b"abcdefgh \n"[(at * at / 7) % 10]).collect() };
    for (name, content) in [
        ("small.txt", text(20)),
        ("page.html", text(5000)),
        ("large.bin", text(400_000)),
        ("folder/a.txt", text(1)),
        ("folder/b.txt", text(2)),
    ] {
        store.write(name, content);
    }
    store.set_access(access);
    store.pass(1_000_000);
    let options = Options { listing: true, ..Options::default() };
    Folder::new(store).with_options(options).site(CacheLimits::default())
}

fn serve(world: &mut World, access: Access) -> WorkerId {
    let (site, shared) = (folder(access), Rc::new(ServerConfig::default()));
    let servers = move |_: &Peer| Server::new(Rc::clone(&shared), site.clone());
    world.server(&[here()], Config::default(), servers)
}

/// What came on a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Response {
    /// Header blocks without the date.
    heads: Vec<Vec<u8>>,
    content: Vec<u8>,
    has_ended: bool,
    is_reset: bool,
}

/// Removes the date, which is a literal with the name of the static table's entry 33.
fn without_date(block: &[u8]) -> Vec<u8> {
    let start = block.windows(2).position(|two| two == [0x0f, 18]).expect("a date");
    let len = usize::from(block[start + 2] & 0x7f);
    [&block[..start], &block[start + 3 + len..]].concat()
}

/// Reads what a server has sent. The last frame may be incomplete.
fn read(mut bytes: &[u8]) -> BTreeMap<u32, Response> {
    let mut responses = BTreeMap::<u32, Response>::new();
    let mut block = Vec::new();
    let mut ends = false;
    while let Some(&[l0, l1, l2, kind, flags, s0, s1, s2, s3]) = bytes.first_chunk() {
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        assert!(len <= 16_384);
        let Some(payload) = bytes.get(9..9 + len) else { break };
        bytes = &bytes[9 + len..];
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        if !matches!(kind, DATA | HEADERS | CONTINUATION | RST_STREAM) {
            continue;
        }
        let response = responses.entry(stream).or_default();
        assert!(!response.has_ended && !response.is_reset, "a frame after the end of {stream}");
        match kind {
            DATA => {
                response.content.extend_from_slice(payload);
                response.has_ended = flags & 1 != 0;
            }
            RST_STREAM => response.is_reset = true,
            _ => {
                block.extend_from_slice(payload);
                ends |= kind == HEADERS && flags & 1 != 0;
                if flags & 4 != 0 {
                    response.heads.push(without_date(&std::mem::take(&mut block)));
                    response.has_ended = std::mem::take(&mut ends);
                }
            }
        }
    }
    responses
}

/// The frames of requests, and the row of each stream.
fn requests(rng: &mut Rng) -> (Vec<u8>, Vec<Row>) {
    let rows: Vec<Row> = (0..rng.between(1, 12)).map(|_| rng.pick(&ROWS)).collect();
    let frames = (0..).zip(&rows).flat_map(|(at, row)| request(2 * at + 1, *row));
    (frames.collect(), rows)
}

/// The responses without faults, each on a connection of its own, and with the events that precede.
fn expected(rows: &[Row]) -> BTreeMap<u32, Response> {
    let mut world = World::new(0, Faults::none());
    serve(&mut world, Access::Direct);
    let frames: Vec<u8> = (0..).zip(rows).flat_map(|(at, row)| request(2 * at + 1, *row)).collect();
    let client = world.peer(&here(), Script::new().send(preface(MAX_WINDOW)).send(frames).finish());
    world.settle();
    let responses = read(&world.peer_state(client).bytes);
    world.finish();
    assert_eq!(responses.len(), rows.len());
    assert!(responses.values().all(|response| response.has_ended && !response.is_reset));
    responses
}

/// With smaller buffers, a frame could arrive too slowly and time out.
fn no_tiny_buffers(faults: Faults) -> Faults {
    let (send_buffer, receive_buffer) = (faults.send_buffer, faults.receive_buffer);
    Faults {
        send_buffer: send_buffer.max(4096),
        receive_buffer: receive_buffer.max(4096),
        ..faults
    }
}

#[test]
fn responses_do_not_depend_on_faults() {
    seeds(0..40, |seed| {
        let mut rng = Rng::new(seed);
        let faults = no_tiny_buffers(Faults::lossless(&mut rng));
        let (frames, rows) = requests(&mut rng);
        let expected = expected(&rows);
        let access = rng.pick(&[Access::Direct, Access::Thread]);
        let mut world = World::new(seed, faults);
        serve(&mut world, access);
        // The windows of streams may be opened bit by bit.
        let small = rng.chance(500);
        let mut script = Script::new().send(preface(if small { 1000 } else { MAX_WINDOW }));
        script = script.send(frames);
        if small {
            for _ in 0..20 {
                script = script.wait(rng.duration(secs(1)));
                for stream in 0..rows.len() as u32 {
                    let update = frame(WINDOW_UPDATE, 0, 2 * stream + 1, &20_000_u32.to_be_bytes());
                    script = script.send(update);
                }
            }
        }
        let client = world.peer(&here(), script.finish());
        world.settle();
        let received = world.peer_state(client);
        assert_eq!(received.outcome.map(|(outcome, _)| outcome), Some(Outcome::Ended));
        let responses = read(&received.bytes);
        for (stream, expected) in &expected {
            let row = rows[*stream as usize / 2];
            let response = &responses[stream];
            assert!(response.has_ended, "{row:?}: {} bytes", response.content.len());
            assert!(response == expected, "{row:?} is different");
        }
        world.finish();
    });
}

/// Clients that leave, reset streams, stop reading or vanish.
#[test]
fn a_response_is_whole_or_its_stream_or_connection_has_ended() {
    seeds(0..60, |seed| {
        let mut rng = Rng::new(seed);
        let faults = no_tiny_buffers(Faults::lossy(&mut rng));
        let access = rng.pick(&[Access::Direct, Access::Thread]);
        let mut world = World::new(seed, faults);
        serve(&mut world, access);
        world.drop_jobs(rng.pick(&[0, 0, 100]));
        let mut peers = Vec::new();
        for _ in 0..rng.between(1, 4) {
            let (mut frames, rows) = requests(&mut rng);
            for stream in 0..rows.len() as u32 {
                if rng.chance(200) {
                    frames.extend(frame(RST_STREAM, 0, 2 * stream + 1, &8_u32.to_be_bytes()));
                }
            }
            let at = rng.below(frames.len());
            let window = rng.pick(&[0, 100, 65_535, MAX_WINDOW]);
            let script = Script::new().send(preface(window)).send(&frames[..at]);
            let script = script.wait(rng.duration(secs(2))).send(&frames[at..]);
            let script = match rng.pick(&["finish", "wait", "reset", "close", "stop", "slow"]) {
                "finish" => script.finish(),
                "wait" => script.wait(secs(200)),
                "reset" => script.wait(rng.duration(secs(1))).reset(),
                "close" => script.wait(rng.duration(secs(1))).close(),
                "stop" => script.stop_reading().wait(rng.duration(secs(300))),
                _ => script.read_slowly(10_000, secs(1)).wait(secs(30)).read_all(),
            };
            peers.push((world.peer(&here(), script), expected(&rows)));
        }
        world.settle();
        for (peer, expected) in peers {
            let received = world.peer_state(peer);
            for (stream, response) in read(&received.bytes) {
                let expected = &expected[&stream];
                // A lost job is a 500.
                if response.has_ended && response.heads == expected.heads {
                    assert!(response == *expected, "a wrong response was completed");
                }
            }
        }
        world.finish();
    });
}

#[test]
fn a_drain_answers_what_was_asked_and_ends_in_time() {
    seeds(0..60, |seed| {
        let mut rng = Rng::new(seed);
        let (frames, rows) = requests(&mut rng);
        let expected = expected(&rows);
        let faults = Faults { delay: rng.duration(secs(1) / 20), split: 300, ..Faults::none() };
        let mut world = World::new(seed, faults);
        let server = serve(&mut world, rng.pick(&[Access::Direct, Access::Thread]));
        let script = Script::new().send(preface(MAX_WINDOW)).send(frames).await_end();
        let client = world.peer(&here(), script);
        world.run(rng.duration(secs(1) / 10));
        world.drain(server);
        assert!(world.run_until(secs(31), |world| world.worker(server).is_done()));
        let received = world.peer_state(client);
        let responses = read(&received.bytes);
        // A connection that was not accepted in time gets nothing. GOAWAY names the last stream
        // that was answered.
        let last = last_goaway(&received.bytes).unwrap_or(0);
        for (stream, expected) in expected.iter().filter(|(stream, _)| **stream <= last) {
            assert!(responses.get(stream) == Some(expected), "stream {stream} of {last}");
        }
        assert!(responses.keys().all(|stream| *stream <= last), "{last}");
        world.finish();
    });
}

/// The last stream that the last GOAWAY names.
fn last_goaway(mut bytes: &[u8]) -> Option<u32> {
    let mut last = None;
    while let Some(&[l0, l1, l2, kind, ..]) = bytes.first_chunk::<9>() {
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let Some(payload) = bytes.get(9..9 + len) else { break };
        if kind == 7 {
            last = payload.first_chunk().map(|number| u32::from_be_bytes(*number));
        }
        bytes = &bytes[9 + len..];
    }
    last
}
