//! Certificates that are accepted and refused, and what is said of them.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::roots::of_files;
use super::verifier::{LastRefusal, RecordingVerifier};
use super::{ClientError, ClientSettings, RefusalKind, Trust};
use crate::provider::provider;
use crate::x509::CertificateFields;

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(&[]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn self_signed(params: &CertificateParams) -> CertificateDer<'static> {
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn verifier(trusted: &[&CertificateDer<'static>]) -> RecordingVerifier {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|root| roots.add((*root).clone()).unwrap());
    RecordingVerifier {
        authorities: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .ok(),
        trusted: trusted.iter().map(|root| (*root).clone()).collect(),
        last: LastRefusal::default(),
    }
}

/// The kind and the text of the refusal, if there is one.
fn refusal(
    verifier: &RecordingVerifier,
    certificate: &CertificateDer<'_>,
    name: &str,
) -> Option<(RefusalKind, String)> {
    let name = ServerName::try_from(name).unwrap();
    let result = verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::now());
    let refusal = verifier.last.lock().unwrap().take();
    assert_eq!(result.is_err(), refusal.is_some(), "{result:?}");
    refusal.map(|refusal| (refusal.kind, refusal.text))
}

#[test]
fn a_refusal_says_whose_certificate_it_is_and_why() {
    let ours = authority("Our Root");
    let others = authority("Bob's \"Other\"\nRoot");
    let verifier = verifier(&[ours.der()]);
    let signed = |params: &CertificateParams, issuer: &CertifiedIssuer<'_, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, issuer).unwrap().der().clone()
    };
    let good = params(&["example.org", "127.0.0.1"]);
    let with = |change: fn(&mut CertificateParams)| {
        let mut params = good.clone();
        change(&mut params);
        params
    };
    let expired = with(|params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let early = with(|params| {
        params.not_before = date_time_ymd(3000, 1, 1);
        params.not_after = date_time_ymd(3001, 1, 1);
    });
    let as_authority = with(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let for_clients = with(|params| {
        params.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    });
    let many: Vec<String> = (0..8).map(|at| format!("{at}.example.org")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    use RefusalKind::{Expired, NotYetValid, Other, UnknownIssuer, WrongName};
    let whose = "sent a certificate for example.org, 127.0.0.1";
    for (certificate, name, expected) in [
        (signed(&good, &ours), "example.org", None),
        (signed(&good, &ours), "127.0.0.1", None),
        (
            signed(&expired, &ours),
            "example.org",
            Some((Expired, format!("{whose} that expired at 2020-01-01 00:00 UTC"))),
        ),
        (
            signed(&early, &ours),
            "example.org",
            Some((NotYetValid, format!("{whose} that is not valid before 3000-01-01 00:00 UTC"))),
        ),
        (
            signed(&good, &others),
            "example.org",
            Some((
                UnknownIssuer,
                format!("{whose}, issued by Bob's \"Other\"\\nRoot, which is not trusted"),
            )),
        ),
        (
            self_signed(&good),
            "example.org",
            Some((UnknownIssuer, format!("{whose} that is signed by no authority"))),
        ),
        (
            self_signed(&as_authority),
            "example.org",
            Some((UnknownIssuer, format!("{whose} that is signed by no authority"))),
        ),
        (
            signed(&as_authority, &ours),
            "example.org",
            Some((Other, format!("{whose} that belongs to an authority (CA), not to a server"))),
        ),
        (
            signed(&for_clients, &ours),
            "example.org",
            Some((Other, format!("{whose} that is not for servers (extended key usage)"))),
        ),
        (
            signed(&good, &ours),
            "example.com",
            Some((WrongName, format!("{whose}, not for example.com"))),
        ),
        (signed(&good, &ours), "::1", Some((WrongName, format!("{whose}, not for ::1")))),
        (
            signed(&params(&[]), &ours),
            "localhost",
            Some((
                WrongName,
                "sent a certificate without names (subjectAltName), so it is not for localhost"
                    .into(),
            )),
        ),
        (
            signed(&params(&many), &ours),
            "localhost",
            Some((
                WrongName,
                "sent a certificate for 0.example.org, 1.example.org, 2.example.org, \
                 3.example.org, 4.example.org and 3 more names, not for localhost"
                    .into(),
            )),
        ),
    ] {
        assert_eq!(refusal(&verifier, &certificate, name), expected, "{name}");
    }
}

#[test]
fn a_certificate_that_is_trusted_itself_must_have_the_name_and_be_valid() {
    let mut params = params(&["localhost"]);
    // As `openssl req -x509` makes them.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = self_signed(&params);
    let verifier = verifier(&[&certificate]);
    assert_eq!(refusal(&verifier, &certificate, "localhost"), None);
    let (kind, _) = refusal(&verifier, &certificate, "example.org").unwrap();
    assert_eq!(kind, RefusalKind::WrongName);
    (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
    let expired = self_signed(&params);
    let verifier = self::verifier(&[&expired]);
    let (kind, _) = refusal(&verifier, &expired, "localhost").unwrap();
    assert_eq!(kind, RefusalKind::Expired);
}

#[test]
fn files_of_authorities_and_names_are_checked() {
    let folder = std::env::temp_dir().join(format!("sockeye-tls-client-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, content: &str| -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let key = write("key.pem", &KeyPair::generate().unwrap().serialize_pem());
    let pem = authority("Root").pem();
    let two = write("two.pem", &format!("{pem}{}", authority("Other").pem()));
    let client = |files: &[&PathBuf], name: &str| {
        let files = files.iter().map(|path| path.to_path_buf()).collect();
        let settings = ClientSettings { trust: Trust::Files(files), ..ClientSettings::default() };
        settings.client(name).map(drop)
    };
    client(&[&two], "example.org").unwrap();
    client(&[&two], "::1").unwrap();
    for (files, name, expected_text) in [
        (vec![&two, &key], "h", "key.pem"),
        (vec![&folder.join("none")], "h", "No such file"),
        (vec![&two], "a b", "'a b' is not a name that a certificate can have"),
    ] {
        let error = client(&files, name).unwrap_err();
        assert!(error.to_string().contains(expected_text), "{error}");
        assert_eq!(matches!(error, ClientError::InvalidName(_)), name == "a b", "{error}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_certificate_in_a_file_that_is_no_authority_vouches_for_itself_only() {
    let folder = std::env::temp_dir().join(format!("sockeye-tls-leaf-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let root = authority("Root");
    let mut named = params(&["localhost"]);
    named.distinguished_name.push(DnType::CommonName, "a server");
    let leaf = CertifiedIssuer::self_signed(named, KeyPair::generate().unwrap()).unwrap();
    let signed = |issuer| {
        let key = KeyPair::generate().unwrap();
        params(&["example.org"]).signed_by(&key, issuer).unwrap().der().clone()
    };
    for (pem, is_root_trusted) in
        [(leaf.pem(), false), (format!("{}{}", leaf.pem(), root.pem()), true)]
    {
        let path = folder.join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        let trust = Trust::Files(vec![path]);
        let settings = ClientSettings { trust, ..ClientSettings::default() };
        let verifier = settings.verifier(&LastRefusal::default()).unwrap();
        let verify = |certificate: &CertificateDer<'_>, name: &'static str| {
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::now()).is_ok()
        };
        assert!(verify(leaf.der(), "localhost"));
        assert!(!verify(leaf.der(), "example.org"));
        assert!(!verify(&signed(&leaf), "example.org"), "a server's key has signed it");
        assert_eq!(verify(&signed(&root), "example.org"), is_root_trusted);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_root_of_version_1_is_an_authority() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/fixtures");
    let path = |name: &str| PathBuf::from(format!("{fixtures}/{name}"));
    let (roots, all) = of_files(&[path("v1-root.pem"), path("text.pem")]).unwrap();
    let v1 = CertificateDer::from_pem_file(path("v1-root.pem")).unwrap();
    assert!(all.contains(&v1));
    let facts = CertificateFields::parse(&v1).unwrap();
    assert!(facts.is_v1 && !facts.is_authority);
    assert!(roots.roots.iter().any(|root| facts.subject.ends_with(&root.subject)));
}
