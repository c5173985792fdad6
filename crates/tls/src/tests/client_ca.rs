//! Clients with certificates.

use rcgen::ExtendedKeyUsagePurpose;
use rustls::version::{TLS12, TLS13};

use super::handshake::Client;
use super::{Authority, Folder, Pair, pair};
use crate::{CertificateStore, ClientCa, Settings};

/// A certificate for a client.
pub(super) fn client(authority: &Authority) -> Pair {
    let usage = ExtendedKeyUsagePurpose::ClientAuth;
    authority.sign(|params| params.extended_key_usages.push(usage))
}

#[test]
fn a_client_certificate_is_required_or_optional_and_never_a_wrong_one() {
    let folder = Folder::new();
    let pairs = vec![folder.pair(&pair(&["www.example.org"]))];
    let (ours, other) = (Authority::root("ours"), Authority::root("other"));
    let path = folder.file("ca.pem", &ours.cert);
    let (right, wrong) = (client(&ours), client(&other));
    for required in [true, false] {
        let client_ca = Some(ClientCa { path: path.clone(), required });
        let settings = Settings { client_ca, ..Settings::default() };
        let store = CertificateStore::open(pairs.clone(), settings).unwrap();
        for version in [&TLS12, &TLS13] {
            for (certificate, expected) in [
                (None, (!required).then_some(false)),
                (Some(&right), Some(true)),
                (Some(&wrong), None),
            ] {
                let client = Client::with(certificate, &[version], None);
                let agreed = client.connect(store.server_config(), "www.example.org");
                let got = agreed.ok().map(|agreed| agreed.has_client_certificate);
                assert_eq!(got, expected, "{version:?}, required: {required}");
            }
        }
    }
}

#[test]
fn authorities_are_read_again() {
    let folder = Folder::new();
    let pairs = vec![folder.pair(&pair(&["www.example.org"]))];
    let authorities = ["one", "two"].map(Authority::root);
    let clients = authorities
        .each_ref()
        .map(|authority| Client::with(Some(&client(authority)), rustls::ALL_VERSIONS, None));
    let path = folder.file("ca.pem", &authorities[0].cert);
    let settings =
        Settings { client_ca: Some(ClientCa { path, required: true }), ..Settings::default() };
    let mut store = CertificateStore::open(pairs, settings).unwrap();
    let admitted = |store: &CertificateStore| {
        let connect = |client: &Client| client.connect(store.server_config(), "a.example").is_ok();
        clients.each_ref().map(connect)
    };
    assert_eq!(admitted(&store), [true, false]);
    folder.file("ca.pem", &authorities[1].cert);
    store.reload().unwrap().unwrap();
    assert_eq!(admitted(&store), [false, true]);
    folder.file("ca.pem", format!("{}{}", authorities[0].cert, authorities[1].cert));
    store.reload().unwrap().unwrap();
    assert_eq!(admitted(&store), [true, true]);
}

#[test]
fn mistakes_are_named() {
    let folder = Folder::new();
    let pairs = vec![folder.pair(&pair(&["www.example.org"]))];
    let leaf = pair(&["a.example"]);
    for (content, expected) in [
        (leaf.cert.as_str(), "ca.pem has no certificate of an authority (CA:TRUE)"),
        (&leaf.key, "ca.pem has a private key and no certificate"),
        ("hello", "ca.pem has no certificate: -----BEGIN CERTIFICATE----- is missing"),
    ] {
        let client_ca = ClientCa { path: folder.file("ca.pem", content), required: true };
        let settings = Settings { client_ca: Some(client_ca), ..Settings::default() };
        let error = CertificateStore::open(pairs.clone(), settings.clone()).unwrap_err();
        assert!(folder.strip(&error.to_string()).starts_with(expected), "{error}");
        let error = settings.server_config(Vec::new()).unwrap_err();
        assert!(folder.strip(&error.to_string()).starts_with(expected), "{error}");
    }
}
