//! What is read without a complaint.

use super::{Authority, Folder, pair};
use crate::Certificate;

const EC_CERT: &str = include_str!("fixtures/ec-cert.pem");
const EC_SEC1: &str = include_str!("fixtures/ec-sec1.pem");
const EC_PKCS8: &str = include_str!("fixtures/ec-pkcs8.pem");
const RSA_CERT: &str = include_str!("fixtures/rsa-cert.pem");
const RSA_PKCS1: &str = include_str!("fixtures/rsa-pkcs1.pem");
const RSA_PKCS8: &str = include_str!("fixtures/rsa-pkcs8.pem");
const ED25519_CERT: &str = include_str!("fixtures/ed25519-cert.pem");
const ED25519_PKCS8: &str = include_str!("fixtures/ed25519-pkcs8.pem");
/// `openssl x509 -text`, and the key.
const TEXT: &str = include_str!("fixtures/text.pem");

#[test]
fn keys_of_all_kinds_are_read() {
    let folder = Folder::new();
    for (name, cert, key) in [
        ("EC in SEC 1, after its parameters", EC_CERT, EC_SEC1),
        ("EC in PKCS#8", EC_CERT, EC_PKCS8),
        ("RSA in PKCS#1", RSA_CERT, RSA_PKCS1),
        ("RSA in PKCS#8", RSA_CERT, RSA_PKCS8),
        ("Ed25519", ED25519_CERT, ED25519_PKCS8),
        ("both in one file with text between", TEXT, TEXT),
        ("the key first", &format!("{EC_SEC1}{EC_CERT}"), EC_SEC1),
        ("several keys", EC_CERT, &format!("{RSA_PKCS1}{ED25519_PKCS8}{EC_SEC1}")),
        ("no line break at the end", EC_CERT.trim_end(), EC_SEC1.trim_end()),
        ("CRLF", &EC_CERT.replace('\n', "\r\n"), &EC_SEC1.replace('\n', "\r\n")),
        ("CR", &EC_CERT.replace('\n', "\r"), &EC_SEC1.replace('\n', "\r")),
        ("a BOM", &format!("\u{FEFF}{EC_CERT}"), &format!("\u{FEFF}{EC_SEC1}")),
        ("indented", &EC_CERT.replace('\n', "\n    "), &EC_SEC1.replace('\n', " \n\t")),
        ("in one line", &one_line(EC_CERT), EC_SEC1),
    ] {
        let (cert, key) = (folder.file("cert.pem", cert), folder.file("key.pem", key));
        let read = Certificate::from_files(&cert, &key);
        let read = read.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read.info().names, ["www.example.org", "192.0.2.1"], "{name}");
        assert!(read.warnings().is_empty(), "{name}: {:?}", read.warnings());
    }
}

/// A PEM block whose content isn't wrapped.
fn one_line(pem: &str) -> String {
    let lines: Vec<&str> = pem.lines().collect();
    let [begin, content @ .., end] = &lines[..] else { panic!() };
    format!("{begin}\n{}\n{end}\n", content.concat())
}

#[test]
fn the_fingerprint_is_that_of_openssl() {
    let folder = Folder::new();
    let both = folder.file("both.pem", TEXT);
    let read = Certificate::from_files(&both, &both).unwrap();
    assert_eq!(read.info().fingerprint.to_string(), include_str!("fixtures/ec-fingerprint").trim());
    assert_eq!(read.info().path, both);
}

#[test]
fn the_order_of_a_chain_is_put_right() {
    let root = Authority::root("root");
    let first = root.intermediate("first");
    let second = first.intermediate("second");
    let leaf = second.sign(|_| ());
    let other = pair(&["other.example"]).cert;
    let all = [&leaf.cert, &second.cert, &first.cert, &root.cert, &other].map(String::as_str);
    let wrong = "the certificates in cert.pem are in the wrong order";
    let unrelated = "cert.pem has a certificate that doesn't belong to the chain";
    let folder = Folder::new();
    let key = folder.file("key.pem", &leaf.key);
    for (order, expected, warning) in [
        // As it should be, with and without the root.
        (&[0, 1, 2][..], &[0, 1, 2][..], &[][..]),
        (&[0, 1, 2, 3], &[0, 1, 2, 3], &[]),
        (&[2, 1, 0], &[0, 1, 2], &[wrong]),
        (&[3, 0, 2, 1], &[0, 1, 2, 3], &[wrong]),
        // The server's certificate, and then the file that has the full chain.
        (&[0, 0, 1, 2], &[0, 1, 2], &[]),
        (&[0, 1, 2, 4], &[0, 1, 2, 4], &[unrelated]),
        (&[4, 1, 0, 2], &[0, 1, 2, 4], &[wrong, unrelated]),
    ] {
        let text: String = order.iter().map(|at| all[*at]).collect();
        let read = Certificate::from_files(&folder.file("cert.pem", text), &key).unwrap();
        let sent: Vec<usize> = read.key.cert.iter().map(|der| position(&all, der)).collect();
        assert_eq!(sent, expected, "{order:?}");
        let warnings = read.warnings().iter().map(|warning| folder.strip(&warning.to_string()));
        let warnings: Vec<String> = warnings.collect();
        assert_eq!(warnings.len(), warning.len(), "{order:?}: {warnings:?}");
        for (warning, begin) in warnings.iter().zip(warning) {
            assert!(warning.starts_with(begin), "{order:?}: {warning}");
        }
    }
}

fn position(all: &[&str], der: &[u8]) -> usize {
    let parse = |pem: &&str| crate::pem::Pem::parse(pem.as_bytes()).unwrap();
    all.iter().map(parse).position(|pem| *pem.certificates[0] == *der).unwrap()
}

#[test]
fn alternatives_of_an_intermediate_are_all_sent() {
    let roots = ["one", "two"].map(Authority::root);
    // The same name and key, signed by both roots.
    let first = roots[0].intermediate("shared");
    let params = Authority::params("shared");
    let second = params.signed_by(first.issuer.key(), &roots[1].issuer).unwrap().pem();
    let leaf = first.sign(|_| ());
    let folder = Folder::new();
    let key = folder.file("key.pem", &leaf.key);
    let cert = folder.file("cert.pem", format!("{}{}{second}", leaf.cert, first.cert));
    let read = Certificate::from_files(&cert, &key).unwrap();
    assert_eq!(read.key.cert.len(), 3);
    assert!(read.warnings().is_empty(), "{:?}", read.warnings());
}
