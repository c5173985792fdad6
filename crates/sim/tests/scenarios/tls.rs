//! TLS, with both sides on the engine. Bytes differ from run to run (the key exchange draws its own
//! randomness); events repeat from the seed.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sockeye_engine::{Config, TlsAcceptor, TlsConnector};
use sockeye_proto::echo::Echo;
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::checked::{SendClient, SharedLog, assert_no_violations, checked, service};
use crate::{here, secs};

/// TLS for `localhost`, and a client that trusts only that.
static TLS: LazyLock<(TlsAcceptor, TlsConnector)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = sockeye_tls::provider();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    (TlsAcceptor::new(&server), TlsConnector::new(Arc::new(client), name))
});

/// Runs some clients of an echo server over TLS. Returns the bytes that each sent, and their logs.
fn echo(seed: u64, faults: Faults) -> (Vec<Vec<u8>>, Vec<SharedLog>) {
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
        world.shard_mut(client).connect_tls(&here(), connector, protocol, 0);
        inputs.push(input);
        logs.push(log);
    }
    world.settle();
    world.finish();
    assert_no_violations(&logs);
    assert_no_violations(&at_server.borrow());
    (inputs, logs)
}

#[test]
fn the_echo_over_tls_does_not_depend_on_faults() {
    seeds(0..150, |seed| {
        let faults = Faults { no_descriptor: 0, ..Faults::lossless(&mut Rng::new(seed)) };
        let (inputs, logs) = echo(seed, faults);
        for (input, log) in inputs.iter().zip(&logs) {
            let log = log.borrow();
            assert_eq!(log.reason.as_deref(), Some("peer_closed"));
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
        // A drained shard may end before late sends of closed connections return.
        let faults = Faults { late_send: 0, ..Faults::lossless(&mut Rng::new(seed)) };
        let mut world = World::new(seed, faults);
        let (echoes, at_server) = service(|_| Echo::default());
        let (acceptor, connector) = &*TLS;
        let server = world.server_with_tls(&[here()], acceptor, Config::default(), echoes);
        let client = world.client(Config::default(), None);
        let mut logs = Vec::new();
        for _ in 0..rng.between(1, 4) {
            let (protocol, log) = checked(SendClient::then_finish(b"Hello over TLS"));
            world.shard_mut(client).connect_tls(&here(), connector, protocol, 0);
            logs.push(log);
        }
        world.run(Duration::from_millis(rng.below(200) as u64));
        world.drain(server);
        world.settle();
        for log in &logs {
            assert!(log.borrow().reason.is_some(), "a client is notified of the end in any case");
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
        (Script::new().send(b"\x16\x03\x01\x02\x00\x01"), "handshake_timeout"),
        (Script::new(), "handshake_timeout"),
    ] {
        let mut world = World::new(1, Faults::none());
        let (echoes, logs) = service(|_| Echo::default());
        let server = world.server_with_tls(&[here()], &TLS.0, Config::default(), echoes);
        world.peer(&here(), script);
        world.run_until(secs(60), |world| world.shard(server).stats().total_closed() == 1);
        assert_eq!(world.shard(server).stats().closed_for(reason), 1, "{reason}");
        world.finish();
        assert!(logs.borrow().is_empty(), "no protocol was made");
    }
}
