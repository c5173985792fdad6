//! Files on real sockets and threads: a read that hangs delays no other connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use sockeye_engine::driver::Bound;
use sockeye_engine::{Config, ListenAddr, Running, Server};
use sockeye_proto::{
    Access, Consumed, Event, Fault, FileRange, FileSource, Peer, Protocol, Time, Turn,
};

const LEN: u64 = 300_000;

/// A file whose reads send a message when they start, and then block until they are released.
#[derive(Debug)]
struct BlockingFile {
    starts: Sender<()>,
    release: Mutex<Receiver<()>>,
}

impl FileSource for BlockingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let _ = self.starts.send(());
        let _ = self.release.lock().unwrap().recv();
        let count = buffer.len().min((LEN - offset) as usize);
        (offset..).zip(&mut buffer[..count]).for_each(|(at, to)| *to = at as u8);
        Ok(count)
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn is_unchanged(&self) -> bool {
        true
    }
    fn access(&self) -> Access {
        Access::Thread
    }
}

/// Answers `f` with the file and everything else with `.`.
struct Files(Arc<BlockingFile>);

impl Protocol for Files {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        for byte in input {
            match byte {
                b'f' => {
                    let source = Arc::clone(&self.0) as _;
                    turn.out.write_file(FileRange { source, offset: 0, len: LEN });
                }
                _ => turn.out.write(b"."),
            }
        }
        Ok(Consumed::more(input.len()))
    }
    fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        Ok(())
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
}

struct Fixture {
    running: Running,
    address: SocketAddr,
    started: Receiver<()>,
    releaser: Sender<()>,
}

fn fixture() -> Fixture {
    let ((starts, started), (releaser, release)) = (channel(), channel());
    let file = Arc::new(BlockingFile { starts, release: Mutex::new(release) });
    let any_port = [ListenAddr::Host("127.0.0.1".into(), 0)];
    let server = Server::bind(&any_port, NonZeroUsize::MIN, Config::default()).unwrap();
    let Bound::Ip(address) = server.addresses()[0] else { panic!("the address is not TCP") };
    let open = move |_: &Peer| Box::new(Files(Arc::clone(&file))) as Box<dyn Protocol>;
    Fixture { running: server.start(move |_| open.clone()).unwrap(), address, started, releaser }
}

#[test]
fn a_read_that_hangs_delays_no_other_connection_and_completes_later() {
    let Fixture { running, address, started, releaser } = fixture();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"1f2").unwrap();
    started.recv().unwrap();
    let mut other = TcpStream::connect(address).unwrap();
    other.write_all(b"x").unwrap();
    other.read_exact(&mut [0]).unwrap();
    // Release all reads.
    drop(releaser);
    let mut got = vec![0; LEN as usize + 2];
    client.read_exact(&mut got).unwrap();
    assert!((0..).zip(&got[1..got.len() - 1]).all(|(at, got): (u64, _)| *got == at as u8));
    assert_eq!((got[0], got[got.len() - 1]), (b'.', b'.'));
    running.handle().stop();
    running.join().unwrap();
}

#[test]
fn a_server_stops_while_a_read_hangs() {
    let Fixture { running, address, started, releaser } = fixture();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"f").unwrap();
    started.recv().unwrap();
    running.handle().stop();
    let stats = running.join().unwrap();
    assert_eq!((stats.cut, stats.jobs.run), (1, 1));
    assert!(releaser.send(()).is_ok(), "the read still hangs");
}
