//! Certificates that are replaced while a server runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use super::handshake::Client;
use super::{DAY, Folder, Pair, pair, valid};
use crate::{
    CertificateStore, Challenges, ClientCa, Error, Problem, Settings, Warning, WarningKind,
};

fn open(pairs: Vec<[PathBuf; 2]>) -> CertificateStore {
    CertificateStore::open(pairs, Settings::default()).unwrap()
}

/// The first name of the certificate that new connections get.
fn served(store: &CertificateStore) -> String {
    let agreed = Client::new().connect(store.server_config(), "unknown.example").unwrap();
    let served = crate::Fingerprint::of(&agreed.certificate);
    let infos = store.certificates();
    let info = infos.iter().find(|info| info.fingerprint == served).expect("it is listed");
    info.names[0].clone()
}

#[test]
fn a_file_written_in_place_is_loaded() {
    let folder = Folder::new();
    let mut store = open(vec![folder.pair(&pair(&["one.example"]))]);
    assert!(store.reload().is_none());
    assert_eq!(served(&store), "one.example");
    folder.pair(&pair(&["two.example"]));
    store.reload().unwrap().unwrap();
    assert!(store.reload().is_none());
    assert_eq!(served(&store), "two.example");
}

#[test]
fn the_renamed_link_of_a_mounted_secret_is_followed() {
    let folder = Folder::new();
    for (at, name) in ["one.example", "two.example"].into_iter().enumerate() {
        fs::create_dir(folder.path(&format!("..{at}"))).unwrap();
        let pair = pair(&[name]);
        folder.file(&format!("..{at}/tls.crt"), pair.cert);
        folder.file(&format!("..{at}/tls.key"), pair.key);
    }
    // As Kubernetes does.
    symlink("..0", folder.path("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), folder.path(name)).unwrap();
    }
    let mut store = open(vec![[folder.path("tls.crt"), folder.path("tls.key")]]);
    assert_eq!(served(&store), "one.example");
    symlink("..1", folder.path("..data_tmp")).unwrap();
    fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
    fs::remove_dir_all(folder.path("..0")).unwrap();
    store.reload().unwrap().unwrap();
    assert_eq!(served(&store), "two.example");
}

#[test]
fn a_fault_keeps_the_old_certificates_and_is_returned_once() {
    let folder = Folder::new();
    let [first, second] = [pair(&["one.example"]), pair(&["two.example"])];
    let files = folder.pair(&first);
    let mut store = open(vec![files.clone()]);
    let before = store.server_config();
    let fault = |store: &mut CertificateStore| {
        let error = store.reload().unwrap().unwrap_err();
        assert!(store.reload().is_none());
        assert!(Arc::ptr_eq(&store.server_config(), &before));
        assert_eq!(served(store), "one.example");
        error.to_string()
    };
    // The certificate is new, the key old.
    fs::write(&files[0], &second.cert).unwrap();
    assert!(fault(&mut store).contains("belongs to another certificate"));
    fs::remove_file(&files[0]).unwrap();
    assert!(fault(&mut store).contains("No such file"));
    fs::write(&files[0], &second.cert[..200]).unwrap();
    assert!(fault(&mut store).contains("is cut off"));
    // Taken back: that is a change, too.
    fs::write(&files[0], &first.cert).unwrap();
    store.reload().unwrap().unwrap();
    // The certificate, and then the key.
    fs::write(&files[0], &second.cert).unwrap();
    store.reload().unwrap().unwrap_err();
    fs::write(&files[1], &second.key).unwrap();
    store.reload().unwrap().unwrap();
    assert_eq!(served(&store), "two.example");
}

#[test]
fn one_fault_of_several_pairs_replaces_none() {
    let folder = Folder::new();
    let write = |name: &str, pair: &Pair| {
        let file = |end, content| folder.file(&format!("{name}.{end}"), content);
        [file("pem", &pair.cert), file("key", &pair.key)]
    };
    let pairs = vec![write("a", &pair(&["a.example"])), write("b", &pair(&["b.example"]))];
    let mut store = open(pairs);
    let before = store.certificates().to_vec();
    write("a", &pair(&["a.example"]));
    folder.file("b.key", "hello");
    assert!(store.reload().unwrap().is_err());
    assert_eq!(store.certificates(), before);
    write("b", &pair(&["b.example"]));
    store.reload().unwrap().unwrap();
    assert!(store.certificates().iter().zip(&before).all(|(now, before)| now != before));
}

#[test]
fn a_certificate_of_tomorrow_is_loaded_tomorrow() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let mut store = open(vec![folder.pair(&pair(&["one.example"]))]);
    folder.pair(&valid(&["two.example"], now + DAY, now + 90 * DAY));
    let error = store.reload_at(now).unwrap().unwrap_err();
    assert!(matches!(error, Error::File(_, Problem::NotYetValid(_))), "{error}");
    assert!(store.reload_at(now).is_none());
    assert_eq!(served(&store), "one.example");
    // Settings that fail change nothing, also not when the files are checked again.
    let client_ca = ClientCa { path: folder.path("missing.pem"), required: true };
    let settings = Settings { client_ca: Some(client_ca), ..Settings::default() };
    store.reconfigure(settings).unwrap_err();
    store.reload_at(now + 2 * DAY).unwrap().unwrap();
    assert!(store.reload_at(now + 2 * DAY).is_none());
    assert_eq!(served(&store), "two.example");
}

#[test]
fn a_pipe_is_read_once() {
    let folder = Folder::new();
    let pair = pair(&["one.example"]);
    let path = folder.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let both = format!("{}{}", pair.cert, pair.key);
    let writer = std::thread::spawn({
        let path = path.clone();
        move || fs::write(path, both).unwrap()
    });
    // Both from one pipe.
    let mut store = open(vec![[path.clone(), path]]);
    writer.join().unwrap();
    assert!(store.reload().is_none());
    // A file that becomes a pipe isn't opened: nobody may ever write to it.
    let files = folder.pair(&pair);
    let mut store = open(vec![files.clone()]);
    fs::remove_file(&files[0]).unwrap();
    fs::rename(folder.path("pipe"), &files[0]).unwrap();
    let error = store.reload().unwrap().unwrap_err();
    assert!(matches!(error, Error::File(_, Problem::NotAFile)), "{error}");
}

#[derive(Debug)]
struct NoChallenges;

impl Challenges for NoChallenges {
    fn certificate(&self, _: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

#[test]
fn certificates_of_acme_may_come_later() {
    let folder = Folder::new();
    let files = [folder.path("cert.pem"), folder.path("key.pem")];
    let missing = CertificateStore::open(vec![files.clone()], Settings::default()).unwrap_err();
    assert!(missing.to_string().contains("No such file"), "{missing}");
    let none = CertificateStore::open(Vec::new(), Settings::default()).unwrap_err();
    assert!(matches!(none, Error::NoCertificates));

    let acme = Settings { challenges: Some(Arc::new(NoChallenges)), ..Settings::default() };
    CertificateStore::open(Vec::new(), acme.clone()).unwrap();
    let acme_too = acme.clone();
    let ordered = vec![files.clone()];
    let mut store = CertificateStore::with_ordered(Vec::new(), ordered, acme).unwrap();
    assert_eq!(store.warnings()[0], Warning::new(&files[0], WarningKind::Missing));
    assert!(Client::new().connect(store.server_config(), "a.example").is_err());
    assert!(store.reload().is_none());
    folder.pair(&pair(&["a.example"]));
    store.reload().unwrap().unwrap();
    assert!(store.warnings().is_empty());
    assert_eq!(served(&store), "a.example");
    let other = Folder::new();
    let files_of_other = other.pair(&pair(&["b.example"]));
    fs::remove_file(&files_of_other[1]).unwrap();
    let no_key = CertificateStore::with_ordered(Vec::new(), vec![files_of_other.clone()], acme_too);
    let no_key = no_key.unwrap();
    assert_eq!(no_key.warnings()[0], Warning::new(&files_of_other[1], WarningKind::Missing));
    // What has been there must not vanish.
    fs::remove_file(&files[0]).unwrap();
    assert!(store.reload().unwrap().is_err());
    assert_eq!(served(&store), "a.example");
}

#[test]
fn an_expired_certificate_of_acme_is_used_until_it_is_renewed() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let files = folder.pair(&valid(&["a.example"], now - 90 * DAY, now - DAY));
    let acme = Settings { challenges: Some(Arc::new(NoChallenges)), ..Settings::default() };
    let ordered = vec![files];
    let mut store = CertificateStore::with_ordered(Vec::new(), ordered, acme).unwrap();
    assert!(matches!(store.warnings()[0].kind, WarningKind::Expired(_)));
    assert_eq!(served(&store), "a.example");
    assert_eq!(store.expiring(now).len(), 1);
}

#[test]
fn a_certificate_that_expires_in_use_does_not_keep_others_from_being_replaced() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let write = |name: &str, pair: &Pair| {
        let file = |end, content| folder.file(&format!("{name}.{end}"), content);
        [file("pem", &pair.cert), file("key", &pair.key)]
    };
    let short = |name| valid(&[name], now - DAY, now + 10 * DAY);
    let pairs = vec![write("a", &short("a.example")), write("b", &pair(&["b.example"]))];
    let mut store = CertificateStore::open_at(pairs, Vec::new(), Settings::default(), now).unwrap();
    let before = store.certificates().to_vec();
    write("b", &pair(&["b.example"]));
    let later = now + 20 * DAY;
    store.reload_at(later).unwrap().unwrap();
    let after = store.certificates().to_vec();
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
    assert_eq!(store.certificate_for(Some("b.example")), Some(&after[1]));
    assert!(store.warnings().iter().any(|warning| {
        warning.path == before[0].path && matches!(warning.kind, WarningKind::Expired(_))
    }));
    // A certificate that was not in use yet may not be expired.
    write("a", &short("a.example"));
    write("b", &pair(&["b.example"]));
    let error = store.reload_at(later).unwrap().unwrap_err();
    assert!(matches!(error, Error::File(_, Problem::Expired(_))), "{error}");
    assert_eq!(store.certificates(), after);
}

#[test]
fn certificates_that_are_not_ordered_are_checked_with_acme_too() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let acme = Settings { challenges: Some(Arc::new(NoChallenges)), ..Settings::default() };
    let ordered = vec![[folder.path("ordered.pem"), folder.path("ordered-key.pem")]];
    let files = [folder.path("cert.pem"), folder.path("key.pem")];
    let open = || {
        let pairs = vec![files.clone()];
        CertificateStore::with_ordered(pairs, ordered.clone(), acme.clone())
    };
    let error = open().unwrap_err();
    assert_eq!(error.missing_file(), Some(&*files[0]), "{error}");
    folder.pair(&valid(&["a.example"], now - 90 * DAY, now - DAY));
    let error = open().unwrap_err();
    assert!(matches!(error, Error::File(_, Problem::Expired(_))), "{error}");
    folder.pair(&pair(&["a.example"]));
    let mut store = open().unwrap();
    assert_eq!(served(&store), "a.example");
    // Later, too.
    let good = store.certificates().to_vec();
    folder.pair(&valid(&["a.example"], now - 90 * DAY, now - DAY));
    store.reload().unwrap().unwrap_err();
    assert_eq!(store.certificates(), good);
}

#[test]
fn an_ordered_certificate_that_is_unusable_is_missing_until_it_is_renewed() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let acme = Settings { challenges: Some(Arc::new(NoChallenges)), ..Settings::default() };
    let ordered = [folder.path("cert.pem"), folder.path("key.pem")];
    let given = pair(&["given.example"]);
    let given = [folder.file("given.pem", &given.cert), folder.file("given-key.pem", &given.key)];
    let open = || {
        let (given, ordered) = (vec![given.clone()], vec![ordered.clone()]);
        CertificateStore::open_at(given, ordered, acme.clone(), now).unwrap()
    };
    let served_to = |store: &CertificateStore| {
        let info = store.certificate_for(Some("a.example")).unwrap();
        info.names[0].clone()
    };
    let good = pair(&["a.example"]);
    for damage in ["", "hello", &good.cert[..200]] {
        folder.pair(&good);
        fs::write(&ordered[0], damage).unwrap();
        let mut store = open();
        let warning = &store.warnings()[0];
        assert!(matches!(warning.kind, WarningKind::Unusable(_)), "{warning}");
        assert!(warning.to_string().contains(&*ordered[0].to_string_lossy()), "{warning}");
        assert_eq!(served_to(&store), "given.example");
        // It keeps no other certificate from being replaced.
        let new = pair(&["given.example"]);
        fs::write(&given[0], new.cert).unwrap();
        fs::write(&given[1], new.key).unwrap();
        store.reload().unwrap().unwrap();
        folder.pair(&good);
        store.reload().unwrap().unwrap();
        assert!(store.warnings().is_empty());
        assert_eq!(served_to(&store), "a.example");
        // What has been loaded stays in use.
        fs::write(&ordered[0], damage).unwrap();
        store.reload().unwrap().unwrap_err();
        assert_eq!(served_to(&store), "a.example");
    }
    // The key of another, and a certificate of tomorrow.
    folder.pair(&good);
    fs::write(&ordered[1], pair(&["a.example"]).key).unwrap();
    assert!(open().warnings()[0].to_string().contains("key.pem"));
    folder.pair(&valid(&["a.example"], now + DAY, now + 90 * DAY));
    let mut store = open();
    assert!(store.warnings()[0].to_string().contains("cert.pem"));
    assert!(store.reload_at(now).is_none());
    store.reload_at(now + 2 * DAY).unwrap().unwrap();
    assert!(store.reload_at(now + 2 * DAY).is_none());
    assert_eq!(served_to(&store), "a.example");
}
