//! TLS on real sockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use sockeye_engine::driver::Bound;
use sockeye_engine::{Config, Linger, Running, Server, TlsAcceptor};
use sockeye_proto::echo::Echo;
use sockeye_proto::{
    Access, Consumed, End, Event, Fault, FileRange, FileSource, Peer, Protocol, Time, Turn,
};

const TIMEOUT: Duration = Duration::from_secs(30);

fn configs() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let cert = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = sockeye_tls::provider();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(client), Arc::new(server))
}

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A server with TLS at one address.
fn serve<P: Protocol + 'static>(
    open: impl Fn(&Peer) -> P + Clone + Send + Sync + 'static,
) -> (Arc<ClientConfig>, SocketAddr, Running) {
    serve_with(Config::default(), open)
}

fn serve_with<P: Protocol + 'static>(
    config: Config,
    open: impl Fn(&Peer) -> P + Clone + Send + Sync + 'static,
) -> (Arc<ClientConfig>, SocketAddr, Running) {
    let (client, tls) = configs();
    let config = Config { tls: Some(TlsAcceptor::new(&tls)), ..config };
    let any_port = ["127.0.0.1:0".parse().unwrap()];
    let server = Server::bind(&any_port, NonZeroUsize::MIN, config).unwrap();
    let Bound::Ip(address) = server.addresses()[0] else { panic!("not TCP") };
    let running = server
        .start(move |_| {
            let open = open.clone();
            move |peer: &Peer| Box::new(open(peer)) as Box<dyn Protocol>
        })
        .unwrap();
    (client, address, running)
}

fn connect(client: &Arc<ClientConfig>, address: SocketAddr) -> Client {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(client), name).unwrap(), socket)
}

fn stop(running: Running) {
    running.handle().stop();
    running.join().unwrap();
}

#[test]
fn an_echo_over_tls_ends_cleanly() {
    let (client, address, running) = serve(|_| Echo::default());
    for size in [1, 1000, 100_000, 3_000_000] {
        let mut stream = connect(&client, address);
        let sent: Vec<u8> = (0..size).map(|at: u32| (at / 3) as u8).collect();
        let mut got = vec![0; size as usize];
        for (sent, got) in sent.chunks(50_000).zip(got.chunks_mut(50_000)) {
            stream.write_all(sent).unwrap();
            stream.flush().unwrap();
            stream.read_exact(got).unwrap();
        }
        assert!(got == sent, "{size}");
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        stream.sock.shutdown(Shutdown::Write).unwrap();
        // Without close_notify, this would be an error.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    running.handle().drain();
    running.join().unwrap();
}

#[test]
fn an_address_without_tls_speaks_plain() {
    let (client, tls) = configs();
    let config = Config { tls: Some(TlsAcceptor::new(&tls)), ..Config::default() };
    let any_port = || "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(&[any_port(), any_port()], NonZeroUsize::MIN, config).unwrap();
    let addresses = [0, 1].map(|at| match server.addresses()[at] {
        Bound::Ip(address) => address,
        _ => panic!("not TCP"),
    });
    let running = server.without_tls(1).serve(|_| Echo::default()).unwrap();
    let mut plain = TcpStream::connect(addresses[1]).unwrap();
    plain.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut secure = connect(&client, addresses[0]);
    for stream in [&mut plain as &mut dyn Both, &mut secure] {
        let mut got = [0; 5];
        stream.write_all(b"Hello").unwrap();
        stream.flush().unwrap();
        stream.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"Hello");
    }
    stop(running);
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// Sends what it gets: bytes as they are, the end of input, and what it means.
#[derive(Clone)]
struct Recorder(Sender<&'static str>);

impl Protocol for Recorder {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        turn.out.write(input);
        Ok(Consumed::more(input.len()))
    }
    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Truncated => self.0.send("truncated").unwrap(),
            Event::Eof { .. } => {
                self.0.send("end").unwrap();
                turn.end(End::Finish);
            }
            Event::Closed(_) => self.0.send("closed").unwrap(),
            _ => {}
        }
        Ok(())
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn an_end_without_close_notify_is_told() {
    let (sender, events) = channel();
    let (client, address, running) = serve(move |_| Recorder(sender.clone()));
    for is_clean in [true, false] {
        let mut stream = connect(&client, address);
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        if is_clean {
            stream.conn.send_close_notify();
        }
        stream.flush().unwrap();
        stream.sock.shutdown(Shutdown::Write).unwrap();
        // Our side ends with close_notify in any case.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        let expected =
            if is_clean { &["end", "closed"][..] } else { &["truncated", "end", "closed"] };
        for expected in expected {
            assert_eq!(events.recv_timeout(TIMEOUT).unwrap(), *expected);
        }
    }
    stop(running);
}

#[test]
fn close_notify_may_come_with_the_end_of_the_handshake() {
    let (client, address, running) = serve(|_| Echo::default());
    let mut stream = connect(&client, address);
    stream.conn.write_tls(&mut stream.sock).unwrap();
    while stream.conn.is_handshaking() {
        stream.conn.read_tls(&mut stream.sock).unwrap();
        stream.conn.process_new_packets().unwrap();
    }
    stream.conn.writer().write_all(b"Hello").unwrap();
    stream.conn.send_close_notify();
    let mut records = Vec::new();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut records).unwrap();
    }
    stream.sock.write_all(&records).unwrap();
    // Our sending side stays open.
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"Hello");
    stop(running);
}

/// Sends much more than a socket's buffers hold, at once.
struct Flood;

impl Protocol for Flood {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }
    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if matches!(event, Event::Open(_)) {
            // Below the high-water mark, so that input is read.
            turn.out.write(&[7; 200 * 1024]);
        }
        Ok(())
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn after_a_corrupt_record_an_alert_is_the_last_one() {
    let (client, address, running) = serve(|_| Flood);
    let mut stream = connect(&client, address);
    // No more is read than the handshake: the records after it are read whole, below.
    stream.conn.write_tls(&mut stream.sock).unwrap();
    while stream.conn.is_handshaking() {
        stream.conn.read_tls(&mut stream.sock).unwrap();
        stream.conn.process_new_packets().unwrap();
    }
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut stream.sock).unwrap();
    }
    stream.sock.write_all(&[23, 3, 3, 0, 40]).unwrap();
    stream.sock.write_all(&[9; 40]).unwrap();
    let mut rest = Vec::new();
    stream.sock.read_to_end(&mut rest).unwrap();
    let mut records = &rest[..];
    let error = loop {
        assert!(!records.is_empty(), "no alert");
        let [_, _, _, high, low, ..] = *records else { panic!("no record") };
        let (mut record, after) =
            records.split_at(5 + usize::from(u16::from_be_bytes([high, low])));
        records = after;
        // rustls reads at most 4 KiB at a time.
        while !record.is_empty() {
            stream.conn.read_tls(&mut record).unwrap();
        }
        match stream.conn.process_new_packets() {
            Ok(_) => io::copy(&mut stream.conn.reader(), &mut io::sink()).map_or((), |_| ()),
            Err(error) => break error,
        }
    };
    let alert = rustls::AlertDescription::BadRecordMac;
    assert_eq!(error, rustls::Error::AlertReceived(alert));
    assert!(records.is_empty(), "{} bytes after the alert", records.len());
    // The server is well.
    let mut other = connect(&client, address);
    other.read_exact(&mut vec![0; 200 * 1024]).unwrap();
    stop(running);
}

/// A file whose reads wait for a thread. The byte at an offset is the offset's lowest byte.
#[derive(Debug)]
struct SlowFile(Mutex<Sender<usize>>);

const LEN: u64 = 3_000_000;

impl FileSource for SlowFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap().send(buffer.len()).unwrap();
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

struct Files(Arc<SlowFile>);

impl Protocol for Files {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let source: Arc<dyn FileSource> = self.0.clone();
        turn.out.write(b"head");
        turn.out.write_file(FileRange { source, offset: 0, len: LEN });
        Ok(Consumed::more(input.len()))
    }
    fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        Ok(())
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn a_file_that_threads_read_arrives_in_pieces() {
    let (sender, reads) = channel();
    let file = Arc::new(SlowFile(Mutex::new(sender)));
    let (client, address, running) = serve(move |_| Files(Arc::clone(&file)));
    let mut stream = connect(&client, address);
    stream.write_all(b"x").unwrap();
    let mut got = vec![0; 4 + LEN as usize];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(&got[..4], b"head");
    assert!((0..).zip(&got[4..]).all(|(at, got): (u64, _)| *got == at as u8));
    let sizes: Vec<usize> = reads.try_iter().collect();
    assert!(sizes.len() > 5, "{sizes:?}");
    assert!(
        sizes.iter().all(|size| *size <= sockeye_engine::driver::QUANTUM as usize),
        "{sizes:?}"
    );
    stop(running);
}

/// The records for `plain`.
fn records(client: &mut Client, plain: &[u8]) -> Vec<u8> {
    let mut records = Vec::new();
    client.conn.writer().write_all(plain).unwrap();
    while client.conn.wants_write() {
        client.conn.write_tls(&mut records).unwrap();
    }
    records
}

#[test]
fn only_data_that_arrives_after_a_drain_counts_as_unread() {
    for (last, unread) in [(&b""[..], 0), (b"lost", 1)] {
        let linger = Linger { quiet: TIMEOUT, total: TIMEOUT, ..Linger::default() };
        let config = Config { linger, ..Config::default() };
        let (client, address, running) = serve_with(config, |_| Echo::default());
        let mut stream = connect(&client, address);
        stream.write_all(b"Hello").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        running.handle().drain();
        // The server's close_notify.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        let mut bytes = records(&mut stream, last);
        stream.conn.send_close_notify();
        stream.conn.write_tls(&mut bytes).unwrap();
        stream.sock.write_all(&bytes).unwrap();
        drop(stream);
        assert_eq!(running.join().unwrap().unread, unread);
    }
}

/// Echoes, and is idle since its number.
struct IdleEcho(u64);

impl Protocol for IdleEcho {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        turn.out.write(input);
        Ok(Consumed::more(input.len()))
    }
    fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        Ok(())
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
    fn idle_since(&self) -> Option<Time> {
        Some(Time::from_nanos(self.0))
    }
}

#[test]
fn a_connection_that_has_received_half_a_record_is_not_idle() {
    let config = Config { max_connections: 2, ..Config::default() };
    let opened = Arc::new(AtomicU64::new(0));
    let (client, address, running) =
        serve_with(config, move |_| IdleEcho(opened.fetch_add(1, Ordering::Relaxed)));
    let mut connections = [(); 2].map(|()| {
        let mut stream = connect(&client, address);
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        stream
    });
    // When the first byte is back, the half of the second record has arrived, too.
    let first = &mut connections[0];
    let mut begin = records(first, b"a");
    let mut end = records(first, b"b");
    begin.extend(end.drain(..10));
    first.sock.write_all(&begin).unwrap();
    first.read_exact(&mut [0]).unwrap();
    // The second connection is closed for a third one, although it has been idle for less time.
    let mut third = connect(&client, address);
    third.write_all(b"x").unwrap();
    third.read_exact(&mut [0]).unwrap();
    let first = &mut connections[0];
    first.sock.write_all(&end).unwrap();
    let mut got = [0];
    first.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"b");
    stop(running);
}
