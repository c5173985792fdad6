//! What the tests of extended CONNECT (RFC 8441) share: a handler that switches to another
//! protocol.

use std::time::Duration;

use sockeye_proto::{Consumed, End, Event, Fault, Protocol, Remote, Turn};

use super::*;

/// What the protocols and the test share.
#[derive(Default)]
pub(super) struct Seen {
    /// The events that the protocols got, apart from messages.
    pub(super) events: RefCell<Vec<String>>,
    pub(super) remotes: RefCell<Vec<Remote>>,
    pub(super) promises: RefCell<Vec<Promise>>,
    pub(super) alive: Cell<i32>,
}

/// Echoes lower-case letters, digits and everything else that is no command. The commands: `P`
/// pauses until its promise is fulfilled, and `R` makes a remote. `D` sets a deadline in ten
/// seconds. `B` writes 100,000 bytes as there is room. `S` switches to itself, after writing `s`.
/// `M` marks the end of the output, `N` asks for room. `F`, `C` and `L` end the connection by
/// [`End::Finish`], [`End::Close`] and [`End::Linger`]. `W` and `V` use 100,000 and 10,000,000
/// bytes at once, with themselves. `X` is a fault of the peer, `O` one of ours, and `!` panics.
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
                b'N' => turn.want_room(),
                b'M' => {
                    turn.mark();
                }
                b'W' | b'V' => {
                    let needed = if *byte == b'W' { 100_000 } else { 10_000_000 };
                    let is_whole = input.len() >= at + needed;
                    return Ok(Consumed::more(if is_whole { at + needed } else { at }));
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
/// made a remote, at `/remote-later` at the first message of its remote. `/other` tries another
/// protocol and is answered with 400, `/no` is not found, `/read` answers when it has read the
/// request.
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
            b"/remote-later" => {
                self.0.remotes.borrow_mut().push(responder.remote());
                responder.later()
            }
            b"/other" => {
                let other = Box::new(Commands::new(&self.0));
                let upgraded = responder.upgrade("other", &Fields::new(), other);
                upgraded.unwrap_or_else(|responder| {
                    responder.error(Status::BAD_REQUEST, &Fields::new(), "")
                })
            }
            b"/no" => responder.error(Status::NOT_FOUND, &Fields::new(), ""),
            b"/read" => responder.read(),
            _ => self.upgrade(responder),
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match *body.unwrap().downcast::<&'static str>().unwrap() {
            "read" => responder.read(),
            _ => self.upgrade(responder),
        }
    }

    fn on_body(&mut self, _: &[u8], _: Responder<'_, '_>) -> Answer {
        unreachable!("such a request has no content")
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        responder.error(Status::BAD_REQUEST, &Fields::new(), "read")
    }
}

/// A client of a server with [`Switch`].
pub(super) struct Tunnels {
    pub(super) client: Client,
    pub(super) seen: Rc<Seen>,
    pub(super) ends: Rc<Ends>,
}

impl Tunnels {
    pub(super) fn of(config: ServerConfig, settings: &[(u16, u32)]) -> Self {
        let (seen, ends) = (Rc::<Seen>::default(), Rc::<Ends>::default());
        let config = Rc::new(config.logging(ends.clone()));
        let ours = Rc::clone(&seen);
        let server = Server::new(config, move |_: &Peer| Switch(Rc::clone(&ours)));
        let client = Client::with_settings(Harness::new(server), settings);
        Self { client, seen, ends }
    }

    pub(super) fn with(settings: &[(u16, u32)]) -> Self {
        Self::of(ServerConfig::default(), settings)
    }

    pub(super) fn new() -> Self {
        Self::with(&[])
    }

    /// Sends an extended CONNECT.
    pub(super) fn connect(&mut self, stream: u32, path: &str) {
        let fields = head("CONNECT", path, &[]);
        let all = [&fields[..], &[(":protocol", "commands")]].concat();
        self.client.headers(stream, 0, &all);
    }

    /// A connection with an open tunnel on stream 1.
    pub(super) fn open() -> Self {
        let mut tunnels = Self::new();
        tunnels.connect(1, "/");
        assert_eq!(tunnels.client.read(), ["1 HEADERS 200"]);
        assert_eq!(tunnels.events(), ["open"]);
        tunnels
    }

    pub(super) fn events(&self) -> Vec<String> {
        self.seen.events.take()
    }

    /// Fulfills all promises.
    pub(super) fn fulfill(&mut self, text: &'static str) {
        for promise in self.seen.promises.take() {
            promise.fulfill(Box::new(text));
        }
        self.client.harness.deliver();
    }

    pub(super) fn text(&self, stream: u32) -> &str {
        self.client.streams[&stream].text()
    }
}
