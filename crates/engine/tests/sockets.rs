//! The engine on real sockets: the few things that only a kernel can test. Everything else is
//! tested on the simulated network.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sockeye_engine::driver::{Bound, Driver, Epoll, Target, bind_all};
use sockeye_engine::{
    Config, ConnectionCounts, Handover, Inbox, ListenAddr, Mailbox, Pool, Running, Server, Worker,
    WorkerParts, run_client,
};
use sockeye_proto::echo::Echo;
use sockeye_proto::{Consumed, End, Event, Fault, Peer, Protocol, Time, Turn};

fn echo(_: &Peer) -> Box<dyn Protocol> {
    Box::new(Echo::default())
}

fn serve<P: Into<Box<dyn Protocol>>>(
    config: Config,
    workers: usize,
    open: impl Fn(&Peer) -> P + Send + Sync + 'static,
) -> (Running, SocketAddr) {
    let any_port = [ListenAddr::Host("127.0.0.1".into(), 0)];
    let server = Server::bind(&any_port, NonZeroUsize::new(workers).unwrap(), config).unwrap();
    let Bound::Ip(address) = server.addresses()[0] else { panic!("not a TCP address") };
    (server.serve(open).unwrap(), address)
}

#[test]
fn megabytes_are_echoed_completely_after_a_half_close() {
    let (running, address) = serve(Config::default(), 2, echo);
    let bytes: Vec<u8> =
        (0..8 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let bytes = bytes.clone();
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                let mut writer = stream.try_clone().unwrap();
                let sent = bytes.clone();
                let writing = thread::spawn(move || {
                    writer.write_all(&sent).unwrap();
                    writer.shutdown(Shutdown::Write).unwrap();
                });
                let mut back = Vec::new();
                stream.read_to_end(&mut back).unwrap();
                writing.join().unwrap();
                assert!(back == bytes, "{} of {} bytes came back", back.len(), bytes.len());
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    running.handle().drain();
    let stats = running.join().unwrap();
    assert_eq!((stats.accepted, stats.closed_for("finished")), (4, 4));
    assert_eq!((stats.received, stats.sent), (4 * (8 << 20), 4 * (8 << 20)));
}

#[test]
fn a_peer_that_never_reads_is_disconnected() {
    let config = Config { write_timeout: Duration::from_millis(100), ..Config::default() };
    let (running, address) = serve(config, 1, echo);
    let mut stream = TcpStream::connect(address).unwrap();
    // If the server read without a limit, this loop would never end.
    let error = loop {
        if let Err(error) = stream.write_all(&[7; 64 * 1024]) {
            break error;
        }
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    running.handle().drain();
    let stats = running.join().unwrap();
    assert_eq!(stats.closed_for("write_stalled"), 1);
}

#[test]
fn connections_of_a_unix_socket_are_spread_over_all_workers() {
    let path = std::env::temp_dir().join(format!("sockeye-engine-{}.sock", std::process::id()));
    let workers = NonZeroUsize::new(3).unwrap();
    let server =
        Server::bind(&[ListenAddr::Unix(path.clone())], workers, Config::default()).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let running = server
        .start({
            let seen = Arc::clone(&seen);
            move |worker| {
                let seen = Arc::clone(&seen);
                move |peer: &Peer| {
                    seen.lock().unwrap().push(worker);
                    echo(peer)
                }
            }
        })
        .unwrap();
    for _ in 0..6 {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"ping").unwrap();
        let mut back = [0; 4];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"ping");
    }
    running.handle().drain();
    assert_eq!(running.join().unwrap().accepted, 6);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, [0, 0, 1, 1, 2, 2]);
    assert!(!path.exists(), "the socket's file is removed when the server stops");
}

#[test]
fn each_address_belongs_to_one_that_was_requested() {
    let requested = ["127.0.0.1:0", "localhost:0", ":0"].map(|text| text.parse().unwrap());
    let server = Server::bind(&requested, NonZeroUsize::MIN, Config::default()).unwrap();
    let addresses = server.addresses();
    let of: Vec<_> = (0..addresses.len()).map(|via| server.requested(via)).collect();
    // A name may have one address or two.
    assert!(of == [0, 1, 2] || of == [0, 1, 1, 2], "{of:?}: {addresses:?}");
    assert!(addresses.iter().rev().skip(1).all(Bound::is_loopback), "{addresses:?}");
}

#[test]
fn an_ipv4_peer_of_a_dual_stack_socket_has_an_ipv4_address() {
    let server = Server::bind(&[ListenAddr::Any(0)], NonZeroUsize::MIN, Config::default()).unwrap();
    let Bound::Ip(address) = server.addresses()[0] else { panic!("not a TCP address") };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let running = server
        .start({
            let seen = Arc::clone(&seen);
            move |_| {
                let seen = Arc::clone(&seen);
                move |peer: &Peer| {
                    seen.lock().unwrap().push(peer.address);
                    echo(peer)
                }
            }
        })
        .unwrap();
    let client = TcpStream::connect(("127.0.0.1", address.port())).unwrap();
    let here = client.local_addr().unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!((&client).read(&mut [0; 1]).unwrap(), 0, "the server closed its sending side");
    running.handle().drain();
    running.join().unwrap();
    assert_eq!(*seen.lock().unwrap(), [here.into()]);
}

/// An echo that panics if the input contains `!`.
struct PanicsAtBang(Echo);

impl Protocol for PanicsAtBang {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        assert!(!input.contains(&b'!'), "on purpose");
        self.0.on_bytes(input, turn)
    }
    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.0.on_event(event, turn)
    }
    fn deadline(&self) -> Option<Time> {
        self.0.deadline()
    }
}

#[test]
fn a_panic_closes_only_its_connection() {
    let (running, address) = serve(Config::default(), 1, |_: &Peer| PanicsAtBang(Echo::default()));
    let mut other = TcpStream::connect(address).unwrap();
    let mut panicking = TcpStream::connect(address).unwrap();
    panicking.write_all(b"!").unwrap();
    assert_eq!(panicking.read(&mut [0; 8]).unwrap_or(0), 0, "closed without output");
    other.write_all(b"still here").unwrap();
    let mut back = [0; 10];
    other.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"still here");
    drop(other);
    running.handle().drain();
    assert_eq!(running.join().unwrap().closed_for("panicked"), 1);
}

/// Echoes three bytes at a time. Of fewer bytes it consumes none, but writes a dot and calls
/// [`Turn::resume`]. If the engine offered the same bytes again without new ones, this would repeat
/// forever.
struct ThreeBytes {
    calls: usize,
}

impl Protocol for ThreeBytes {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.calls += 1;
        assert!(self.calls < 100, "the same input is offered again and again");
        if input.len() >= 3 {
            turn.out.write(&input[..3]);
            return Ok(Consumed::more(3));
        }
        turn.out.write(b".");
        turn.resume();
        Ok(Consumed::pause(0))
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
fn unused_input_is_offered_again_only_with_new_input() {
    let (running, address) = serve(Config::default(), 1, |_: &Peer| ThreeBytes { calls: 0 });
    let mut stream = TcpStream::connect(address).unwrap();
    let mut back = [0; 3];
    stream.write_all(b"a").unwrap();
    stream.read_exact(&mut back[..1]).unwrap();
    assert_eq!(&back[..1], b".");
    stream.write_all(b"bc").unwrap();
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"abc");
    drop(stream);
    running.handle().drain();
    assert_eq!(running.join().unwrap().closed_for("panicked"), 0);
}

/// Sends `hello`, waits for the echo, and records why the connection ended.
struct EchoClient {
    received: usize,
    /// For each connection that ended: its number, and the code of the reason.
    ends: Arc<Mutex<Vec<(u32, &'static str)>>>,
    /// The connection's number. `u32::MAX` until it is open.
    number: u32,
}

impl Protocol for EchoClient {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.received += input.len();
        if self.received == 5 {
            turn.end(End::Close);
        }
        Ok(Consumed::more(input.len()))
    }
    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(peer) => {
                self.number = peer.via;
                turn.out.write(b"hello");
            }
            Event::Closed(reason) => self.ends.lock().unwrap().push((self.number, reason.code())),
            _ => {}
        }
        Ok(())
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn a_thousand_connections_are_opened_from_one_thread_and_a_refusal_is_reported() {
    let (running, address) = serve(Config::default(), 2, echo);
    let closed_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ends = Arc::new(Mutex::new(Vec::new()));
    let client = || -> Box<dyn Protocol> {
        Box::new(EchoClient { received: 0, ends: Arc::clone(&ends), number: u32::MAX })
    };
    let targets = (0..1000).map(|_| address).chain([closed_port]);
    let connections = targets.map(|target| (Target::Ip(target), client()));
    let stats = run_client(Config::default(), connections).unwrap();
    assert_eq!((stats.connected, stats.closed_for("finished")), (1000, 1000));
    assert_eq!(stats.closed_for("connect_failed"), 1);
    let mut ends = ends.lock().unwrap().clone();
    ends.sort_unstable();
    let expected: Vec<_> = (0..1000)
        .map(|number| (number, "finished"))
        .chain([(u32::MAX, "connect_failed")])
        .collect();
    assert_eq!(ends, expected);
    running.handle().drain();
    assert_eq!(running.join().unwrap().accepted, 1000);
}

/// An echo that counts as idle since its last input.
struct Idle {
    since: Option<Time>,
}

impl Protocol for Idle {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.since = Some(turn.now());
        turn.out.write(input);
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Eof { .. } | Event::Drain { .. } = event {
            turn.end(End::Close);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }

    fn idle_since(&self) -> Option<Time> {
        self.since
    }
}

#[test]
fn at_the_connection_limit_idle_connections_of_any_worker_close_for_new_ones() {
    let config = Config { max_connections: 3, ..Config::default() };
    let (running, address) = serve(config, 2, |_: &Peer| Idle { since: None });
    let client = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"Hello").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        stream
    };
    let idle: Vec<_> = (0..3).map(|_| client()).collect();
    let new: Vec<_> = (0..3).map(|_| client()).collect();
    for mut stream in idle {
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "closed, not reset");
    }
    drop(new);
    running.handle().drain();
    let stats = running.join().unwrap();
    assert_eq!((stats.accepted, stats.closed_for("made_room")), (6, 3));
}

#[test]
fn turn_until_without_events_ends_at_the_given_time() {
    let driver = Epoll::new().unwrap();
    let mailbox = Arc::new(Mailbox::new(driver.waker()));
    let mut worker = Worker::new(WorkerParts {
        driver,
        listeners: Vec::new(),
        service: Box::new(echo),
        config: Arc::new(Config::default()),
        counts: Arc::new(ConnectionCounts::default()),
        mailbox,
        spawn: Arc::new(Pool::new(NonZeroUsize::MIN)),
        handover: None,
        tls: [].into(),
    })
    .unwrap();
    let until = worker.driver().now() + Duration::from_millis(5);
    while worker.driver().now() < until {
        worker.turn_until(until).unwrap();
    }
}

/// Two workers that hand accepted connections to each other, in turn. The first one listens, and
/// hands its first connection to the second one.
fn two_workers() -> ([Worker<Epoll>; 2], SocketAddr, Arc<ConnectionCounts>) {
    let any_port = [ListenAddr::Host("127.0.0.1".into(), 0)];
    let bound = bind_all(&any_port, NonZeroUsize::MIN).unwrap().remove(0);
    let Bound::Ip(address) = bound.bound else { panic!("not a TCP address") };
    let drivers = [Epoll::new().unwrap(), Epoll::new().unwrap()];
    let inboxes: Arc<[_]> = drivers.iter().map(|driver| Inbox::new(driver.waker())).collect();
    let counts = Arc::new(ConnectionCounts::default());
    let listeners = bound.listeners.into_iter().map(|listener| (0, listener)).collect();
    let mut drivers = drivers.into_iter();
    let workers = [(0, listeners), (1, Vec::new())].map(|(own, listeners)| {
        let driver = drivers.next().unwrap();
        let mailbox = Arc::new(Mailbox::new(driver.waker()));
        Worker::new(WorkerParts {
            driver,
            listeners,
            service: Box::new(echo),
            config: Arc::new(Config::default()),
            counts: Arc::clone(&counts),
            mailbox,
            spawn: Arc::new(Pool::new(NonZeroUsize::MIN)),
            handover: Some(Handover { inboxes: Arc::clone(&inboxes), own, next: 1 }),
            tls: [].into(),
        })
        .unwrap()
    });
    (workers, address, counts)
}

/// A worker that drains may end before it opens a connection that it is handed, so the worker that
/// accepted the connection must keep it.
#[test]
fn a_worker_that_has_drained_is_handed_no_connection() {
    let ([mut first, mut second], address, _) = two_workers();
    // Connections go to the workers in turn: this one to the second worker, the next to the first.
    let _early = TcpStream::connect(address).unwrap();
    first.turn().unwrap();
    second.drain();
    assert_eq!((first.stats().accepted, second.stats().accepted), (0, 1));
    // The first worker keeps both of these, because the second one drains.
    let late = [(); 2].map(|()| TcpStream::connect(address).unwrap());
    first.drain();
    assert_eq!(first.stats().accepted, 2);
    late.iter().for_each(|late| late.shutdown(Shutdown::Write).unwrap());
    while !first.is_done() {
        first.turn().unwrap();
    }
    for mut late in late {
        assert_eq!(late.read(&mut [0]).unwrap(), 0, "closed, not reset");
    }
}

/// A worker that was stopped has ended: it counts what it was handed, and is handed nothing more.
#[test]
fn a_worker_that_was_stopped_is_handed_no_connection() {
    let ([mut first, mut second], address, counts) = two_workers();
    let _early = TcpStream::connect(address).unwrap();
    first.turn().unwrap();
    assert_eq!(counts.total(), 1);
    second.stop();
    assert!(second.is_done());
    assert_eq!((second.stats().accepted, second.stats().cut, counts.total()), (1, 1, 0));
    let _late = [(); 2].map(|()| TcpStream::connect(address).unwrap());
    while first.stats().accepted < 2 {
        first.turn().unwrap();
    }
    first.stop();
    assert_eq!((first.stats().cut, counts.total()), (2, 0));
}
