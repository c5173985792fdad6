//! Certificates for development, which no browser trusts without a warning.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};

use crate::certificate::{Source, are_for};
use crate::durable;
use crate::error::{Error, Problem};
use crate::fingerprint::Fingerprint;
use crate::read::read;
use crate::{Certificate, CertificateInfo};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// Browsers refuse certificates from public authorities if their lifetime is more than a day
/// longer. Some tools refuse any such certificate.
const LIFETIME: Duration = Duration::from_secs(397 * 24 * 60 * 60);
/// A certificate is renewed when less than this is left of its lifetime.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Maximum number of names.
const MAX_NAMES: usize = 32;

/// The file with the certificate and its key: in one file, they can only be replaced together.
const PAIR: &str = "self-signed.pem";
/// The file with the certificate alone, for clients that are to trust it.
const CERTIFICATE: &str = "self-signed.crt";
/// The file that a process locks while it replaces the other two.
const LOCK: &str = "self-signed.lock";

/// Makes a certificate for these names, signed by itself. Returns the certificate with its key, and
/// both as PEM: first the certificate, then the key.
///
/// # Errors
///
/// If a name is invalid, or the system provides no randomness.
pub fn self_signed(names: Vec<String>) -> Result<(Certificate, [String; 2]), Error> {
    let pem = make(names, SystemTime::now())?;
    let certificate = Certificate::from_der(pem.der, pem.key_der)?;
    Ok((certificate, [pem.certificate, pem.key]))
}

/// A certificate for development, signed by itself and kept in a folder. It is for `localhost`,
/// `127.0.0.1`, `::1`, the name of this machine and the names given to [`SelfSigned::open`]. It is
/// made again 30 days before it expires, or when it lacks one of these names.
///
/// The folder gets three files: `self-signed.pem` with the certificate and its key, which only the
/// file's owner may read; `self-signed.crt` with the certificate alone, for clients that are to
/// trust it; and `self-signed.lock`, which a process locks while it replaces the others.
///
/// ```no_run
/// use sockeye_tls::{CertificateStore, SelfSigned, Settings};
///
/// let mut certificate = SelfSigned::open("state".as_ref(), &["dev.example.org".into()])?;
/// println!("SHA-256 fingerprint: {}", certificate.info().fingerprint);
/// let mut store = CertificateStore::open(vec![certificate.pair()], Settings::default())?;
/// // Every day or so:
/// if certificate.renew()? {
///     store.reload().transpose()?;
/// }
/// # Ok::<(), sockeye_tls::Error>(())
/// ```
#[derive(Debug)]
pub struct SelfSigned {
    folder: PathBuf,
    names: Vec<String>,
    info: CertificateInfo,
    is_new: bool,
}

impl SelfSigned {
    /// Takes the certificate from `folder`, or makes one there. `names` are the DNS names and IP
    /// addresses that the certificate must have besides those that it always has, which are up to
    /// four: see [`SelfSigned`]. A certificate has at most 32 names, so only the first 28 of
    /// `names` are sure to be in it.
    ///
    /// # Errors
    ///
    /// If a name is invalid, or a file can't be written.
    pub fn open(folder: &Path, names: &[String]) -> Result<Self, Error> {
        Self::open_at(folder, names, SystemTime::now())
    }

    pub(crate) fn open_at(folder: &Path, names: &[String], now: SystemTime) -> Result<Self, Error> {
        let names = with_own_names(names);
        let (info, is_new) = ensure(folder, &names, now)?;
        Ok(Self { folder: folder.to_owned(), names, info, is_new })
    }

    /// Whether the certificate that [`SelfSigned::open`] would return is for `host`. Makes no
    /// certificate.
    ///
    /// # Errors
    ///
    /// If there is a file for the certificate in `folder` that can't be read.
    pub fn would_be_for(folder: &Path, names: &[String], host: &str) -> Result<bool, Error> {
        let mut names = with_own_names(names);
        match load(&folder.join(PAIR), SystemTime::now()) {
            Ok(existing) => existing.info().names.iter().for_each(|name| add(&mut names, name)),
            Err(error @ Error::File(_, Problem::Unreadable(_)))
                if error.missing_file().is_none() =>
            {
                return Err(error);
            }
            // `open` would make a certificate if there is none, and replace a damaged one.
            Err(_) => {}
        }
        Ok(are_for(&names, host))
    }

    /// The files of the certificate and of its key, which are the same, for
    /// [`CertificateStore::open`](crate::CertificateStore::open).
    #[must_use]
    pub fn pair(&self) -> [PathBuf; 2] {
        [self.folder.join(PAIR), self.folder.join(PAIR)]
    }

    /// The file with the certificate alone, without its key.
    #[must_use]
    pub fn certificate_path(&self) -> PathBuf {
        self.folder.join(CERTIFICATE)
    }

    /// What the certificate says.
    #[must_use]
    pub fn info(&self) -> &CertificateInfo {
        &self.info
    }

    /// Whether this process has made this certificate, or one that it replaced. If so, it is
    /// possible that no client trusts the certificate yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Makes the certificate again if it expires within 30 days, lacks a name, or is missing or
    /// damaged. Returns whether it was replaced since the last call, by this process or another
    /// one.
    ///
    /// # Errors
    ///
    /// If a file can't be written.
    pub fn renew(&mut self) -> Result<bool, Error> {
        self.renew_at(SystemTime::now())
    }

    pub(crate) fn renew_at(&mut self, now: SystemTime) -> Result<bool, Error> {
        let (info, is_new) = ensure(&self.folder, &self.names, now)?;
        let is_replaced = info != self.info;
        self.info = info;
        self.is_new |= is_new;
        Ok(is_replaced)
    }
}

/// The names that every certificate has, followed by `names`.
fn with_own_names(names: &[String]) -> Vec<String> {
    let always = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut all = Vec::new();
    for name in always.into_iter().chain(host_name()).chain(names.iter().cloned()) {
        add(&mut all, &name);
    }
    all
}

/// Takes the certificate from the folder if it has all `names` and more than 30 days left.
/// Otherwise makes a new one. Returns whether the certificate is new.
fn ensure(
    folder: &Path,
    names: &[String],
    now: SystemTime,
) -> Result<(CertificateInfo, bool), Error> {
    let (path, copy) = (folder.join(PAIR), folder.join(CERTIFICATE));
    let is_good = |info: &CertificateInfo| {
        info.left(now).is_some_and(|left| left > RENEWED_BEFORE)
            && names.iter().all(|name| info.names.contains(name))
    };
    if let Some(info) = existing(&path, now).filter(is_good)
        && is_copy(&copy, &info)
    {
        return Ok((info, false));
    }
    let lock = lock(folder);
    // Another process may have made the certificate while this one waited for the lock.
    let existing = existing(&path, now);
    if let Some(info) = existing.clone().filter(is_good) {
        // The server can use the certificate without the file `CERTIFICATE`, so errors in writing
        // that file are ignored.
        if let (Ok(_), false, Ok(pair)) = (lock, is_copy(&copy, &info), fs::read_to_string(&path)) {
            let certificate = pair.split("-----BEGIN PRIVATE").next().unwrap_or_default();
            let _ = write(&copy, certificate, 0o644);
        }
        return Ok((info, false));
    }
    let _lock = lock?;
    // Servers with different names may share the folder, so the names of the old certificate are
    // kept.
    let mut all = names.to_vec();
    existing.iter().flat_map(|info| &info.names).for_each(|name| add(&mut all, name));
    let made = make(all, now)?;
    write(&path, &format!("{}{}", made.certificate, made.key), 0o600)?;
    write(&copy, &made.certificate, 0o644)?;
    Ok((load(&path, now)?.info().clone(), true))
}

/// Makes the folder, and waits for its lock, which only one process holds at a time. Dropping the
/// returned file releases the lock.
fn lock(folder: &Path) -> Result<File, Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Error::file(folder, Problem::Unwritable(error)))?;
    let path = folder.join(LOCK);
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    lock.and_then(|lock| lock.lock().map(|()| lock))
        .map_err(|error| Error::file(&path, Problem::Unwritable(error)))
}

/// Whether the file at `path` contains the certificate that `info` describes.
fn is_copy(path: &Path, info: &CertificateInfo) -> bool {
    let copy = fs::read(path).ok().and_then(|pem| CertificateDer::from_pem_slice(&pem).ok());
    copy.is_some_and(|der| Fingerprint::of(&der) == info.fingerprint)
}

/// Reads the certificate and its key from one file. The certificate may be expired.
fn load(path: &Path, now: SystemTime) -> Result<Certificate, Error> {
    let content = read(path)?;
    let file = (path, &content);
    Certificate::load(&Source { chain: file, key: file, now, may_be_expired: true, in_use: &[] })
}

/// The certificate in this file. `None` if the file is missing, unreadable or damaged: the caller
/// then makes a new one.
fn existing(path: &Path, now: SystemTime) -> Option<CertificateInfo> {
    Some(load(path, now).ok()?.info().clone())
}

/// Adds a name as it is written in a certificate, unless it is there already or there are
/// [`MAX_NAMES`].
fn add(names: &mut Vec<String>, name: &str) {
    let name = match name.parse::<IpAddr>() {
        Ok(ip) => ip.to_string(),
        Err(_) => name.to_ascii_lowercase(),
    };
    if names.len() < MAX_NAMES && !names.contains(&name) {
        names.push(name);
    }
}

/// The name of this machine, if it can be in a certificate.
fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(DnsName::try_from(name.trim()).ok()?.to_lowercase_owned().as_ref().to_owned())
}

/// Replaces a file. The caller holds the lock of the folder.
fn write(path: &Path, content: &str, mode: u32) -> Result<(), Error> {
    let written = durable::replace(path, content.as_bytes(), mode);
    written.map_err(|error| Error::file(path, Problem::Unwritable(error)))
}

/// A new certificate and its key, both in DER and in PEM.
struct Made {
    der: CertificateDer<'static>,
    key_der: PrivateKeyDer<'static>,
    certificate: String,
    key: String,
}

/// Makes a key and a certificate for these names.
fn make(names: Vec<String>, now: SystemTime) -> Result<Made, Error> {
    for name in &names {
        let dns = name.strip_prefix("*.").unwrap_or(name);
        if name.parse::<IpAddr>().is_err() && DnsName::try_from(dns).is_err() {
            let error = format!("{name:?} is neither a DNS name nor an IP address");
            return Err(Error::SelfSigned(error));
        }
    }
    let failed = |error: rcgen::Error| Error::SelfSigned(error.to_string());
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Sockeye self-signed");
    // The clocks of clients may be slow, so the certificate is valid from an hour ago.
    params.not_before = (now - HOUR).into();
    params.not_after = (now - HOUR + LIFETIME).into();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(failed)?;
    let made = params.self_signed(&key).map_err(failed)?;
    Ok(Made {
        der: made.der().clone(),
        key_der: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        certificate: made.pem(),
        key: key.serialize_pem(),
    })
}
