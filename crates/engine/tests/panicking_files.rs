//! Panics in the methods of a file's source, on real sockets and threads.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::driver::Bound;
use sockeye_engine::{Config, ListenAddr, Running, Server, Stats};
use sockeye_proto::{
    Access, CancelToken, Consumed, Event, Fault, FileRange, FileSource, JobGroup, Peer, Protocol,
    Time, Turn, Validity,
};

const LEN: u64 = 300_000;

/// A file of zeros, of which one method panics.
#[derive(Debug)]
struct Panicking {
    method: &'static str,
    access: Access,
    file: Option<std::fs::File>,
}

impl Panicking {
    fn call(&self, method: &str) {
        assert_ne!(method, self.method, "on purpose");
    }
}

impl FileSource for Panicking {
    fn read_at(&self, _: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.call("read_at");
        buffer.fill(0);
        Ok(buffer.len())
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.call("descriptor");
        self.file.as_ref().map(AsFd::as_fd)
    }
    fn check(&self) -> Validity {
        self.call("check");
        match self.method {
            "verify" => Validity::Unknown,
            _ => Validity::Valid,
        }
    }
    fn verify(&self, _: &CancelToken) -> bool {
        self.call("verify");
        true
    }
    fn access(&self) -> Access {
        self.call("access");
        self.access
    }
    fn job_group(&self) -> JobGroup {
        self.call("job_group");
        JobGroup::default()
    }
    fn is_timed(&self) -> bool {
        self.call("is_timed");
        true
    }
    fn record_send(&self, _: Duration) {
        self.call("record_send");
    }
}

/// Answers `f` with the file, and all other bytes with `.`.
struct Files(Arc<Panicking>);

impl Protocol for Files {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        if input == b"f" {
            let source: Arc<dyn FileSource> = self.0.clone();
            turn.out.write_file(FileRange { source, offset: 0, len: LEN });
        } else {
            turn.out.write(b".");
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

fn serve(file: Panicking) -> (Running, SocketAddr) {
    let any_port = [ListenAddr::Host("127.0.0.1".into(), 0)];
    let server = Server::bind(&any_port, NonZeroUsize::MIN, Config::default()).unwrap();
    let Bound::Ip(address) = server.addresses()[0] else { panic!("not a TCP address") };
    let file = Arc::new(file);
    let open = move |_: &Peer| Box::new(Files(Arc::clone(&file))) as Box<dyn Protocol>;
    (server.start(move |_| open.clone()).unwrap(), address)
}

/// Receives `file`, and then an answer on another connection. Returns how many bytes of the file
/// arrived, and the counters.
fn receive(file: Panicking) -> (u64, Stats) {
    let (running, address) = serve(file);
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"f").unwrap();
    let mut received = 0;
    while received < LEN {
        match client.read(&mut [0; 64 * 1024]) {
            Ok(0) | Err(_) => break,
            Ok(count) => received += count as u64,
        }
    }
    let mut other = TcpStream::connect(address).unwrap();
    other.write_all(b"x").unwrap();
    other.read_exact(&mut [0]).expect("the server runs");
    running.handle().stop();
    (received, running.join().expect("no worker has panicked"))
}

#[test]
fn a_panic_in_the_source_of_a_file_ends_one_connection_at_most() {
    use Access::{Direct, Probe, Thread};
    for (method, accesses, is_complete) in [
        ("read_at", &[Direct, Thread][..], false),
        // After a panic on the event loop, a thread reads and verifies the file.
        ("access", &[Direct], true),
        ("check", &[Direct], true),
        ("is_timed", &[Direct], true),
        ("record_send", &[Direct], true),
        ("job_group", &[Thread], true),
        ("descriptor", &[Probe], true),
        ("verify", &[Direct], false),
    ] {
        for access in accesses {
            let (received, stats) = receive(Panicking { method, access: *access, file: None });
            assert_eq!(received == LEN, is_complete, "{method} {access:?}: {received}");
            let panicked = stats.closed_for("panicked");
            assert_eq!(panicked, u64::from(!is_complete), "{method} {access:?}: {stats:?}");
        }
    }
}

#[test]
fn a_panic_is_no_reason_not_to_send_a_file_that_has_a_descriptor() {
    let zeros = std::env::temp_dir().join(format!("sockeye-zeros-{}", std::process::id()));
    std::fs::write(&zeros, vec![0; LEN as usize]).unwrap();
    for (method, access) in [
        ("descriptor", Access::Direct),
        ("is_timed", Access::Direct),
        ("record_send", Access::Direct),
        ("record_send", Access::Probe),
    ] {
        let file = Some(std::fs::File::open(&zeros).unwrap());
        let (received, stats) = receive(Panicking { method, access, file });
        assert_eq!((received, stats.closed_for("panicked")), (LEN, 0), "{method} {access:?}");
    }
    std::fs::remove_file(zeros).unwrap();
}
