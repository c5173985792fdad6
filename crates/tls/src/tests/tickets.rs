//! Sessions are resumed across a reload, and never if clients are asked for certificates.

use std::fs;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};

use super::client_ca::client;
use super::handshake::Client;
use super::{Authority, Folder, pair};
use crate::{CertificateStore, ClientCa, Settings};

#[test]
fn tickets_survive_new_certificates() {
    for version in [&TLS12, &TLS13] {
        let folder = Folder::new();
        let pairs = vec![folder.pair(&pair(&["www.example.org"]))];
        let mut store = CertificateStore::open(pairs, Settings::default()).unwrap();
        let client = Client::with(None, &[version], None);
        assert!(!client.resumes(store.server_config()).unwrap());
        assert!(client.resumes(store.server_config()).unwrap());
        folder.pair(&pair(&["www.example.org"]));
        store.reload().unwrap().unwrap();
        assert!(client.resumes(store.server_config()).unwrap(), "{version:?}");
        // The tickets of another server are of no use.
        let pairs = vec![folder.pair(&pair(&["www.example.org"]))];
        let other = CertificateStore::open(pairs, Settings::default()).unwrap();
        assert!(!client.resumes(other.server_config()).unwrap());
    }
}

#[test]
fn a_ticket_does_not_replace_a_client_certificate() {
    for version in [&TLS12, &TLS13] {
        let folder = Folder::new();
        let pairs = vec![folder.pair(&pair(&["www.example.org"]))];
        let (ours, other) = (Authority::root("ours"), Authority::root("other"));
        let path = folder.file("ca.pem", &ours.cert);
        let without = Settings::default();
        let with = |required| Settings {
            client_ca: Some(ClientCa { path: path.clone(), required }),
            ..Settings::default()
        };
        let mut store = CertificateStore::open(pairs, without.clone()).unwrap();
        let nobody = Client::with(None, &[version], None);
        assert!(!nobody.resumes(store.server_config()).unwrap());
        assert!(nobody.resumes(store.server_config()).unwrap());
        let before = Client::with(None, &[version], None);
        assert!(!before.resumes(store.server_config()).unwrap());

        // The ticket isn't accepted any more, and the full handshake asks for a certificate.
        store.reconfigure(with(true)).unwrap();
        nobody.resumes(store.server_config()).unwrap_err();
        // A client with a certificate, which still has a ticket without.
        let mut somebody = Client::with(Some(&client(&ours)), &[version], None);
        somebody.0.resumption = nobody.0.resumption.clone();
        for required in [true, false] {
            store.reconfigure(with(required)).unwrap();
            // It gets no ticket, which would outlive the certificate.
            for _ in 0..3 {
                assert!(!somebody.resumes(store.server_config()).unwrap(), "{version:?}");
            }
        }
        // Without a certificate, too: later connections may have one.
        assert!(!nobody.resumes(store.server_config()).unwrap());
        assert!(!nobody.resumes(store.server_config()).unwrap());
        // Another authority, by a reload.
        store.reconfigure(with(true)).unwrap();
        fs::write(&path, &other.cert).unwrap();
        store.reload().unwrap().unwrap();
        somebody.resumes(store.server_config()).unwrap_err();

        // And back: tickets from the time before are not accepted any more.
        store.reconfigure(without).unwrap();
        assert!(!before.resumes(store.server_config()).unwrap());
        assert!(before.resumes(store.server_config()).unwrap());
    }
}

#[test]
fn sessions_are_kept_by_clients_only() {
    let folder = Folder::new();
    let pairs = vec![folder.pair(&pair(&["www.example.org"]))];
    let store = CertificateStore::open(pairs, Settings::default()).unwrap();
    let config = store.server_config();
    assert!(config.ticketer.enabled());
    assert!(!config.session_storage.can_cache());
    assert_eq!(config.max_early_data_size, 0);
    let shared = store.server_config();
    assert!(Arc::ptr_eq(&shared.ticketer, &config.ticketer));
}
