//! Certificates for development.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::handshake::Client;
use super::{DAY, Folder, pair};
use crate::{CertificateStore, SelfSigned, Settings, provider, self_signed};

#[test]
fn it_is_made_once() {
    let folder = Folder::new();
    let state = folder.path("state/tls");
    let first = SelfSigned::open(&state, &["dev.example".into()]).unwrap();
    assert!(first.is_new());
    for name in ["localhost", "127.0.0.1", "::1", "dev.example"] {
        assert!(first.info().names.iter().any(|other| other == name), "{name}");
    }
    let mut again = SelfSigned::open(&state, &["DEV.example".into(), "0:0::1".into()]).unwrap();
    assert!(!again.is_new());
    assert_eq!(again.info(), first.info());
    assert!(!again.renew().unwrap());
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(state.clone()), 0o700);
    assert_eq!(mode(first.pair()[0].clone()), 0o600);
    assert_eq!(mode(first.certificate_path()), 0o644);
    let copy = fs::read_to_string(first.certificate_path()).unwrap();
    assert!(copy.contains("BEGIN CERTIFICATE") && !copy.contains("PRIVATE KEY"));
}

#[test]
fn it_is_a_server_certificate_that_clients_can_trust() {
    let folder = Folder::new();
    let made = SelfSigned::open(&folder.0, &["dev.example".into()]).unwrap();
    let lifetime = made.info().not_after.duration_since(made.info().not_before).unwrap();
    assert!(lifetime <= 397 * DAY && lifetime > 396 * DAY);
    let store = CertificateStore::open(vec![made.pair()], Settings::default()).unwrap();
    assert!(store.warnings().is_empty(), "{:?}", store.warnings());
    assert_eq!(store.certificates(), [made.info().clone()]);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(made.certificate_path()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(Arc::new(roots))
        .with_no_client_auth();
    let client = Client(config);
    for name in ["localhost", "127.0.0.1", "::1", "dev.example"] {
        client.connect(store.server_config(), name).unwrap();
    }
    client.connect(store.server_config(), "other.example").unwrap_err();
}

#[test]
fn what_it_would_be_for_is_known_before_it_is_made() {
    let folder = Folder::new();
    let would_be_for =
        |names: &[String], host| SelfSigned::would_be_for(&folder.0, names, host).unwrap();
    let names = ["a.example".into(), "*.b.example".into()];
    for host in ["localhost", "::1", "A.example", "x.b.example"] {
        assert!(would_be_for(&names, host), "{host}");
    }
    assert!(!would_be_for(&names, "b.example"));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
    // The names of an existing one are kept.
    SelfSigned::open(&folder.0, &["b.example".into()]).unwrap();
    assert!(would_be_for(&names, "b.example") && would_be_for(&names, "a.example"));
    // A damaged one is replaced.
    fs::write(folder.path("self-signed.pem"), "damaged").unwrap();
    assert!(!would_be_for(&names, "b.example") && would_be_for(&names, "a.example"));
    fs::remove_file(folder.path("self-signed.pem")).unwrap();
    // One that can't be read may have any name.
    std::os::unix::fs::symlink("self-signed.pem", folder.path("self-signed.pem")).unwrap();
    SelfSigned::would_be_for(&folder.0, &names, "a.example").unwrap_err();
}

#[test]
fn it_is_made_again_when_a_name_is_missing() {
    let folder = Folder::new();
    let first = SelfSigned::open(&folder.0, &["a.example".into()]).unwrap();
    let second = SelfSigned::open(&folder.0, &["b.example".into()]).unwrap();
    assert!(second.is_new());
    assert_ne!(second.info().fingerprint, first.info().fingerprint);
    // Two servers don't replace each other's forever.
    let third = SelfSigned::open(&folder.0, &["a.example".into()]).unwrap();
    assert_eq!(third.info(), second.info());
}

#[test]
fn it_is_renewed_in_its_last_month() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let mut made = SelfSigned::open_at(&folder.0, &[], now).unwrap();
    let first = made.info().clone();
    let mut other = SelfSigned::open_at(&folder.0, &[], now).unwrap();
    let last_month = first.not_after - 30 * DAY;
    assert!(!made.renew_at(last_month - Duration::from_secs(2)).unwrap());
    assert!(made.renew_at(last_month).unwrap());
    assert_ne!(made.info().fingerprint, first.fingerprint);
    // Another process takes that.
    assert!(other.renew_at(last_month).unwrap());
    assert_eq!(made.info(), other.info());
    // After a long time off, and with a clock that was wrong.
    for now in [now + 2000 * DAY, now] {
        let again = SelfSigned::open_at(&folder.0, &[], now).unwrap();
        assert!(again.is_new());
        assert!(again.info().left(now).unwrap() > 396 * DAY);
    }
}

#[test]
fn processes_that_start_together_share_one() {
    let folder = Folder::new();
    let open = || {
        let made = SelfSigned::open(&folder.0, &["a.example".into()]).unwrap();
        let store = CertificateStore::open(vec![made.pair()], Settings::default()).unwrap();
        (made.info().fingerprint, store.certificates()[0].fingerprint, made.is_new())
    };
    let opened: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(opened.iter().all(|(own, loaded, _)| own == loaded && *own == opened[0].0));
    assert_eq!(opened.iter().filter(|(.., is_new)| *is_new).count(), 1);
}

#[test]
fn what_is_damaged_or_half_gone_is_made_again() {
    let folder = Folder::new();
    let first = SelfSigned::open(&folder.0, &[]).unwrap();
    fs::remove_file(first.certificate_path()).unwrap();
    let again = SelfSigned::open(&folder.0, &[]).unwrap();
    assert_eq!(again.info(), first.info());
    let copy = fs::read_to_string(again.certificate_path()).unwrap();
    assert!(copy.contains("BEGIN CERTIFICATE") && !copy.contains("PRIVATE KEY"));
    folder.file("self-signed.crt", pair(&["a.example"]).cert);
    SelfSigned::open(&folder.0, &[]).unwrap();
    assert_eq!(fs::read_to_string(again.certificate_path()).unwrap(), copy);
    // What a process that was killed has left.
    folder.file("self-signed.new", "hello");
    folder.file("self-signed.pem", "hello");
    let new = SelfSigned::open(&folder.0, &[]).unwrap();
    assert!(new.is_new());
    assert!(!folder.path("self-signed.new").exists());
}

#[test]
fn wrong_names_and_folders_are_named() {
    let folder = Folder::new();
    for name in ["a b", "", "http://a.example", "a.example:8443"] {
        let error = SelfSigned::open(&folder.0, &[name.into()]).unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?} is neither a DNS name nor an IP")), "{error}");
        self_signed(vec![name.into()]).unwrap_err();
    }
    self_signed(vec!["*.a.example".into()]).unwrap();
    let file = folder.file("file", "");
    let error = SelfSigned::open(&file.join("state"), &[]).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot write {}", file.display())), "{error}");
}
