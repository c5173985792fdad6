//! Destructors of user code that panic: each ends one connection at most, and no event loop.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::mpsc;

use sockeye_engine::driver::Bound;
use sockeye_engine::{Config, ListenAddr, Running, Server, Service};
use sockeye_proto::echo::Echo;
use sockeye_proto::{Consumed, End, Event, Fault, Peer, Promise, Protocol, Time, Turn};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose, in a destructor");
    }
}

/// An echo that holds a [`Bomb`].
struct EchoWithBomb(Echo, Bomb);

impl EchoWithBomb {
    fn boxed() -> Box<Self> {
        Box::new(Self(Echo::default(), Bomb))
    }
}

impl Protocol for EchoWithBomb {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.0.on_bytes(input, turn)
    }
    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.0.on_event(event, turn)
    }
    fn deadline(&self) -> Option<Time> {
        self.0.deadline()
    }
}

/// The first byte says what panics.
struct Chosen {
    bomb: Option<Bomb>,
    /// Gets a promise of each connection.
    promises: mpsc::Sender<Promise>,
}

impl Protocol for Chosen {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        match input[0] {
            // The destructor of this protocol, when the connection closes.
            b'c' => {
                self.bomb = Some(Bomb);
                turn.end(End::Finish);
            }
            // The destructor of this protocol, when another one replaces it.
            b'r' => {
                self.bomb = Some(Bomb);
                turn.switch_to(Box::new(Echo::default()));
            }
            // This call, and then the destructors of this protocol and of the next one.
            b'2' => {
                self.bomb = Some(Bomb);
                turn.switch_to(EchoWithBomb::boxed());
                panic!("on purpose, in a call");
            }
            // A message that arrives while the connection lingers, and the next one, which arrives
            // after its end.
            b'm' => {
                for _ in 0..2 {
                    let _ = self.promises.send(turn.promise());
                }
                turn.end(End::Linger);
            }
            _ => turn.out.write(input),
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

struct ServiceWithBomb(mpsc::Sender<Promise>, Bomb);

impl Service for ServiceWithBomb {
    fn open(&mut self, _: &Peer) -> Box<dyn Protocol> {
        Box::new(Chosen { bomb: None, promises: self.0.clone() })
    }
}

fn start() -> (Running, SocketAddr, mpsc::Receiver<Promise>) {
    let any_port = [ListenAddr::Host("127.0.0.1".into(), 0)];
    let server = Server::bind(&any_port, NonZeroUsize::MIN, Config::default()).unwrap();
    let Bound::Ip(address) = server.addresses()[0] else { panic!("not a TCP address") };
    let (send, promises) = mpsc::channel();
    let running = server.start(move |_| ServiceWithBomb(send.clone(), Bomb)).unwrap();
    (running, address, promises)
}

#[test]
fn a_destructor_that_panics_ends_only_its_connection() {
    let (running, address, promises) = start();
    let mut other = TcpStream::connect(address).unwrap();
    for what in *b"cr2m" {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&[what]).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0, "{} closes", what as char);
        if what == b'm' {
            // The connection lingers: the server has closed only its side.
            promises.recv().unwrap().fulfill(Box::new(Bomb));
        }
        drop(stream);
        other.write_all(b"still here").unwrap();
        let mut back = [0; 10];
        other.read_exact(&mut back).expect("the event loop runs");
        assert_eq!(&back, b"still here");
    }
    drop(other);
    running.handle().drain();
    // The destructor of the service panics, too.
    let stats = running.join().expect("no worker panicked");
    assert_eq!((stats.closed_for("panicked"), stats.accepted), (2, 5));
    // The last owner of the mailbox drops it, with its message.
    let last = promises.recv().unwrap();
    assert!(promises.try_recv().is_err());
    last.fulfill(Box::new(Bomb));
}

#[test]
fn a_message_with_a_destructor_that_panics_arrives_after_the_end_of_its_connection() {
    let (running, address, promises) = start();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"m").unwrap();
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    drop(stream);
    let mut other = TcpStream::connect(address).unwrap();
    let mut back = [0; 1];
    // The end of the first connection comes before what the second one sends.
    other.write_all(b"a").unwrap();
    other.read_exact(&mut back).unwrap();
    for promise in promises.iter().take(2) {
        promise.fulfill(Box::new(Bomb));
    }
    other.write_all(b"b").unwrap();
    other.read_exact(&mut back).expect("the event loop runs");
    assert_eq!(&back, b"b");
    drop(other);
    running.handle().drain();
    running.join().expect("no worker panicked");
}
