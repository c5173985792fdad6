//! Sessions are resumed across a reload, unless the rules for client certificates have changed.

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

        // The ticket isn't accepted any more, and the full handshake asks for a certificate.
        store.reconfigure(with(true)).unwrap();
        nobody.resumes(store.server_config()).unwrap_err();
        // A client with a certificate, which still has a ticket without.
        let mut somebody = Client::with(Some(&client(&ours)), &[version], None);
        somebody.0.resumption = nobody.0.resumption.clone();
        assert!(!somebody.resumes(store.server_config()).unwrap());
        assert!(somebody.resumes(store.server_config()).unwrap());

        // Optional instead of required is another rule.
        store.reconfigure(with(false)).unwrap();
        assert!(!somebody.resumes(store.server_config()).unwrap());
        assert!(somebody.resumes(store.server_config()).unwrap());
        // A new certificate of the server and a comment beside the authority change no rule.
        folder.pair(&pair(&["www.example.org"]));
        fs::write(&path, format!("our authority\n{}", ours.cert)).unwrap();
        store.reload().unwrap().unwrap();
        assert!(somebody.resumes(store.server_config()).unwrap());
        // Another authority does.
        store.reconfigure(with(true)).unwrap();
        assert!(!somebody.resumes(store.server_config()).unwrap());
        fs::write(&path, &other.cert).unwrap();
        store.reload().unwrap().unwrap();
        somebody.resumes(store.server_config()).unwrap_err();

        // And back: what was resumed with a certificate isn't without.
        fs::write(&path, &ours.cert).unwrap();
        store.reload().unwrap().unwrap();
        assert!(!somebody.resumes(store.server_config()).unwrap());
        store.reconfigure(without).unwrap();
        assert!(!somebody.resumes(store.server_config()).unwrap());
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
