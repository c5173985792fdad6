//! What a handshake agrees on, and how it ends.

use std::io::Write;
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, ClientConfig, ServerConfig, SignatureScheme};
use sockeye_proto::WallTime;

use super::{
    NOW, Pair, assert_is_failed, certificate, configs, configs_with, provider, roots, server,
};
use crate::tls::TlsError;
use crate::tls::acceptor::{TlsAcceptor, TlsConnector, WorkerAcceptor};
use crate::tls::clock::LoopClock;
use crate::tls::connection::MAX_UNUSED;

#[test]
fn tls_1_2_works_however_records_are_split() {
    for step in [1, 7, usize::MAX] {
        let certificate = certificate(|_| ());
        let (_, server) = configs_with(&certificate);
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots(&certificate))
            .with_no_client_auth();
        let mut pair = Pair::with(&Arc::new(client), &server);
        pair.client.writer().write_all(b"Hello").unwrap();
        pair.run(step).unwrap();
        assert_eq!(pair.received, b"Hello");
        let info = pair.server.take_info();
        assert_eq!(
            (info.version, info.cipher_suite),
            ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")
        );
    }
}

#[test]
fn what_was_agreed_on_has_the_names_of_the_registry() {
    let mut pair = Pair::connected();
    let info = pair.server.take_info();
    assert_eq!((info.version, info.cipher_suite), ("TLSv1.3", "TLS_AES_256_GCM_SHA384"));
    assert_eq!(info.server_name.as_deref(), Some("localhost"));
}

#[test]
fn a_hello_is_refused_by_its_size_however_it_arrives() {
    // Records of a client hello of 40,000 bytes, all there at once and in pieces.
    let mut hello = vec![1, 0, 0x9C, 0x40];
    hello.resize(4 + 40_000, 0);
    let records: Vec<u8> = hello
        .chunks(0x4000)
        .flat_map(|part| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat())
        .collect();
    for step in [1000, 16 * 1024, usize::MAX] {
        let (mut server, mut out) = (server(), Vec::new());
        let mut taken = 0;
        let result = records.clone().chunks_mut(step).try_for_each(|piece| {
            taken += piece.len();
            let result = server.read(NOW, piece, &mut out, |_| panic!("no plaintext"));
            assert!(server.unused_capacity() <= MAX_UNUSED, "{}", server.unused_capacity());
            result
        });
        assert!(matches!(result, Err(TlsError::TooLarge)), "{step}: {result:?}");
        assert_eq!(result.unwrap_err().fault().code, "tls_too_large");
        assert_eq!(out, [21, 3, 3, 0, 2, 2, 22], "the alert record_overflow");
        assert_is_failed(&mut server);
    }
}

/// Has no certificate for any name.
#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

#[test]
fn an_unknown_name_gets_its_alert() {
    for versions in [&[&rustls::version::TLS12][..], rustls::ALL_VERSIONS] {
        let certificate = certificate(|_| ());
        let mut server = configs_with(&certificate).1;
        server.cert_resolver = Arc::new(Nothing);
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots(&certificate))
            .with_no_client_auth();
        let mut pair = Pair::with(&Arc::new(client), &server);
        let (result, out) = {
            let mut records = pair.records();
            pair.read(&mut records)
        };
        assert_eq!(result.unwrap_err().fault().code, "tls_unknown_name");
        let error = pair.deliver_to_client(&out).unwrap_err();
        assert_eq!(error, rustls::Error::AlertReceived(AlertDescription::UnrecognisedName));
    }
}

#[test]
fn a_client_that_cannot_verify_our_signatures_gets_its_alert() {
    // Our certificate has a P-256 key.
    let mut p384 = CryptoProvider::clone(&provider());
    let algorithms = &mut p384.signature_verification_algorithms;
    let is_p384 = |(scheme, _): &_| *scheme == SignatureScheme::ECDSA_NISTP384_SHA384;
    let at = algorithms.mapping.iter().position(is_p384).unwrap();
    algorithms.mapping = &algorithms.mapping[at..=at];
    let p384 = Arc::new(p384);
    for version in rustls::ALL_VERSIONS {
        let certificate = certificate(|_| ());
        let server = configs_with(&certificate).1;
        let client = ClientConfig::builder_with_provider(Arc::clone(&p384))
            .with_protocol_versions(&[*version])
            .unwrap()
            .with_root_certificates(roots(&certificate))
            .with_no_client_auth();
        let mut pair = Pair::with(&Arc::new(client), &server);
        let mut records = pair.records();
        let (result, out) = pair.read(&mut records);
        let fault = result.unwrap_err().fault();
        assert_eq!(fault.code, "tls_no_common_suite", "{version:?}: {fault}");
        let error = pair.deliver_to_client(&out).unwrap_err();
        assert_eq!(error, rustls::Error::AlertReceived(AlertDescription::HandshakeFailure));
        assert_is_failed(&mut pair.server);
    }
}

#[test]
fn ends_of_handshakes_have_typed_reasons() {
    let certificate = certificate(|_| ());
    let tls12 = &[&rustls::version::TLS12][..];
    let tls13 = &[&rustls::version::TLS13][..];
    let with = |provider, client_versions, server_versions, client_alpn: &[u8]| {
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(server_versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der.clone()], certificate.key.clone_key())
            .unwrap();
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut suites = CryptoProvider::clone(&super::provider());
        suites.cipher_suites.truncate(1);
        let client = match client_versions {
            Some(versions) => ClientConfig::builder_with_provider(super::provider())
                .with_protocol_versions(versions),
            None => {
                ClientConfig::builder_with_provider(suites.into()).with_protocol_versions(tls13)
            }
        };
        let mut client =
            client.unwrap().with_root_certificates(roots(&certificate)).with_no_client_auth();
        client.alpn_protocols = vec![client_alpn.to_vec()];
        let mut pair = Pair::with(&Arc::new(client), &server);
        let mut records = pair.records();
        let (result, out) = pair.read(&mut records);
        let Err(rustls::Error::AlertReceived(alert)) = pair.deliver_to_client(&out) else {
            panic!("no alert: {out:?}")
        };
        (result.unwrap_err().fault().code, alert)
    };
    let mut other = CryptoProvider::clone(&provider());
    other.cipher_suites.remove(0);
    let other = Arc::new(other);
    assert_eq!(
        with(provider(), Some(tls12), tls13, b"http/1.1"),
        ("tls_no_common_version", AlertDescription::ProtocolVersion)
    );
    assert_eq!(
        with(provider(), Some(tls13), tls12, b"http/1.1"),
        ("tls_no_common_version", AlertDescription::ProtocolVersion)
    );
    assert_eq!(
        with(other, None, tls13, b"http/1.1"),
        ("tls_no_common_suite", AlertDescription::HandshakeFailure)
    );
    assert_eq!(
        with(provider(), Some(tls13), tls13, b"h9"),
        ("tls_unknown_protocol", AlertDescription::NoApplicationProtocol)
    );
}

#[test]
fn the_peers_alert_is_named() {
    let (mut client, server) = configs();
    // Trusts another certificate.
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots(&certificate(|_| ())), provider());
    client.dangerous().set_certificate_verifier(verifier.build().unwrap());
    let mut pair = Pair::with(&Arc::new(client), &server);
    let mut records = pair.records();
    let (result, out) = pair.read(&mut records);
    result.unwrap();
    pair.deliver_to_client(&out).unwrap_err();
    let mut alert = pair.records();
    let fault = pair.read(&mut alert).0.unwrap_err().fault();
    assert_eq!(fault.code, "tls_alert");
    assert!(
        ["unknown_ca", "bad_certificate", "decrypt_error"]
            .iter()
            .any(|name| fault.what.contains(name)),
        "{fault}"
    );
}

#[test]
fn a_client_certificate_is_told_and_a_bad_one_refused() {
    let (theirs, ours) = (certificate(|_| ()), certificate(|_| ()));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(&theirs), provider());
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![ours.der.clone()], ours.key.clone_key())
        .unwrap();
    let client = |chain: Vec<_>, key: &PrivateKeyDer<'_>| {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&ours))
            .with_client_auth_cert(chain, key.clone_key())
            .unwrap();
        Arc::new(config)
    };
    // The second one has nothing to do with the first, and no verification uses it.
    let with = client(vec![theirs.der.clone(), ours.der.clone()], &theirs.key);
    for resumed in [false, true] {
        let mut pair = Pair::with(&with, &server);
        pair.run(usize::MAX).unwrap();
        let info = pair.server.take_info();
        assert_eq!(info.client_certificates, [Box::from(theirs.der.as_ref())]);
        assert!(!info.resumed || resumed);
    }
    let mut pair = Pair::with(&client(vec![ours.der.clone()], &ours.key), &server);
    let error = pair.run(usize::MAX).unwrap_err();
    assert_eq!(error.fault().code, "tls_bad_certificate");
    let (without, _) = configs_with(&ours);
    let mut pair = Pair::with(&Arc::new(without), &server);
    assert_eq!(pair.run(usize::MAX).unwrap_err().fault().code, "tls_bad_certificate");
}

#[test]
fn sessions_resume_on_another_worker() {
    let (client, server) = configs();
    let (client, acceptor) = (Arc::new(client), TlsAcceptor::new(&server));
    let mut workers = [(); 2].map(|()| WorkerAcceptor::new(acceptor.clone()));
    for (at, worker) in [0, 1, 0, 1].into_iter().enumerate() {
        let mut pair = Pair::of(&client, workers[worker].accept().unwrap());
        pair.run(usize::MAX).unwrap();
        assert_eq!(pair.server.take_info().resumed, at > 0, "{at}");
    }
}

#[test]
fn a_replaced_configuration_is_used_by_each_worker() {
    let [(first, old), (second, new)] = [configs(), configs()];
    let (first, second) = (Arc::new(first), Arc::new(second));
    let acceptor = TlsAcceptor::new(&old);
    let mut workers = [(); 2].map(|()| WorkerAcceptor::new(acceptor.clone()));
    for worker in &mut workers {
        Pair::of(&first, worker.accept().unwrap()).run(usize::MAX).unwrap();
    }
    acceptor.replace(&new);
    for worker in &mut workers {
        Pair::of(&second, worker.accept().unwrap()).run(usize::MAX).unwrap();
    }
}

#[test]
fn early_data_is_never_accepted() {
    let (mut client, mut server) = configs();
    server.max_early_data_size = 1000;
    client.enable_early_data = true;
    let client = Arc::new(client);
    let acceptor = TlsAcceptor::new(&server);
    let mut worker = WorkerAcceptor::new(acceptor);
    for _ in 0..2 {
        let mut pair = Pair::of(&client, worker.accept().unwrap());
        if let Some(mut early) = pair.client.early_data() {
            early.write_all(b"early").unwrap();
        }
        pair.run(usize::MAX).unwrap();
        assert!(!pair.server.is_handshaking() && !pair.client.is_early_data_accepted());
        pair.client.writer().write_all(b"late").unwrap();
        pair.run(usize::MAX).unwrap();
        assert_eq!(pair.received, b"late");
    }
}

#[test]
fn time_is_that_of_the_event_loop() {
    let from = |year| {
        move |params: &mut rcgen::CertificateParams| {
            params.not_before = rcgen::date_time_ymd(year, 1, 1);
            params.not_after = rcgen::date_time_ymd(year + 1, 1, 1);
        }
    };
    // A client certificate of 2030, seen by servers before, within and after.
    let (theirs, ours) = (certificate(from(2030)), certificate(|_| ()));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(&theirs), provider());
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![ours.der.clone()], ours.key.clone_key())
        .unwrap();
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&ours))
        .with_client_auth_cert(vec![theirs.der.clone()], theirs.key.clone_key())
        .unwrap();
    // A resumed session would not show the certificate again.
    client.resumption = Resumption::disabled();
    let client = Arc::new(client);
    for (seconds, is_valid) in
        [(1_795_651_200, false), (1_900_000_000, true), (1_930_000_000, false)]
    {
        let mut pair = Pair::with(&client, &server);
        let now = WallTime::from_secs(seconds);
        let mut result = Ok(());
        for _ in 0..3 {
            let (mut records, mut out) = (pair.records(), Vec::new());
            result = pair.server.read(now, &mut records, &mut out, |_| ());
            if result.is_err() {
                break;
            }
            pair.deliver_to_client(&out).unwrap();
        }
        assert_eq!(result.is_ok(), is_valid, "{seconds}: {result:?}");
    }
}

#[test]
fn a_configuration_that_cannot_work_is_our_fault() {
    let mut client = configs().0;
    client.alpn_protocols = vec![vec![]];
    let mut server = configs().1;
    server.max_fragment_size = Some(1);
    let error = WorkerAcceptor::new(TlsAcceptor::new(&server)).accept().err().expect("an error");
    assert_eq!(error.fault().blame, sockeye_proto::Blame::Ours);
}

#[test]
fn what_is_sealed_before_the_handshake_is_our_fault() {
    let error = server().seal(b"early", &mut Vec::new()).unwrap_err();
    assert_eq!(error.fault().code, "tls_failed");
}

#[test]
fn a_client_is_made_with_the_clock_of_its_event_loop() {
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::new(Arc::new(configs().0), name);
    connector.connect(NOW).unwrap();
    let seen = LoopClock.current_time().unwrap();
    assert_eq!(seen.as_secs(), NOW.as_secs());
}
