//! Certificates as people have them, and the mistakes that they make.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, date_time_ymd,
};

use super::*;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sockeye-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A leaf and its intermediate, in PEM, and the leaf's key.
fn chain(change: impl FnOnce(&mut CertificateParams)) -> [String; 3] {
    let mut authority = params("authority.example");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let mut leaf = params("www.example.org");
    change(&mut leaf);
    let key = KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    [leaf.pem(), authority_pem, key.serialize_pem()]
}

/// The error for these files.
fn error(name: &str, cert: &str, key: &str) -> String {
    let folder = Folder::new(name);
    let (cert, key) = (folder.file("cert.pem", cert), folder.file("key.pem", key));
    let error = Certificate::from_files(&cert, &key).unwrap_err().to_string();
    error.replace(&*folder.0.to_string_lossy(), "")
}

#[test]
fn a_chain_and_its_key_are_read_with_names_and_times() {
    let folder = Folder::new("read");
    let [leaf, authority, key] = chain(|_| ());
    let cert = folder.file("cert.pem", &format!("{leaf}{authority}"));
    let read = Certificate::from_files(&cert, &folder.file("key.pem", &key)).unwrap();
    assert_eq!(read.names(), ["www.example.org"]);
    assert_eq!(read.key.cert.len(), 2);
    assert!(read.not_before() < SystemTime::now() && SystemTime::now() < read.not_after());
    // Both in one file.
    let both = folder.file("both.pem", &format!("{key}{leaf}"));
    Certificate::from_files(&both, &both).unwrap();
}

#[test]
fn each_mistake_is_named() {
    let [leaf, authority, key] = chain(|_| ());
    let [_, _, other_key] = chain(|_| ());
    let [old, _, old_key] = chain(|leaf| {
        leaf.not_before = date_time_ymd(2020, 1, 1);
        leaf.not_after = date_time_ymd(2020, 4, 1);
    });
    let [early, _, early_key] = chain(|leaf| leaf.not_before = date_time_ymd(2200, 1, 1));
    // Authority information access with an empty list.
    let aia = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], vec![0x30, 0]);
    let [public, _, public_key] = chain(|leaf| leaf.custom_extensions.push(aia));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (at, (cert, key, expected)) in [
        (&leaf, &other_key, "/key.pem: the key belongs to another certificate than /cert.pem"),
        (&key, &leaf, "/cert.pem: has a private key and no certificate: name the certificate first, then its key (/key.pem,/cert.pem)"),
        (&format!("{authority}{leaf}"), &key, "/cert.pem: the certificates are in the wrong order"),
        (&old, &old_key, "/cert.pem: the certificate has expired"),
        (&early, &early_key, "/cert.pem: the certificate is not valid yet"),
        (&public, &public_key, "/cert.pem: the intermediate certificates are missing"),
        (&leaf, &encrypted.to_owned(), "/key.pem: the key is encrypted"),
        (&leaf, &"hello".to_owned(), "/key.pem: has no private key"),
        (&"hello".to_owned(), &key, "/cert.pem: has no certificate"),
    ]
    .into_iter()
    .enumerate()
    {
        let error = error(&format!("mistake-{at}"), cert, key);
        assert!(error.starts_with(expected), "{error}");
    }
    let missing = Certificate::from_files("/nowhere".as_ref(), "/nowhere".as_ref()).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read /nowhere: "), "{missing}");
}

#[test]
fn a_certificate_should_be_renewed_in_the_last_third_or_two_weeks() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    for (lifetime, left, expected) in
        [(90, 15, false), (90, 13, true), (6, 3, false), (6, 1, true), (6, 0, true)]
    {
        let (mut certificate, _) = self_signed(vec!["localhost".into()]).unwrap();
        let now = SystemTime::now();
        certificate = certificate.with_times(now + left * DAY - lifetime * DAY, now + left * DAY);
        assert_eq!(certificate.expires_soon(now), expected, "{left} of {lifetime} days");
    }
}

#[test]
fn replaced_files_are_read_again_and_a_fault_is_reported_once() {
    let folder = Folder::new("replaced");
    let write = |parts: &[String; 3]| {
        folder.file("cert.pem", &parts[0]);
        folder.file("key.pem", &parts[2]);
    };
    let (first, second) = (chain(|_| ()), chain(|_| ()));
    write(&first);
    let pair = [folder.0.join("cert.pem"), folder.0.join("key.pem")];
    let (mut files, certificates) = CertificateFiles::read(vec![pair.clone()]).unwrap();
    assert_eq!(certificates.len(), 1);
    assert!(files.changed().is_none());
    // Only half of it is replaced yet.
    folder.file("key.pem", &second[2]);
    let error = files.changed().unwrap().unwrap_err();
    assert!(error.to_string().contains("belongs to another certificate"), "{error}");
    assert!(files.changed().is_none());
    write(&second);
    assert_eq!(files.changed().unwrap().unwrap().len(), 1);
    fs::remove_file(&pair[0]).unwrap();
    assert!(files.changed().unwrap().is_err());
    assert!(files.changed().is_none());
    // A link that is renamed, as mounted secrets are replaced.
    for (name, parts) in [("one", &first), ("two", &second)] {
        fs::create_dir(folder.0.join(name)).unwrap();
        folder.file(&format!("{name}/cert.pem"), &parts[0]);
        folder.file(&format!("{name}/key.pem"), &parts[2]);
    }
    let link = folder.0.join("link");
    std::os::unix::fs::symlink("one", &link).unwrap();
    let pair = [link.join("cert.pem"), link.join("key.pem")];
    let (mut files, _) = CertificateFiles::read(vec![pair]).unwrap();
    let next = folder.0.join("next");
    std::os::unix::fs::symlink("two", &next).unwrap();
    fs::rename(&next, &link).unwrap();
    assert_eq!(files.changed().unwrap().unwrap().len(), 1);
}
