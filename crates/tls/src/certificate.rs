//! One certificate with its chain and key.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::error::Error;
use crate::provider::provider;

/// A certificate with its chain and key, which fit together.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    names: Vec<String>,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// What the checks need to know of a parsed certificate.
struct Parsed {
    subject: Vec<u8>,
    issuer: Vec<u8>,
    names: Vec<String>,
    not_before: SystemTime,
    not_after: SystemTime,
    /// It says where its issuer's certificate can be had, as those of public authorities do.
    names_issuer_url: bool,
}

impl Certificate {
    /// Reads a certificate, followed by those that lead to its root, and its private key: PEM files
    /// as `openssl`, certbot and others write them. The key may be EC, RSA or Ed25519, in PKCS#8,
    /// SEC 1 or PKCS#1. Both may be in one file.
    ///
    /// # Errors
    ///
    /// [`Error`] says which file has what wrong.
    pub fn from_files(chain: &Path, key: &Path) -> Result<Self, Error> {
        let (chain_pem, key_pem) = (read(chain)?, read(key)?);
        Self::from_pem([(chain, &chain_pem), (key, &key_pem)])
    }

    /// As [`Certificate::from_files`], with the content of both files.
    pub(crate) fn from_pem(files: [(&Path, &[u8]); 2]) -> Result<Self, Error> {
        let [(chain, chain_pem), (key, key_pem)] = files;
        let certificates = certificates(chain_pem, chain, key)?;
        let parsed = certificates
            .iter()
            .map(|der| parse(der).ok_or_else(|| malformed(chain)))
            .collect::<Result<Vec<_>, _>>()?;
        check_chain(&parsed, chain)?;
        let key_der = private_key(key_pem, key)?;
        let made = Self::new(certificates, key_der, &parsed[0]);
        made.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Error::invalid(
                key,
                format!("the key belongs to another certificate than {}", chain.display()),
            ),
            error => Error::invalid(key, format!("the key can't be used: {error}")),
        })
    }

    /// A certificate of parts that belong together.
    pub(crate) fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let first = chain.first().and_then(|der| parse(der));
        let first = first.ok_or(rustls::Error::NoCertificatesPresented)?;
        Self::new(chain, key, &first)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        first: &Parsed,
    ) -> Result<Self, rustls::Error> {
        let key = provider().key_provider.load_private_key(key)?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            // A key that can't be compared.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            key: Arc::new(key),
            names: first.names.clone(),
            not_before: first.not_before,
            not_after: first.not_after,
        })
    }

    /// The names that it is for: DNS names in lower case, of which some may begin with `*.`, and IP
    /// addresses.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// When it begins to be valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When it expires.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// The same with other times, for tests.
    #[cfg(test)]
    pub(crate) fn with_times(self, not_before: SystemTime, not_after: SystemTime) -> Self {
        Self { not_before, not_after, ..self }
    }

    /// Whether it should be renewed by now: less than 14 days are left, and less than a third of
    /// its lifetime.
    #[must_use]
    pub fn expires_soon(&self, now: SystemTime) -> bool {
        const DAYS: Duration = Duration::from_secs(14 * 24 * 60 * 60);
        let lifetime = self.not_after.duration_since(self.not_before).unwrap_or_default();
        let left = self.not_after.duration_since(now).unwrap_or_default();
        left < DAYS.min(lifetime / 3)
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::Unreadable(path.to_owned(), error))
}

fn malformed(path: &Path) -> Error {
    Error::invalid(path, "a certificate is malformed")
}

fn certificates(
    pem: &[u8],
    path: &Path,
    key: &Path,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| malformed(path))?;
    if !certificates.is_empty() {
        return Ok(certificates);
    }
    Err(Error::invalid(
        path,
        if PrivateKeyDer::from_pem_slice(pem).is_ok() {
            format!(
                "has a private key and no certificate: name the certificate first, then its key \
             ({},{})",
                key.display(),
                path.display()
            )
        } else if pem.first() == Some(&0x30) {
            "has no PEM text: convert it with openssl x509 -inform der -out cert.pem -in FILE"
                .into()
        } else {
            "has no certificate (a block that begins with -----BEGIN CERTIFICATE-----)".into()
        },
    ))
}

fn private_key(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let text = String::from_utf8_lossy(pem);
        let is_encrypted =
            text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED");
        Error::invalid(
            path,
            match is_encrypted {
                true => "the key is encrypted: decrypt it with openssl pkey -in FILE -out key.pem",
                false => {
                    "has no private key (a block that begins with -----BEGIN PRIVATE KEY-----)"
                }
            },
        )
    })
}

/// Checks that the chain is in order, complete as far as can be seen, and valid now.
fn check_chain(chain: &[Parsed], path: &Path) -> Result<(), Error> {
    let first = &chain[0];
    if chain.windows(2).any(|pair| pair[0].issuer != pair[1].subject) {
        let what = "the certificates are in the wrong order: the server's own comes first, and each \
                    is followed by that of its issuer";
        return Err(Error::invalid(path, what));
    }
    if chain.len() == 1 && first.issuer != first.subject && first.names_issuer_url {
        let what = "the intermediate certificates are missing: use the file with the full chain \
                    (fullchain.pem)";
        return Err(Error::invalid(path, what));
    }
    let now = SystemTime::now();
    if now > first.not_after {
        return Err(Error::invalid(path, "the certificate has expired: renew it"));
    }
    if now < first.not_before {
        let what = "the certificate is not valid yet: is this machine's clock right?";
        return Err(Error::invalid(path, what));
    }
    Ok(())
}

fn parse(der: &[u8]) -> Option<Parsed> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0));
    let mut names = Vec::new();
    let mut names_issuer_url = false;
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(alternatives) => {
                names.extend(alternatives.general_names.iter().filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                    GeneralName::IPAddress(bytes) => ip(bytes),
                    _ => None,
                }));
            }
            ParsedExtension::AuthorityInfoAccess(_) => names_issuer_url = true,
            _ => {}
        }
    }
    Some(Parsed {
        subject: certificate.subject().as_raw().to_vec(),
        issuer: certificate.issuer().as_raw().to_vec(),
        names,
        not_before: time(certificate.validity().not_before.timestamp()),
        not_after: time(certificate.validity().not_after.timestamp()),
        names_issuer_url,
    })
}

fn ip(bytes: &[u8]) -> Option<String> {
    match bytes.len() {
        4 => Some(std::net::IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
        16 => Some(std::net::IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        _ => None,
    }
}
