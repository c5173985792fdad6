//! TLS: what a turn signs at most, and how connections end.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureAlgorithm, SignatureScheme};
use sockeye_engine::{Config, Service, TlsAcceptor, TlsConnector};
use sockeye_proto::echo::Echo;
use sockeye_proto::{Peer, Protocol, Time};
use sockeye_sim::{Faults, Script, World};

use crate::checked::{SendClient, checked, service};
use crate::tls::{HELLO, TLS};
use crate::{here, secs};

const CLIENTS: usize = 30;

/// How many signatures were made.
#[derive(Clone, Debug, Default)]
struct Count(Arc<AtomicUsize>);

/// A key that counts its signatures.
#[derive(Debug)]
struct Counting {
    key: Arc<dyn SigningKey>,
    signed: Count,
    /// It says that it is RSA.
    says_rsa: bool,
}

#[derive(Debug)]
struct CountingSigner(Box<dyn Signer>, Count);

impl SigningKey for Counting {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let signer = self.key.choose_scheme(offered)?;
        Some(Box::new(CountingSigner(signer, self.signed.clone())))
    }
    fn algorithm(&self) -> SignatureAlgorithm {
        if self.says_rsa { SignatureAlgorithm::RSA } else { self.key.algorithm() }
    }
}

impl Signer for CountingSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.1.0.fetch_add(1, Relaxed);
        self.0.sign(message)
    }
    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }
}

#[derive(Debug)]
struct One(Arc<CertifiedKey>);

impl ResolvesServerCert for One {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// `retries`: the client's first hello has no key share that the server knows, whose key says that
/// it is RSA.
fn counted(signed: &Count, retries: bool) -> (TlsAcceptor, TlsConnector) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let der = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let signing = rustls::crypto::ring::sign::any_supported_type(&der).unwrap();
    let counting = Counting { key: signing, signed: signed.clone(), says_rsa: retries };
    let certified = CertifiedKey::new(vec![certificate.clone()], Arc::new(counting));
    let mut provider = rustls::crypto::ring::default_provider();
    if retries {
        provider.kx_groups = vec![rustls::crypto::ring::kx_group::X25519];
    }
    let server = ServerConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(One(Arc::new(certified))));
    if retries {
        provider.kx_groups =
            vec![rustls::crypto::ring::kx_group::SECP384R1, rustls::crypto::ring::kx_group::X25519];
    }
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    (TlsAcceptor::new(&server), TlsConnector::new(Arc::new(client), name))
}

/// Notes the most signatures in a turn. Its deadline is asked for at the end of each.
struct PerTurn {
    signed: Count,
    before: Cell<usize>,
    most: Rc<Cell<usize>>,
}

impl Service for PerTurn {
    fn open(&mut self, _: &Peer) -> Box<dyn Protocol> {
        Box::new(Echo::default())
    }
    fn deadline(&self) -> Option<Time> {
        let now = self.signed.0.load(Relaxed);
        let in_turn = now - self.before.replace(now);
        self.most.set(self.most.get().max(in_turn));
        None
    }
}

fn per_turn(signed: &Count) -> (PerTurn, Rc<Cell<usize>>) {
    let most = Rc::new(Cell::new(0));
    (PerTurn { signed: signed.clone(), before: Cell::new(0), most: Rc::clone(&most) }, most)
}

#[test]
fn a_turn_signs_little_if_too_many_hellos_wait() {
    let signed = Count::default();
    let (acceptor, _) = counted(&signed, false);
    let mut world = World::new(1, Faults::none());
    world.refuse_jobs(true);
    let (counting, most) = per_turn(&signed);
    let _server = world.server_with_tls(&[here()], &acceptor, Config::default(), counting);
    for _ in 0..CLIENTS {
        world.peer(&here(), Script::new().wait(secs(1)).send(HELLO.as_slice()));
    }
    world.run(secs(2));
    assert_eq!(most.get(), 1, "in one turn");
    assert_eq!(signed.0.load(Relaxed), CLIENTS, "all are answered");
}

#[test]
fn nothing_is_signed_if_too_much_follows_a_hello() {
    let signed = Count::default();
    let (acceptor, _) = counted(&signed, false);
    let mut world = World::new(1, Faults::none());
    let (counting, _) = per_turn(&signed);
    let server = world.server_with_tls(&[here()], &acceptor, Config::default(), counting);
    let long = [HELLO.as_slice(), &[0; 20_000]].concat();
    for _ in 0..CLIENTS {
        world.peer(&here(), Script::new().wait(secs(1)).send(long.clone()));
    }
    world.run(secs(2));
    assert_eq!(signed.0.load(Relaxed), 0);
    assert_eq!(world.worker(server).stats().closed_for("tls_too_large"), CLIENTS as u64);
}

#[test]
fn threads_answer_the_second_hellos_of_clients() {
    let signed = Count::default();
    let (acceptor, connector) = counted(&signed, true);
    let mut world = World::new(1, Faults::none());
    let (counting, most) = per_turn(&signed);
    let _server = world.server_with_tls(&[here()], &acceptor, Config::default(), counting);
    let client = world.client(Config::default(), Some(IpAddr::from([192, 0, 2, 1])));
    let mut logs = Vec::new();
    for _ in 0..CLIENTS {
        let (protocol, log) = checked(SendClient::then_finish(b"Hello over TLS"));
        world.worker_mut(client).connect_tls(&here(), &connector, protocol, 0);
        logs.push(log);
    }
    world.run(secs(5));
    assert!(logs.iter().all(|log| log.borrow().bytes == b"Hello over TLS"));
    assert!(most.get() <= 1, "{} signatures in one turn", most.get());
    // Each client sends two hellos.
    assert_eq!(world.handshake_jobs(), 2 * CLIENTS - 1);
}

#[test]
fn a_failed_handshake_on_a_thread_is_counted() {
    let mut world = World::new(1, Faults::none());
    world.hang_jobs(1000);
    let (echoes, _) = service(|_| Echo::default());
    let server = world.server_with_tls(&[here()], &TLS.0, Config::default(), echoes);
    for _ in 0..CLIENTS {
        world.peer(&here(), Script::new().wait(secs(1)).send(HELLO.as_slice()));
    }
    world.run(secs(30));
    let stats = world.worker(server).stats();
    assert_eq!(stats.closed_for("tls_timeout"), CLIENTS as u64);
    assert_eq!(stats.handshakes.failed, CLIENTS as u64);
}

/// A hello that begins after the drain has.
#[test]
fn a_handshake_that_begins_in_a_drain_has_time() {
    let mut timeouts = Vec::new();
    for seed in 0..200 {
        let mut world =
            World::new(seed, Faults { delay: Duration::from_millis(400), ..Faults::none() });
        let (echoes, _) = service(|_| Echo::default());
        let server = world.server_with_tls(&[here()], &TLS.0, Config::default(), echoes);
        let client = world.client(Config::default(), None);
        let (protocol, _log) = checked(SendClient::then_finish(b"Hello"));
        world.worker_mut(client).connect_tls(&here(), &TLS.1, protocol, 0);
        world.run_until(secs(5), |world| world.worker(server).connections() == 1);
        world.drain(server);
        world.settle();
        if world.worker(server).stats().closed_for("tls_timeout") > 0 {
            timeouts.push(seed);
        }
    }
    assert!(timeouts.is_empty(), "{} of 200: {timeouts:?}", timeouts.len());
}

/// Has an RSA key for localhost only.
#[derive(Debug)]
struct RsaForLocalhost(Arc<CertifiedKey>);

impl ResolvesServerCert for RsaForLocalhost {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (hello.server_name() == Some("localhost")).then(|| Arc::clone(&self.0))
    }
}

#[test]
fn an_unknown_name_does_not_bring_rsa_back_to_the_event_loop() {
    let key = rcgen::KeyPair::from_pem(include_str!("../keys/rsa2048.pem")).unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let der = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let signing = rustls::crypto::ring::sign::any_supported_type(&der).unwrap();
    let certified = Arc::new(CertifiedKey::new(vec![certificate], signing));
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(RsaForLocalhost(certified)));
    let mut world = World::new(1, Faults::none());
    let (echoes, _) = service(|_| Echo::default());
    world.server_with_tls(&[here()], &TlsAcceptor::new(&config), Config::default(), echoes);
    let at = HELLO.windows(9).position(|name| name == b"localhost").unwrap();
    let mut unknown = HELLO.clone();
    unknown[at + 8] = b'u';
    for (hello, jobs) in [(&*HELLO, 0), (&*HELLO, 1), (&unknown, 2), (&*HELLO, 3)] {
        world.peer(&here(), Script::new().send(hello.as_slice()));
        world.run(secs(1));
        assert_eq!(world.handshake_jobs(), jobs);
    }
}

#[test]
fn a_silent_client_that_is_accepted_late_does_not_delay_a_drain() {
    let mut late = Vec::new();
    for seed in 0..200 {
        let mut world = World::new(seed, Faults { no_descriptor: 500, ..Faults::none() });
        let (echoes, _) = service(|_| Echo::default());
        let server = world.server_with_tls(&[here()], &TLS.0, Config::default(), echoes);
        for _ in 0..5 {
            world.peer(&here(), Script::new());
        }
        world.run_until(secs(1), |world| world.worker(server).connections() > 0);
        world.drain(server);
        let begin = world.now();
        world.run_until(secs(60), |world| world.worker(server).connections() == 0);
        if world.now().since(begin) > secs(3) {
            late.push((seed, world.now().since(begin)));
        }
    }
    assert!(late.is_empty(), "{} of 200: {:?}", late.len(), late.first());
}

/// Asks to be closed, and writes more when its output is sent.
struct Afterthought;

impl Protocol for Afterthought {
    fn on_bytes(
        &mut self,
        bytes: &[u8],
        turn: &mut sockeye_proto::Turn<'_>,
    ) -> Result<sockeye_proto::Consumed, sockeye_proto::Fault> {
        turn.out.write(b"first");
        turn.mark();
        turn.end(sockeye_proto::End::Close);
        Ok(sockeye_proto::Consumed::more(bytes.len()))
    }
    fn on_event(
        &mut self,
        event: sockeye_proto::Event<'_>,
        turn: &mut sockeye_proto::Turn<'_>,
    ) -> Result<(), sockeye_proto::Fault> {
        if let sockeye_proto::Event::Sent(_) = event {
            turn.out.write(b", last");
        }
        Ok(())
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn close_notify_follows_what_is_written_when_all_was_sent() {
    let mut world = World::new(1, Faults::none());
    let (afterthoughts, _) = service(|_| Afterthought);
    world.server_with_tls(&[here()], &TLS.0, Config::default(), afterthoughts);
    let client = world.client(Config::default(), None);
    let (protocol, log) = checked(SendClient::then_read(b"Hello"));
    world.worker_mut(client).connect_tls(&here(), &TLS.1, protocol, 0);
    world.run(secs(5));
    let log = log.borrow();
    assert_eq!(log.bytes, b"first, last");
    assert!(!log.truncated);
}

/// Writes a part of an answer, and fails.
struct Partial;

impl Protocol for Partial {
    fn on_bytes(
        &mut self,
        _: &[u8],
        turn: &mut sockeye_proto::Turn<'_>,
    ) -> Result<sockeye_proto::Consumed, sockeye_proto::Fault> {
        turn.out.write(b"a part");
        Err(sockeye_proto::Fault::ours("broken", "the handler has failed"))
    }
    fn on_event(
        &mut self,
        _: sockeye_proto::Event<'_>,
        _: &mut sockeye_proto::Turn<'_>,
    ) -> Result<(), sockeye_proto::Fault> {
        Ok(())
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn what_our_fault_cuts_is_not_authenticated_as_whole() {
    let mut world = World::new(1, Faults::none());
    let (partial, _) = service(|_| Partial);
    world.server_with_tls(&[here()], &TLS.0, Config::default(), partial);
    let client = world.client(Config::default(), None);
    let (protocol, log) = checked(SendClient::then_read(b"Hello"));
    world.worker_mut(client).connect_tls(&here(), &TLS.1, protocol, 0);
    world.run(secs(5));
    let log = log.borrow();
    assert_eq!(log.bytes, b"a part");
    assert!(log.truncated, "close_notify says that this is all");
}
