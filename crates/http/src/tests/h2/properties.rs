//! Random frames in random pieces, with random windows.

use std::time::Duration;

use proptest::prelude::*;

use super::client::Received;
use super::switch::Tunnels;
use super::*;
use crate::h2::frame::{flags, kind, settings};

/// One step of a client. Streams are numbers of requests, in the order of their start.
#[derive(Clone, Debug)]
enum Step {
    /// Starts a request, which ends at once or has content.
    Open {
        path: usize,
        has_content: bool,
        priority: u8,
    },
    Data {
        request: usize,
        len: usize,
    },
    End {
        request: usize,
        has_trailers: bool,
    },
    Reset {
        request: usize,
    },
    /// Enlarges the window of a request or of the connection.
    Update {
        request: Option<usize>,
        by: u32,
    },
    InitialWindow(u32),
    Ping,
    Priority {
        request: usize,
        priority: u8,
    },
    Unknown(usize),
}

const PATHS: [&str; 9] =
    ["/large", "/echo", "/collect", "/x", "/none", "/head", "/trailers", "/early", "/hold"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let request = 0..8_usize;
    let step = prop_oneof![
        4 => (0..PATHS.len(), any::<bool>(), 0..16_u8)
            .prop_map(|(path, has_content, priority)| Step::Open { path, has_content, priority }),
        4 => (request.clone(), 0..5000_usize).prop_map(|(request, len)| Step::Data { request, len }),
        2 => (request.clone(), any::<bool>())
            .prop_map(|(request, has_trailers)| Step::End { request, has_trailers }),
        1 => request.clone().prop_map(|request| Step::Reset { request }),
        4 => (proptest::option::of(request.clone()), 1..70_000_u32)
            .prop_map(|(request, by)| Step::Update { request, by }),
        1 => (0..70_000_u32).prop_map(Step::InitialWindow),
        1 => Just(Step::Ping),
        1 => (request, 0..16_u8).prop_map(|(request, priority)| Step::Priority { request, priority }),
        1 => (0..50_usize).prop_map(Step::Unknown),
    ];
    proptest::collection::vec(step, 1..40)
}

/// A frame: its type, its flags, its stream and its payload.
type Frame = (u8, u8, u32, Vec<u8>);

/// What a client has sent on a stream.
#[derive(Debug)]
struct Sent {
    path: &'static str,
    content: usize,
    has_ended: bool,
    is_reset: bool,
}

fn priority_of(priority: u8) -> String {
    format!("u={}{}", priority / 2, if priority % 2 == 1 { ", i" } else { "" })
}

/// The frames of these steps, without those that a client may not send. At the end, all requests
/// are complete.
fn frames(steps: &[Step]) -> (Vec<Frame>, Vec<Sent>) {
    let (mut frames, mut sent): (Vec<Frame>, Vec<Sent>) = Default::default();
    let id = |request: usize| 2 * request as u32 + 1;
    let end = |frames: &mut Vec<Frame>, request: usize, has_trailers: bool| {
        frames.push(match has_trailers {
            true => (kind::HEADERS, END, id(request), block(&[("a", "b")])),
            false => (kind::DATA, flags::END_STREAM, id(request), vec![]),
        });
    };
    for step in steps {
        match *step {
            Step::Open { path, has_content, priority } if sent.len() < 8 => {
                let (path, priority) = (PATHS[path], priority_of(priority));
                let ends = if has_content { 0 } else { flags::END_STREAM };
                let head = block(&head("POST", path, &[("priority", &priority)]));
                frames.push((kind::HEADERS, flags::END_HEADERS | ends, id(sent.len()), head));
                sent.push(Sent { path, content: 0, has_ended: !has_content, is_reset: false });
            }
            Step::Data { request, len } => {
                let Some(sent) = sent.get_mut(request) else { continue };
                if !sent.has_ended && sent.content + len < 60_000 {
                    sent.content += len;
                    frames.push((kind::DATA, 0, id(request), vec![b'x'; len]));
                }
            }
            Step::End { request, has_trailers } => {
                let Some(sent) = sent.get_mut(request).filter(|sent| !sent.has_ended) else {
                    continue;
                };
                sent.has_ended = true;
                end(&mut frames, request, has_trailers);
            }
            Step::Reset { request } => {
                let Some(sent) = sent.get_mut(request) else { continue };
                (sent.has_ended, sent.is_reset) = (true, true);
                frames.push((kind::RST_STREAM, 0, id(request), vec![0, 0, 0, 8]));
            }
            Step::Update { request, by } => {
                let stream = match request {
                    None => 0,
                    Some(request) if request < sent.len() => id(request),
                    Some(_) => continue,
                };
                frames.push((kind::WINDOW_UPDATE, 0, stream, by.to_be_bytes().to_vec()));
            }
            Step::InitialWindow(size) => {
                let payload =
                    [&settings::INITIAL_WINDOW_SIZE.to_be_bytes()[..], &size.to_be_bytes()];
                frames.push((kind::SETTINGS, 0, 0, payload.concat()));
            }
            Step::Ping => frames.push((kind::PING, 0, 0, vec![0; 8])),
            Step::Priority { request, priority } => {
                let mut payload = id(request).to_be_bytes().to_vec();
                payload.extend(priority_of(priority).bytes());
                frames.push((kind::PRIORITY_UPDATE, 0, 0, payload));
            }
            Step::Unknown(len) => frames.push((0xbb, 0xff, 0, vec![0; len])),
            Step::Open { .. } => {}
        }
    }
    for (request, sent) in sent.iter_mut().enumerate() {
        if !std::mem::replace(&mut sent.has_ended, true) {
            end(&mut frames, request, false);
        }
    }
    (frames, sent)
}

/// Checks what came on a stream.
fn check(sent: &Sent, received: Option<&Received>) {
    if sent.is_reset {
        return;
    }
    let received = received.expect("a response");
    // NO_ERROR asks to stop sending a request that was answered.
    assert!(received.has_ended && received.reset.unwrap_or(0) == 0, "{sent:?}: {received:?}");
    let early = sent.content > 0 && sent.path == "/early";
    let content = match sent.path {
        "/large" => LARGE.to_vec(),
        "/echo" => vec![b'x'; sent.content],
        "/early" if early => b"early".to_vec(),
        "/collect" | "/hold" | "/early" => {
            assert!(received.text().starts_with(&sent.content.to_string()), "{sent:?}");
            return;
        }
        "/x" => b"/x".to_vec(),
        "/head" => b"head".to_vec(),
        "/trailers" => b"abc".to_vec(),
        _ => vec![],
    };
    assert!(received.content == content, "{sent:?}: {} bytes", received.content.len());
    assert_eq!(
        received.trailers.is_some(),
        sent.path == "/trailers" || received.trailers.is_some()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// The client checks the windows and the form of each frame.
    #[test]
    fn each_request_gets_its_whole_response(
        steps in steps(),
        initial in 0..70_000_u32,
        reads in proptest::collection::vec(any::<bool>(), 40),
    ) {
        let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, initial)]);
        let (frames, sent) = frames(&steps);
        for (at, (kind, flags, stream, payload)) in frames.iter().enumerate() {
            scene.client.frame(*kind, *flags, *stream, payload);
            if reads.get(at).copied().unwrap_or(true) {
                scene.client.harness.run_jobs();
                scene.client.read();
            }
        }
        // Windows are opened bit by bit until nothing is left.
        for _ in 0..400 {
            scene.client.read_all();
            prop_assert_eq!(scene.client.harness.fault(), None);
            if scene.shared.alive.get() == 0 && scene.client.streams.values().all(|got| {
                got.has_ended || got.reset.is_some() || got.statuses.is_empty()
            }) {
                break;
            }
            scene.client.window_update(0, 70_000);
            for (request, sent) in sent.iter().enumerate() {
                let id = 2 * request as u32 + 1;
                let is_open = scene.client.streams.get(&id).is_none_or(|got| !got.has_ended);
                if !sent.is_reset && is_open {
                    scene.client.window_update(id, 70_000);
                }
            }
        }
        prop_assert_eq!(scene.shared.alive.get(), 0);
        for (request, sent) in sent.iter().enumerate() {
            check(sent, scene.client.streams.get(&(2 * request as u32 + 1)));
        }
        // Each request is logged once.
        prop_assert_eq!(scene.ends.0.take().len(), sent.len());
    }

    #[test]
    fn any_cut_of_the_input_gives_the_same_responses(
        steps in steps(),
        change in proptest::option::of((any::<usize>(), any::<u8>())),
        cuts in proptest::collection::vec(any::<usize>(), 0..8),
        every in any::<bool>(),
    ) {
        // With small windows, what is sent depends on when it is.
        let steps: Vec<_> =
            steps.into_iter().filter(|step| !matches!(step, Step::InitialWindow(_))).collect();
        let (frames, sent) = frames(&steps);
        let mut bytes: Vec<u8> =
            frames.iter().flat_map(|(kind, flags, stream, payload)| raw(*kind, *flags, *stream, payload)).collect();
        let large = i32::MAX as u32 / 2;
        if let Some((at, byte)) = change && !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let outcome = |cuts: &[usize]| {
            let mut scene = Scene::with(Limits::default(), &[(settings::INITIAL_WINDOW_SIZE, large)]);
            scene.client.window_update(0, large);
            for (kind, flags, stream, payload) in &frames {
                scene.client.note_sent(*kind, *flags, *stream, payload);
            }
            // A change of the input may have become a change of settings.
            if change.is_some() {
                scene.client.expect_any_settings();
            }
            let mut start = 0;
            for end in cuts {
                scene.client.input(&bytes[start..*end]);
                start = *end;
            }
            scene.client.harness.run_jobs();
            // If a changed length makes the last frame incomplete, the frames that the client sends
            // while it reads become a part of it.
            let fault = scene.client.harness.fault().map(ToString::to_string);
            scene.client.read_all();
            (fault, scene.client.streams)
        };
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        if every {
            ends = (1..bytes.len().min(3000)).collect();
        }
        ends.push(bytes.len());
        ends.sort_unstable();
        let (fault, whole) = outcome(&[bytes.len()]);
        let (cut_fault, cut) = outcome(&ends);
        prop_assert_eq!(&fault, &cut_fault);
        if fault.is_none() && change.is_none() {
            for (request, sent) in sent.iter().enumerate().filter(|(_, sent)| !sent.is_reset) {
                let id = 2 * request as u32 + 1;
                let (whole, cut) = (&whole[&id], &cut[&id]);
                prop_assert_eq!(&whole.statuses, &cut.statuses, "{:?}", sent);
                prop_assert_eq!(&whole.fields, &cut.fields);
                prop_assert!(whole.content == cut.content);
                prop_assert_eq!(&whole.trailers, &cut.trailers);
                // Whether a client is asked to stop depends on what has come.
                prop_assert_eq!(whole.has_ended, cut.has_ended);
            }
        }
    }

    #[test]
    fn any_frames_end_all_streams(
        frames in proptest::collection::vec(
            (prop_oneof![0..11_u8, 16..18_u8], any::<u8>(), 0..6_u32, proptest::collection::vec(any::<u8>(), 0..12), 0..9_usize),
            1..30,
        ),
        ends in any::<bool>(),
    ) {
        let mut scene = Scene::new();
        scene.client.expect_any_settings();
        for (kind, flags, stream, payload, choice) in frames {
            let path = PATHS[choice];
            let payload = match kind {
                kind::HEADERS if choice < 8 && flags & 0x28 == 0 => block(&head("POST", path, &[])),
                kind::PING => vec![0; 8],
                kind::WINDOW_UPDATE => vec![0, 0, 1, 0],
                kind::RST_STREAM | kind::PRIORITY if choice > 0 => vec![0; if kind == 3 { 4 } else { 5 }],
                kind::SETTINGS => vec![],
                _ => payload,
            };
            let stream = match kind {
                kind::SETTINGS | kind::PING | kind::PRIORITY_UPDATE | kind::GOAWAY if choice > 0 => 0,
                kind::WINDOW_UPDATE | kind::PUSH_PROMISE => stream,
                _ => 2 * stream + 1,
            };
            scene.client.note_sent(kind, 0, stream, &payload);
            scene.client.input(&raw(kind, flags, stream, &payload));
            scene.client.harness.run_jobs();
            scene.client.read();
        }
        if scene.client.harness.fault().is_none() && scene.client.harness.end().is_none() && ends {
            scene.client.harness.eof();
        }
        scene.client.read();
        for _ in 0..10 {
            scene.client.harness.pass(Duration::from_secs(30));
            scene.client.harness.run_jobs();
            scene.client.read();
        }
        prop_assert_eq!(scene.shared.alive.get(), 0);
        let is_over = scene.client.harness.fault().is_some() || scene.client.harness.end().is_some();
        prop_assert!(is_over);
    }
}

proptest! {
    /// A tunnel: however its input is cut, and whatever the windows let through.
    #[test]
    fn all_that_is_sent_to_a_tunnel_comes_back(
        pieces in proptest::collection::vec((1..3000_usize, any::<bool>(), 0..3_u8), 1..20),
        cuts in proptest::collection::vec(1..5000_usize, 1..50),
        window in 1..70_000_u32,
        updates in proptest::collection::vec(300..70_000_u32, 1..20),
    ) {
        let mut tunnels = Tunnels::with(&[(settings::INITIAL_WINDOW_SIZE, window)]);
        tunnels.connect(1, "/");
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (at, (len, is_padded, pauses)) in pieces.iter().enumerate() {
            let mut content = vec![b'a' + (at % 26) as u8; *len];
            expected.extend_from_slice(&content);
            if *pauses == 0 {
                content.insert(len / 2, b'P');
            }
            if *is_padded {
                let padded = [&[3], &content[..], &[0; 3]].concat();
                bytes.extend(raw(kind::DATA, flags::PADDED, 1, &padded));
            } else {
                bytes.extend(raw(kind::DATA, 0, 1, &content));
            }
            if *pauses == 1 {
                let by = updates[at % updates.len()].to_be_bytes();
                tunnels.client.note_sent(kind::WINDOW_UPDATE, 0, 1, &by);
                bytes.extend(raw(kind::WINDOW_UPDATE, 0, 1, &by));
            }
        }
        bytes.extend(raw(kind::DATA, flags::END_STREAM, 1, b""));
        let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (part, left) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            rest = left;
            tunnels.client.input(part);
            tunnels.fulfill("");
            tunnels.client.read();
        }
        let mut updates = updates.iter().cycle();
        while !tunnels.client.streams[&1].has_ended {
            prop_assert_eq!(tunnels.client.harness.fault(), None);
            prop_assert_eq!(tunnels.client.streams[&1].reset, None);
            tunnels.fulfill("");
            for stream in [0, 1] {
                tunnels.client.window_update(stream, *updates.next().unwrap());
            }
            tunnels.client.read();
        }
        prop_assert_eq!(tunnels.text(1).as_bytes(), &expected[..]);
        prop_assert_eq!(tunnels.seen.alive.get(), 0);
    }
}
