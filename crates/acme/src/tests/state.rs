//! The state folder, and crashes while it is written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};

use super::Folder;
use crate::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn issued(names: &[&str]) -> Issued {
    let params = CertificateParams::new(self::names(names)).unwrap();
    let mut params = params;
    params.not_before = (SystemTime::now() - Duration::from_secs(60)).into();
    params.not_after = (SystemTime::now() + Duration::from_secs(60)).into();
    let key = KeyPair::generate().unwrap();
    Issued { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

fn install(
    state: &StateFolder,
    lock: &Lock,
    names: &[String],
    issued: &Issued,
) -> Result<Stored, Failure> {
    state.begin(lock, names, &KeyPem(issued.key.clone()))?.install(&issued.chain)
}

fn files(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn nobody_else_can_read_keys() {
    let root = Folder::new();
    let state = StateFolder::open(&root.0.join("new/state"), "https://ca.example/dir").unwrap();
    let lock = state.try_lock().unwrap().unwrap();
    let key = state.account_key(&lock).unwrap();
    assert_eq!(state.account_key(&lock).unwrap().thumbprint(), key.thumbprint());
    let example = names(&["example.org"]);
    install(&state, &lock, &example, &issued(&["example.org"])).unwrap();
    let folder = root.0.join("new/state/ca.example-dir");
    let [cert, key] = state.pair(&example);
    assert_eq!(key, folder.join("certificates/example.org/key.pem"));
    for path in [folder.join("account-key.pem"), folder.join("lock"), cert, key] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{path:?}");
    }
    for path in ["", "certificates", "certificates/example.org"] {
        let mode = fs::metadata(folder.join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{path}");
    }
}

#[test]
fn only_one_process_has_the_lock() {
    let root = Folder::new();
    let state = StateFolder::open(&root.0, "https://ca.example/dir").unwrap();
    let lock = state.try_lock().unwrap().unwrap();
    assert!(state.try_lock().unwrap().is_none());
    drop(lock);
    assert!(state.try_lock().unwrap().is_some());
}

#[test]
fn a_certificate_and_its_key_are_replaced_together() {
    let root = Folder::new();
    let state = StateFolder::open(&root.0, "https://ca.example/dir").unwrap();
    let lock = state.try_lock().unwrap().unwrap();
    let example = names(&["example.org"]);
    assert_eq!(state.stored(&example).unwrap(), None);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let issued = issued(&["example.org"]);
        let stored = install(&state, &lock, &example, &issued).unwrap();
        assert_eq!(state.stored(&example).unwrap().as_ref(), Some(&stored));
        let [cert, key] = state.pair(&example);
        assert_eq!(fs::read_to_string(cert).unwrap(), issued.chain);
        assert_eq!(fs::read_to_string(&key).unwrap(), issued.key);
        seen.push(fs::metadata(key).unwrap().ino());
    }
    seen.dedup();
    assert_eq!(seen.len(), 4);
    // The link, its target and the version before.
    assert_eq!(files(&root.0.join("ca.example-dir/certificates")).len(), 3);
}

#[test]
fn what_a_crash_has_left_changes_nothing_and_is_removed() {
    let root = Folder::new();
    let state = StateFolder::open(&root.0, "https://ca.example/dir").unwrap();
    let lock = state.try_lock().unwrap().unwrap();
    let example = names(&["example.org"]);
    let folder = root.0.join("ca.example-dir/certificates");
    // Of another certificate, which stays.
    install(&state, &lock, &names(&["example.org.uk"]), &issued(&["example.org.uk"])).unwrap();
    // Before the first certificate, at each step.
    fs::create_dir(folder.join(".example.org.0000000000000001")).unwrap();
    fs::create_dir(folder.join(".example.org.0000000000000002")).unwrap();
    fs::write(folder.join(".example.org.0000000000000002/key.pem"), "half").unwrap();
    let link = folder.join(".example.org.0000000000000002.link");
    std::os::unix::fs::symlink(".example.org.0000000000000002", link).unwrap();
    assert_eq!(state.stored(&example).unwrap(), None);
    install(&state, &lock, &example, &issued(&["example.org"])).unwrap();
    assert!(state.stored(&example).unwrap().is_some());
    assert!(state.stored(&names(&["example.org.uk"])).unwrap().is_some());
    // The version before may still be read, and a crash has left a newer one without a certificate.
    let previous = fs::read_link(folder.join("example.org")).unwrap();
    fs::create_dir(folder.join(".example.org.0000000000000003")).unwrap();
    install(&state, &lock, &example, &issued(&["example.org"])).unwrap();
    assert_eq!(files(&folder).len(), 5, "{:?}", files(&folder));
    assert!(folder.join(previous).join("cert.pem").exists());
    // A key that was cut.
    fs::write(folder.with_file_name("account-key.pem"), "half").unwrap();
    let failure = state.account_key(&lock).unwrap_err();
    assert!(failure.text.ends_with("remove it, and a new account is made"), "{failure}");
    // A certificate that was cut is ordered again.
    fs::write(&state.pair(&example)[0], "half").unwrap();
    assert_eq!(state.stored(&example).unwrap(), None);
}

#[test]
fn a_host_may_have_the_name_of_any_other_file() {
    let root = Folder::new();
    let state = StateFolder::open(&root.0, "https://ca.example/dir").unwrap();
    let lock = state.try_lock().unwrap().unwrap();
    let key = state.account_key(&lock).unwrap();
    for name in ["lock", "account-key.pem", "certificates"] {
        install(&state, &lock, &names(&[name]), &issued(&[name])).unwrap();
        assert!(state.stored(&names(&[name])).unwrap().is_some(), "{name}");
    }
    assert!(state.try_lock().unwrap().is_none());
    assert_eq!(state.account_key(&lock).unwrap().thumbprint(), key.thumbprint());
}

#[test]
fn a_copied_folder_is_renewed() {
    let root = Folder::new();
    let state = StateFolder::open(&root.0, "https://ca.example/dir").unwrap();
    let lock = state.try_lock().unwrap().unwrap();
    let example = names(&["example.org"]);
    install(&state, &lock, &example, &issued(&["example.org"])).unwrap();
    // As cp -rL does.
    let link = root.0.join("ca.example-dir/certificates/example.org");
    let target = link.with_file_name(fs::read_link(&link).unwrap());
    fs::remove_file(&link).unwrap();
    fs::rename(target, &link).unwrap();
    let old = state.stored(&example).unwrap();
    assert!(old.is_some());
    // What is there stays until the new one is there.
    let new = issued(&["example.org"]);
    let version = state.begin(&lock, &example, &KeyPem(new.key.clone())).unwrap();
    assert_eq!(state.stored(&example).unwrap(), old);
    let stored = version.install(&new.chain).unwrap();
    assert_eq!(state.stored(&example).unwrap(), Some(stored));
    assert_eq!(files(link.parent().unwrap()).len(), 3);
}

#[test]
fn a_certificate_without_its_key_is_ordered_again() {
    let root = Folder::new();
    let state = StateFolder::open(&root.0, "https://ca.example/dir").unwrap();
    let lock = state.try_lock().unwrap().unwrap();
    let example = names(&["example.org"]);
    let [_, key] = state.pair(&example);
    for bad in [Some(issued(&["example.org"]).key), Some("half".into()), None] {
        install(&state, &lock, &example, &issued(&["example.org"])).unwrap();
        assert!(state.stored(&example).unwrap().is_some());
        match &bad {
            Some(other) => fs::write(&key, other).unwrap(),
            None => fs::remove_file(&key).unwrap(),
        }
        assert_eq!(state.stored(&example).unwrap(), None, "{bad:?}");
    }
}

#[test]
fn a_certificate_that_does_not_fit_is_not_stored() {
    let root = Folder::new();
    let state = StateFolder::open(&root.0, "https://ca.example/dir").unwrap();
    let lock = state.try_lock().unwrap().unwrap();
    let example = names(&["example.org"]);
    let good = install(&state, &lock, &example, &issued(&["example.org"])).unwrap();
    let other_key = Issued { key: issued(&["a"]).key, ..issued(&["example.org"]) };
    for (bad, expected) in [
        (other_key, "it has another key"),
        (issued(&["other.example"]), "it is not for example.org"),
        (Issued { chain: "-----BEGIN".into(), ..issued(&["a"]) }, "it has no certificate"),
    ] {
        let failure = install(&state, &lock, &example, &bad).unwrap_err();
        let start = format!("the CA sent a certificate that can't be used: {expected}");
        assert!(failure.text.starts_with(&start), "{failure}");
        assert_eq!(failure.kind, FailureKind::Certificate);
        assert_eq!(state.stored(&example).unwrap().as_ref(), Some(&good));
    }
    assert_eq!(files(&root.0.join("ca.example-dir/certificates")).len(), 2);
}

#[test]
fn each_set_of_names_and_each_authority_has_files_of_its_own() {
    let root = Folder::new();
    let open = |url| StateFolder::open(&root.0, url).unwrap();
    let state = open("https://ca.example/dir");
    let long = "a".repeat(60);
    let long = format!("{long}.{long}.{long}.example");
    let sets = [
        names(&["example.org"]),
        names(&["example.org", "www.example.org"]),
        names(&["example.org", "ftp.example.org"]),
        names(&[&long]),
        names(&[&format!("{long}.org")]),
    ];
    let mut paths: Vec<_> = sets.iter().map(|set| state.pair(set)[0].clone()).collect();
    paths.push(open("https://ca.example/dir2").pair(&sets[0])[0].clone());
    paths.push(open("https://ca.example/../../x").pair(&sets[0])[0].clone());
    paths.push(open("https://[::1]:14000/dir").pair(&sets[0])[0].clone());
    let count = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), count);
    for path in paths {
        assert_eq!(path.strip_prefix(&root.0).unwrap().components().count(), 4, "{path:?}");
    }
    // The order of names doesn't matter beyond the first.
    let same = names(&["a.example", "c.example", "b.example"]);
    assert_eq!(state.pair(&same), state.pair(&names(&["a.example", "b.example", "c.example"])));
}
