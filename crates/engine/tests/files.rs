//! Files on real sockets and threads: a file whose reads hang blocks only its own connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use sockeye_engine::driver::Bound;
use sockeye_engine::{Config, ListenAddr, Running, Server};
use sockeye_proto::{
    Access, CancelToken, Consumed, Event, Fault, FileRange, FileSource, Peer, Protocol, Time, Turn,
    Validity,
};

const LEN: u64 = 300_000;

/// A file whose reads hang: each sends to `read_began`, and then waits for `resumed`. The byte at
/// an offset is the offset's lowest byte.
#[derive(Debug)]
struct HangingFile {
    read_began: Sender<()>,
    resumed: Mutex<Receiver<()>>,
}

impl FileSource for HangingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let _ = self.read_began.send(());
        let _ = self.resumed.lock().unwrap().recv();
        let count = buffer.len().min((LEN - offset) as usize);
        (offset..).zip(&mut buffer[..count]).for_each(|(at, to)| *to = at as u8);
        Ok(count)
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn access(&self) -> Access {
        Access::Thread
    }
}

/// Answers each byte: `f` with the file, all others with `.`.
struct Files(Arc<dyn FileSource>);

impl Protocol for Files {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        for byte in input {
            match byte {
                b'f' => {
                    let source = Arc::clone(&self.0);
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

/// A server of a [`HangingFile`].
struct TestServer {
    running: Running,
    address: SocketAddr,
    /// Receives when a read has begun.
    reads: Receiver<()>,
    /// Lets one read continue; dropped, all reads.
    resume: Sender<()>,
}

fn start() -> TestServer {
    let ((read_began, reads), (resume, resumed)) = (channel(), channel());
    let (running, address) =
        serve(Arc::new(HangingFile { read_began, resumed: Mutex::new(resumed) }));
    TestServer { running, address, reads, resume }
}

fn serve(file: Arc<dyn FileSource>) -> (Running, SocketAddr) {
    let any_port = [ListenAddr::Host("127.0.0.1".into(), 0)];
    let server = Server::bind(&any_port, NonZeroUsize::MIN, Config::default()).unwrap();
    let Bound::Ip(address) = server.addresses()[0] else { panic!("not a TCP address") };
    let open = move |_: &Peer| Box::new(Files(Arc::clone(&file))) as Box<dyn Protocol>;
    (server.start(move |_| open.clone()).unwrap(), address)
}

#[test]
fn a_file_that_hangs_delays_no_other_connection_and_is_complete_in_the_end() {
    let TestServer { running, address, reads, resume } = start();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"1f2").unwrap();
    reads.recv().unwrap();
    let mut other = TcpStream::connect(address).unwrap();
    other.write_all(b"x").unwrap();
    other.read_exact(&mut [0]).unwrap();
    drop(resume); // All reads continue.
    let mut got = vec![0; LEN as usize + 2];
    client.read_exact(&mut got).unwrap();
    assert!((0..).zip(&got[1..got.len() - 1]).all(|(at, got): (u64, _)| *got == at as u8));
    assert_eq!((got[0], got[got.len() - 1]), (b'.', b'.'));
    running.handle().stop();
    running.join().unwrap();
}

#[test]
fn a_server_ends_while_a_file_hangs() {
    let TestServer { running, address, reads, resume } = start();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"f").unwrap();
    reads.recv().unwrap();
    running.handle().stop();
    let stats = running.join().unwrap();
    assert_eq!((stats.cut, stats.jobs.run), (1, 1));
    assert!(resume.send(()).is_ok(), "the read still hangs");
}

/// Only reading it shows whether it has changed.
#[derive(Debug)]
struct Uncertain {
    is_same: bool,
    /// The threads that checked and verified it.
    checked: Mutex<Vec<ThreadId>>,
    verified: Mutex<Vec<ThreadId>>,
}

impl FileSource for Uncertain {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min((LEN - offset) as usize);
        (offset..).zip(&mut buffer[..count]).for_each(|(at, to)| *to = at as u8);
        Ok(count)
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn check(&self) -> Validity {
        self.checked.lock().unwrap().push(thread::current().id());
        Validity::Unknown
    }
    fn verify(&self, _: &CancelToken) -> bool {
        self.verified.lock().unwrap().push(thread::current().id());
        self.is_same
    }
}

#[test]
fn a_file_is_verified_by_a_thread_before_it_is_completed() {
    for is_same in [true, false] {
        let (checked, verified) = Default::default();
        let file = Arc::new(Uncertain { is_same, checked, verified });
        let (running, address) = serve(Arc::clone(&file) as _);
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"1f2").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut got = Vec::new();
        if is_same {
            got.resize(LEN as usize + 2, 0);
            client.read_exact(&mut got).unwrap();
            assert!((0..).zip(&got[1..got.len() - 1]).all(|(at, got): (u64, _)| *got == at as u8));
            assert_eq!((got[0], got[got.len() - 1]), (b'.', b'.'));
        } else {
            let _ = client.read_to_end(&mut got);
            assert!((got.len() as u64) < LEN + 1, "the file is not completed");
        }
        running.handle().stop();
        let stats = running.join().unwrap();
        assert_eq!(stats.closed_for("file_changed"), u64::from(!is_same));
        let (checked, verified) = (file.checked.lock().unwrap(), file.verified.lock().unwrap());
        assert!(!verified.is_empty() && verified.iter().all(|thread| !checked.contains(thread)));
    }
}
