//! Which certificate a client gets.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SignatureScheme};

use super::handshake::Client;
use super::{Folder, Pair, pair};
use crate::{ACME_TLS_ALPN, Certificate, Challenges, Settings, UnknownName, self_signed};

/// The configuration for these certificates.
fn config(pairs: &[Pair], settings: &Settings) -> Arc<ServerConfig> {
    let folder = Folder::new();
    let read = |pair| {
        let [cert, key] = folder.pair(pair);
        Certificate::from_files(&cert, &key).unwrap()
    };
    Arc::new(settings.server_config(pairs.iter().map(read).collect()).unwrap())
}

/// The position of the certificate that a client gets.
fn gets(client: &Client, server: &Arc<ServerConfig>, pairs: &[Pair], name: &str) -> Option<usize> {
    let agreed = client.connect(Arc::clone(server), name).ok()?;
    pairs.iter().position(|pair| {
        CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap() == agreed.certificate
    })
}

#[test]
fn an_exact_name_comes_before_a_wildcard_and_the_default() {
    let pairs = [
        pair(&["first.example"]),
        pair(&["*.example.org", "example.org"]),
        pair(&["www.example.org"]),
        pair(&["address.example", "192.0.2.7"]),
    ];
    for unknown_name in [UnknownName::FirstCertificate, UnknownName::Refuse] {
        let settings = Settings { unknown_name, ..Settings::default() };
        let server = config(&pairs, &settings);
        let default = (unknown_name == UnknownName::FirstCertificate).then_some(0);
        for (name, expected) in [
            ("first.example", Some(0)),
            ("example.org", Some(1)),
            ("a.example.org", Some(1)),
            ("WWW.Example.org", Some(2)),
            ("a.b.example.org", default),
            ("org", default),
            // A client that connects to an address asks for no name.
            ("192.0.2.7", Some(3)),
            ("192.0.2.8", Some(3)),
        ] {
            let got = gets(&Client::new(), &server, &pairs, name);
            assert_eq!(got, expected, "{name}, {unknown_name:?}");
        }
    }
}

#[test]
fn a_client_without_a_name_gets_a_certificate_for_an_address_whatever_its_other_names_are() {
    let pairs = [
        pair(&["www.example.org"]),
        pair(&["www.example.org", "192.0.2.7"]),
        pair(&["*.example.org", "2001:db8::7", "192.0.2.7"]),
        pair(&["a.example.org", "192.0.2.9"]),
    ];
    for (pairs, expected) in [(&pairs[..2], 1), (&pairs[..], 1), (&pairs[2..], 0)] {
        let server = config(pairs, &Settings::default());
        for name in ["192.0.2.7", "192.0.2.8"] {
            assert_eq!(gets(&Client::new(), &server, pairs, name), Some(expected), "{name}");
        }
    }
}

#[test]
fn without_a_certificate_for_addresses_the_first_is_for_clients_without_a_name() {
    let pairs = [pair(&["a.example"]), pair(&["b.example"])];
    for unknown_name in [UnknownName::FirstCertificate, UnknownName::Refuse] {
        let settings = Settings { unknown_name, ..Settings::default() };
        let server = config(&pairs, &settings);
        assert_eq!(gets(&Client::new(), &server, &pairs, "192.0.2.7"), Some(0));
    }
}

#[test]
fn a_client_gets_a_certificate_that_it_can_verify() {
    let fixture = |cert: &str, key: &str| Pair { cert: cert.into(), key: key.into() };
    // All for the same names.
    let pairs = [
        fixture(include_str!("fixtures/rsa-cert.pem"), include_str!("fixtures/rsa-pkcs8.pem")),
        fixture(
            include_str!("fixtures/ed25519-cert.pem"),
            include_str!("fixtures/ed25519-pkcs8.pem"),
        ),
        fixture(include_str!("fixtures/ec-cert.pem"), include_str!("fixtures/ec-pkcs8.pem")),
        pair(&["*.example.org"]),
    ];
    let server = config(&pairs, &Settings::default());
    let rsa = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
    let ec = [SignatureScheme::ECDSA_NISTP256_SHA256];
    let both = [rsa[0], ec[0]];
    for version in [&TLS12, &TLS13] {
        for (schemes, expected) in [
            (&rsa[..], 0),
            (&[SignatureScheme::ED25519], 1),
            (&ec, 2),
            // RSA is the most expensive, so it is used last.
            (&both, 2),
        ] {
            let client = Client::with(None, &[version], Some(schemes));
            for name in ["www.example.org", "unknown.example", "192.0.2.1"] {
                let got = gets(&client, &server, &pairs, name);
                assert_eq!(got, Some(expected), "{version:?} {schemes:?} {name}");
            }
        }
        // If the exact name has none that fits, the wildcard may.
        let server = config(&pairs[1..], &Settings::default());
        let server = [server, config(&[pairs[0].clone(), pairs[3].clone()], &Settings::default())];
        let client = Client::with(None, &[version], Some(&ec));
        assert_eq!(gets(&client, &server[1], &pairs, "www.example.org"), Some(3));
        let client = Client::with(None, &[version], Some(&rsa));
        assert_eq!(gets(&client, &server[0], &pairs, "www.example.org"), None);
    }
}

/// Waits for the validation of one name.
#[derive(Debug)]
struct Waiting(Arc<CertifiedKey>);

impl Challenges for Waiting {
    fn certificate(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (hello.server_name() == Some("waiting.example")).then(|| Arc::clone(&self.0))
    }
}

#[test]
fn only_a_ca_that_validates_a_name_is_answered_by_challenges() {
    let (challenge, [cert, key]) = self_signed(vec!["waiting.example".into()]).unwrap();
    let pairs = [pair(&["www.example.org"]), Pair { cert, key }];
    let settings = Settings {
        challenges: Some(Arc::new(Waiting(Arc::clone(&challenge.key)))),
        ..Settings::default()
    };
    let server = config(&pairs[..1], &settings);
    for (alpn, name, expected) in [
        (&[ACME_TLS_ALPN][..], "waiting.example", Some(1)),
        (&[ACME_TLS_ALPN], "www.example.org", None),
        // A CA offers nothing else (RFC 8737, 3).
        (&[ACME_TLS_ALPN, b"http/1.1"], "waiting.example", None),
        (&[b"h2", ACME_TLS_ALPN], "waiting.example", None),
        (&[b"h2", ACME_TLS_ALPN], "www.example.org", None),
        (&[b"http/1.1", ACME_TLS_ALPN], "www.example.org", None),
        (&[b"http/1.1"], "waiting.example", Some(0)),
        (&[], "waiting.example", Some(0)),
    ] {
        let client = Client::new().alpn(alpn);
        assert_eq!(gets(&client, &server, &pairs, name), expected, "{alpn:?} {name}");
    }
    let agreed =
        Client::new().alpn(&[ACME_TLS_ALPN]).connect(Arc::clone(&server), "waiting.example");
    assert_eq!(agreed.unwrap().alpn.as_deref(), Some(ACME_TLS_ALPN));
    // Without challenges, the protocol is unknown.
    let server = config(&pairs[..1], &Settings::default());
    assert!(Client::new().alpn(&[ACME_TLS_ALPN]).connect(server, "www.example.org").is_err());
}
