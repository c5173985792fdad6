//! Each mistake has an error that says what is wrong, in which file, and what to do.

use std::fs;
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{DAY, Folder, pair, valid};
use crate::Certificate;

const CERT: &str = include_str!("fixtures/ec-cert.pem");
const KEY: &str = include_str!("fixtures/ec-sec1.pem");
const RSA_KEY: &str = include_str!("fixtures/rsa-pkcs1.pem");
const ENCRYPTED: &str = include_str!("fixtures/ec-encrypted.pem");
const ENCRYPTED_SEC1: &str = include_str!("fixtures/ec-encrypted-sec1.pem");
const REQUEST: &str = include_str!("fixtures/request.pem");
const PKCS7: &str = include_str!("fixtures/ec.p7b");
const SECP256K1: &str = include_str!("fixtures/secp256k1.pem");
/// How a PKCS#12 file begins.
const PKCS12: &[u8] = &[0x30, 0x82, 0x03, 0xFC, 0x02, 0x01, 0x03, 0x30, 0x82, 0x03, 0xB2];

fn error(cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> String {
    let folder = Folder::new();
    let (cert, key) = (folder.file("cert.pem", cert), folder.file("key.pem", key));
    folder.strip(&Certificate::from_files(&cert, &key).unwrap_err().to_string())
}

#[test]
fn each_mistake_is_named() {
    let now = SystemTime::now();
    let old = valid(&["a.example"], now - 90 * DAY, now - DAY);
    let early = valid(&["a.example"], now + DAY, now + 90 * DAY);
    let der = CertificateDer::from_pem_slice(CERT.as_bytes()).unwrap();
    let key_der = PrivateKeyDer::from_pem_slice(RSA_KEY.as_bytes()).unwrap();
    let utf16: Vec<u8> = CERT.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = [&[0xFF, 0xFE], &utf16[..]].concat();
    let key = KEY.as_bytes();
    let cut_off = &CERT[..CERT.len() - 30];
    let damaged = CERT.replacen("MII", "M*I", 1);
    let not_a_certificate = CERT.replacen("MII", "AAI", 1);
    let bundle = CERT.repeat(17);
    let labels = KEY.replace("EC PRIVATE", "OPENSSH PRIVATE");
    let convert = "-----BEGIN CERTIFICATE----- is missing";
    for (cert, key, expected) in [
        (
            CERT.as_bytes(),
            RSA_KEY.as_bytes(),
            "the key in key.pem belongs to another certificate than that in cert.pem",
        ),
        (key, CERT.as_bytes(), "cert.pem is a key: name the certificate first, key.pem,cert.pem"),
        (key, key, "cert.pem has a private key and no certificate: name the certificate's file"),
        (ENCRYPTED.as_bytes(), key, "cert.pem has a private key and no certificate"),
        (
            CERT.as_bytes(),
            CERT.as_bytes(),
            "key.pem has a certificate and no private key: name the file of the key",
        ),
        (old.cert.as_bytes(), old.key.as_bytes(), "the certificate in cert.pem expired at 20"),
        (
            early.cert.as_bytes(),
            early.key.as_bytes(),
            "the certificate in cert.pem is not valid before 20",
        ),
        (
            CERT.as_bytes(),
            ENCRYPTED.as_bytes(),
            "the key in key.pem is encrypted: decrypt it with openssl pkey -in key.pem -out new-key.pem",
        ),
        (
            CERT.as_bytes(),
            ENCRYPTED_SEC1.as_bytes(),
            "the key in key.pem is encrypted: decrypt it with openssl pkey -in key.pem",
        ),
        (
            &der,
            key,
            "cert.pem is in DER, not PEM: convert it with openssl x509 -in cert.pem -out new-cert.pem",
        ),
        (
            CERT.as_bytes(),
            key_der.secret_der(),
            "key.pem is in DER, not PEM: convert it with openssl pkey -in key.pem",
        ),
        (
            PKCS12,
            key,
            "cert.pem is PKCS#12, not PEM: convert it with openssl pkcs12 -in cert.pem -nodes",
        ),
        (PKCS7.as_bytes(), key, "cert.pem is PKCS#7: convert it with openssl pkcs7 -print_certs"),
        (
            REQUEST.as_bytes(),
            key,
            "cert.pem is a request for a certificate: name the certificate that the CA has issued",
        ),
        (CERT.as_bytes(), REQUEST.as_bytes(), "key.pem is a request for a certificate"),
        (&utf16, key, "cert.pem is text in UTF-16: save it as ASCII or UTF-8"),
        (cut_off.as_bytes(), key, "cert.pem is cut off: -----END CERTIFICATE----- is missing"),
        (
            CERT.as_bytes(),
            &key[..200],
            "key.pem is cut off: -----END EC PRIVATE KEY----- is missing",
        ),
        (damaged.as_bytes(), key, "cert.pem is damaged: the block CERTIFICATE has invalid content"),
        (
            not_a_certificate.as_bytes(),
            key,
            "cert.pem is damaged: the block CERTIFICATE has invalid content",
        ),
        (
            CERT.replace('\n', "\\n").as_bytes(),
            key,
            "cert.pem has \\n where it should have line breaks",
        ),
        (b"hello".as_slice(), key, &format!("cert.pem has no certificate: {convert}")),
        (
            CERT.as_bytes(),
            b"hello",
            "key.pem has no private key: -----BEGIN PRIVATE KEY----- is missing",
        ),
        (
            CERT.as_bytes(),
            labels.as_bytes(),
            "key.pem has no private key: -----BEGIN PRIVATE KEY----- is missing; it has OPENSSH PRIVATE KEY",
        ),
        (b"", key, "cert.pem is empty"),
        (CERT.as_bytes(), b" \r\n", "key.pem is empty"),
        (
            CERT.as_bytes(),
            SECP256K1.as_bytes(),
            "the key in key.pem has a type or size that is not supported: use ECDSA (P-256 or P-384), Ed25519, or RSA",
        ),
        (
            bundle.as_bytes(),
            key,
            "cert.pem has 17 certificates: name the server's certificate and its intermediates, not a bundle",
        ),
        (&vec![b'a'; 1024 * 1024 + 1], key, "cert.pem is larger than 1 MiB"),
    ] {
        let error = error(cert, key);
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = Folder::new();
    let pair = folder.pair(&pair(&["a.example"]));
    let missing = folder.path("missing.pem");
    for (cert, key, expected) in [
        (&missing, &pair[1], "cannot read missing.pem: No such file or directory"),
        (&pair[0], &missing, "cannot read missing.pem: No such file or directory"),
        (&folder.0, &pair[1], " is not a file"),
    ] {
        let error = folder.strip(&Certificate::from_files(cert, key).unwrap_err().to_string());
        assert!(error.contains(expected), "{error}");
    }
    fs::remove_file(&pair[0]).unwrap();
    // A link to itself, because root may read everything.
    std::os::unix::fs::symlink(&pair[0], &pair[0]).unwrap();
    let error = Certificate::from_files(&pair[0], &pair[1]).unwrap_err().to_string();
    assert!(error.contains("Too many levels of symbolic links"), "{error}");
}

#[test]
fn commands_can_be_pasted() {
    let folder = Folder::new();
    let key = folder.file("my friend's key.pem", ENCRYPTED);
    let cert = folder.file("cert.pem", CERT);
    let error = Certificate::from_files(&cert, &key).unwrap_err().to_string();
    let quoted = format!("-in '{}/my friend'\\''s key.pem' -out new-key.pem", folder.0.display());
    assert!(error.ends_with(&quoted), "{error}");
}
