//! One certificate with its chain and key.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use crate::chain::{self, Chain, MAX_CHAIN};
use crate::error::{Error, Problem};
use crate::fingerprint::Fingerprint;
use crate::pem::Pem;
use crate::provider::provider;
use crate::read::{Content, read};
use crate::warning::{Warning, WarningKind};
use crate::x509::CertificateFields;

/// A certificate with its chain and key, which fit together.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate, its chain and its key, in the form that rustls needs.
    pub(crate) key: Arc<CertifiedKey>,
    info: CertificateInfo,
    warnings: Vec<Warning>,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateInfo {
    /// The names that the certificate is for: IP addresses, and DNS names in lower case, which may
    /// be wildcards (`*.example.org`).
    pub names: Vec<String>,
    /// When the certificate begins to be valid.
    pub not_before: SystemTime,
    /// When the certificate expires.
    pub not_after: SystemTime,
    /// The hash by which users recognize the certificate.
    pub fingerprint: Fingerprint,
    /// The file of the certificate. Empty if it was made in memory.
    pub path: PathBuf,
}

impl CertificateInfo {
    fn new(der: &[u8], facts: &CertificateFields, path: &Path) -> Self {
        Self {
            names: facts.names.clone(),
            not_before: facts.not_before,
            not_after: facts.not_after,
            fingerprint: Fingerprint::of(der),
            path: path.to_owned(),
        }
    }

    /// Whether the certificate is for `host`, a DNS name or an IP address: one of the certificate's
    /// names is the same, or has a wildcard in place of the host's first label.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        are_for(&self.names, host)
    }

    /// How long the certificate is still valid. `None`: it has expired.
    #[must_use]
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        self.not_after.duration_since(now).ok().filter(|left| !left.is_zero())
    }

    /// Whether the certificate has expired, or should have been renewed by now: at most 14 days
    /// and at most a third of its lifetime are left.
    #[must_use]
    pub fn expires_soon(&self, now: SystemTime) -> bool {
        const DAYS: Duration = Duration::from_secs(14 * 24 * 60 * 60);
        self.left(now).is_none_or(|left| left <= DAYS.min(self.lifetime() / 3))
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.not_after.duration_since(self.not_before).unwrap_or_default()
    }
}

/// Whether a certificate with these names is for `host`: see [`CertificateInfo::is_for`].
pub(crate) fn are_for(names: &[String], host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let wildcard = host.split_once('.').map(|(_, rest)| rest);
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    names.iter().any(|name| match (ip, name.strip_prefix("*.")) {
        (Some(ip), _) => name.parse() == Ok(ip),
        (None, Some(rest)) => wildcard.is_some_and(|host| host.eq_ignore_ascii_case(rest)),
        (None, None) => name.eq_ignore_ascii_case(host),
    })
}

/// What [`Certificate::load`] needs.
pub(crate) struct Source<'a> {
    /// The file of the certificate and its chain: path and content.
    pub(crate) chain: (&'a Path, &'a Content),
    /// The file of the key: path and content.
    pub(crate) key: (&'a Path, &'a Content),
    /// The time at which the certificate has to be valid.
    pub(crate) now: SystemTime,
    /// An expired certificate is accepted, with a warning.
    pub(crate) may_be_expired: bool,
    /// The certificates in use. If the certificate is one of them, it is accepted even if it has
    /// expired.
    pub(crate) in_use: &'a [CertificateInfo],
}

impl Certificate {
    /// Reads two PEM files, as `openssl`, certbot and others write them. `chain` has the
    /// certificate and those that lead to its root, `key` the private key. Both may be the same
    /// file. The key may be ECDSA, RSA or Ed25519, in PKCS#8, SEC 1 or PKCS#1.
    ///
    /// # Errors
    ///
    /// [`Error`] says which file is at fault, and why.
    pub fn from_files(chain: &Path, key: &Path) -> Result<Self, Error> {
        let (chain_content, key_content) = (read(chain)?, read(key)?);
        Self::load(&Source {
            chain: (chain, &chain_content),
            key: (key, &key_content),
            now: SystemTime::now(),
            may_be_expired: false,
            in_use: &[],
        })
    }

    /// Makes a certificate from the content of its files, and checks it.
    pub(crate) fn load(source: &Source<'_>) -> Result<Self, Error> {
        let ((chain_path, chain_content), (key_path, key_content)) = (source.chain, source.key);
        let chain_pem = Pem::parse(&chain_content.bytes);
        let key_pem = Pem::parse(&key_content.bytes);
        let chain_pem = chain_pem.map_err(|problem| Error::file(chain_path, problem))?;
        if chain_pem.certificates.is_empty() {
            let is_swapped =
                key_pem.is_ok_and(|pem| !pem.certificates.is_empty()) && chain_path != key_path;
            return Err(Error::file(
                chain_path,
                match chain_pem.without_certificate() {
                    Problem::KeyInsteadOfCertificate if is_swapped => {
                        Problem::Swapped(key_path.to_owned())
                    }
                    problem => problem,
                },
            ));
        }
        let key_pem = key_pem.map_err(|problem| Error::file(key_path, problem))?;
        if key_pem.keys.is_empty() {
            return Err(Error::file(key_path, key_pem.without_key()));
        }
        let (key, chain) = Self::assemble(chain_pem, key_pem, source)?;

        let Chain { links, unrelated, warnings: mut kinds } = chain;
        let (der, first) = &links[0];
        let info = CertificateInfo::new(der, first, chain_path);
        check_times(&info, source, &mut kinds)?;
        check_chain(&links, source.now, &mut kinds);
        let warning = |kind| Warning::new(chain_path, kind);
        let mut warnings: Vec<Warning> = kinds.into_iter().map(warning).collect();
        if key_content.is_public {
            warnings.push(Warning::new(key_path, WarningKind::KeyIsPublic));
        }
        let chain = links.into_iter().chain(unrelated).map(|(der, _)| der).collect();
        Ok(Self { key: Arc::new(CertifiedKey::new(chain, key)), info, warnings })
    }

    /// Finds a key that belongs to one of the certificates. Returns the key, and the certificates,
    /// beginning with the key's.
    fn assemble(
        chain_pem: Pem,
        key_pem: Pem,
        source: &Source<'_>,
    ) -> Result<(Arc<dyn SigningKey>, Chain), Error> {
        let ((chain_path, _), (key_path, _)) = (source.chain, source.key);
        if chain_pem.certificates.len() > MAX_CHAIN {
            let problem = Problem::ChainTooLong(chain_pem.certificates.len());
            return Err(Error::file(chain_path, problem));
        }
        let mut links = Vec::with_capacity(chain_pem.certificates.len());
        for der in chain_pem.certificates {
            let Some(facts) = CertificateFields::parse(&der) else {
                let problem = Problem::Malformed("CERTIFICATE".into());
                return Err(Error::file(chain_path, problem));
            };
            links.push((der, facts));
        }
        let mut is_supported = false;
        for key in key_pem.keys {
            let Ok(key) = provider().key_provider.load_private_key(key) else { continue };
            is_supported = true;
            let public = key.public_key();
            let first = match &public {
                Some(public) => {
                    links.iter().position(|(_, facts)| facts.public_key == public.as_ref())
                }
                // The public key is unknown, so it can't be compared. The first certificate is
                // assumed to be that of the key.
                None => Some(0),
            };
            if let Some(first) = first {
                drop(public);
                return Ok((key, chain::sort(links, first)));
            }
        }
        Err(Error::file(
            key_path,
            match is_supported {
                true => Problem::KeyOfAnother(chain_path.to_owned()),
                false => Problem::UnsupportedKey,
            },
        ))
    }

    /// A certificate that this program has made in memory.
    pub(crate) fn from_der(
        der: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Error> {
        let key = provider().key_provider.load_private_key(key)?;
        let facts = CertificateFields::parse(&der)
            .ok_or_else(|| Error::file("".as_ref(), Problem::Malformed("CERTIFICATE".into())))?;
        let info = CertificateInfo::new(&der, &facts, "".as_ref());
        let key = Arc::new(CertifiedKey::new(vec![der], key));
        Ok(Self { key, info, warnings: Vec::new() })
    }

    /// What the certificate says.
    #[must_use]
    pub fn info(&self) -> &CertificateInfo {
        &self.info
    }

    /// What is doubtful about the certificate or its files.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// Fails if the certificate is not valid at the time `source.now`. If it has expired, but `source`
/// allows that (`may_be_expired` or `in_use`), adds a warning instead.
fn check_times(
    info: &CertificateInfo,
    source: &Source<'_>,
    kinds: &mut Vec<WarningKind>,
) -> Result<(), Error> {
    let (path, _) = source.chain;
    if source.now < info.not_before {
        return Err(Error::file(path, Problem::NotYetValid(info.not_before)));
    }
    if source.now > info.not_after {
        let is_in_use = source.in_use.iter().any(|used| used.fingerprint == info.fingerprint);
        if !source.may_be_expired && !is_in_use {
            return Err(Error::file(path, Problem::Expired(info.not_after)));
        }
        kinds.push(WarningKind::Expired(info.not_after));
    }
    Ok(())
}

/// Adds warnings about a chain that some clients may reject.
fn check_chain(links: &[chain::ParsedCertificate], now: SystemTime, kinds: &mut Vec<WarningKind>) {
    let (_, first) = &links[0];
    let has_issuer = links.iter().any(|(_, facts)| facts.subject == first.issuer);
    if !has_issuer {
        kinds.push(WarningKind::NoIssuer {
            issuer: first.issuer_name.clone(),
            // Certificates of public CAs have this URL.
            is_public: first.names_issuer_url,
        });
    }
    let intermediates = || links[1..].iter().filter(|(_, facts)| !facts.is_self_issued());
    if let Some((_, facts)) = intermediates().find(|(_, facts)| facts.not_after < now) {
        kinds.push(WarningKind::IntermediateExpired(facts.not_after));
    }
    if first.names.is_empty() {
        kinds.push(WarningKind::NoNames);
    }
    // Roots don't count: nobody checks their signatures.
    if first.is_weak || intermediates().any(|(_, facts)| facts.is_weak) {
        kinds.push(WarningKind::WeakSignature);
    }
}
