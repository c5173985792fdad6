//! Clients that leave: by a reset, which cancels at once, and by the end of their side, which cancels
//! what is silent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sockeye_engine::Config;
use sockeye_http::{
    Answer, Fields, Handler, Request, Responder, Server, ServerConfig, Status, Stream, StreamEvent,
};
use sockeye_proto::{Consumed, End, Event, Fault, Peer, Promise, Protocol, Remote, Time, Turn};
use sockeye_sim::{Faults, PeerId, Rng, Script, ShardId, World, seeds};

use crate::checked::{Logs, assert_no_violations, service};
use crate::{here, secs};

/// What handlers leave for the test.
#[derive(Default)]
struct Outside {
    /// Kept by the test, so that nothing is abandoned.
    promises: RefCell<Vec<Promise>>,
    remotes: RefCell<Vec<Remote>>,
    /// Handlers that exist.
    alive: Cell<usize>,
}

/// `/later` waits for a promise that is never kept, `/silent` is a stream of what comes by the
/// remote, `/pour` writes whenever there is room, `/body` takes one piece and waits for a promise.
struct Site(Rc<Outside>);

impl Site {
    fn new(outside: &Rc<Outside>) -> Self {
        outside.alive.update(|alive| alive + 1);
        Self(Rc::clone(outside))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.0.alive.update(|alive| alive - 1);
    }
}

fn pour(mut stream: Stream<'_, '_>) -> Answer {
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
            b"/pour" => pour(responder.stream(Status::OK, &none, None)),
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
            StreamEvent::Room => pour(stream),
            _ => stream.later(),
        }
    }
}

struct Scene {
    world: World,
    server: ShardId,
    outside: Rc<Outside>,
    logs: Logs,
}

impl Scene {
    fn new(seed: u64, faults: Faults) -> Self {
        let mut world = World::new(seed, faults);
        let outside = Rc::<Outside>::default();
        let (shared, ours) = (Rc::new(ServerConfig::default()), Rc::clone(&outside));
        let (servers, logs) = service(move |_| {
            let ours = Rc::clone(&ours);
            Server::new(Rc::clone(&shared), move |_: &Peer| Site::new(&ours))
        });
        let server = world.server(&[here()], Config::default(), servers);
        Self { world, server, outside, logs }
    }

    fn peer(&mut self, script: Script) -> PeerId {
        self.world.peer(&here(), script)
    }

    /// Runs until a promise or a remote was given out.
    fn until_asked(&mut self) {
        let outside = Rc::clone(&self.outside);
        let asked = move |_: &World| {
            !outside.promises.borrow().is_empty() || !outside.remotes.borrow().is_empty()
        };
        assert!(self.world.run_until(secs(60), asked));
    }

    fn closed_for(&self, code: &str) -> u64 {
        self.world.shard(self.server).stats().closed_for(code)
    }

    /// Everything is over, and every handler with its connection.
    fn finish(mut self) {
        self.world.settle();
        assert_eq!(self.outside.alive.get(), 0);
        self.world.finish();
        assert_no_violations(&self.logs.borrow());
    }
}

/// The length of a stream's head. A client that has read it closes without a reset.
const HEAD: usize = 84;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")
}

/// Faults that delay nothing for long.
fn prompt(seed: u64) -> Faults {
    let faults = Faults { stall: 0, ..Faults::lossless(&mut Rng::new(seed)) };
    let (send_buffer, receive_buffer) =
        (faults.send_buffer.max(1024), faults.receive_buffer.max(1024));
    Faults { send_buffer, receive_buffer, read_size: faults.read_size.max(1024), ..faults }
}

#[test]
fn a_reset_ends_a_request_in_every_state_at_once() {
    let body = "POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 300\r\n\r\n".to_owned();
    let body = body + &"x".repeat(200);
    let states = [get("/later"), get("/silent"), get("/pour"), body];
    seeds(0..200, |seed| {
        for input in &states {
            // Also behind the end of input, and with requests in the way.
            for (more, ended) in [("", false), ("", true), ("GET / HTTP/1.1\r\n", true)] {
                let mut scene = Scene::new(seed, prompt(seed));
                let script = Script::new().stop_reading().send(format!("{input}{more}"));
                let script = if ended { script.finish() } else { script };
                let peer = scene.peer(script.wait(secs(5)).reset());
                let reset = move |world: &World| world.peer_state(peer).closed;
                assert!(scene.world.run_until(secs(60), reset));
                assert_eq!(scene.outside.alive.get(), 1, "{input}");
                scene.world.run(secs(1));
                assert_eq!(scene.closed_for("reset"), 1, "{input}");
                assert_eq!(scene.outside.alive.get(), 0, "{input}");
                scene.finish();
            }
        }
    });
}

#[test]
fn a_silent_stream_to_a_half_closed_client_ends_after_15_s() {
    seeds(0..200, |seed| {
        let behind = get("/silent").repeat(3);
        for (script, behind) in [
            (Script::new(), &behind[..0]),
            (Script::new(), &behind),
            // Half a request is in the way.
            (Script::new(), &behind[..10]),
        ] {
            let mut scene = Scene::new(seed, prompt(seed));
            let peer = scene.peer(script.send(get("/silent") + behind).finish());
            scene.until_asked();
            let began = scene.world.now();
            let server = scene.server;
            let over = move |world: &World| world.shard(server).connections() == 0;
            scene.world.run(secs(14));
            assert_eq!(scene.outside.alive.get(), 1);
            assert!(scene.world.run_until(secs(10), over), "it is still there");
            assert!(scene.world.now().since(began) >= secs(15));
            assert_eq!(scene.closed_for("half_closed_timeout"), 1);
            let received = scene.world.peer_state(peer);
            assert!(received.bytes.ends_with(b"\r\n\r\n"), "the head, and no last chunk");
            assert_eq!(received.bytes.len(), HEAD);
            assert!(scene.outside.remotes.borrow()[0].is_gone());
            scene.finish();
        }
    });
}

#[test]
fn a_silent_stream_whose_client_closed_ends_after_15_s() {
    seeds(0..200, |seed| {
        let mut scene = Scene::new(seed, prompt(seed));
        scene.peer(Script::new().send(get("/silent")).await_bytes(HEAD).close());
        scene.until_asked();
        scene.world.run(secs(30));
        assert_eq!(scene.closed_for("half_closed_timeout"), 1);
        assert_eq!(scene.outside.alive.get(), 0);
        scene.finish();
    });
}

#[test]
fn a_stream_that_sends_lives_as_long_as_its_client_takes_it() {
    seeds(0..100, |seed| {
        for reads in [true, false] {
            let mut scene = Scene::new(seed, prompt(seed));
            let script = Script::new().send(get("/silent")).finish();
            let script = if reads { script } else { script.wait(secs(100)).reset() };
            let peer = scene.peer(script);
            scene.until_asked();
            for _ in 0..9 {
                scene.world.run(secs(10));
                let remote = scene.outside.remotes.borrow()[0].clone();
                remote.try_send(Box::new(())).unwrap();
            }
            scene.world.run(secs(1));
            let received = scene.world.peer_state(peer);
            let ticks = received.bytes.windows(4).filter(|four| four == b"tick").count();
            assert_eq!((ticks, received.outcome), (9, None));
            scene.world.run(secs(30));
            // It is over when it is silent, or its client gone.
            let code = if reads { "half_closed_timeout" } else { "reset" };
            assert_eq!(scene.closed_for(code), 1);
            scene.finish();
        }
    });
}

#[test]
fn a_promised_answer_waits_longer_for_half_closed_clients() {
    seeds(0..50, |seed| {
        let mut scene = Scene::new(seed, prompt(seed));
        let peer = scene.peer(Script::new().send(get("/later")).finish());
        scene.until_asked();
        scene.world.run(secs(1000));
        assert_eq!(scene.outside.alive.get(), 1);
        assert_eq!(scene.world.peer_state(peer).outcome, None);
        // What is abandoned is answered, too.
        std::mem::take(&mut *scene.outside.promises.borrow_mut());
        scene.finish();
    });
}

#[test]
fn a_client_that_takes_nothing_is_the_write_deadlines_also_when_half_closed() {
    seeds(0..100, |seed| {
        let mut scene = Scene::new(seed, prompt(seed));
        scene.peer(Script::new().stop_reading().send(get("/pour")).finish());
        scene.world.run(secs(59));
        assert_eq!(scene.outside.alive.get(), 1);
        scene.world.run(secs(120));
        assert_eq!(scene.closed_for("write_stalled"), 1);
        scene.finish();
    });
}

#[test]
fn a_reset_is_found_when_the_time_is_up_though_nobody_told_of_it() {
    seeds(0..100, |seed| {
        // All that happens at one moment is reported bit by bit.
        let mut scene = Scene::new(seed, Faults { partial_wait: 1000, ..Faults::none() });
        let leaving = Script::new().send(get("/silent")).await_bytes(HEAD).finish();
        for _ in 0..10 {
            scene.peer(leaving.clone().wait(secs(15)).reset());
        }
        scene.world.run(secs(30));
        assert_eq!(scene.closed_for("reset"), 10);
        scene.finish();
    });
}

/// Leaves the connection to [`Deaf`] when a job has run.
struct First(Rc<Cell<u32>>);

/// Uses one byte and reads no more. Ends when it is told that its peer has ended.
struct Deaf(Rc<Cell<u32>>);

impl Protocol for First {
    fn on_bytes(&mut self, _: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let _ = turn.run(|| ());
        Ok(Consumed::pause(1))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Message(..) = event {
            turn.switch_to(Box::new(Deaf(Rc::clone(&self.0))));
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

impl Protocol for Deaf {
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
fn whoever_takes_over_during_a_half_close_hears_of_it_once() {
    seeds(0..200, |seed| {
        // What the first ones leave unread has to fit: no end arrives before it.
        let mut world = World::new(seed, prompt(seed));
        let told = Rc::<Cell<u32>>::default();
        let ours = Rc::clone(&told);
        let open = move |_: &Peer| Box::new(First(Rc::clone(&ours))) as Box<dyn Protocol>;
        world.server(&[here()], Config::default(), open);
        world.peer(&here(), Script::new().send("1 and more").finish());
        world.settle();
        assert_eq!(told.get(), 1);
        world.finish();
    });
}
