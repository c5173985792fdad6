//! Problems with files of certificates that don't prevent the server from running.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::shell_word;
use crate::x509::utc;

/// A problem with a file that doesn't prevent the server from running. `Display` writes a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file.
    pub path: PathBuf,
    /// The problem.
    pub kind: WarningKind,
}

/// A problem with a file, which is "it" below.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// Its certificates are not in the order from the server's to the root's. They are sent in the
    /// right order.
    Reordered,
    /// It has this many certificates that don't belong to the chain. They are sent after the chain.
    Unrelated(usize),
    /// It lacks the certificate of the issuer of the server's certificate.
    NoIssuer {
        /// The issuer's common name.
        issuer: String,
        /// The certificate names a URL for its issuer's certificate, as those of public authorities
        /// do. The issuer is then an intermediate, whose certificate many clients need.
        is_public: bool,
    },
    /// The certificate of an intermediate expired at this time.
    IntermediateExpired(SystemTime),
    /// The certificate has no DNS name and no IP address as subject alternative name.
    NoNames,
    /// A certificate is signed with SHA-1 or MD5.
    WeakSignature,
    /// Every user of the machine may read the key.
    KeyIsPublic,
    /// The certificate expired at this time, and is used until it is renewed.
    Expired(SystemTime),
    /// It doesn't exist yet.
    Missing,
    /// Its certificate is not used for this reason, which names the file at fault: this one or that
    /// of the key.
    Unusable(String),
}

impl Warning {
    pub(crate) fn new(path: &Path, kind: WarningKind) -> Self {
        Self { path: path.to_owned(), kind }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            WarningKind::Reordered => write!(
                f,
                "the certificates in {path} are in the wrong order, and are sent in the right one: \
                 the server's comes first, and each is followed by its issuer's"
            ),
            WarningKind::Unrelated(count) => {
                write!(f, "{path} has {count} certificates that don't belong to the chain")
            }
            WarningKind::NoIssuer { issuer, is_public: true } => write!(
                f,
                "{path} lacks the certificate of its issuer, {issuer}, which many clients need: use \
                 the file with the full chain (fullchain.pem)"
            ),
            WarningKind::NoIssuer { issuer, is_public: false } => write!(
                f,
                "{path} has no certificate of its issuer, {issuer}: if that is an intermediate \
                 rather than the root that clients trust, append its certificate"
            ),
            WarningKind::IntermediateExpired(time) => write!(
                f,
                "{path} has the certificate of an intermediate that expired at {}: get the current \
                 chain from the CA",
                utc(*time)
            ),
            WarningKind::NoNames => write!(
                f,
                "the certificate in {path} has no subject alternative name: browsers refuse it, \
                 whatever its common name"
            ),
            WarningKind::WeakSignature => {
                write!(f, "a certificate in {path} is signed with SHA-1 or MD5: clients refuse it")
            }
            WarningKind::KeyIsPublic => write!(
                f,
                "every user may read the key in {path}: protect it with chmod o= {}",
                shell_word(&self.path.to_string_lossy())
            ),
            WarningKind::Expired(time) => write!(
                f,
                "the certificate in {path} expired at {}, and is used until it is renewed",
                utc(*time)
            ),
            WarningKind::Missing => write!(f, "{path} doesn't exist yet"),
            WarningKind::Unusable(error) => {
                write!(f, "the certificate in {path} is not used: {error}")
            }
        }
    }
}
