//! Client hellos that threads answer, because several arrive at once or others wait.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sockeye_engine::{Config, TlsAcceptor, TlsConnector};
use sockeye_proto::echo::Echo;
use sockeye_sim::{Faults, Rng, Script, WorkerId, World, seeds};

use crate::checked::{Logs, SendClient, SharedLog, assert_no_violations, checked, service};
use crate::tls::{Both, HELLO, TLS, tls_with_key};
use crate::{here, secs};

/// How many clients begin at the same time.
const CLIENTS: usize = 30;

/// A world in which many hellos arrive in one turn, and its server.
fn many_hellos(tls: &TlsAcceptor, jobs: impl FnOnce(&mut World)) -> (World, WorkerId) {
    let mut world = World::new(1, Faults::none());
    jobs(&mut world);
    let (echoes, _) = service(|_| Echo::default());
    let config = Config { drain_timeout: Duration::ZERO, ..Config::default() };
    let server = world.server_with_tls(&[here()], tls, config, echoes);
    for _ in 0..CLIENTS {
        world.peer(&here(), Script::new().wait(secs(1)).send(HELLO.as_slice()).await_end());
    }
    (world, server)
}

fn rsa() -> (TlsAcceptor, TlsConnector) {
    let key = rcgen::KeyPair::from_pem(include_str!("../keys/rsa2048.pem")).unwrap();
    tls_with_key(key, |_| ())
}

/// Clients of an echo server that begin at the same time.
fn echo(world: &mut World, connector: &TlsConnector) -> Vec<SharedLog> {
    let client = world.client(Config::default(), Some(IpAddr::from([192, 0, 2, 1])));
    let mut logs = Vec::new();
    for _ in 0..CLIENTS {
        let (protocol, log) = checked(SendClient::then_finish(b"Hello over TLS"));
        world.worker_mut(client).connect_tls(&here(), connector, protocol, 0);
        logs.push(log);
    }
    logs
}

#[test]
fn many_handshakes_at_once_do_not_delay_an_established_connection() {
    let mut world = World::new(1, Faults::none());
    // What threads do never finishes.
    world.hang_jobs(1000);
    let server = world.server_with_tls(&[here()], &TLS.0, Config::default(), Both(Logs::default()));
    // Without TLS, so that the peer needs no handshake.
    let peer =
        world.peer(&here(), Script::new().send(b"ping").wait(secs(1)).send(b"pong").finish());
    for _ in 0..CLIENTS {
        world.peer(&here(), Script::new().wait(secs(1)).send(HELLO.as_slice()));
    }
    let begin = world.now();
    world.run_until(secs(2), |world| world.peer_state(peer).bytes.len() == 8);
    assert_eq!(world.peer_state(peer).bytes, b"pingpong");
    let took = world.now().since(begin);
    assert!(took < Duration::from_millis(1010), "{took:?}");
    let jobs = world.handshake_jobs();
    assert!(jobs >= CLIENTS - 1, "the event loop has answered {} hellos", CLIENTS - jobs);
    world.run_until(secs(60), |world| world.worker(server).connections() == 0);
    assert_eq!(world.worker(server).stats().closed_for("tls_timeout"), jobs as u64);
    world.finish();
}

#[test]
fn one_handshake_at_a_time_needs_no_thread() {
    let mut world = World::new(1, Faults::none());
    world.hang_jobs(1000);
    let (echoes, _) = service(|_| Echo::default());
    world.server_with_tls(&[here()], &TLS.0, Config::default(), echoes);
    let client = world.client(Config::default(), None);
    for _ in 0..3 {
        let (protocol, log) = checked(SendClient::then_finish(b"Hello"));
        world.worker_mut(client).connect_tls(&here(), &TLS.1, protocol, 0);
        world.run(secs(1));
        assert_eq!(log.borrow().bytes, b"Hello");
    }
    assert_eq!(world.handshake_jobs(), 0);
    world.finish();
}

#[test]
fn after_the_first_rsa_signature_threads_make_the_others() {
    let (acceptor, connector) = rsa();
    let mut world = World::new(1, Faults::none());
    let (echoes, _) = service(|_| Echo::default());
    world.server_with_tls(&[here()], &acceptor, Config::default(), echoes);
    let client = world.client(Config::default(), None);
    for on_threads in 0..3 {
        let (protocol, log) = checked(SendClient::then_finish(b"Hello"));
        world.worker_mut(client).connect_tls(&here(), &connector, protocol, 0);
        world.run(secs(1));
        assert_eq!(log.borrow().bytes, b"Hello");
        assert_eq!(world.handshake_jobs(), on_threads);
    }
    world.finish();
}

#[test]
fn a_reset_closes_a_connection_while_a_thread_has_it() {
    let (mut world, server) = many_hellos(&TLS.0, |world| world.hang_jobs(1000));
    world.peer(&here(), Script::new().wait(secs(1)).send(HELLO.as_slice()).reset());
    world.run_until(secs(2), |world| world.handshake_jobs() == CLIENTS);
    world.run(secs(1));
    assert_eq!(world.worker(server).stats().closed_for("reset"), 1);
    world.finish();
}

#[test]
fn a_client_that_closes_while_a_thread_has_its_connection_cuts_its_handshake() {
    let (mut world, server) = many_hellos(&TLS.0, |_| ());
    world.peer(&here(), Script::new().wait(secs(1)).send(HELLO.as_slice()).finish());
    world.run_until(secs(2), |world| world.handshake_jobs() == CLIENTS);
    world.run(secs(1));
    assert_eq!(world.worker(server).stats().closed_for("tls_cut"), 1);
    world.finish();
}

#[test]
fn what_arrives_while_a_thread_has_a_connection_is_read_afterwards() {
    let (mut world, server) = many_hellos(&TLS.0, |_| ());
    let script = Script::new().wait(secs(1)).send(HELLO.as_slice());
    let alert = [21, 3, 3, 0, 2, 2, 40];
    world.peer(&here(), script.wait(Duration::from_millis(1)).send(alert.as_slice()));
    world.run_until(secs(2), |world| world.handshake_jobs() == CLIENTS);
    world.run(secs(1));
    assert_eq!(world.worker(server).stats().closed_for("tls_alert"), 1);
    assert_eq!(world.worker(server).footprint().handshakes, CLIENTS);
    world.finish();
}

#[test]
fn a_thread_gets_a_hello_when_its_last_record_has_come() {
    let (acceptor, _) = rsa();
    let mut world = World::new(1, Faults::none());
    let (echoes, _) = service(|_| Echo::default());
    world.server_with_tls(&[here()], &acceptor, Config::default(), echoes);
    // After this, threads sign.
    world.peer(&here(), Script::new().send(HELLO.as_slice()));
    world.run(secs(1));
    let script = HELLO[5..].chunks(20).fold(Script::new(), |script, part| {
        let record = [&[22, 3, 1, 0, part.len() as u8][..], part].concat();
        script.send(record).wait(Duration::from_millis(1))
    });
    let peer = world.peer(&here(), script);
    world.run(secs(1));
    assert!(world.peer_state(peer).bytes.len() > 100, "the server has answered");
    // The headers of the records count as if they belonged to the message.
    let headers = HELLO.len().div_ceil(20) * 5;
    let jobs = world.handshake_jobs();
    assert!((1..=headers.div_ceil(20)).contains(&jobs), "{jobs}");
    world.finish();
}

#[test]
fn what_a_thread_has_read_is_dropped_if_its_connection_was_cut() {
    let (mut world, server) = many_hellos(&TLS.0, |_| ());
    world.run_until(secs(2), |world| world.handshake_jobs() > 0);
    assert!(world.worker(server).connections() > 0);
    world.drain(server);
    world.run(secs(1));
    assert_eq!(world.worker(server).stats().closed_for("cut"), CLIENTS as u64);
    world.finish();
}

#[test]
fn a_drain_waits_for_handshakes_on_threads() {
    seeds(0..50, |seed| {
        let faults = Faults { late_send: 0, ..Faults::lossless(&mut Rng::new(seed)) };
        let mut world = World::new(seed, Faults { no_descriptor: 0, ..faults });
        let (echoes, at_server) = service(|_| Echo::default());
        let config = Config { handshake_timeout: secs(300), ..Config::default() };
        let config = Config { drain_timeout: secs(600), ..config };
        let server = world.server_with_tls(&[here()], &TLS.0, config, echoes);
        let logs = echo(&mut world, &TLS.1);
        let is_away = |world: &World| world.handshake_jobs() > CLIENTS / 2;
        world.run_until(secs(60), is_away);
        let begun = world.worker(server).footprint().handshakes;
        world.drain(server);
        world.settle();
        assert!(logs.iter().all(|log| log.borrow().reason.is_some()));
        let stats = world.worker(server).stats();
        assert_eq!(stats.closed_for("cut") + stats.closed_for("tls_timeout"), 0, "{stats:?}");
        assert!(at_server.borrow().len() + CLIENTS > begun, "sessions were opened");
        world.finish();
        assert_no_violations(&logs);
        assert_no_violations(&at_server.borrow());
    });
}

/// Has no certificate for any name.
#[derive(Debug)]
struct Unknown;

impl ResolvesServerCert for Unknown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// A fault of the user's code.
#[derive(Debug)]
struct Panicking;

impl ResolvesServerCert for Panicking {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        panic!("on purpose")
    }
}

fn with_resolver(resolver: impl ResolvesServerCert + 'static) -> TlsAcceptor {
    let config = ServerConfig::builder_with_provider(sockeye_tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    TlsAcceptor::new(&config)
}

#[test]
fn an_unknown_name_is_refused_on_a_thread_and_on_the_event_loop() {
    let (mut world, server) = many_hellos(&with_resolver(Unknown), |_| ());
    world.run(secs(3));
    assert!(world.handshake_jobs() >= CLIENTS - 1);
    assert_eq!(world.worker(server).stats().closed_for("tls_unknown_name"), CLIENTS as u64);
    world.finish();
}

#[test]
fn a_panic_on_a_thread_ends_one_connection() {
    let (mut world, server) = many_hellos(&with_resolver(Panicking), |_| ());
    world.run(secs(3));
    assert!(world.handshake_jobs() >= CLIENTS - 1);
    assert_eq!(world.worker(server).stats().closed_for("tls_failed"), CLIENTS as u64);
    world.finish();
    // The thread itself.
    let (mut world, server) = many_hellos(&TLS.0, |world| world.drop_jobs(1000));
    world.run_until(secs(3), |world| world.handshake_jobs() > 0);
    world.run(secs(1));
    let jobs = world.handshake_jobs() as u64;
    assert_eq!(world.worker(server).stats().closed_for("panicked"), jobs);
    world.finish();
}

#[test]
fn rsa_handshakes_succeed_on_threads_and_if_too_many_wait_for_them() {
    let (acceptor, connector) = rsa();
    for is_full in [false, true] {
        let mut world = World::new(1, Faults::none());
        world.refuse_jobs(is_full);
        let (echoes, _) = service(|_| Echo::default());
        world.server_with_tls(&[here()], &acceptor, Config::default(), echoes);
        let logs = echo(&mut world, &connector);
        world.run(secs(3));
        assert_eq!(world.handshake_jobs() > 0, !is_full);
        for log in &logs {
            assert_eq!(log.borrow().bytes, b"Hello over TLS", "{is_full}");
        }
        world.finish();
    }
}
