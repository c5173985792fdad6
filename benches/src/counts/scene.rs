//! A scene: a worker (an event loop) and its clients in one thread. The clients write, the worker
//! makes its turns (passes of the loop), and the clients read, so every run makes the same steps.
//! Callgrind counts the instructions and the allocations of the turns that follow two warm-ups.

use std::{
    env, fs,
    num::NonZeroUsize,
    process,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sockeye::{
    Bound, Config, Peer, Protocol, Time, TlsAcceptor,
    echo::Echo,
    engine::{
        ConnectionCounts, ListenAddr, Mailbox, Pool, Service, Worker, WorkerParts,
        driver::{Driver, Epoll, bind_all},
    },
    files::{CacheLimits, FRESH, Folder, memory::Memory},
    http_core,
    message::protocol as message,
};

use sockeye_message::reference::Reference;

use crate::{
    Result,
    http2::{ACKNOWLEDGED_SETTINGS, Requests, Sender},
    rows::{FILES, ROWS, Shape, content},
    sums,
    tls::{self, Certificate},
    websocket,
};

use super::client::Client;

/// The names of the counted scenes: rows of the benchmark, and `browser-new`.
pub(super) const NAMES: [&str; 13] = [
    "small",
    "pipelined",
    "browser",
    NEW,
    "mix",
    "1k",
    "16k",
    "echo",
    "message",
    "message-deep",
    "tls-small",
    "h2-small",
    "ws-echo",
];
/// The scene in which consecutive requests to the server have different heads.
const NEW: &str = "browser-new";

/// Number of clients. The counts depend on it: the costs of a turn are divided among the requests
/// of all clients.
const CLIENTS: usize = 16;
/// Minimum number of requests of each client in each of the two warm-ups. After them, the file is
/// in the cache, and the pools have memory.
const WARM_UP: usize = 50;

/// Printed instead of the number of requests if a file's name may have been looked up again during
/// the counted turns, or if an exchange was not complete in time.
pub(super) const TOO_SLOW: &str = "late";

/// Maximum time of an exchange, which waits for a number of bytes that was learned before. If
/// responses have become shorter since, that number is never reached: over HTTP/2, the encoded
/// length of a date depends on its digits.
const MAX_EXCHANGE: Duration = Duration::from_secs(5);

/// Makes `exchanges` counted exchanges (see [`Scene::exchange`]), each of one turn or more. Prints
/// the number of their requests, or [`TOO_SLOW`].
pub(super) fn run(name: &str, exchanges: usize) -> Result<()> {
    let load = load(name).ok_or_else(|| format!("the instructions of {name} are not counted"))?;
    let requests = load.http2_requests();
    let mut scene = Scene::new(load, &requests)?;
    // A name is looked up once per second. So the counted turns start right after a lookup, and
    // must end before the next one.
    let looks_up =
        !load.is_websocket() && !matches!(load, Shape::Echo | Shape::Mix | Shape::Message { .. });
    let mut is_complete = scene.warm_up()?;
    thread::sleep(FRESH);
    let begin = Instant::now();
    is_complete = is_complete && scene.warm_up()?;
    let mut requests = 0;
    for _ in 0..exchanges {
        is_complete = is_complete && scene.exchange(counted_turn)?;
        requests += scene.requests();
    }
    if !is_complete || (looks_up && begin.elapsed() >= FRESH) {
        println!("{TOO_SLOW}");
    } else {
        println!("{requests}");
    }
    Ok(())
}

fn load(name: &str) -> Option<Shape> {
    match name {
        NEW => Some(Shape::Browser { alike: false }),
        _ if NAMES.contains(&name) => ROWS.iter().find(|row| row.name == name).map(|row| row.load),
        _ => None,
    }
}

/// A turn that callgrind counts. Callgrind finds this function by its name.
#[inline(never)]
fn counted_turn(worker: &mut Worker<Epoll>, until: Time) -> std::io::Result<()> {
    let result = worker.turn_until(until);
    // If this function only called `turn_until`, the compiler could merge the two functions.
    std::hint::black_box(&result);
    result
}

struct Scene<'a> {
    worker: Worker<Epoll>,
    clients: Vec<Client>,
    batches: Batches<'a>,
    /// Number of requests in a batch.
    depth: usize,
    /// The index of the batch that clients send next.
    next: usize,
    /// Whether the clients send different batches, each client the same one in every exchange.
    /// Otherwise, all clients send the same batch, and the next one in the next exchange.
    staggered: bool,
    /// For each batch, the length of its responses on the wire. 0 until it is known.
    response_lens: Vec<usize>,
}

/// The bytes that a client writes at once, with `depth` requests.
enum Batches<'a> {
    /// All batches, ready to be sent.
    Prepared(Vec<Vec<u8>>),
    /// For HTTP/2, where each batch opens new streams: a sender for each client, and a buffer for
    /// the batch.
    Http2(Vec<Sender<'a>>, Vec<u8>),
}

impl Batches<'_> {
    /// The number of different batches.
    fn count(&self) -> usize {
        match self {
            Self::Prepared(all) => all.len(),
            Self::Http2(..) => 1,
        }
    }

    fn write(&mut self, peer: usize, at: usize, depth: usize) -> &[u8] {
        match self {
            Self::Prepared(all) => &all[at],
            Self::Http2(senders, bytes) => {
                bytes.clear();
                for _ in 0..depth {
                    senders[peer].write(bytes);
                }
                bytes
            }
        }
    }
}

impl<'a> Scene<'a> {
    /// `requests` are used only by a load over HTTP/2.
    fn new(load: Shape, requests: &'a Requests) -> Result<Self> {
        let tls = secure(load)?;
        let acceptor = tls.as_ref().map(|(acceptor, _)| acceptor.clone());
        let any_port = [ListenAddr::Host("127.0.0.1".into(), 0)];
        let bound = bind_all(&any_port, NonZeroUsize::MIN)?.remove(0);
        let Bound::Ip(address) = bound.bound else { return Err("the address is not TCP".into()) };
        let driver = Epoll::new()?;
        let mailbox = Arc::new(Mailbox::new(driver.waker()));
        let mut worker = Worker::new(WorkerParts {
            driver,
            listeners: bound.listeners.into_iter().map(|listener| (0, listener)).collect(),
            service: service(load),
            config: Arc::new(Config::default()),
            counts: Arc::new(ConnectionCounts::default()),
            mailbox,
            spawn: Arc::new(Pool::new(NonZeroUsize::MIN)),
            handover: None, // There is no other worker.
            tls: [acceptor].into(),
        })?;
        let mut clients = Vec::new();
        while clients.len() < CLIENTS {
            let client = tls.as_ref().map(|(_, client)| client.connection()).transpose()?;
            clients.push(Client::connect(address, client)?);
            worker.turn()?;
        }
        let depth = load.depth();
        let batches = if load.is_http2() {
            Batches::Http2(Vec::new(), Vec::new())
        } else {
            let prepared = load.prepared()?;
            let batch = prepared.iter().map(|request| request.keep_alive().repeat(depth));
            Batches::Prepared(batch.collect())
        };
        let response_lens = vec![0; batches.count()];
        let staggered = load == Shape::Browser { alike: false };
        let mut scene = Self { worker, clients, batches, depth, next: 0, staggered, response_lens };
        scene.handshakes()?;
        if load.is_http2() {
            scene.prefaces(requests)?;
        }
        if load.is_websocket() {
            scene.openings()?;
        }
        scene.learn_lengths()?;
        Ok(scene)
    }

    /// Completes the TLS handshakes, and reads what the server sends after them, such as session
    /// tickets. For each client, stops after 10 turns without input, those of its handshake
    /// included.
    fn handshakes(&mut self) -> Result<()> {
        for at in 0..self.clients.len() {
            let mut quiet_turns = 0;
            while self.clients[at].is_handshaking()
                || quiet_turns < 10 && self.clients[at].has_tls()
            {
                self.turn_briefly()?;
                quiet_turns += usize::from(self.clients[at].receive()?.is_none());
            }
        }
        Ok(())
    }

    /// Sends the prefaces of HTTP/2 and acknowledges the server's settings. After each of these,
    /// reads what the server sends in return, until 10 turns have brought nothing.
    fn prefaces(&mut self, requests: &'a Requests) -> Result<()> {
        let Batches::Http2(senders, _) = &mut self.batches else { return Ok(()) };
        let mut openings = Vec::new();
        for _ in &self.clients {
            let mut opening = Vec::new();
            senders.push(Sender::open(requests, &mut opening));
            openings.push(opening);
        }
        for (client, opening) in openings.iter().enumerate() {
            for bytes in [&opening[..], &ACKNOWLEDGED_SETTINGS] {
                self.clients[client].send(bytes)?;
                let mut quiet_turns_left = 10;
                while quiet_turns_left > 0 {
                    self.turn_briefly()?;
                    quiet_turns_left -= usize::from(self.clients[client].receive()?.is_none());
                }
            }
        }
        Ok(())
    }

    /// Opens WebSockets, and waits for the responses, without checking them.
    fn openings(&mut self) -> Result<()> {
        for client in 0..self.clients.len() {
            self.clients[client].send(&websocket::opening().1)?;
            while self.clients[client].receive()?.is_none() {
                self.turn_briefly()?;
            }
        }
        Ok(())
    }

    /// Makes a turn that waits 2 ms at most.
    fn turn_briefly(&mut self) -> Result<()> {
        if self.worker.connections() > 0 {
            let until = self.worker.driver().now() + Duration::from_millis(2);
            self.worker.turn_until(until)?;
        }
        Ok(())
    }

    /// Sends each batch once, to learn the length of its responses. They count as complete when 50
    /// turns have brought nothing. Fewer may be too few: a response may wait for a lookup on
    /// another thread.
    fn learn_lengths(&mut self) -> Result<()> {
        for at in 0..self.batches.count() {
            self.clients[0].send(self.batches.write(0, at, self.depth))?;
            let mut quiet_turns_left = 50;
            while quiet_turns_left > 0 {
                self.turn_briefly()?;
                match self.clients[0].receive()? {
                    Some(count) => self.response_lens[at] += count,
                    None => quiet_turns_left -= 1,
                }
            }
            if self.response_lens[at] == 0 {
                return Err("no response".into());
            }
        }
        Ok(())
    }

    /// Makes exchanges that are not counted. Returns whether all were complete in time.
    fn warm_up(&mut self) -> Result<bool> {
        for _ in 0..WARM_UP.div_ceil(self.depth) {
            if !self.exchange(Worker::turn_until)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The number of requests in an exchange.
    fn requests(&self) -> usize {
        self.clients.len() * self.depth
    }

    /// All clients write, the worker makes turns until it has sent all responses, and all clients
    /// read. Returns whether the worker sent them within [`MAX_EXCHANGE`].
    fn exchange(
        &mut self,
        mut turn: impl FnMut(&mut Worker<Epoll>, Time) -> std::io::Result<()>,
    ) -> Result<bool> {
        let (next, staggered, count) =
            (self.next, usize::from(self.staggered), self.batches.count());
        let at = |client: usize| (next + client * staggered) % count;
        let mut until = self.worker.stats().sent;
        for (number, client) in self.clients.iter_mut().enumerate() {
            client.send(self.batches.write(number, at(number), self.depth))?;
            until += self.response_lens[at(number)] as u64;
        }
        let end = self.worker.driver().now() + MAX_EXCHANGE;
        while self.worker.stats().sent < until {
            if self.worker.driver().now() >= end {
                return Ok(false);
            }
            turn(&mut self.worker, end)?;
        }
        for (number, client) in self.clients.iter_mut().enumerate() {
            client.receive_exact(self.response_lens[at(number)])?;
        }
        // With `next` always 0, each client of a staggered scene repeats its own batch.
        self.next = if self.staggered { 0 } else { (self.next + 1) % count };
        Ok(true)
    }
}

/// The TLS configuration of the server and a TLS client, if the load uses TLS.
fn secure(load: Shape) -> Result<Option<(TlsAcceptor, tls::Client)>> {
    if load.tls().is_none() {
        return Ok(None);
    }
    let dir = env::temp_dir().join(format!("sockeye-scene-{}", process::id()));
    let certificate = Certificate::make(&dir)?;
    let made = (certificate.acceptor()?, certificate.client_for(load.tls(), load.is_http2())?);
    // A leftover in the temporary folder is harmless.
    let _ = fs::remove_dir_all(&dir);
    let (acceptor, client) = made;
    Ok(client.map(|client| (acceptor, client)))
}

fn service(load: Shape) -> Box<dyn Service> {
    match load {
        Shape::Echo => Box::new(|_: &Peer| Box::new(Echo::default()) as Box<dyn Protocol>),
        Shape::Mix => Box::new(sums::service()),
        load if load.is_websocket() => Box::new(websocket::service()),
        Shape::Message { .. } => {
            let shared = Rc::new(message::ServerConfig::new(message::Limits::default()));
            let reference = Reference::default();
            Box::new(move |_: &Peer| shared.open(reference.clone()))
        }
        _ => {
            let store = Memory::new();
            for file in FILES.iter().filter(|file| file.size <= 16 << 10) {
                store.write(file.name, content(file.size));
            }
            let site = Folder::new(store).site(CacheLimits::default());
            // Checks the Host field, as `sockeye http` does at a loopback address.
            let check = http_core::HostCheck::new(http_core::AllowedHosts::default(), |_| true);
            let shared = Rc::new(http_core::ServerConfig::default().checking_hosts(check));
            Box::new((site.clone(), move |_: &Peer| {
                Box::new(http_core::Server::new(Rc::clone(&shared), site.clone()))
                    as Box<dyn Protocol>
            }))
        }
    }
}
