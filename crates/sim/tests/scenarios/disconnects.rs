//! Clients that disconnect. A reset cancels their request at once. A client that closes only its
//! sending side may still read, so its request is cancelled after a timeout without output.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sockeye_engine::{Config, TlsAcceptor};
use sockeye_http::{
    Answer, Fields, Handler, Request, Responder, Server, ServerConfig, Status, Stream, StreamEvent,
};
use sockeye_proto::{Consumed, End, Event, Fault, Peer, Promise, Protocol, Remote, Time, Turn};
use sockeye_sim::{Faults, PeerId, Rng, Script, WorkerId, World, seeds};

use crate::checked::{Logs, SendClient, assert_no_violations, checked, service};
use crate::tls::TLS;
use crate::{here, secs};

/// State that the handlers share with the test.
#[derive(Default)]
struct TestState {
    /// Promises that the test keeps, so that they stay pending.
    promises: RefCell<Vec<Promise>>,
    remotes: RefCell<Vec<Remote>>,
    /// Number of handlers that exist.
    alive: Cell<usize>,
}

/// `/later` waits for a promise that stays pending. `/silent` is a stream that writes `tick` for
/// each message from its remote. `/fill` is a stream that writes whenever there is room. `/body`
/// reads one piece of the body and waits for a promise.
struct Site(Rc<TestState>);

impl Site {
    fn new(test_state: &Rc<TestState>) -> Self {
        test_state.alive.update(|alive| alive + 1);
        Self(Rc::clone(test_state))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.0.alive.update(|alive| alive - 1);
    }
}

fn fill(mut stream: Stream<'_, '_>) -> Answer {
    while !stream.is_full() {
        stream.write(&[b'x'; 1000]);
    }
    stream.more()
}

impl Handler for Site {
    fn on_request(&mut self, request: &Request<'_>, mut responder: Responder<'_, '_>) -> Answer {
        let none = Fields::new();
        match request.path() {
            b"/silent" => {
                self.0.remotes.borrow_mut().push(responder.remote());
                responder.stream(Status::OK, &none, None).later()
            }
            b"/fill" => fill(responder.stream(Status::OK, &none, None)),
            b"/body" => responder.read(),
            _ => {
                self.0.promises.borrow_mut().push(responder.promise());
                responder.later()
            }
        }
    }

    fn on_body(&mut self, _: &[u8], responder: Responder<'_, '_>) -> Answer {
        self.0.promises.borrow_mut().push(responder.promise());
        responder.later()
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, mut stream: Stream<'_, '_>) -> Answer {
        match event {
            StreamEvent::Message(_, Ok(_)) => {
                stream.write(b"tick");
                stream.later()
            }
            StreamEvent::Room => fill(stream),
            _ => stream.later(),
        }
    }
}

struct Scene {
    world: World,
    server: WorkerId,
    test_state: Rc<TestState>,
    logs: Logs,
}

impl Scene {
    fn new(seed: u64, faults: Faults) -> Self {
        Self::with_tls(seed, faults, None)
    }

    fn with_tls(seed: u64, faults: Faults, tls: Option<&TlsAcceptor>) -> Self {
        let mut world = World::new(seed, faults);
        let test_state = Rc::<TestState>::default();
        let (shared, ours) = (Rc::new(ServerConfig::default()), Rc::clone(&test_state));
        let (servers, logs) = service(move |_| {
            let ours = Rc::clone(&ours);
            Server::new(Rc::clone(&shared), move |_: &Peer| Site::new(&ours))
        });
        let server = match tls {
            Some(tls) => world.server_with_tls(&[here()], tls, Config::default(), servers),
            None => world.server(&[here()], Config::default(), servers),
        };
        Self { world, server, test_state, logs }
    }

    fn peer(&mut self, script: Script) -> PeerId {
        self.world.peer(&here(), script)
    }

    /// Runs until a handler has created a promise or a remote.
    fn run_until_waiting(&mut self) {
        let test_state = Rc::clone(&self.test_state);
        let waiting = move |_: &World| {
            !test_state.promises.borrow().is_empty() || !test_state.remotes.borrow().is_empty()
        };
        assert!(self.world.run_until(secs(60), waiting));
    }

    fn closed_for(&self, code: &str) -> u64 {
        self.world.worker(self.server).stats().closed_for(code)
    }

    /// Ends the run, and checks that every handler was dropped with its connection.
    fn finish(mut self) {
        self.world.settle();
        assert_eq!(self.test_state.alive.get(), 0);
        self.world.finish();
        assert_no_violations(&self.logs.borrow());
    }
}

/// The length of a stream's head. A client that has read it has no unread input, so that its close
/// sends a FIN and no reset.
const HEAD_LEN: usize = 84;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")
}

/// Random faults with short delays.
fn short_delays(seed: u64) -> Faults {
    let faults = Faults { stall: 0, ..Faults::lossless(&mut Rng::new(seed)) };
    let (send_buffer, receive_buffer) =
        (faults.send_buffer.max(1024), faults.receive_buffer.max(1024));
    Faults { send_buffer, receive_buffer, read_size: faults.read_size.max(1024), ..faults }
}

#[test]
fn a_reset_ends_a_request_in_every_state_at_once() {
    let body = "POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 300\r\n\r\n".to_owned();
    let body = body + &"x".repeat(200);
    let states = [get("/later"), get("/silent"), get("/fill"), body];
    seeds(0..200, |seed| {
        for input in &states {
            // Also after the end of input, and with an incomplete request before the reset.
            for (more, ended) in [("", false), ("", true), ("GET / HTTP/1.1\r\n", true)] {
                let mut scene = Scene::new(seed, short_delays(seed));
                let script = Script::new().stop_reading().send(format!("{input}{more}"));
                let script = if ended { script.finish() } else { script };
                let peer = scene.peer(script.wait(secs(5)).reset());
                let reset = move |world: &World| world.peer_state(peer).closed;
                assert!(scene.world.run_until(secs(60), reset));
                assert_eq!(scene.test_state.alive.get(), 1, "{input}");
                scene.world.run(secs(1));
                assert_eq!(scene.closed_for("reset"), 1, "{input}");
                assert_eq!(scene.test_state.alive.get(), 0, "{input}");
                scene.finish();
            }
        }
    });
}

#[test]
fn a_silent_stream_to_a_half_closed_client_ends_after_15_s() {
    seeds(0..200, |seed| {
        let pipelined = get("/silent").repeat(3);
        for (script, pipelined) in [
            (Script::new(), &pipelined[..0]),
            (Script::new(), &pipelined),
            // With an incomplete second request.
            (Script::new(), &pipelined[..10]),
        ] {
            let mut scene = Scene::new(seed, short_delays(seed));
            let asked = scene.world.now();
            let peer = scene.peer(script.send(get("/silent") + pipelined).finish());
            scene.run_until_waiting();
            let server = scene.server;
            let over = move |world: &World| world.worker(server).connections() == 0;
            scene.world.run(secs(14));
            assert_eq!(scene.test_state.alive.get(), 1);
            assert!(scene.world.run_until(secs(10), over), "it is still there");
            // The end of input arrives after the request was sent, and may arrive before the
            // response is silent.
            assert!(scene.world.now().since(asked) >= secs(15));
            assert_eq!(scene.closed_for("half_closed_timeout"), 1);
            let received = scene.world.peer_state(peer);
            assert!(received.bytes.ends_with(b"\r\n\r\n"), "the head, and no last chunk");
            assert_eq!(received.bytes.len(), HEAD_LEN);
            assert!(scene.test_state.remotes.borrow()[0].is_gone());
            scene.finish();
        }
    });
}

#[test]
fn a_silent_stream_to_a_half_closed_client_ends_after_15_s_over_tls() {
    let (acceptor, connector) = &*TLS;
    seeds(0..100, |seed| {
        // The client is on the engine, too, and needs a descriptor.
        let faults = Faults { no_descriptor: 0, ..short_delays(seed) };
        let mut scene = Scene::with_tls(seed, faults, Some(acceptor));
        let client = scene.world.client(Config::default(), None);
        // The request and close_notify may arrive together, also with the end of the handshake.
        let (protocol, log) = checked(SendClient::then_finish(get("/silent").as_bytes()));
        scene.world.worker_mut(client).connect_tls(&here(), connector, protocol, 0);
        scene.run_until_waiting();
        scene.world.run(secs(14));
        assert_eq!(scene.test_state.alive.get(), 1);
        let server = scene.server;
        let over = move |world: &World| world.worker(server).connections() == 0;
        assert!(scene.world.run_until(secs(10), over), "it is still there");
        assert_eq!(scene.closed_for("half_closed_timeout"), 1);
        scene.finish();
        assert_eq!(log.borrow().bytes.len(), HEAD_LEN);
        assert_no_violations(&[log]);
    });
}

#[test]
fn a_silent_stream_whose_client_closed_ends_after_15_s() {
    seeds(0..200, |seed| {
        let mut scene = Scene::new(seed, short_delays(seed));
        scene.peer(Script::new().send(get("/silent")).await_bytes(HEAD_LEN).close());
        scene.run_until_waiting();
        scene.world.run(secs(30));
        assert_eq!(scene.closed_for("half_closed_timeout"), 1);
        assert_eq!(scene.test_state.alive.get(), 0);
        scene.finish();
    });
}

#[test]
fn a_stream_with_output_continues_while_its_half_closed_client_reads() {
    seeds(0..100, |seed| {
        for reads in [true, false] {
            let mut scene = Scene::new(seed, short_delays(seed));
            let script = Script::new().send(get("/silent")).finish();
            let script = if reads { script } else { script.wait(secs(100)).reset() };
            let peer = scene.peer(script);
            scene.run_until_waiting();
            for _ in 0..9 {
                scene.world.run(secs(10));
                let remote = scene.test_state.remotes.borrow()[0].clone();
                remote.try_send(Box::new(())).unwrap();
            }
            scene.world.run(secs(1));
            let received = scene.world.peer_state(peer);
            let ticks = received.bytes.windows(4).filter(|four| four == b"tick").count();
            assert_eq!((ticks, received.outcome), (9, None));
            scene.world.run(secs(30));
            // It ends when it is silent, or when its client is gone.
            let code = if reads { "half_closed_timeout" } else { "reset" };
            assert_eq!(scene.closed_for(code), 1);
            scene.finish();
        }
    });
}

#[test]
fn a_pending_response_to_a_half_closed_client_does_not_time_out() {
    seeds(0..50, |seed| {
        let mut scene = Scene::new(seed, short_delays(seed));
        let peer = scene.peer(Script::new().send(get("/later")).finish());
        scene.run_until_waiting();
        scene.world.run(secs(1000));
        assert_eq!(scene.test_state.alive.get(), 1);
        assert_eq!(scene.world.peer_state(peer).outcome, None);
        // A dropped promise is answered, too.
        std::mem::take(&mut *scene.test_state.promises.borrow_mut());
        scene.finish();
    });
}

#[test]
fn the_write_timeout_also_ends_half_closed_clients_that_do_not_read() {
    seeds(0..100, |seed| {
        let mut scene = Scene::new(seed, short_delays(seed));
        scene.peer(Script::new().stop_reading().send(get("/fill")).finish());
        scene.world.run(secs(59));
        assert_eq!(scene.test_state.alive.get(), 1);
        scene.world.run(secs(120));
        assert_eq!(scene.closed_for("write_stalled"), 1);
        scene.finish();
    });
}

/// The client's receive buffer takes some output after the socket has blocked. This is not taken
/// for progress that the client makes later.
#[test]
fn a_client_that_reads_nothing_is_closed_soon_after_the_write_timeout() {
    seeds(0..100, |seed| {
        // Without the faults by which the server accepts the connection or sends more much later.
        let faults =
            Faults { no_descriptor: 0, partial_wait: 0, spurious: 0, ..short_delays(seed) };
        let mut scene = Scene::new(seed, faults);
        scene.peer(Script::new().stop_reading().send(get("/fill")));
        scene.world.run(secs(59));
        assert_eq!(scene.test_state.alive.get(), 1);
        // Filling the receive buffer takes up to some seconds.
        scene.world.run(secs(20));
        assert_eq!(scene.closed_for("write_stalled"), 1);
        scene.finish();
    });
}

#[test]
fn a_reset_that_was_not_reported_is_found_at_the_timeout() {
    seeds(0..100, |seed| {
        // Each wait reports only some of the events of one moment.
        let mut scene = Scene::new(seed, Faults { partial_wait: 1000, ..Faults::none() });
        let leaving = Script::new().send(get("/silent")).await_bytes(HEAD_LEN).finish();
        for _ in 0..10 {
            scene.peer(leaving.clone().wait(secs(15)).reset());
        }
        scene.world.run(secs(30));
        assert_eq!(scene.closed_for("reset"), 10);
        scene.finish();
    });
}

/// Switches to [`Successor`] when a job has finished.
struct Predecessor(Rc<Cell<u32>>);

/// Consumes one byte and pauses. Closes on `Event::HalfClosed`, and counts these events.
struct Successor(Rc<Cell<u32>>);

impl Protocol for Predecessor {
    fn on_bytes(&mut self, _: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let _ = turn.run(|| ());
        Ok(Consumed::pause(1))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Message(..) = event {
            turn.switch_to(Box::new(Successor(Rc::clone(&self.0))));
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

impl Protocol for Successor {
    fn on_bytes(&mut self, _: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::pause(1))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::HalfClosed = event {
            self.0.set(self.0.get() + 1);
            turn.end(End::Close);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn the_next_protocol_of_a_half_closed_connection_gets_one_half_closed_event() {
    seeds(0..200, |seed| {
        // The receive buffer must hold all bytes: the end of input arrives after them.
        let mut world = World::new(seed, short_delays(seed));
        let half_closes = Rc::<Cell<u32>>::default();
        let ours = Rc::clone(&half_closes);
        let open = move |_: &Peer| Box::new(Predecessor(Rc::clone(&ours))) as Box<dyn Protocol>;
        world.server(&[here()], Config::default(), open);
        world.peer(&here(), Script::new().send("1 and more").finish());
        world.settle();
        assert_eq!(half_closes.get(), 1);
        world.finish();
    });
}
