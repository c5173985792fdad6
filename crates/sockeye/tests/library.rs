//! The library's public API is enough for a program: these tests use no other Sockeye crate.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use sockeye::http::{self, Body, Options, Reply, Request};
use sockeye::{
    Config, Consumed, End, Event, Fault, Linger, ListenAddr, Peer, Protocol, SendError, Serving,
    Ticket, Time, Turn, files, message,
};

/// Timeout of each wait of a test: far longer than any should take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An address with a free port.
fn any_port() -> ListenAddr {
    SocketAddr::from(([127, 0, 0, 1], 0)).into()
}

#[test]
fn options_are_built_by_struct_update() {
    let minute = Duration::from_secs(60);
    let config = Config {
        max_connections: 100,
        linger: Linger { quiet: minute, ..Linger::default() },
        ..Config::default()
    };
    let limits = http::Limits { idle_timeout: minute, ..http::Limits::default() };
    let options = Options { workers: NonZeroUsize::MIN, limits, config, ..Options::default() };
    let serving =
        http::serve(&[any_port()], options, |_: Request<Body>| "Hello").expect("a free port");
    assert!(serving.ip_addresses().next().is_some());

    let limits = message::Limits { idle_timeout: minute, ..message::Limits::default() };
    assert_eq!(limits.idle_timeout, minute);
    let options = files::Options { spa: true, ..files::Options::default() };
    assert!(options.spa && options.clean_urls);
    let limits = files::BudgetLimits { open_files: 7, ..files::BudgetLimits::default() };
    assert_eq!(limits.open_files, 7);
    let limits = files::CacheLimits { entries: 7, ..files::CacheLimits::default() };
    assert_eq!(limits.entries, 7);
}

/// Responds when `jobs` jobs run at the same time.
fn meet(jobs: usize, running: &(Mutex<usize>, Condvar)) -> String {
    let (count, changed) = running;
    let mut count = count.lock().unwrap();
    *count += 1;
    changed.notify_all();
    let (count, _) = changed.wait_timeout_while(count, TIMEOUT / 3, |count| *count < jobs).unwrap();
    format!("{count} ran at the same time")
}

#[test]
fn as_many_jobs_run_at_a_time_as_configured() {
    const JOBS: usize = 10;
    let config = Config { job_threads: NonZeroUsize::new(JOBS), ..Config::default() };
    let options = Options { workers: NonZeroUsize::MIN, config, ..Options::default() };
    let running = Arc::new((Mutex::new(0), Condvar::new()));
    let serving = http::serve(&[any_port()], options, move |_| {
        let running = Arc::clone(&running);
        Reply::run(move || meet(JOBS, &running))
    });
    let serving = serving.expect("a free port");
    let address = serving.ip_addresses().next().expect("TCP");
    let mut clients: Vec<_> = (0..JOBS).map(|_| TcpStream::connect(address).unwrap()).collect();
    for client in &mut clients {
        client.set_read_timeout(Some(TIMEOUT)).unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        client.write_all(request).unwrap();
    }
    for client in &mut clients {
        let mut response = String::new();
        client.read_to_string(&mut response).unwrap();
        assert!(response.ends_with("\r\n\r\n10 ran at the same time"), "{response}");
    }
}

#[test]
fn a_main_that_returns_an_error_prints_a_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let serving = http::serve(&[address.into()], Options::default(), |_| "");
    let error: Box<dyn std::error::Error> = serving.unwrap_err().into();
    let sentence = format!("cannot listen on {address}: the address is in use");
    assert_eq!(format!("{error:?}"), sentence);
    let error: Box<dyn std::error::Error> = "nowhere".parse::<ListenAddr>().unwrap_err().into();
    assert!(format!("{error:?}").starts_with("invalid address 'nowhere': "), "{error:?}");
    let error: Box<dyn std::error::Error> = files::Folder::open("nowhere").unwrap_err().into();
    assert_eq!(format!("{error:?}"), "nowhere: no such file or folder");
    let folder = files::Folder::open("src").unwrap();
    let mounts = files::Mounts::new().at("/a", folder.clone()).unwrap().at("/a", folder);
    let error: Box<dyn std::error::Error> = mounts.unwrap_err().into();
    assert_eq!(format!("{error:?}"), "two folders can't both be served at \"/a\"");
}

/// Sends itself a message for each byte of input, with the sending method that may block.
struct SendsToItself;

impl Protocol for SendsToItself {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let remote = turn.remote();
        for byte in input {
            match remote.send(Box::new(*byte)) {
                Err(SendError::OnEventLoop(message)) => {
                    let byte = message.downcast::<u8>().expect("it comes back");
                    turn.out.write(&[*byte]);
                }
                other => turn.out.write(format!("{other:?}").as_bytes()),
            }
        }
        // On another thread it blocks, and everything arrives.
        let bytes = input.to_vec();
        turn.run(move || {
            bytes.into_iter().all(|byte| remote.send(Box::new(byte.to_ascii_uppercase())).is_ok())
        });
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Message(Ticket::REMOTE, Ok(message)) => {
                turn.out.write(&[*message.downcast::<u8>().expect("a byte")]);
            }
            Event::Message(_, all_sent) => {
                assert!(*all_sent.expect("kept").downcast::<bool>().expect("a bool"));
                turn.end(End::Finish);
            }
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn a_send_that_would_block_the_event_loop_fails_at_once() {
    let serving = Serving::start(&[any_port()], NonZeroUsize::MIN, Config::default(), |_, _| {
        |_: &Peer| Box::new(SendsToItself) as Box<dyn Protocol>
    });
    let serving = serving.expect("a free port");
    let mut peer = TcpStream::connect(serving.ip_addresses().next().expect("TCP")).unwrap();
    peer.set_read_timeout(Some(TIMEOUT)).unwrap();
    let sent = "abc".repeat(40);
    peer.write_all(sent.as_bytes()).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut received = String::new();
    peer.read_to_string(&mut received).unwrap();
    assert_eq!(received, format!("{sent}{}", sent.to_uppercase()));
    serving.handle().drain();
    let stats = serving.join().unwrap();
    assert_eq!((stats.accepted, stats.cut), (1, 0));
}

/// Wakes the thread in [`wait`], and counts wake-ups.
struct Unpark(Thread, AtomicUsize);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.unpark();
    }
}

/// A minimal executor: polls a future until it is ready. Returns the number of wake-ups.
fn wait(future: impl Future<Output = ()>) -> usize {
    let unpark = Arc::new(Unpark(thread::current(), AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&unpark));
    let (mut future, start) = (pin!(future), Instant::now());
    let mut polled = 0;
    while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        polled += 1;
        while unpark.1.load(Ordering::SeqCst) < polled {
            assert!(start.elapsed() < TIMEOUT, "the future was never woken");
            thread::park_timeout(TIMEOUT);
        }
    }
    unpark.1.load(Ordering::SeqCst)
}

/// Serves on two threads, and passes the `PendingReply` of each request to the test.
fn serve_until_answered() -> (Serving, mpsc::Receiver<http::PendingReply>, TcpStream) {
    let (to_test, pending_replies) = mpsc::channel();
    let linger = Linger { quiet: Duration::from_millis(20), ..Linger::default() };
    let config = Config { linger, ..Config::default() };
    let workers = NonZeroUsize::new(2).unwrap();
    let options = Options { workers, config, ..Options::default() };
    let serving = http::serve(&[any_port()], options, move |_: Request<Body>| {
        let to_test = to_test.clone();
        Reply::later(move |pending| to_test.send(pending).expect("the test waits for it"))
    });
    let serving = serving.expect("a free port");
    let mut client = TcpStream::connect(serving.ip_addresses().next().expect("TCP")).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    send_request(&mut client);
    (serving, pending_replies, client)
}

fn send_request(client: &mut TcpStream) {
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
}

/// The bytes until the server closes the connection.
fn rest(client: &mut TcpStream) -> String {
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    rest
}

#[test]
fn a_future_is_ready_when_the_last_worker_has_ended() {
    let (serving, pending_replies, mut client) = serve_until_answered();
    let pending = pending_replies.recv_timeout(TIMEOUT).unwrap();
    let (stopped, mut dropped_future) = (serving.stopped(), Box::pin(serving.stopped()));
    let mut nobody = Context::from_waker(Waker::noop());
    assert!(dropped_future.as_mut().poll(&mut nobody).is_pending());
    drop(dropped_future);
    serving.handle().drain();
    // A request is still in flight.
    assert!(Box::pin(serving.stopped()).as_mut().poll(&mut nobody).is_pending());
    let waiting = thread::spawn(move || wait(stopped));
    pending.send("now");
    assert!(rest(&mut client).ends_with("\r\n\r\nnow"));
    assert!(waiting.join().unwrap() <= 1);
    assert_eq!(wait(serving.stopped()), 0);
    assert_eq!(serving.join().unwrap().accepted, 1);
}

#[test]
fn a_service_that_is_dropped_completes_requests_in_flight_and_ends() {
    let (serving, pending_replies, mut client) = serve_until_answered();
    let pending = pending_replies.recv_timeout(TIMEOUT).unwrap();
    let stopped = serving.stopped();
    drop(serving);
    pending.send("still");
    assert!(rest(&mut client).ends_with("\r\n\r\nstill"));
    wait(stopped);
    // The last worker has dropped the service.
    assert!(pending_replies.recv().is_err());
}

#[test]
fn a_detached_service_runs_until_its_handle_stops_it() {
    let (serving, pending_replies, mut client) = serve_until_answered();
    let address = serving.ip_addresses().next().expect("TCP");
    let stopped = serving.stopped();
    let handle = serving.detach();
    let mut another = TcpStream::connect(address).unwrap();
    another.set_read_timeout(Some(TIMEOUT)).unwrap();
    send_request(&mut another);
    for _ in 0..2 {
        pending_replies.recv_timeout(TIMEOUT).unwrap().send("detached");
    }
    handle.drain();
    assert!(rest(&mut client).contains("detached") && rest(&mut another).contains("detached"));
    wait(stopped);
}

#[test]
fn the_last_worker_removes_the_file_of_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("sockeye-library-{}.sock", std::process::id()));
    let serving =
        http::serve(&[path.clone().into()], Options::default(), |_: Request<Body>| "Hello");
    let serving = serving.expect("an unused path");
    assert!(path.exists());
    let stopped = serving.stopped();
    drop(serving);
    wait(stopped);
    assert!(!path.exists());
}

#[test]
fn a_worker_that_panics_ends_the_service() {
    let workers = NonZeroUsize::new(2).unwrap();
    let serving = Serving::start(&[any_port()], workers, Config::default(), |worker, _| {
        assert_eq!(worker, 0, "on purpose");
        |_: &Peer| Box::new(SendsToItself) as Box<dyn Protocol>
    });
    let serving = serving.expect("a free port");
    wait(serving.stopped());
    assert_eq!(serving.join().unwrap_err().to_string(), "a worker panicked");
}
