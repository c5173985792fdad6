//! System calls that send each kind of response, with a real socket and a real folder. The worker
//! runs on the test's thread.
//!
//! A head is sent with the content, and all that was written in one turn is sent at once. The
//! driver uses a flag of the call for that, and no socket options.

mod stepped;

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use sockeye::engine::Worker;
use sockeye::engine::driver::{Driver, Epoll};
use sockeye::files::{CacheLimits, Folder, Options};
use sockeye::http::{Body, HttpService, Reply, Request, Response};
use sockeye::{Consumed, Event, Fault, Peer, Protocol, Service, Time, Turn, http_core};

/// A temporary folder, which is removed when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self::within(&std::env::temp_dir(), name)
    }

    fn within(folder: &Path, name: &str) -> Self {
        let path = folder.join(format!("sockeye-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("list")).unwrap();
        for (name, size) in [
            ("small.txt", 13),
            ("list/a.txt", 1),
            ("16k.bin", 16 << 10),
            ("100k.bin", 100 << 10),
            ("128k.bin", 128 << 10),
        ] {
            std::fs::write(path.join(name), vec![b'.'; size]).unwrap();
        }
        Self(path)
    }

    fn service(&self) -> impl Service + use<> {
        let options = Options { listing: true, ..Options::default() };
        let site =
            Folder::open(&self.0).unwrap().with_options(options).site(CacheLimits::default());
        let shared = Rc::new(http_core::ServerConfig::default());
        move |_: &Peer| -> Box<dyn Protocol> {
            Box::new(http_core::Server::new(Rc::clone(&shared), site.clone()))
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Fixture {
    worker: Worker<Epoll>,
    address: SocketAddr,
    client: TcpStream,
}

/// Numbers of system calls: for receiving, for sending from memory, for sending files, and for
/// probing whether sending a file would block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Calls {
    receive: u64,
    send: u64,
    sendfile: u64,
    probe: u64,
}

/// How files of a file system are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// With sendfile: the file system is in memory, or a fast overlay.
    Direct,
    /// With a probe before each sendfile: the file system is on a disk.
    Probe,
    /// From memory, after a thread has read it: any other file system.
    Thread,
}

impl Access {
    /// The access to files in `folder`, by the type of its file system in the kernel's list of
    /// mounts. The folder must exist.
    fn of(folder: &Path) -> Self {
        let folder = folder.canonicalize().unwrap();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let mounts = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((Path::new(fields.next()?), fields.next()?))
        });
        // The last mount at a path hides the others.
        let covering = mounts.filter(|(at, _)| folder.starts_with(at));
        match covering.max_by_key(|(at, _)| at.components().count()).unwrap().1 {
            "tmpfs" | "ramfs" | "overlay" => Self::Direct,
            "ext4" | "xfs" | "btrfs" => Self::Probe,
            _ => Self::Thread,
        }
    }

    /// The calls of one receive, `send` sends from memory, and `files` parts of files, each of at
    /// most 128 KiB.
    fn calls(self, send: u64, files: u64) -> Calls {
        let receive = 1;
        match self {
            Self::Direct => Calls { receive, send, sendfile: files, probe: 0 },
            Self::Probe => Calls { receive, send, sendfile: files, probe: files },
            // Bytes that a thread has read are sent together with the memory after them.
            Self::Thread if files > 0 => Calls { receive, send: 1 + files, sendfile: 0, probe: 0 },
            Self::Thread => Calls { receive, send, sendfile: 0, probe: 0 },
        }
    }
}

impl Fixture {
    fn new(service: impl Service + 'static) -> Self {
        let (worker, address) = stepped::worker(service, None);
        let client = connect(address);
        Self { worker, address, client }
    }

    /// Makes turns until `client` has received `len` bytes, or, with `None`, all bytes. Returns
    /// their number.
    fn receive(&mut self, client: &mut TcpStream, len: Option<usize>) -> usize {
        let mut buffer = vec![0; 256 << 10];
        let mut received = 0;
        while len.is_none_or(|len| received < len) {
            match client.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => received += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // The bytes may not have arrived yet, though the worker is idle.
                    let until = self.worker.driver().now() + Duration::from_millis(10);
                    self.worker.turn_until(until).unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
        received
    }

    /// The length of the responses to `requests`, each on a connection that closes after it.
    fn length(&mut self, requests: &[String]) -> usize {
        const ANNOUNCED: usize = "Connection: close\r\n".len();
        let one = |request: &String| {
            let mut client = connect(self.address);
            let last = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
            client.write_all(last.as_bytes()).unwrap();
            self.receive(&mut client, None) - ANNOUNCED
        };
        requests.iter().map(one).sum()
    }

    /// The calls for `requests`, sent at once, with warm caches. It is the best of some attempts,
    /// because a file is looked up once per second.
    fn calls(&mut self, requests: &[String]) -> Calls {
        let length = self.length(requests);
        let attempt = |_| {
            let before = self.worker.driver().calls();
            let mut client = self.client.try_clone().unwrap();
            client.write_all(requests.concat().as_bytes()).unwrap();
            assert_eq!(self.receive(&mut client, Some(length)), length);
            let after = self.worker.driver().calls();
            Calls {
                receive: after.receive - before.receive,
                send: after.send - before.send,
                sendfile: after.sendfile - before.sendfile,
                probe: after.probe - before.probe,
            }
        };
        // The first attempt accepts the connection.
        (0..6).map(attempt).skip(1).min().unwrap()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_nonblocking(true).unwrap();
    client.set_nodelay(true).unwrap();
    client
}

fn request(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

#[test]
fn each_kind_of_response_from_a_folder_is_sent_with_its_head() {
    let folders = [std::env::temp_dir(), "/dev/shm".into()];
    for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
        sends_each_kind_with_its_head(&folder);
    }
}

fn sends_each_kind_with_its_head(folder: &Path) {
    let access = Access::of(folder);
    let scratch = Scratch::within(folder, "sends");
    let mut fixture = Fixture::new(scratch.service());
    for (line, fields, send, sendfile) in [
        ("GET /small.txt", "", 1, 0),
        ("HEAD /small.txt", "", 1, 0),
        ("GET /small.txt", "If-None-Match: *\r\n", 1, 0),
        ("GET /small.txt", "Range: bytes=99-\r\n", 1, 0),
        ("GET /16k.bin", "", 1, 0),
        ("GET /16k.bin", "Range: bytes=5-9\r\n", 1, 0),
        ("GET /16k.bin", "Range: bytes=0-9,9000-9009\r\n", 1, 0),
        ("GET /100k.bin", "", 1, 1),
        // With the head, this is a little more than the 128 KiB of one turn.
        ("GET /128k.bin", "", 1, 1),
        ("GET /100k.bin", "Range: bytes=5-9\r\n", 1, 1),
        ("GET /nothing", "", 1, 0),
        ("GET /list/", "", 1, 0),
        ("GET /list/?format=json", "", 1, 0),
    ] {
        let calls = fixture.calls(&[request(line, fields)]);
        assert_eq!(calls, access.calls(send, sendfile), "{line} {fields} {access:?}");
    }
    // Several short ranges are read, and sent with the heads of their parts at once.
    let calls = fixture.calls(&[request("GET /100k.bin", "Range: bytes=0-9,9000-9009\r\n")]);
    let separate = access.calls(3, 2);
    let together = Calls { send: 1, sendfile: 0, ..separate };
    assert_eq!(calls, if access == Access::Thread { separate } else { together }, "{access:?}");
}

#[test]
fn pipelined_responses_are_sent_together_except_files_between_them() {
    let access = Access::of(&std::env::temp_dir());
    let scratch = Scratch::new("pipelined");
    let mut fixture = Fixture::new(scratch.service());
    let (small, large) = (request("GET /small.txt", ""), request("GET /100k.bin", ""));
    for (requests, send, sendfile) in [
        ([&small, &small, &small], 1, 0),
        ([&small, &small, &large], 1, 1),
        ([&small, &large, &small], 2, 1),
    ] {
        let calls = fixture.calls(&requests.map(String::clone));
        assert_eq!(calls, access.calls(send, sendfile));
    }
}

#[test]
fn all_pieces_written_in_one_turn_are_sent_at_once() {
    const PIECE: &[u8] = b"twenty bytes of text";
    let pieces = |request: Request<Body>| -> Reply {
        let count = request.uri().path().trim_start_matches('/').parse().unwrap();
        Reply::pieces(Response::new(()), vec![PIECE; count])
    };
    let http = HttpService::new(pieces);
    let shared = Rc::new(http_core::ServerConfig::default());
    let mut fixture = Fixture::new(move |_: &Peer| -> Box<dyn Protocol> {
        Box::new(http_core::Server::new(Rc::clone(&shared), http.handlers()))
    });
    for count in [0, 1, 100, 1000] {
        let calls = fixture.calls(&[request(&format!("GET /{count}"), "")]);
        assert_eq!(calls, Access::Direct.calls(1, 0), "{count} pieces");
    }
}

/// Writes this many bytes for each input, and notes when it reads and when all is sent.
struct Noting {
    len: usize,
    notes: Rc<RefCell<Vec<&'static str>>>,
}

impl Protocol for Noting {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.notes.borrow_mut().push("read");
        turn.out.write(&vec![7; self.len]);
        turn.mark();
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        if matches!(event, Event::Sent(_)) {
            self.notes.borrow_mut().push("sent");
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn a_large_output_is_sent_before_the_next_connection_is_read() {
    for (len, expected) in
        [(1_000, ["read", "read", "sent", "sent"]), (20_000, ["read", "sent", "read", "sent"])]
    {
        let notes = Rc::<RefCell<Vec<_>>>::default();
        let noting = Rc::clone(&notes);
        let mut fixture = Fixture::new(move |_: &Peer| -> Box<dyn Protocol> {
            Box::new(Noting { len, notes: Rc::clone(&noting) })
        });
        let mut clients = [(); 2].map(|()| connect(fixture.address));
        // The inputs of both are read in one turn, unless one of them arrives late.
        let seen = (0..10).map(|_| {
            for client in &mut clients {
                client.write_all(b"x").unwrap();
            }
            for client in &mut clients {
                fixture.receive(client, Some(len));
            }
            notes.take()
        });
        let seen: Vec<_> = seen.collect();
        assert!(seen.contains(&expected.to_vec()), "{len} bytes: {seen:?}");
        let early = seen.iter().filter(|notes| notes[..2] == ["read", "sent"]).count();
        assert_eq!(early == seen.len(), len > 16 * 1024, "{len} bytes: {seen:?}");
    }
}

#[test]
fn idle_connections_add_no_system_call_to_a_request() {
    let scratch = Scratch::new("beside");
    let mut fixture = Fixture::new(scratch.service());
    let small = [request("GET /small.txt", "")];
    let length = fixture.length(&small);
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut client = connect(fixture.address);
        client.write_all(small[0].as_bytes()).unwrap();
        assert_eq!(fixture.receive(&mut client, Some(length)), length);
        idle.push(client);
    }
    assert_eq!(fixture.calls(&small), Access::Direct.calls(1, 0));
    assert!(fixture.worker.connections() > idle.len());
}

#[test]
fn short_connections_are_never_registered() {
    let scratch = Scratch::new("first-turn");
    let mut fixture = Fixture::new(scratch.service());
    let last = request("GET /small.txt", "Connection: close\r\n");
    let mut three_requests = || {
        let before = fixture.worker.driver().calls();
        let mut clients = [(); 3].map(|()| connect(fixture.address));
        clients.iter_mut().for_each(|client| client.write_all(last.as_bytes()).unwrap());
        for client in &mut clients {
            assert!(fixture.receive(client, None) > 0);
        }
        let after = fixture.worker.driver().calls();
        let watched = after.watch - before.watch;
        (watched, after.receive - before.receive, after.send - before.send)
    };
    // The first waits until the file is looked up, and so does one per second.
    let results: Vec<_> = (0..6).map(|_| three_requests()).collect();
    assert!(results.contains(&(0, 3, 3)), "{results:?}");
    assert!(results[0].0 > 0, "{results:?}");
}
