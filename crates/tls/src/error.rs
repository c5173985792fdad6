//! Why certificates can't be used.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::x509::utc;

/// Why certificates can't be used. `Display` writes a sentence that says what is wrong and, for
/// most errors, with which file and what to do. `Debug` writes the same, because a program whose
/// `main` returns an error prints it with `Debug`.
#[non_exhaustive]
pub enum Error {
    /// There is a problem with a file.
    File(PathBuf, Problem),
    /// There is no certificate. A server needs at least one.
    NoCertificates,
    /// A certificate for development can't be made.
    SelfSigned(String),
    /// rustls refuses the configuration.
    Config(rustls::Error),
}

/// What is wrong with a file, which is "it" below.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// It can't be read.
    Unreadable(io::Error),
    /// It can't be written or, if it is a folder, can't be created.
    Unwritable(io::Error),
    /// It is a folder, or has become a pipe, a device or the like since it was first read.
    NotAFile,
    /// It is larger than 1 MiB.
    TooLarge,
    /// It has no content.
    Empty,
    /// It has no certificate. The labels are those of its other PEM blocks, at most 4.
    NoCertificate(Vec<String>),
    /// It has no private key. The labels are those of its other PEM blocks, at most 4.
    NoKey(Vec<String>),
    /// It has a key and no certificate. The file at this path has the certificate instead.
    Swapped(PathBuf),
    /// It has a certificate where a key is expected.
    CertificateInsteadOfKey,
    /// It has a key where a certificate is expected.
    KeyInsteadOfCertificate,
    /// It has a certificate signing request (CSR).
    Request,
    /// It is a certificate in DER.
    DerCertificate,
    /// It is a key in DER.
    DerKey,
    /// It is a PKCS#12 file (`.p12`, `.pfx`).
    Pkcs12,
    /// It has certificates in PKCS#7 (`.p7b`).
    Pkcs7,
    /// It is text in UTF-16.
    Utf16,
    /// Its line breaks are written as a backslash and an `n`.
    EscapedLineBreaks,
    /// The end of the PEM block with this label is missing.
    CutOff(String),
    /// The PEM block with this label is invalid.
    Malformed(String),
    /// The key is protected by a password.
    EncryptedKey,
    /// The key has a type or size that isn't supported.
    UnsupportedKey,
    /// The key does not belong to the certificate in the file at this path.
    KeyOfAnother(PathBuf),
    /// The certificate expired at this time.
    Expired(SystemTime),
    /// The certificate is valid from this time on.
    NotYetValid(SystemTime),
    /// It has this many certificates, too many for a chain.
    ChainTooLong(usize),
    /// It has certificates, but none of a certificate authority (CA).
    NoAuthority,
}

impl Error {
    pub(crate) fn file(path: &Path, problem: Problem) -> Self {
        Self::File(path.to_owned(), problem)
    }

    /// The file whose absence is the reason. `None` for other reasons.
    pub(crate) fn missing_file(&self) -> Option<&Path> {
        match self {
            Self::File(path, Problem::Unreadable(error)) if error.kind() == ErrorKind::NotFound => {
                Some(path)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, problem) => problem.write(f, path),
            Self::NoCertificates => f.write_str("TLS needs a certificate and its key"),
            Self::SelfSigned(error) => write!(f, "a certificate can't be made: {error}"),
            Self::Config(error) => write!(f, "TLS can't be configured: {error}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Problem {
    /// Writes the sentence about the file at `path`.
    fn write(&self, f: &mut fmt::Formatter<'_>, path: &Path) -> fmt::Result {
        let (path, word) = (path.display(), shell_word(&path.to_string_lossy()));
        match self {
            Self::Unreadable(error) => write!(f, "cannot read {path}: {error}"),
            Self::Unwritable(error) => write!(f, "cannot write {path}: {error}"),
            Self::NotAFile => write!(f, "{path} is not a file"),
            Self::TooLarge => write!(f, "{path} is larger than 1 MiB"),
            Self::Empty => write!(f, "{path} is empty"),
            Self::NoCertificate(found) => {
                write!(f, "{path} has no certificate: -----BEGIN CERTIFICATE----- is missing")?;
                write_found(f, found)
            }
            Self::NoKey(found) => {
                write!(f, "{path} has no private key: -----BEGIN PRIVATE KEY----- is missing")?;
                write_found(f, found)
            }
            Self::Swapped(other) => {
                write!(f, "{path} is a key: name the certificate first, {},{path}", other.display())
            }
            Self::CertificateInsteadOfKey => {
                write!(f, "{path} has a certificate and no private key: name the file of the key")
            }
            Self::KeyInsteadOfCertificate => {
                write!(
                    f,
                    "{path} has a private key and no certificate: name the certificate's file"
                )
            }
            Self::Request => write!(
                f,
                "{path} is a request for a certificate: name the certificate that the CA has issued"
            ),
            Self::DerCertificate => write!(
                f,
                "{path} is in DER, not PEM: convert it with openssl x509 -in {word} -out new-cert.pem"
            ),
            Self::DerKey => write!(
                f,
                "{path} is in DER, not PEM: convert it with openssl pkey -in {word} -out new-key.pem"
            ),
            Self::Pkcs12 => write!(
                f,
                "{path} is PKCS#12, not PEM: convert it with openssl pkcs12 -in {word} -nodes \
                 -out both.pem"
            ),
            Self::Pkcs7 => write!(
                f,
                "{path} is PKCS#7: convert it with openssl pkcs7 -print_certs -in {word} \
                 -out new-cert.pem"
            ),
            Self::Utf16 => write!(f, "{path} is text in UTF-16: save it as ASCII or UTF-8"),
            Self::EscapedLineBreaks => {
                write!(f, "{path} has \\n where it should have line breaks")
            }
            Self::CutOff(label) => {
                write!(f, "{path} is cut off: -----END {label}----- is missing")
            }
            Self::Malformed(label) => {
                write!(f, "{path} is damaged: the block {label} has invalid content")
            }
            Self::EncryptedKey => write!(
                f,
                "the key in {path} is encrypted: decrypt it with openssl pkey -in {word} \
                 -out new-key.pem"
            ),
            Self::UnsupportedKey => write!(
                f,
                "the key in {path} has a type or size that is not supported: use ECDSA (P-256 or \
                 P-384), Ed25519, or RSA (2048 to 4096 bits)"
            ),
            Self::KeyOfAnother(certificate) => write!(
                f,
                "the key in {path} belongs to another certificate than that in {}",
                certificate.display()
            ),
            Self::Expired(time) => {
                write!(f, "the certificate in {path} expired at {}: renew it", utc(*time))
            }
            Self::NotYetValid(time) => write!(
                f,
                "the certificate in {path} is not valid before {}: is the clock right?",
                utc(*time)
            ),
            Self::ChainTooLong(count) => write!(
                f,
                "{path} has {count} certificates: name the server's certificate and its \
                 intermediates, not a bundle of authorities"
            ),
            Self::NoAuthority => write!(
                f,
                "{path} has no certificate of an authority (CA:TRUE): name the certificate of the \
                 CA that signs those of the clients"
            ),
        }
    }
}

/// `text` as one word for a shell: in quotes, if it is empty or has characters that are special to
/// a shell. Control characters are not escaped.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-=+,@%:".contains(c);
    match text.chars().all(is_plain) && !text.is_empty() {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Ends a sentence about a missing block with `found`, the labels of the blocks that the file has.
fn write_found(f: &mut fmt::Formatter<'_>, found: &[String]) -> fmt::Result {
    match found {
        [] => Ok(()),
        found => write!(f, "; it has {}", found.join(", ")),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(_, Problem::Unreadable(error) | Problem::Unwritable(error)) => Some(error),
            Self::Config(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        Self::Config(error)
    }
}
