//! Files that only threads may read: the responses are the same as for other files, whatever the
//! threads and the peers do.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;

use sockeye_engine::Config;
use sockeye_engine::driver::QUANTUM;
use sockeye_http::{
    Answer, Body, Fields, Handler, Request, Responder, Server, ServerConfig, Status,
};
use sockeye_proto::{
    Access, CancelToken, Consumed, End, Event, Fault, FileRange, FileSource, Peer, Protocol, Time,
    Turn, Validity,
};
use sockeye_sim::{Faults, Outcome, Rng, Script, WorkerId, World, seeds};

use crate::checked::{Logs, assert_no_violations, service};
use crate::http::responses_to;
use crate::{here, secs};

/// A file in which each byte is a function of its offset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File {
    len: u64,
    access: Access,
    /// The offset at which its content ends or reading fails.
    end: u64,
    fails: bool,
    /// What a check without reading finds, and with reading if that doesn't decide.
    validity: Validity,
    verifies: bool,
}

impl File {
    pub(crate) fn new(len: u64, access: Access) -> Self {
        let validity = Validity::Valid;
        Self { len, access, end: len, fails: false, validity, verifies: true }
    }

    pub(crate) fn with(self, validity: Validity) -> Self {
        Self { validity, ..self }
    }
}

pub(crate) fn byte(at: u64) -> u8 {
    (at ^ at >> 8 ^ at >> 16) as u8
}

impl FileSource for File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if self.fails && offset + buffer.len() as u64 > self.end {
            return Err(io::ErrorKind::Other.into());
        }
        // A read may return less than requested.
        let count = self.end.saturating_sub(offset).min(buffer.len() as u64).min(50_000) as usize;
        (offset..).zip(&mut buffer[..count]).for_each(|(at, to)| *to = byte(at));
        Ok(count)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn check(&self) -> Validity {
        self.validity
    }

    fn verify(&self, _: &CancelToken) -> bool {
        match self.check() {
            Validity::Valid => true,
            Validity::Changed => false,
            Validity::Unknown => self.verifies,
        }
    }

    fn access(&self) -> Access {
        self.access
    }
}

/// Responds with the file to `/file`, and with a text to other paths.
struct Site(File);

impl Handler for Site {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let body = match request.path() {
            b"/file" => {
                let source = Arc::new(self.0);
                Body::File(FileRange { source, offset: 0, len: self.0.len })
            }
            _ => Body::Static(b"at once"),
        };
        responder.send(Status::OK, &Fields::new(), body)
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")
}

fn serve(world: &mut World, file: File) -> (WorkerId, Logs) {
    let shared = Rc::new(ServerConfig::default());
    let (servers, logs) =
        service(move |_| Server::new(Rc::clone(&shared), move |_: &Peer| Site(file)));
    (world.server(&[here()], Config::default(), servers), logs)
}

/// Random faults, without the small buffers that would make large files take minutes.
fn no_tiny_buffers(rng: &mut Rng) -> Faults {
    let faults = Faults::lossless(rng);
    let (send_buffer, receive_buffer) = (faults.send_buffer, faults.receive_buffer);
    Faults {
        send_buffer: send_buffer.max(16 * 1024),
        receive_buffer: receive_buffer.max(16 * 1024),
        ..faults
    }
}

#[test]
fn pipelined_responses_are_the_same_and_in_order() {
    seeds(0..150, |seed| {
        let mut rng = Rng::new(seed);
        let faults = no_tiny_buffers(&mut rng);
        let len = rng.pick(&[1, 5000, QUANTUM - 1, QUANTUM, QUANTUM + 1, 2 * QUANTUM + 77]);
        let requests: String =
            (0..rng.between(1, 5)).map(|_| get(rng.pick(&["/", "/file"]))).collect();
        let [plain, read] =
            [(Access::Direct, Faults::none()), (Access::Thread, faults)].map(|(access, faults)| {
                let shared = Rc::new(ServerConfig::default());
                let open = move || {
                    Server::new(Rc::clone(&shared), move |_: &Peer| Site(File::new(len, access)))
                };
                responses_to(seed, faults, &requests, open)
            });
        assert!(plain == read, "{} of {} bytes", read.len(), plain.len());
    });
}

/// Requests `file` once, without network faults. Returns the number of bytes of the body that
/// arrived, and the reason for which the connection was closed.
fn outcome(file: File, prepare: impl Fn(&mut World)) -> (usize, String) {
    let mut world = World::new(0, Faults::none());
    let (server, logs) = serve(&mut world, file);
    prepare(&mut world);
    let client = world.peer(&here(), Script::new().send(get("/file")));
    world.settle();
    let received = world.peer_state(client).bytes;
    let head = received.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    let body = &received[head..];
    assert!((0..).zip(body).all(|(at, got)| *got == byte(at)));
    let closed = world.worker(server).stats().closed.clone();
    assert_eq!(closed.len(), 1, "{closed:?}");
    world.finish();
    assert_no_violations(&logs.borrow());
    (body.len(), closed.into_keys().next().unwrap_or_default().to_owned())
}

#[test]
fn each_failure_of_a_read_has_its_own_reason() {
    let len = QUANTUM + 1000;
    let file = File::new(len, Access::Thread);
    let (one, none) = (QUANTUM as usize, 0);
    let [changed, unknown] = [Validity::Changed, Validity::Unknown];
    for (file, sent, reason) in [
        (File { validity: changed, ..file }, one, "file_changed"),
        (File { validity: unknown, verifies: false, ..file }, one, "file_changed"),
        (File { end: QUANTUM + 1, ..file }, one, "file_changed"),
        (File { end: QUANTUM, fails: true, ..file }, one, "file_failed"),
        (File { end: 0, fails: true, ..file }, none, "file_failed"),
    ] {
        assert_eq!(outcome(file, |_| ()), (sent, reason.into()), "{file:?}");
    }
    // The same for files that the event loop reads itself.
    let direct = File::new(len, Access::Direct);
    for (file, reason) in [
        (File { validity: changed, ..direct }, "file_changed"),
        (File { validity: unknown, verifies: false, ..direct }, "file_changed"),
        (File { end: 60_000, ..direct }, "file_changed"),
        (File { end: 60_000, fails: true, ..direct }, "file_failed"),
        (File { end: 0, fails: true, ..direct }, "file_failed"),
    ] {
        assert_eq!(outcome(file, |_| ()).1, reason, "{file:?}");
    }
    assert_eq!(outcome(file, |world| world.drop_jobs(1000)), (none, "file_failed".into()));
    assert_eq!(outcome(file, |world| world.refuse_jobs(true)), (none, "read_refused".into()));
    assert_eq!(outcome(file, |world| world.hang_jobs(1000)), (none, "file_timed_out".into()));
}

/// If only reading a file shows whether it has changed, its last part is read and verified by a
/// thread, whoever reads the parts before it.
#[test]
fn a_file_that_may_have_changed_is_sent_to_the_end_once_it_is_verified() {
    seeds(0..100, |seed| {
        let mut rng = Rng::new(seed);
        let faults = no_tiny_buffers(&mut rng);
        let len = rng.pick(&[1, 5000, QUANTUM, QUANTUM + 4096, QUANTUM + 4097, 3 * QUANTUM + 77]);
        let requests = get("/file") + &get("/") + &get("/file");
        let [valid, unknown] = [Validity::Valid, Validity::Unknown].map(|validity| {
            let file = File { validity, ..File::new(len, Access::Direct) };
            let shared = Rc::new(ServerConfig::default());
            let open = move || Server::new(Rc::clone(&shared), move |_: &Peer| Site(file));
            responses_to(seed, faults.clone(), &requests, open)
        });
        assert!(valid == unknown, "{} of {} bytes", unknown.len(), valid.len());
    });
    // Without a thread it is not completed.
    let file = File { validity: Validity::Unknown, ..File::new(1000, Access::Direct) };
    assert_eq!(outcome(file, |world| world.refuse_jobs(true)), (0, "read_refused".into()));
}

#[test]
fn read_ahead_is_charged_to_the_client_and_limited_by_its_share() {
    const LEN: u64 = 3 * QUANTUM;
    // A client's share is a quarter of it, which is one quantum.
    let budget = 4 * QUANTUM as usize;
    let faults = Faults { send_buffer: 4096, receive_buffer: 4096, ..Faults::none() };
    let mut world = World::new(0, faults);
    let shared = Rc::new(ServerConfig::default());
    let file = File::new(LEN, Access::Thread);
    let (servers, logs) =
        service(move |_| Server::new(Rc::clone(&shared), move |_: &Peer| Site(file)));
    let config =
        Config { max_buffered_total: budget, write_timeout: secs(150), ..Config::default() };
    let server = world.server(&[here()], config, servers);
    let not_reading = Script::new()
        .from([192, 0, 2, 1].into())
        .stop_reading()
        .send(get("/file"))
        .wait(secs(30))
        .read_all()
        .await_bytes(LEN as usize)
        .finish();
    let mut peers = Vec::new();
    for _ in 0..6 {
        peers.push(world.peer(&here(), not_reading.clone()));
        world.run(secs(1));
    }
    // Two connections hold a quantum each: when the second one reads, the first has sent some of
    // its quantum, so that the share isn't spent.
    assert_eq!(world.worker(server).footprint().charged, 2);
    world.run_until(secs(2_000), |world| peers.iter().all(|peer| world.peer_state(*peer).closed));
    for peer in peers {
        let received = world.peer_state(peer).bytes;
        assert!(received.len() > LEN as usize && received.ends_with(&[byte(LEN - 1)]));
    }
    assert_eq!(world.worker(server).footprint().charged, 0);
    world.finish();
    assert_no_violations(&logs.borrow());
}

#[test]
fn a_read_that_hangs_delays_no_other_connection_and_times_out_after_a_minute() {
    seeds(0..50, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, Faults { delay: secs(1) / 50, ..Faults::none() });
        let (server, logs) =
            serve(&mut world, File::new(1 + rng.below(300_000) as u64, Access::Thread));
        world.hang_jobs(1000);
        // The third response waits for the file.
        let hanging = Script::new().send(get("/") + &get("/file") + &get("/"));
        let hanging = world.peer(&here(), hanging);
        world.run(secs(1));
        let other = world.peer(&here(), Script::new().send(get("/")).finish());
        world.run(secs(1));
        let received = world.peer_state(other);
        assert!(received.bytes.ends_with(b"at once"));
        assert!(matches!(received.outcome, Some((Outcome::Ended, _))));
        assert_eq!(world.worker(server).footprint().reads, 1);
        world.run(secs(57));
        assert_eq!(world.peer_state(hanging).outcome, None);
        world.run(secs(2));
        assert!(world.peer_state(hanging).outcome.is_some());
        let received = world.peer_state(hanging).bytes;
        assert_eq!(String::from_utf8_lossy(&received).matches("at once").count(), 1);
        assert_eq!(world.worker(server).stats().closed_for("file_timed_out"), 1);
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

#[test]
fn a_drain_ends_in_time_even_if_reads_hang_or_fail() {
    seeds(0..200, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, no_tiny_buffers(&mut rng));
        let (server, logs) =
            serve(&mut world, File::new(1 + rng.below(300_000) as u64, Access::Thread));
        world.hang_jobs(rng.pick(&[0, 300, 1000]));
        world.drop_jobs(rng.pick(&[0, 0, 300]));
        for _ in 0..4 {
            let requests: String =
                (0..rng.between(1, 4)).map(|_| get(rng.pick(&["/", "/file"]))).collect();
            let script = Script::new().send(requests);
            let script = match rng.pick(&["listen", "finish", "reset", "close"]) {
                "listen" => script,
                "finish" => script.finish(),
                "reset" => script.reset(),
                _ => script.close(),
            };
            world.peer(&here(), script);
        }
        world.run(rng.duration(secs(1) / 5));
        world.drain(server);
        assert!(world.run_until(secs(31), |world| world.worker(server).is_done()));
        assert_eq!(world.worker(server).footprint().reads, 0);
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

/// Sends the first half of a file for `1`. For `f` and `t`, drops what is unsent, and sends the
/// second half of the file, or a text.
struct Hasty {
    source: Arc<File>,
}

impl Protocol for Hasty {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let len = self.source.len / 2;
        for byte in input {
            let source = Arc::clone(&self.source);
            match byte {
                b'1' => turn.out.write_file(FileRange { source, offset: 0, len }),
                b'f' => {
                    turn.out.clear();
                    turn.out.write_file(FileRange { source, offset: len, len });
                }
                _ => {
                    turn.out.clear();
                    turn.out.write(b"text");
                }
            }
        }
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Eof { .. } = event {
            turn.end(End::Finish);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn output_that_is_dropped_while_a_thread_reads_it_is_not_sent() {
    seeds(0..150, |seed| {
        const LEN: u64 = 10_000;
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, Faults::none());
        let fails = rng.pick(&[false, false, true]);
        let file = File { end: LEN - u64::from(fails), fails, ..File::new(LEN, Access::Thread) };
        let (servers, logs) = service(move |_| Hasty { source: Arc::new(file) });
        world.server(&[here()], Config::default(), servers);
        let next = rng.pick(&["f", "t"]);
        let script = Script::new().send("1").wait(rng.duration(secs(1) / 100)).send(next).finish();
        let peer = world.peer(&here(), script);
        world.settle();
        let received = world.peer_state(peer).bytes;
        let all: Vec<u8> = (0..LEN).map(byte).collect();
        let (first, second) = all.split_at(all.len() / 2);
        let last = match next {
            "t" => &b"text"[..],
            _ if fails => b"",
            _ => second,
        };
        assert!(received.ends_with(last), "{} bytes", received.len());
        assert!(first.starts_with(&received[..received.len() - last.len()]));
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}
