//! What is said about certificates that are used all the same.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use rcgen::{CustomExtension, IsCa, KeyPair};

use super::{Authority, DAY, Folder, Pair, changed};
use crate::Certificate;

fn warnings(pair: &Pair) -> Vec<String> {
    let folder = Folder::new();
    let [cert, key] = folder.pair(pair);
    let read = Certificate::from_files(&cert, &key).unwrap();
    read.warnings().iter().map(|warning| folder.strip(&warning.to_string())).collect()
}

#[test]
fn a_missing_chain_is_named() {
    let root = Authority::root("My Root");
    let intermediate = root.intermediate("My Intermediate");
    let private = intermediate.sign(|_| ());
    assert_eq!(
        warnings(&private),
        ["cert.pem has no certificate of its issuer, My Intermediate: if that is an intermediate \
          rather than the root that clients trust, append its certificate"]
    );
    // Authority information access: caIssuers, with a URI of no characters.
    let access = [0x30, 0x0E, 0x30, 0x0C, 6, 8, 0x2B, 6, 1, 5, 5, 7, 0x30, 2, 0x86, 0];
    let access = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access.to_vec());
    let public = intermediate.sign(|leaf| leaf.custom_extensions.push(access));
    assert_eq!(
        warnings(&public),
        [
            "cert.pem lacks the certificate of its issuer, My Intermediate, which many clients need: \
          use the file with the full chain (fullchain.pem)"
        ]
    );
    let cert = format!("{}{}", public.cert, intermediate.cert);
    assert!(warnings(&Pair { cert, ..public }).is_empty());
}

#[test]
fn a_certificate_without_alternative_names_is_named() {
    let [warning] = &warnings(&changed(&[], |_| ()))[..] else { panic!() };
    assert!(warning.contains("in cert.pem has no subject alternative name: browsers"), "{warning}");
}

#[test]
fn a_signature_with_sha1_is_named() {
    let (cert, key) =
        (include_str!("fixtures/sha1-cert.pem"), include_str!("fixtures/rsa-pkcs8.pem"));
    let got = warnings(&Pair { cert: cert.into(), key: key.into() });
    let [warning] = &got[..] else { panic!("{got:?}") };
    assert!(warning.contains("in cert.pem is signed with SHA-1"), "{warning}");
}

#[test]
fn an_expired_intermediate_is_named() {
    let root = Authority::root("root");
    let mut params = Authority::params("intermediate");
    params.not_before = (SystemTime::now() - 90 * DAY).into();
    params.not_after = (SystemTime::now() - DAY).into();
    assert!(matches!(params.is_ca, IsCa::Ca(_)));
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, &root.issuer).unwrap().pem();
    let leaf =
        Authority { cert: cert.clone(), issuer: rcgen::Issuer::new(params, key) }.sign(|_| ());
    let pair = Pair { cert: format!("{}{cert}", leaf.cert), key: leaf.key };
    let [warning] = &warnings(&pair)[..] else { panic!() };
    assert!(warning.starts_with("cert.pem has the certificate of an intermediate that expired at"));
}

#[test]
fn an_expired_certificate_of_another_server_is_no_intermediate() {
    let root = Authority::root("root");
    let leaf = root.sign(|_| ());
    // The second name is that of the server, as in an earlier certificate of it.
    for name in ["other.example", "www.example.org"] {
        let other = Authority::root("other root").sign(|params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.not_before = (SystemTime::now() - 90 * DAY).into();
            params.not_after = (SystemTime::now() - DAY).into();
        });
        let cert = [&*leaf.cert, &root.cert, &other.cert].concat();
        let warnings = warnings(&Pair { cert, key: leaf.key.clone() });
        assert_eq!(warnings, ["cert.pem has a certificate that doesn't belong to the chain"]);
    }
}

#[test]
fn an_earlier_certificate_that_was_signed_by_itself_too_does_not_belong_to_the_chain() {
    let (earlier, now) = (super::pair(&["a.example"]), super::pair(&["a.example"]));
    let cert = [&*now.cert, &earlier.cert].concat();
    let warnings = warnings(&Pair { cert, key: now.key });
    assert_eq!(warnings, ["cert.pem has a certificate that doesn't belong to the chain"]);
}

#[test]
fn a_key_that_everyone_may_read_is_named() {
    let folder = Folder::new();
    let [cert, key] = folder.pair(&super::pair(&["a.example"]));
    for (mode, expected) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        let read = Certificate::from_files(&cert, &key).unwrap();
        assert_eq!(read.warnings().len(), expected, "{mode:o}");
        for warning in read.warnings() {
            let text = folder.strip(&warning.to_string());
            assert_eq!(
                text,
                "every user may read the key in key.pem: protect it with chmod o= key.pem"
            );
        }
    }
}
