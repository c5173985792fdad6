//! The cryptography that HTTP/2 requires of TLS 1.2 (RFC 9113, 9.2).

use rustls::version::TLS12;
use rustls::{CipherSuite, NamedGroup, ServerConfig};

use super::handshake::Client;
use super::{Folder, pair};
use crate::{CertificateStore, Settings, provider};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/fixtures");

#[test]
fn tls_1_2_has_only_suites_with_ephemeral_keys_and_authenticated_encryption() {
    let folder = Folder::new();
    let pairs = vec![folder.pair(&pair(&["www.example.org"]))];
    let store = CertificateStore::open(pairs, Settings::default()).unwrap();
    let config: &ServerConfig = &store.server_config();
    let provider = config.crypto_provider();
    for suite in provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none()) {
        let name = suite.suite().as_str().unwrap();
        assert!(name.starts_with("TLS_ECDHE_"), "{name}");
        assert!(name.contains("_GCM_") || name.contains("_CHACHA20_POLY1305_"), "{name}");
    }
    for group in &provider.kx_groups {
        use NamedGroup::{X25519, X25519MLKEM768, secp256r1, secp384r1};
        assert!([X25519, X25519MLKEM768, secp256r1, secp384r1].contains(&group.name()));
    }
}

#[test]
fn tls_1_2_has_the_suite_and_the_group_that_every_peer_has() {
    let path = |name: &str| format!("{FIXTURES}/{name}").into();
    let pairs = vec![[path("rsa-cert.pem"), path("rsa-pkcs8.pem")]];
    let store = CertificateStore::open(pairs, Settings::default()).unwrap();
    let mut only = provider().as_ref().clone();
    let suite = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    only.cipher_suites.retain(|other| other.suite() == suite);
    only.kx_groups.retain(|group| group.name() == NamedGroup::secp256r1);
    let client = Client::of(only.into(), None, &[&TLS12], None).alpn(&[b"h2"]);
    let agreed = client.connect(store.server_config(), "localhost").unwrap();
    assert_eq!(agreed.alpn.as_deref(), Some(&b"h2"[..]));
}

/// RFC 9113, 3.2: `h2c` is for HTTP/2 without TLS.
#[test]
fn alpn_chooses_a_version_of_http_and_never_h2c() {
    let path = |name: &str| format!("{FIXTURES}/{name}").into();
    let pairs = vec![[path("rsa-cert.pem"), path("rsa-pkcs8.pem")]];
    let store = CertificateStore::open(pairs, Settings::default()).unwrap();
    let choose = |offered: &[&[u8]]| {
        Client::new().alpn(offered).connect(store.server_config(), "localhost").map(|it| it.alpn)
    };
    let named = |name: &[u8]| Ok(Some(name.to_vec()));
    assert_eq!(choose(&[b"h2c", b"http/1.1", b"h2"]), named(b"h2"));
    assert_eq!(choose(&[b"h2c", b"http/1.1"]), named(b"http/1.1"));
    assert_eq!(choose(&[b"h2c"]), Err(rustls::Error::NoApplicationProtocol));
    assert_eq!(choose(&[]), Ok(None));
}
