//! Extended CONNECT (RFC 8441): streams that switch to another protocol.

use std::time::Duration;

use sockeye_proto::{Consumed, DRAIN_GRACE, End, Event, Fault, Protocol, Reason, Remote, Turn};

use super::*;
use crate::h2::frame::{flags, kind, settings};

/// What the protocols and the test share.
#[derive(Default)]
struct Seen {
    /// The events that the protocols got, apart from messages.
    events: RefCell<Vec<String>>,
    remotes: RefCell<Vec<Remote>>,
    promises: RefCell<Vec<Promise>>,
    alive: Cell<i32>,
}

/// Echoes lower-case letters, digits and everything else that is no command. The commands: `P` pauses
/// until its promise is fulfilled, and `R` makes a remote. `D` sets a deadline in ten seconds. `B`
/// writes 100,000 bytes as there is room. `S` switches to itself, after writing `s`. `M` marks the
/// end of the output. `F`, `C` and `L` end the connection by [`End::Finish`], [`End::Close`] and
/// [`End::Linger`]. `X` is a fault of the peer, `O` one of ours, and `!` panics.
struct Commands {
    seen: Rc<Seen>,
    deadline: Option<Time>,
    left: usize,
}

impl Commands {
    fn new(seen: &Rc<Seen>) -> Self {
        seen.alive.update(|alive| alive + 1);
        Self { seen: Rc::clone(seen), deadline: None, left: 0 }
    }

    fn pour(&mut self, turn: &mut Turn<'_>) {
        while self.left > 0 && !turn.is_full() {
            let len = self.left.min(1000);
            turn.out.write(&vec![b'x'; len]);
            self.left -= len;
        }
        if self.left > 0 {
            turn.want_room();
        }
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.seen.alive.update(|alive| alive - 1);
    }
}

impl Protocol for Commands {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        for (at, byte) in input.iter().enumerate() {
            match byte {
                b'P' => {
                    self.seen.promises.borrow_mut().push(turn.promise());
                    return Ok(Consumed::pause(at + 1));
                }
                b'R' => self.seen.remotes.borrow_mut().push(turn.remote()),
                b'D' => self.deadline = Some(turn.now() + Duration::from_secs(10)),
                b'B' => {
                    self.left = 100_000;
                    self.pour(turn);
                }
                b'S' => {
                    turn.out.write(b"s");
                    turn.switch_to(Box::new(Self::new(&self.seen)));
                    return Ok(Consumed::more(at + 1));
                }
                b'M' => {
                    turn.mark();
                }
                b'F' => turn.end(End::Finish),
                b'C' => turn.end(End::Close),
                b'L' => turn.end(End::Linger),
                b'X' => return Err(Fault::peer("bad_command", "sent a bad command")),
                b'O' => return Err(Fault::ours("out_of_order", "are out of order")),
                b'!' => panic!("on purpose"),
                byte => turn.out.write(&[*byte]),
            }
        }
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let text = match &event {
            Event::Open(_) => "open".into(),
            Event::Closed(reason) => format!("closed: {}", reason.code()),
            Event::Message(_, body) => {
                let text = body.as_ref().map(|body| *body.downcast_ref::<&str>().unwrap());
                turn.out.write(text.unwrap_or("abandoned").as_bytes());
                turn.resume();
                return Ok(());
            }
            event => format!("{event:?}"),
        };
        self.seen.events.borrow_mut().push(text);
        match event {
            Event::Room => self.pour(turn),
            Event::Woken => turn.out.write(b"woken"),
            Event::Deadline => turn.out.write(b"late"),
            Event::Drain { .. } => turn.out.write(b"bye"),
            Event::Eof { .. } => turn.end(End::Finish),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }
}

/// Switches to [`Commands`]: at `/later` when its promise is fulfilled, at `/remote` after it has
/// made a remote. `/no` is not found, `/read` answers when it has read the request.
struct Switch(Rc<Seen>);

impl Switch {
    fn upgrade(&self, responder: Responder<'_, '_>) -> Answer {
        let fields = Fields::new().with("X-Field", b"y").unwrap();
        let upgraded = responder.upgrade("commands", &fields, Box::new(Commands::new(&self.0)));
        upgraded.unwrap_or_else(|responder| {
            responder.error(Status::SERVICE_UNAVAILABLE, &Fields::new(), "")
        })
    }
}

impl Handler for Switch {
    fn can_upgrade(&self, name: &[u8]) -> bool {
        name == b"commands"
    }

    fn on_request(&mut self, request: &Request<'_>, mut responder: Responder<'_, '_>) -> Answer {
        if request.method() != crate::Method::Connect {
            assert_eq!(request.upgrade(), None);
            return responder.send(Status::OK, &Fields::new(), Body::Static(b"plain"));
        }
        assert_eq!(request.upgrade(), Some(&b"commands"[..]));
        assert_eq!(request.content(), crate::Content::None);
        match request.path() {
            b"/later" => {
                self.0.promises.borrow_mut().push(responder.promise());
                responder.later()
            }
            b"/remote" => {
                self.0.remotes.borrow_mut().push(responder.remote());
                self.upgrade(responder)
            }
            b"/no" => responder.error(Status::NOT_FOUND, &Fields::new(), ""),
            b"/read" => responder.read(),
            _ => self.upgrade(responder),
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        _: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        self.upgrade(responder)
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        responder.error(Status::BAD_REQUEST, &Fields::new(), "read")
    }
}

/// A client of a server with [`Switch`].
struct Tunnels {
    client: Client,
    seen: Rc<Seen>,
    ends: Rc<Ends>,
}

impl Tunnels {
    fn with_limits(limits: Limits, settings: &[(u16, u32)]) -> Self {
        let (seen, ends) = (Rc::<Seen>::default(), Rc::<Ends>::default());
        let config = Rc::new(ServerConfig::new(limits).logging(ends.clone()));
        let ours = Rc::clone(&seen);
        let server = Server::new(config, move |_: &Peer| Switch(Rc::clone(&ours)));
        let client = Client::with_settings(Harness::new(server), settings);
        Self { client, seen, ends }
    }

    fn with(settings: &[(u16, u32)]) -> Self {
        Self::with_limits(Limits::default(), settings)
    }

    fn new() -> Self {
        Self::with(&[])
    }

    /// Sends an extended CONNECT.
    fn connect(&mut self, stream: u32, path: &str) {
        let fields = head("CONNECT", path, &[]);
        let all = [&fields[..], &[(":protocol", "commands")]].concat();
        self.client.headers(stream, 0, &all);
    }

    /// A connection with an open tunnel on stream 1.
    fn open() -> Self {
        let mut tunnels = Self::new();
        tunnels.connect(1, "/");
        assert_eq!(tunnels.client.read(), ["1 HEADERS 200"]);
        assert_eq!(tunnels.events(), ["open"]);
        tunnels
    }

    fn events(&self) -> Vec<String> {
        self.seen.events.take()
    }

    /// Fulfills all promises.
    fn fulfill(&mut self, text: &'static str) {
        for promise in self.seen.promises.take() {
            promise.fulfill(Box::new(text));
        }
        self.client.harness.deliver();
    }

    fn text(&self, stream: u32) -> &str {
        self.client.streams[&stream].text()
    }
}

#[test]
fn the_server_announces_extended_connect_in_its_first_settings() {
    let mut client = Client::before_preface(server(Limits::default()).0);
    client.input(crate::h2::frame::PREFACE);
    assert_eq!(client.read()[0], "SETTINGS 3=100 6=32768 8=1 9=1");
}

#[test]
fn a_stream_switches_to_another_protocol() {
    let mut tunnels = Tunnels::open();
    let received = &tunnels.client.streams[&1];
    assert_eq!(received.field("x-field"), Some("y"));
    for name in ["content-length", "connection", "upgrade", "transfer-encoding"] {
        assert_eq!(received.field(name), None, "{name}");
    }
    assert_eq!(tunnels.ends.0.take(), ["/ 200 0 complete"], "it is logged before the switch");
    tunnels.client.data(1, b"hello");
    assert_eq!(tunnels.client.read(), ["1 DATA 5"]);
    tunnels.client.get(3, "/");
    assert_eq!(tunnels.client.read(), ["3 HEADERS 200", "3 DATA 5 END"]);
    // Padding and empty frames are no input.
    tunnels.client.frame(kind::DATA, flags::PADDED, 1, b"\x02yo\0\0");
    tunnels.client.data(1, b"");
    assert_eq!(tunnels.client.read(), ["1 DATA 2"]);
    tunnels.client.end(1, b"z");
    assert_eq!(tunnels.client.read(), ["1 DATA 1 END"]);
    assert_eq!(tunnels.text(1), "helloyoz");
    assert_eq!(tunnels.events(), ["Eof { clean: true }", "closed: finished"]);
    assert_eq!(tunnels.seen.alive.get(), 0);
    assert_eq!(tunnels.ends.0.take(), ["/ 200 5 complete"], "only that of stream 3");
}

#[test]
fn input_may_be_cut_anywhere() {
    let mut bytes = Vec::new();
    for part in [&b"hello"[..], b"", b"P", b"wS", b"orld"] {
        bytes.extend(raw(kind::DATA, 0, 1, part));
    }
    bytes.extend(raw(kind::DATA, flags::END_STREAM, 1, b"."));
    for cut in 1..bytes.len() {
        let mut tunnels = Tunnels::open();
        let (first, rest) = bytes.split_at(cut);
        tunnels.client.input(first);
        tunnels.client.input(rest);
        tunnels.client.read();
        assert_eq!(tunnels.text(1), "hello", "{cut}");
        tunnels.fulfill("-");
        tunnels.client.read();
        assert_eq!(tunnels.text(1), "hello-wsorld.", "{cut}");
        assert!(tunnels.client.streams[&1].has_ended);
        let events = ["HalfClosed", "open", "Eof { clean: true }", "closed: finished"];
        assert_eq!(tunnels.events(), events, "{cut}");
        assert_eq!(tunnels.seen.alive.get(), 0);
    }
}

#[test]
fn output_follows_the_windows_of_the_client() {
    let mut tunnels = Tunnels::with(&[(settings::INITIAL_WINDOW_SIZE, 1)]);
    tunnels.connect(1, "/");
    tunnels.client.data(1, b"abMc");
    assert_eq!(tunnels.client.read(), ["1 HEADERS 200", "1 DATA 1"]);
    for _ in 0..2 {
        tunnels.client.window_update(1, 1);
        assert_eq!(tunnels.client.read(), ["1 DATA 1"]);
    }
    tunnels.client.window_update(1, 1);
    assert_eq!((tunnels.client.read(), tunnels.text(1)), (vec![], "abc"));
    // The end needs no window.
    tunnels.client.window_update(1, 1_000_000);
    tunnels.client.data(1, b"F");
    assert_eq!(tunnels.client.read(), ["1 DATA 0 END"]);
    let events = tunnels.events();
    assert!(events.iter().any(|event| event.starts_with("Sent(")), "{events:?}");
}

#[test]
fn a_protocol_writes_as_there_is_room() {
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"B");
    let frames = tunnels.client.read_all();
    assert!(frames.iter().any(|frame| frame == "1 DATA 16384"), "{frames:?}");
    assert_eq!(tunnels.text(1).len(), 100_000);
    let events = tunnels.events();
    assert!(!events.is_empty() && events.iter().all(|event| event == "Room"), "{events:?}");
}

/// Input waits while the output is full.
#[test]
fn a_client_that_takes_no_output_is_not_read_from() {
    let mut tunnels = Tunnels::with(&[(settings::INITIAL_WINDOW_SIZE, 0)]);
    tunnels.connect(1, "/");
    tunnels.client.data(1, b"B");
    let mut sent = 0;
    // More than the stream's window is a fault of the client.
    while sent + 1000 < 65_535 {
        tunnels.client.data(1, &[b'y'; 1000]);
        sent += 1000;
    }
    let frames = tunnels.client.read();
    assert_eq!(frames, ["1 HEADERS 200"], "the windows stay as they are");
    let charged = tunnels.client.harness.charged();
    assert!((110_000..140_000).contains(&charged), "{charged}");
    tunnels.client.window_update(1, 1_000_000);
    tunnels.client.read_all();
    let text = tunnels.text(1).to_owned();
    assert_eq!(text.bytes().filter(|byte| *byte == b'x').count(), 100_000);
    assert_eq!(text.bytes().filter(|byte| *byte == b'y').count(), sent);
    assert!(tunnels.client.harness.charged() < 20_000);
}

#[test]
fn a_paused_protocol_holds_at_most_its_window_and_stalls_nobody() {
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"P");
    for _ in 0..4 {
        tunnels.client.data(1, &[b'y'; 16_000]);
    }
    assert_eq!(tunnels.client.read(), [""; 0]);
    tunnels.client.get(3, "/");
    assert_eq!(tunnels.client.read(), ["3 HEADERS 200", "3 DATA 5 END"]);
    tunnels.fulfill("-");
    let frames = tunnels.client.read();
    let update = |frame: &String| frame.starts_with("1 WINDOW_UPDATE");
    assert!(frames.iter().any(update), "{frames:?}");
    tunnels.client.read_all();
    assert_eq!(tunnels.text(1).len(), 64_001);
    // Above the window.
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"P");
    for _ in 0..4 {
        tunnels.client.data(1, &[b'y'; 16_384]);
    }
    assert_eq!(tunnels.client.read(), ["1 RST_STREAM FLOW_CONTROL_ERROR"]);
    assert_eq!(tunnels.events(), ["closed: http2_flow_control_error"]);
}

#[test]
fn promises_remotes_and_deadlines_are_those_of_the_stream() {
    let mut tunnels = Tunnels::new();
    for stream in [1, 3] {
        tunnels.connect(stream, "/");
        tunnels.client.data(stream, b"RDP");
    }
    tunnels.client.read();
    let remotes = tunnels.seen.remotes.take();
    // More than may wait at a time.
    for _ in 0..2 * Remote::MESSAGES {
        remotes[1].try_send(Box::new("m")).unwrap();
        tunnels.client.harness.deliver();
    }
    remotes[0].wake();
    remotes[0].wake();
    tunnels.client.harness.deliver();
    tunnels.client.read();
    assert_eq!(tunnels.text(1), "woken");
    assert_eq!(tunnels.text(3), "m".repeat(2 * Remote::MESSAGES as usize));
    let last = tunnels.seen.promises.borrow_mut().pop();
    last.unwrap().fulfill(Box::new("done"));
    tunnels.client.harness.deliver();
    tunnels.client.read();
    assert!(tunnels.text(3).ends_with("mdone"));
    tunnels.client.harness.pass(Duration::from_secs(10));
    tunnels.client.read();
    assert_eq!(tunnels.text(1), "wokenlate");
    assert!(tunnels.text(3).ends_with("donelate"));
    tunnels.client.reset(1);
    assert!(remotes[0].is_gone() && !remotes[1].is_gone());
    // A late message to a stream that is gone.
    tunnels.fulfill("gone");
    assert_eq!(tunnels.client.read(), [""; 0]);
}

#[test]
fn a_remote_of_the_handler_becomes_one_of_the_protocol() {
    let mut tunnels = Tunnels::new();
    tunnels.connect(1, "/remote");
    let remote = tunnels.seen.remotes.take().remove(0);
    for _ in 0..2 * Remote::MESSAGES {
        remote.try_send(Box::new("m")).unwrap();
        tunnels.client.harness.deliver();
    }
    tunnels.client.read();
    assert_eq!(tunnels.text(1).len(), 2 * Remote::MESSAGES as usize);
}

#[test]
fn a_handler_may_switch_later_with_what_has_come_until_then() {
    let mut tunnels = Tunnels::new();
    tunnels.connect(1, "/later");
    tunnels.client.end(1, b"hello");
    assert_eq!(tunnels.client.read(), [""; 0]);
    tunnels.fulfill("");
    assert_eq!(tunnels.client.read(), ["1 HEADERS 200", "1 DATA 5 END"]);
    assert_eq!(tunnels.text(1), "hello");
    // With END_STREAM, the client sends nothing at all.
    let fields = [&head("CONNECT", "/", &[])[..], &[(":protocol", "commands")]].concat();
    tunnels.client.headers(3, flags::END_STREAM, &fields);
    assert_eq!(tunnels.client.read(), ["3 HEADERS 200 END"]);
}

#[test]
fn each_side_may_end_first() {
    // After `Finish`, the protocol still reads.
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"abcF");
    assert_eq!(tunnels.client.read(), ["1 DATA 3 END"]);
    tunnels.client.data(1, b"R");
    assert_eq!(tunnels.seen.remotes.borrow().len(), 1);
    assert_eq!(tunnels.events(), [""; 0]);
    tunnels.client.end(1, b"");
    assert_eq!(tunnels.events(), ["Eof { clean: true }", "closed: finished"]);
    // The others discard what still comes, and then ask the client to stop.
    for end in [b"abcC", b"abcL"] {
        for ends in [true, false] {
            let mut tunnels = Tunnels::open();
            tunnels.client.data(1, end);
            assert_eq!(tunnels.client.read(), ["1 DATA 3 END"]);
            assert_eq!(tunnels.events(), ["closed: finished"]);
            tunnels.client.data(1, &[b'y'; 16_000]);
            if ends {
                tunnels.client.end(1, b"");
            }
            tunnels.client.harness.pass(Duration::from_secs(5));
            let reset = if ends { vec![] } else { vec!["1 RST_STREAM NO_ERROR"] };
            assert_eq!(tunnels.client.read(), reset);
            assert_eq!(tunnels.seen.alive.get(), 0);
        }
    }
}

#[test]
fn a_reset_ends_the_protocol() {
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"R");
    tunnels.client.reset(1);
    assert_eq!(tunnels.events(), ["closed: reset"]);
    assert_eq!(tunnels.client.read(), [""; 0]);
    assert!(tunnels.seen.remotes.borrow()[0].is_gone());
    assert_eq!(tunnels.seen.alive.get(), 0);
    // So does the end of the connection, whatever its reason.
    let mut tunnels = Tunnels::open();
    tunnels.client.harness.end_for(&Reason::Reset);
    assert_eq!((tunnels.events(), tunnels.seen.alive.get()), (vec!["closed: reset".into()], 0));
}

#[test]
fn a_fault_or_a_panic_resets_its_stream_alone() {
    for (input, code, reason, reported) in [
        (b'X', "CANCEL", "bad_command", None),
        (b'O', "INTERNAL_ERROR", "out_of_order", Some("out_of_order")),
        (b'!', "INTERNAL_ERROR", "panicked", Some("protocol_panicked")),
    ] {
        let mut tunnels = Tunnels::open();
        tunnels.connect(3, "/");
        tunnels.client.read();
        tunnels.events();
        tunnels.client.data(1, &[input]);
        assert_eq!(tunnels.client.read(), [format!("1 RST_STREAM {code}")]);
        let closed = if input == b'!' { vec![] } else { vec![format!("closed: {reason}")] };
        assert_eq!(tunnels.events(), closed);
        let faults = tunnels.client.harness.take_reported();
        assert_eq!(faults.first().map(|fault| fault.code), reported);
        tunnels.client.data(3, b"still there");
        tunnels.client.read();
        assert_eq!(tunnels.text(3), "still there");
        assert_eq!(tunnels.client.harness.fault(), None);
    }
}

/// Closing by a reset could lose it.
#[test]
fn what_is_written_before_a_fault_is_sent() {
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"last wordsO");
    assert_eq!(tunnels.client.read(), ["1 DATA 10 END"]);
    assert_eq!(tunnels.events(), ["closed: out_of_order"]);
    assert_eq!(tunnels.client.harness.take_reported().len(), 1);
    tunnels.client.end(1, b"ignored");
    assert_eq!((tunnels.client.read(), tunnels.seen.alive.get()), (vec![], 0));
}

#[test]
fn a_protocol_finishes_before_the_server_stops() {
    let mut tunnels = Tunnels::open();
    tunnels.client.harness.lame_duck();
    assert_eq!(tunnels.events(), ["LameDuck"]);
    tunnels.client.harness.drain();
    let frames = tunnels.client.read();
    assert!(frames.contains(&"1 DATA 3".to_owned()), "{frames:?}");
    assert_eq!(tunnels.events(), ["Drain { unread: false }"]);
    tunnels.client.harness.pass(DRAIN_GRACE);
    assert_eq!(tunnels.client.read(), ["GOAWAY 1 NO_ERROR"]);
    assert_eq!(tunnels.client.harness.end(), None, "it has as long as the engine lets it");
    tunnels.client.end(1, b"");
    assert_eq!(tunnels.client.read(), ["1 DATA 0 END"]);
    assert_eq!(tunnels.events(), ["Eof { clean: true }", "closed: drained"]);
    assert!(tunnels.client.harness.finished());
}

#[test]
fn a_stopping_server_refuses_extended_connect() {
    type Stop = fn(&mut Harness);
    let stops: [Stop; 2] = [Harness::lame_duck, Harness::drain];
    for stop in stops {
        let mut tunnels = Tunnels::new();
        tunnels.connect(1, "/later");
        stop(&mut tunnels.client.harness);
        tunnels.client.read();
        tunnels.connect(3, "/");
        assert_eq!(tunnels.client.read(), ["3 RST_STREAM REFUSED_STREAM"]);
        tunnels.fulfill("");
        tunnels.client.read();
        assert_eq!(tunnels.client.streams[&1].statuses, [503]);
        assert_eq!(tunnels.events(), [""; 0]);
    }
}

#[test]
fn a_connection_with_a_tunnel_is_not_idle_and_its_peer_is_looked_for() {
    let mut tunnels = Tunnels::open();
    let silence = Duration::from_secs(30);
    for _ in 0..10 {
        tunnels.client.harness.pass(silence);
        assert_eq!(tunnels.client.read(), ["PING present?"]);
        tunnels.client.frame(kind::PING, flags::ACK, 0, b"present?");
    }
    assert_eq!(tunnels.client.harness.fault(), None);
    tunnels.client.harness.pass(silence);
    tunnels.client.read();
    tunnels.client.harness.pass(silence);
    assert_eq!(tunnels.client.harness.fault().map(|fault| fault.code), Some("http2_ping_timeout"));
    tunnels.client.read();
    assert_eq!(tunnels.events(), ["closed: http2_ping_timeout"]);
}

#[test]
fn a_client_that_takes_nothing_in_time_loses_its_stream() {
    let mut tunnels = Tunnels::with(&[(settings::INITIAL_WINDOW_SIZE, 0)]);
    tunnels.connect(1, "/");
    tunnels.client.data(1, b"abc");
    tunnels.client.read();
    tunnels.client.harness.pass(Limits::default().write_timeout);
    let frames = tunnels.client.read();
    assert!(frames.contains(&"1 RST_STREAM CANCEL".to_owned()), "{frames:?}");
    assert_eq!(tunnels.events(), ["open", "closed: http2_stream_stalled"]);
}

#[test]
fn the_end_of_the_connection_is_no_clean_end_of_a_tunnel() {
    let mut tunnels = Tunnels::open();
    tunnels.client.data(1, b"abc");
    tunnels.client.harness.eof();
    assert_eq!(tunnels.client.read(), ["1 DATA 3", "1 DATA 0 END"]);
    let events = ["Truncated", "Eof { clean: true }", "closed: finished"];
    assert_eq!(tunnels.events(), events);
    assert!(tunnels.client.harness.finished());
}

#[test]
fn a_hundred_tunnels_work_at_a_time_and_one_more_is_refused() {
    let mut tunnels = Tunnels::new();
    let streams: Vec<u32> = (0..100).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        tunnels.connect(*stream, "/");
    }
    for stream in &streams {
        tunnels.client.data(*stream, b"R");
    }
    tunnels.client.read();
    for (stream, remote) in streams.iter().zip(tunnels.seen.remotes.take()) {
        remote.try_send(Box::new(if stream % 4 == 1 { "one" } else { "three" })).unwrap();
    }
    tunnels.client.harness.deliver();
    tunnels.client.read();
    for stream in &streams {
        assert_eq!(tunnels.text(*stream), if stream % 4 == 1 { "one" } else { "three" });
    }
    tunnels.connect(201, "/");
    assert_eq!(tunnels.client.read(), ["201 RST_STREAM REFUSED_STREAM"]);
    for stream in &streams {
        tunnels.client.end(*stream, b"");
    }
    tunnels.client.read();
    assert_eq!(tunnels.seen.alive.get(), 0);
    assert!(tunnels.client.harness.charged() < 1000);
}

#[test]
fn a_client_over_its_budget_gets_no_tunnel_and_a_tunnel_writes_little() {
    let mut tunnels = Tunnels::with(&[(settings::INITIAL_WINDOW_SIZE, 0)]);
    tunnels.connect(1, "/");
    tunnels.client.harness.set_over_budget(true);
    tunnels.client.data(1, b"B");
    let charged = tunnels.client.harness.charged();
    assert!(charged <= 1500, "{charged}");
    tunnels.client.harness.set_over_budget(false);
    tunnels.client.data(1, b"B");
    assert!(tunnels.client.harness.charged() > 60_000);
    tunnels.client.harness.set_over_budget(true);
    tunnels.client.read();
    tunnels.connect(3, "/");
    assert_eq!(tunnels.client.read(), ["3 RST_STREAM REFUSED_STREAM"]);
}

#[test]
fn a_handler_may_answer_without_an_upgrade() {
    for (path, status) in [("/no", 404), ("/read", 400)] {
        let mut tunnels = Tunnels::new();
        tunnels.connect(1, path);
        tunnels.client.read();
        let received = &tunnels.client.streams[&1];
        assert_eq!((&received.statuses[..], received.has_ended), (&[status][..], true));
        tunnels.client.end(1, b"ignored");
        assert_eq!(tunnels.client.read(), [""; 0]);
        assert_eq!(tunnels.events(), [""; 0]);
    }
}

#[test]
fn a_protocol_that_the_handler_does_not_speak_is_a_501() {
    let mut tunnels = Tunnels::new();
    let fields = [&head("CONNECT", "/", &[])[..], &[(":protocol", "other")]].concat();
    tunnels.client.headers(1, 0, &fields);
    tunnels.client.read();
    assert_eq!(tunnels.client.streams[&1].statuses, [501]);
    assert_eq!(tunnels.ends.0.take(), ["/ 501 88 complete unknown_protocol"]);
    // By default, a handler speaks none.
    let mut scene = Scene::new();
    scene.client.headers(1, 0, &fields);
    scene.client.read();
    assert_eq!(scene.client.streams[&1].statuses, [501]);
}

const CONNECT: (&str, &str) = (":method", "CONNECT");
const SCHEME: (&str, &str) = (":scheme", "https");
const PATH: (&str, &str) = (":path", "/");
const AUTHORITY: (&str, &str) = (":authority", "a");
const PROTOCOL: (&str, &str) = (":protocol", "commands");

#[test]
fn malformed_extended_connects_are_reset() {
    let with = |field| [CONNECT, SCHEME, PATH, AUTHORITY, PROTOCOL, field];
    let malformed = "1 RST_STREAM PROTOCOL_ERROR";
    for (fields, expected) in [
        (&[CONNECT, SCHEME, PATH, AUTHORITY, PROTOCOL][..], "1 HEADERS 200"),
        (&[PROTOCOL, AUTHORITY, PATH, SCHEME, CONNECT], "1 HEADERS 200"),
        (
            &[CONNECT, SCHEME, PATH, AUTHORITY, (":protocol", "commands"), ("x", "y")],
            "1 HEADERS 200",
        ),
        // 8441, 4.
        (&[CONNECT, PATH, AUTHORITY, PROTOCOL], malformed),
        (&[CONNECT, SCHEME, AUTHORITY, PROTOCOL], malformed),
        (&[CONNECT, AUTHORITY, PROTOCOL], malformed),
        (&[(":method", "GET"), SCHEME, PATH, AUTHORITY, PROTOCOL], malformed),
        (&[(":method", "connect"), SCHEME, PATH, AUTHORITY, PROTOCOL], malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY], malformed),
        (&with(PROTOCOL), malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY, ("x", "y"), PROTOCOL], malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY, (":protocol", "")], malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY, (":protocol", "a b")], malformed),
        (&[CONNECT, SCHEME, PATH, AUTHORITY, (":protocol", "a/")], malformed),
        (&with(("content-length", "5")), malformed),
        (&with(("upgrade", "commands")), malformed),
        (&with(("connection", "upgrade")), malformed),
        (&with(("host", "b")), malformed),
    ] {
        let mut tunnels = Tunnels::new();
        tunnels.client.headers(1, 0, fields);
        assert_eq!(tunnels.client.read(), [expected], "{fields:?}");
    }
    let mut tunnels = Tunnels::new();
    tunnels.client.headers(1, 0, &[CONNECT, SCHEME, PATH, PROTOCOL]);
    tunnels.client.read();
    assert_eq!(tunnels.client.streams[&1].statuses, [400], "no host");
}

/// RFC 9113, 8.5.
#[test]
fn a_header_block_after_connect_is_an_error() {
    for path in ["/", "/later"] {
        let mut tunnels = Tunnels::new();
        tunnels.connect(1, path);
        tunnels.client.read();
        tunnels.client.headers(1, flags::END_STREAM, &[("x", "y")]);
        assert_eq!(tunnels.client.read(), ["1 RST_STREAM PROTOCOL_ERROR"]);
        assert_eq!(tunnels.client.harness.fault(), None);
    }
}
