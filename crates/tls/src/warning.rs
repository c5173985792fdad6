//! Problems with files of certificates and keys. The server runs in spite of them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::shell_word;
use crate::x509::utc;

/// A problem with a file of a certificate or key. The server runs in spite of it. `Display` writes
/// a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file.
    pub path: PathBuf,
    /// The problem.
    pub kind: WarningKind,
}

/// A problem with a file of a certificate and its chain, or of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// The certificates in the file are not in the order from the server's to the root's. They are
    /// sent in the right order.
    Reordered,
    /// The file has this many certificates that don't belong to the chain. They are sent after the
    /// chain.
    Unrelated(usize),
    /// The file lacks the certificate of the CA that issued the server's certificate.
    NoIssuer {
        /// The issuer's common name.
        issuer: String,
        /// Whether the server's certificate has a URL of its issuer's certificate, as certificates
        /// of public CAs do. If so, the issuer is most likely an intermediate, whose certificate
        /// many clients need.
        is_public: bool,
    },
    /// The certificate of an intermediate CA expired at this time.
    IntermediateExpired(SystemTime),
    /// The server's certificate has no DNS name and no IP address as subject alternative name.
    NoNames,
    /// The server's certificate, or that of an intermediate CA, is signed with SHA-1 or MD5.
    WeakSignature,
    /// Every user of the machine may read the key.
    KeyIsPublic,
    /// The server's certificate expired at this time, and is used until it is renewed.
    Expired(SystemTime),
    /// The file doesn't exist yet. This program orders the certificate from a CA.
    Missing,
    /// The certificate in the file is not used. The text gives the reason, and names the file at
    /// fault: this file, or the file of the key.
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
            WarningKind::Unrelated(1) => {
                write!(f, "{path} has a certificate that doesn't belong to the chain")
            }
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
