//! TLS, with both sides on the engine. Bytes differ from run to run (the key exchange draws its own
//! randomness); events repeat from the seed.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sockeye_engine::{Config, Service, TlsAcceptor, TlsConnector};
use sockeye_proto::echo::Echo;
use sockeye_proto::{Consumed, Event, Fault, Peer, Protocol, Time, Turn};
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::checked::{Logs, SendClient, SharedLog, assert_no_violations, checked, service};
use crate::{here, secs};

/// TLS for `localhost`, and a client that trusts only that.
pub(crate) static TLS: LazyLock<(TlsAcceptor, TlsConnector)> = LazyLock::new(|| tls(|_| ()));

fn tls(change: impl FnOnce(&mut rcgen::CertificateParams)) -> (TlsAcceptor, TlsConnector) {
    // Its signatures have all the same length, so that runs repeat.
    tls_with_key(rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), change)
}

pub(crate) fn tls_with_key(
    signing_key: rcgen::KeyPair,
    change: impl FnOnce(&mut rcgen::CertificateParams),
) -> (TlsAcceptor, TlsConnector) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.self_signed(&signing_key).unwrap().der().clone();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Sessions of other tests, which run at the same time, would change what is sent.
    client.resumption = Resumption::disabled();
    let name = ServerName::try_from("localhost").unwrap();
    (TlsAcceptor::new(&server), TlsConnector::new(Arc::new(client), name))
}

/// A client hello, as it is sent.
pub(crate) static HELLO: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut world = World::new(1, Faults::none());
    world.scripted_server(&here(), Script::new());
    let client = world.client(Config::default(), None);
    let (protocol, _) = checked(SendClient::then_finish(b""));
    world.worker_mut(client).connect_tls(&here(), &TLS.1, protocol, 0);
    world.run(secs(1));
    world.last_script().bytes
});

/// Runs some clients of an echo server over TLS. Returns the bytes that each sent, and their logs.
fn echo(seed: u64, faults: Faults) -> (Vec<Vec<u8>>, Vec<SharedLog>) {
    let (inputs, logs, _) = echo_of(seed, faults);
    (inputs, logs)
}

fn echo_of(seed: u64, faults: Faults) -> (Vec<Vec<u8>>, Vec<SharedLog>, Logs) {
    let mut rng = Rng::new(seed ^ 0x715);
    let most = if faults.send_buffer.min(faults.receive_buffer) < 256 { 300 } else { 40_000 };
    let mut world = World::new(seed, faults);
    let (echoes, at_server) = service(|_| Echo::default());
    let (acceptor, connector) = &*TLS;
    // Some networks take minutes for a handshake.
    let config = Config { handshake_timeout: secs(300), ..Config::default() };
    world.server_with_tls(&[here()], acceptor, config.clone(), echoes);
    let client = world.client(config, Some(IpAddr::from([192, 0, 2, 1])));
    let (mut inputs, mut logs) = (Vec::new(), Vec::new());
    for _ in 0..rng.between(1, 4) {
        let count = rng.below(most);
        let input = rng.bytes(count);
        let (protocol, log) = checked(SendClient::then_finish(&input));
        world.worker_mut(client).connect_tls(&here(), connector, protocol, 0);
        inputs.push(input);
        logs.push(log);
    }
    world.settle();
    world.finish();
    assert_no_violations(&logs);
    assert_no_violations(&at_server.borrow());
    (inputs, logs, at_server)
}

#[test]
fn the_echo_over_tls_does_not_depend_on_faults() {
    seeds(0..150, |seed| {
        let faults = Faults { no_descriptor: 0, ..Faults::lossless(&mut Rng::new(seed)) };
        let (inputs, logs, at_server) = echo_of(seed, faults);
        for log in &*at_server.borrow() {
            assert!(!log.borrow().truncated, "the client has sent close_notify");
        }
        for (input, log) in inputs.iter().zip(&logs) {
            let log = log.borrow();
            assert_eq!(log.reason.as_deref(), Some("peer_closed"));
            assert!(!log.truncated, "the server has sent close_notify");
            assert!(log.bytes == *input, "{} of {} bytes", log.bytes.len(), input.len());
        }
    });
}

#[test]
fn with_lossy_faults_the_echo_over_tls_is_a_prefix_and_every_connection_ends() {
    seeds(0..150, |seed| {
        let (inputs, logs) = echo(seed, Faults::lossy(&mut Rng::new(seed)));
        for (input, log) in inputs.iter().zip(&logs) {
            assert!(input.starts_with(&log.borrow().bytes));
            assert!(log.borrow().reason.is_some(), "a client is notified of the end in any case");
        }
    });
}

#[test]
fn a_drain_ends_handshakes_and_connections_over_tls() {
    seeds(0..150, |seed| {
        let mut rng = Rng::new(seed ^ 0xD7A1);
        // A drained worker may end before late sends of closed connections return.
        let faults = Faults { late_send: 0, ..Faults::lossless(&mut Rng::new(seed)) };
        let mut world = World::new(seed, faults);
        let (echoes, at_server) = service(|_| Echo::default());
        let (acceptor, connector) = &*TLS;
        let server = world.server_with_tls(&[here()], acceptor, Config::default(), echoes);
        let client = world.client(Config::default(), None);
        let mut logs = Vec::new();
        for _ in 0..rng.between(1, 4) {
            let (protocol, log) = checked(SendClient::then_finish(b"Hello over TLS"));
            world.worker_mut(client).connect_tls(&here(), connector, protocol, 0);
            logs.push(log);
        }
        world.run(Duration::from_millis(rng.below(200) as u64));
        world.drain(server);
        world.settle();
        let is_cut = world.worker(server).stats().closed_for("cut") > 0;
        for log in &logs {
            assert!(log.borrow().reason.is_some(), "a client is notified of the end in any case");
            assert!(is_cut || !log.borrow().truncated, "the server has sent close_notify");
        }
        world.finish();
        assert_no_violations(&logs);
        assert_no_violations(&at_server.borrow());
    });
}

#[test]
fn handshakes_that_are_no_tls_cut_or_never_finished_end() {
    for (script, reason) in [
        (Script::new().send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "not_tls"),
        (Script::new().send(b"\0\0\0\0\0\0\0\0"), "tls_malformed"),
        (Script::new().send(b"\x16\x03\x01\x02").finish(), "tls_cut"),
        (Script::new().finish(), "peer_closed"),
        (Script::new().send(b"\x16\x03\x01\x02\x00\x01"), "tls_timeout"),
        (Script::new(), "tls_timeout"),
    ] {
        let mut world = World::new(1, Faults::none());
        let (echoes, logs) = service(|_| Echo::default());
        let server = world.server_with_tls(&[here()], &TLS.0, Config::default(), echoes);
        world.peer(&here(), script);
        world.run_until(secs(60), |world| world.worker(server).stats().total_closed() == 1);
        assert_eq!(world.worker(server).stats().closed_for(reason), 1, "{reason}");
        world.finish();
        assert!(logs.borrow().is_empty(), "no protocol was made");
    }
}

#[test]
fn a_handshake_that_is_cut_anywhere_ends() {
    let hello = HELLO.as_slice();
    for cut in 0..=hello.len() {
        let begun = Script::new().send(&hello[..cut]);
        for script in
            [begun.clone(), begun.clone().finish(), begun.clone().close(), begun.clone().reset()]
        {
            let mut world = World::new(cut as u64, Faults { split: 500, ..Faults::none() });
            let (echoes, logs) = service(|_| Echo::default());
            world.server_with_tls(&[here()], &TLS.0, Config::default(), echoes);
            world.peer(&here(), script);
            world.finish();
            assert!(logs.borrow().is_empty(), "no protocol was made");
        }
    }
}

#[test]
fn runs_over_tls_repeat_from_the_seed() {
    seeds(0..40, |seed| {
        let run = || {
            let (_, logs) = echo(seed, Faults::lossy(&mut Rng::new(seed)));
            logs.iter().map(|log| format!("{:?}", log.borrow())).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
    });
}

#[test]
fn certificates_are_valid_on_the_virtual_clock() {
    // The clock of a world begins in October 2015.
    for (from, is_valid) in [(2014, false), (2015, true), (2016, false), (2026, false)] {
        let (acceptor, connector) = tls(|params| {
            params.not_before = rcgen::date_time_ymd(from, 2, 1);
            params.not_after = rcgen::date_time_ymd(from + 1, 2, 1);
        });
        let mut world = World::new(1, Faults::none());
        let (echoes, logs) = service(|_| Echo::default());
        world.server_with_tls(&[here()], &acceptor, Config::default(), echoes);
        let client = world.client(Config::default(), None);
        let (protocol, log) = checked(SendClient::then_finish(b"Hello"));
        world.worker_mut(client).connect_tls(&here(), &connector, protocol, 0);
        world.settle();
        let expected = if is_valid { "peer_closed" } else { "tls_bad_certificate" };
        assert_eq!(log.borrow().reason.as_deref(), Some(expected), "{from}");
        if !is_valid {
            let reason = logs.borrow().first().and_then(|log| log.borrow().reason.clone());
            assert!(reason.is_none_or(|reason| reason == "tls_alert"), "no session is opened");
        }
        world.finish();
    }
}

/// Echoes, with or without TLS.
pub(crate) struct Both(pub(crate) Logs);

impl Service for Both {
    fn open(&mut self, _: &Peer) -> Box<dyn Protocol> {
        let (protocol, log) = checked(Echo::default());
        self.0.borrow_mut().push(log);
        protocol
    }

    fn open_plain(&mut self, peer: &Peer) -> Option<Box<dyn Protocol>> {
        assert_eq!(peer.tls, None);
        Some(self.open(peer))
    }
}

#[test]
fn a_client_without_tls_gets_a_protocol_of_its_own() {
    seeds(0..150, |seed| {
        let mut rng = Rng::new(seed ^ 0x91A1);
        let faults = Faults {
            no_descriptor: 0,
            late_send: 0,
            would_block: 0,
            short_read: 0,
            ..Faults::lossless(&mut rng)
        };
        let mut world = World::new(seed, faults);
        let logs = Logs::default();
        let server = world.server_with_tls(
            &[here()],
            &TLS.0,
            Config { handshake_timeout: secs(300), ..Config::default() },
            Both(Rc::clone(&logs)),
        );
        let peers = [(); 3].map(|()| {
            let script = Script::new().send(b"GET / or what comes").send(b" without TLS").finish();
            world.peer(&here(), script)
        });
        // Nothing that has arrived is lost, whenever the server drains.
        let drains = rng.below(2) == 0;
        world.run(Duration::from_millis(rng.below(100) as u64));
        let sent = peers.map(|peer| world.arrived(peer));
        if drains && rng.below(2) == 0 {
            world.drain_between_turns(server);
        } else if drains {
            world.drain(server);
        }
        world.settle();
        for (peer, sent) in peers.into_iter().zip(sent) {
            let bytes = world.peer_state(peer).bytes;
            let whole = b"GET / or what comes without TLS";
            assert!(whole.starts_with(&bytes), "{:?}", String::from_utf8_lossy(&bytes));
            assert!(bytes.len() >= if drains { sent } else { whole.len() }, "{}", bytes.len());
        }
        world.finish();
        assert_no_violations(&logs.borrow());
        assert!(logs.borrow().iter().all(|log| !log.borrow().truncated), "it has no TLS");
    });
}

#[test]
fn a_silent_handshake_gives_way_and_ends_soon_after_a_drain_begins() {
    let mut world = World::new(1, Faults::none());
    let (echoes, _) = service(|_| Echo::default());
    let config = Config { max_connections: 4, ..Config::default() };
    let server = world.server_with_tls(&[here()], &TLS.0, config, echoes);
    let client = world.client(Config::default(), None);
    for _ in 0..4 {
        world.peer(&here(), Script::new());
    }
    world.run(secs(2));
    let (protocol, log) = checked(SendClient::then_finish(b"Hello"));
    world.worker_mut(client).connect_tls(&here(), &TLS.1, protocol, 0);
    world.run(secs(1));
    assert_eq!(log.borrow().bytes, b"Hello", "a silent connection was closed for it");
    assert_eq!(world.worker(server).stats().closed_for("made_room"), 1);
    let begin = world.now();
    world.drain(server);
    world.run_until(secs(60), |world| world.worker(server).connections() == 0);
    assert!(world.now().since(begin) < secs(2), "{:?}", world.now().since(begin));
    assert_eq!(world.worker(server).stats().closed_for("drained"), 3);
    world.finish();
}

#[test]
fn handshakes_count_by_the_clients_address() {
    let mut world = World::new(1, Faults::none());
    let (echoes, _) = service(|_| Echo::default());
    let config = Config { max_connections_per_address: 2, ..Config::default() };
    let server = world.server_with_tls(&[here()], &TLS.0, config, echoes);
    for _ in 0..5 {
        let hello = HELLO.as_slice();
        world.peer(&here(), Script::new().from([192, 0, 2, 1].into()).send(&hello[..100]));
    }
    world.run(secs(1));
    assert_eq!(world.worker(server).stats().closed_for("over_address_limit"), 3);
    assert_eq!(world.worker(server).footprint().handshakes, 2);
    world.finish();
}

#[test]
fn a_handshake_that_completes_while_the_server_drains_opens_one_session_at_once() {
    seeds(0..400, |seed| {
        let mut rng = Rng::new(seed ^ 0xF1A1);
        let faults = Faults {
            would_block: 800,
            read_size: 16,
            delay: Duration::from_millis(1),
            ..Faults::none()
        };
        let mut world = World::new(seed, faults);
        let (echoes, at_server) = service(|_| Echo::default());
        let lame_duck = Duration::from_micros(rng.below(2) as u64 * 500);
        let config = Config { lame_duck, ..Config::default() };
        let server = world.server_with_tls(&[here()], &TLS.0, config, echoes);
        let client = world.client(Config::default(), None);
        let (protocol, _) =
            checked(SendClient::then_read(rng.pick(&[&b""[..], b"Hello over TLS"])));
        world.worker_mut(client).connect_tls(&here(), &TLS.1, protocol, 0);
        world.run(Duration::from_micros(rng.below(250_000) as u64));
        if rng.below(2) == 0 {
            world.drain_between_turns(server);
        } else {
            world.drain(server);
        }
        let begin = world.now();
        world.run_until(secs(60), |world| world.worker(server).connections() == 0);
        assert!(world.now().since(begin) < secs(9), "{:?}", world.now().since(begin));
        assert!(at_server.borrow().len() <= 1);
        world.finish();
        assert_no_violations(&at_server.borrow());
    });
}

/// Is always idle.
struct Idle;

impl Protocol for Idle {
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
        Some(Time::ZERO)
    }
}

#[test]
fn idle_connections_close_with_close_notify() {
    for is_evicted in [true, false] {
        let mut world = World::new(1, Faults::none());
        let config = Config { max_connections: 4, ..Config::default() };
        let server = match is_evicted {
            true => world.server_with_tls(&[here()], &TLS.0, config, service(|_| Idle).0),
            false => {
                world.server_with_tls(&[here()], &TLS.0, config, service(|_| Echo::default()).0)
            }
        };
        let client = world.client(Config::default(), None);
        let mut logs = Vec::new();
        for _ in 0..5 {
            let (protocol, log) = checked(SendClient::then_read(b"Hello"));
            world.worker_mut(client).connect_tls(&here(), &TLS.1, protocol, 0);
            logs.push(log);
            world.run(secs(2));
        }
        let reason = if is_evicted { "made_room" } else { "idle_timeout" };
        world.run_until(secs(100), |world| world.worker(server).stats().closed_for(reason) > 0);
        world.run(secs(1));
        let ended = logs.iter().find(|log| log.borrow().reason.is_some());
        let log = ended.expect("one has ended").borrow();
        assert_eq!((&log.bytes[..], log.reason.as_deref()), (&b"Hello"[..], Some("peer_closed")));
        assert!(!log.truncated, "{reason}");
    }
}

#[test]
fn the_end_of_a_long_input_without_tls_is_not_lost() {
    seeds(0..20, |seed| {
        let mut world = World::new(seed, Faults { read_size: 10, ..Faults::none() });
        let logs = Logs::default();
        let both = Both(Rc::clone(&logs));
        let server = world.server_with_tls(&[here()], &TLS.0, Config::default(), both);
        let peer = world.peer(&here(), Script::new().send([b'a'; 95]).finish());
        world.run(secs(5));
        assert_eq!(world.peer_state(peer).bytes, [b'a'; 95]);
        assert_eq!(world.worker(server).connections(), 0, "it has seen the end");
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}
