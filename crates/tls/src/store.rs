//! The certificates of a server, which are replaced while it runs.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use sockeye_engine::TlsAcceptor;

use crate::certificate::Source;
use crate::config::Tickets;
use crate::error::{Error, Problem};
use crate::fingerprint::{Fingerprint, sha256};
use crate::names::ByName;
use crate::provider::provider;
use crate::read::{Content, Reader};
use crate::{Certificate, CertificateInfo, Settings, Warning, WarningKind};

/// The shortest and the longest time for which [`CertificateStore::expiring`] leaves out a
/// certificate that it has returned. Between them, the time is a sixth of the certificate's
/// lifetime.
const EXPIRING_EVERY: [Duration; 2] =
    [Duration::from_secs(60 * 60), Duration::from_secs(24 * 60 * 60)];

/// The certificates of a server, from pairs of files: a certificate with its chain, and its key.
/// Other programs may replace the files at any time. The files are compared by content, so it
/// doesn't matter how they are replaced: by renaming a file or a link to a folder (as for mounted
/// secrets), or by writing in place.
///
/// ```no_run
/// use std::time::SystemTime;
///
/// use sockeye_tls::{CertificateStore, Settings};
///
/// let pairs = vec![["cert.pem".into(), "key.pem".into()]];
/// let mut store = CertificateStore::open(pairs, Settings::default())?;
/// let tls = store.acceptor(); // For `sockeye_engine::Config::tls`.
/// // Every few seconds, on a thread of its own:
/// match store.reload() {
///     None => {}
///     Some(Ok(())) => println!("new certificates: {:?}", store.certificates()),
///     Some(Err(error)) => eprintln!("keeping the old certificates: {error}"),
/// }
/// for certificate in store.expiring(SystemTime::now()) {
///     eprintln!("{} expires soon", certificate.path.display());
/// }
/// # let _ = tls;
/// # Ok::<(), sockeye_tls::Error>(())
/// ```
pub struct CertificateStore {
    pairs: Vec<Pair>,
    settings: Settings,
    config: Arc<ServerConfig>,
    acceptor: TlsAcceptor,
    names: Arc<ByName>,
    certificates: Vec<CertificateInfo>,
    warnings: Vec<Warning>,
    tickets: Tickets,
    reader: Reader,
    /// The digest of the files' [`Contents`]. A reload checks the files only if their digest has
    /// changed, or if `valid_from` has passed.
    seen: [u8; 32],
    /// When a certificate that was not valid yet at the last check becomes valid. The next reload
    /// after this time checks the files again, even if they haven't changed.
    valid_from: Option<SystemTime>,
    /// The certificates that [`CertificateStore::expiring`] has returned. Between the two times of
    /// a certificate, it is not returned again. If the clock is set back to before the first time,
    /// the entry is removed.
    reported: HashMap<Fingerprint, [SystemTime; 2]>,
}

/// The files of a certificate and of its key.
#[derive(Debug)]
struct Pair {
    files: [PathBuf; 2],
    /// This program orders the certificate from a CA. The certificate may be expired. Until it has
    /// been loaded once, it may also be missing or unusable.
    is_ordered: bool,
    has_been_loaded: bool,
}

impl Pair {
    /// The pairs that users have given, followed by those that this program orders from a CA.
    fn all(given: Vec<[PathBuf; 2]>, ordered: Vec<[PathBuf; 2]>) -> Vec<Self> {
        let pair = |is_ordered| move |files| Self { files, is_ordered, has_been_loaded: false };
        let given = given.into_iter().map(pair(false));
        given.chain(ordered.into_iter().map(pair(true))).collect()
    }
}

/// The result of reading and checking all files: a configuration that is not in use yet, and what
/// belongs to it.
struct Loaded {
    config: ServerConfig,
    names: Arc<ByName>,
    certificates: Vec<CertificateInfo>,
    warnings: Vec<Warning>,
    tickets: Tickets,
    /// For each pair, whether its certificate was loaded.
    are_loaded: Vec<bool>,
    /// The first time at which an ordered certificate that is not valid yet becomes valid.
    valid_from: Option<SystemTime>,
}

/// What a reload takes from the configuration in use: the certificates, which may have expired
/// since they were loaded, and the keys of session tickets. Empty when the store is opened.
#[derive(Default)]
struct InUse<'a> {
    certificates: &'a [CertificateInfo],
    tickets: Tickets,
}

/// The content of each file, or why it can't be read.
struct Contents {
    pairs: Vec<Result<[Content; 2], Error>>,
    client_ca: Option<Result<Content, Error>>,
}

impl CertificateStore {
    /// Reads and checks the certificates in these pairs of files: chain and key, which may be the
    /// same file. The first certificate is the default.
    ///
    /// # Errors
    ///
    /// [`Error`] says what is wrong with which file. There must be at least one pair, unless
    /// [`Settings::challenges`] is set.
    pub fn open(pairs: Vec<[PathBuf; 2]>, settings: Settings) -> Result<Self, Error> {
        Self::with_ordered(pairs, Vec::new(), settings)
    }

    /// As [`CertificateStore::open`], with more certificates, which this program orders from a CA.
    /// Their files may be missing until the CA has issued them, and an expired certificate is used
    /// until it is renewed. Until a certificate has been loaded once, a problem with its files is
    /// only a [warning](WarningKind::Unusable).
    ///
    /// # Errors
    ///
    /// As for [`CertificateStore::open`]. There must be at least one pair of either kind, unless
    /// [`Settings::challenges`] is set.
    pub fn with_ordered(
        pairs: Vec<[PathBuf; 2]>,
        ordered: Vec<[PathBuf; 2]>,
        settings: Settings,
    ) -> Result<Self, Error> {
        Self::open_at(pairs, ordered, settings, SystemTime::now())
    }

    pub(crate) fn open_at(
        pairs: Vec<[PathBuf; 2]>,
        ordered: Vec<[PathBuf; 2]>,
        settings: Settings,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let mut pairs = Pair::all(pairs, ordered);
        let mut reader = Reader::default();
        let contents = Contents::read(&pairs, &settings, &mut reader);
        reader.set_has_read();
        let seen = contents.digest();
        let loaded = contents.check(&pairs, &settings, &InUse::default(), now)?;
        loaded.mark_loaded(&mut pairs);
        Ok(Self {
            acceptor: TlsAcceptor::new(&loaded.config),
            config: Arc::new(loaded.config),
            names: loaded.names,
            certificates: loaded.certificates,
            warnings: loaded.warnings,
            tickets: loaded.tickets,
            pairs,
            settings,
            reader,
            seen,
            valid_from: loaded.valid_from,
            reported: HashMap::new(),
        })
    }

    /// TLS with these certificates, for the listeners of a server. All clones use the certificates
    /// that were loaded last; connections that are open keep theirs.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// The configuration in use, for a server that isn't on Sockeye's engine.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The certificates in use, in the order of their pairs.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateInfo] {
        &self.certificates
    }

    /// The certificate for a client that asks for `name` (SNI), or for no name, and can verify
    /// every kind of signature. Returns `None` if the handshake of such a client is refused.
    #[must_use]
    pub fn certificate_for(&self, name: Option<&str>) -> Option<&CertificateInfo> {
        let schemes = provider().signature_verification_algorithms.supported_schemes();
        let key = self.names.find(name, &schemes)?;
        let fingerprint = Fingerprint::of(key.cert.first()?);
        self.certificates.iter().find(|info| info.fingerprint == fingerprint)
    }

    /// What is doubtful about the certificates in use and their files.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Reads the files again: call this every few seconds. If a file has changed since the last
    /// call, all files are checked, and then used for new connections. They are also checked when a
    /// certificate that was not valid yet becomes valid. Otherwise, returns `None`. A certificate
    /// that has expired since it was loaded passes the check, with a
    /// [warning](WarningKind::Expired).
    ///
    /// # Errors
    ///
    /// If something is wrong with a file, the certificates in use are kept. The error is returned
    /// once: later calls return `None` until the files are checked again. The error may be
    /// temporary: a new certificate doesn't match its key until the key file is replaced, too.
    pub fn reload(&mut self) -> Option<Result<(), Error>> {
        self.reload_at(SystemTime::now())
    }

    pub(crate) fn reload_at(&mut self, now: SystemTime) -> Option<Result<(), Error>> {
        let contents = Contents::read(&self.pairs, &self.settings, &mut self.reader);
        let digest = contents.digest();
        let is_valid_now = self.valid_from.is_some_and(|time| time <= now);
        if digest == self.seen && !is_valid_now {
            return None;
        }
        self.seen = digest;
        Some(self.replace(contents, now))
    }

    /// Checks `contents` and uses them for new connections. If a check fails, changes only
    /// `valid_from`.
    fn replace(&mut self, contents: Contents, now: SystemTime) -> Result<(), Error> {
        let in_use = InUse { certificates: &self.certificates, tickets: self.tickets.clone() };
        let loaded = contents.check(&self.pairs, &self.settings, &in_use, now);
        self.valid_from = match &loaded {
            Ok(loaded) => loaded.valid_from,
            Err(Error::File(_, Problem::NotYetValid(time))) => Some(*time),
            _ => None,
        };
        let loaded = loaded?;
        loaded.mark_loaded(&mut self.pairs);
        self.acceptor.replace(&loaded.config);
        self.config = Arc::new(loaded.config);
        self.names = loaded.names;
        self.certificates = loaded.certificates;
        self.warnings = loaded.warnings;
        self.tickets = loaded.tickets;
        Ok(())
    }

    /// Changes the settings and reads all files again. Uses the new settings and the files for new
    /// connections.
    ///
    /// # Errors
    ///
    /// If something is wrong with a file, everything stays as it was, including the settings.
    pub fn reconfigure(&mut self, settings: Settings) -> Result<(), Error> {
        let before = std::mem::replace(&mut self.settings, settings);
        let valid_from = self.valid_from;
        let contents = Contents::read(&self.pairs, &self.settings, &mut self.reader);
        let digest = contents.digest();
        let result = self.replace(contents, SystemTime::now());
        match result {
            Ok(()) => self.seen = digest,
            Err(_) => (self.settings, self.valid_from) = (before, valid_from),
        }
        result
    }

    /// The certificates that have expired or [soon](CertificateInfo::expires_soon) will. One that
    /// this program orders is returned only in the last sixth of its lifetime, because it is
    /// renewed when a third is left. A certificate that was returned is left out for a sixth of its
    /// lifetime, but at least for an hour and at most for a day.
    pub fn expiring(&mut self, now: SystemTime) -> Vec<CertificateInfo> {
        self.reported.retain(|_, [from, until]| (*from..*until).contains(&now));
        let is_ordered = |certificate: &CertificateInfo| {
            self.pairs.iter().any(|pair| pair.is_ordered && pair.files[0] == certificate.path)
        };
        let mut expiring = self.certificates.clone();
        expiring.retain(|certificate| {
            let is_early = || {
                let sixth = certificate.lifetime() / 6;
                certificate.left(now).is_some_and(|left| left > sixth) && is_ordered(certificate)
            };
            certificate.expires_soon(now)
                && !self.reported.contains_key(&certificate.fingerprint)
                && !is_early()
        });
        self.reported.extend(expiring.iter().map(|certificate| {
            let [shortest, longest] = EXPIRING_EVERY;
            let every = (certificate.lifetime() / 6).clamp(shortest, longest);
            (certificate.fingerprint, [now, now + every])
        }));
        expiring
    }
}

impl fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateStore")
            .field("pairs", &self.pairs)
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// Records in `pairs` which of them have been loaded.
    fn mark_loaded(&self, pairs: &mut [Pair]) {
        for (pair, is_loaded) in pairs.iter_mut().zip(&self.are_loaded) {
            pair.has_been_loaded |= is_loaded;
        }
    }
}

impl Contents {
    fn read(pairs: &[Pair], settings: &Settings, reader: &mut Reader) -> Self {
        Self {
            pairs: pairs.iter().map(|pair| reader.read_pair(&pair.files)).collect(),
            client_ca: settings.client_ca.as_ref().map(|ca| reader.read(&ca.path)),
        }
    }

    /// A hash over the content of each file, or over the error of reading it.
    fn digest(&self) -> [u8; 32] {
        let mut hashes = Vec::new();
        let mut add = |content: Result<&Content, &Error>| match content {
            Ok(content) => hashes.extend_from_slice(&sha256(&content.bytes)),
            Err(error) => hashes.extend_from_slice(&sha256(error.to_string().as_bytes())),
        };
        for pair in &self.pairs {
            match pair {
                Ok(pair) => pair.iter().for_each(|content| add(Ok(content))),
                Err(error) => add(Err(error)),
            }
        }
        if let Some(content) = &self.client_ca {
            add(content.as_ref());
        }
        sha256(&hashes)
    }

    /// Checks the certificates, and makes a configuration with them. A certificate that is in use
    /// may be expired. If it were refused, it would stay in use anyway, and new files of the other
    /// certificates could not be loaded.
    fn check(
        self,
        pairs: &[Pair],
        settings: &Settings,
        in_use: &InUse<'_>,
        now: SystemTime,
    ) -> Result<Loaded, Error> {
        let (mut certificates, mut warnings) = (Vec::with_capacity(pairs.len()), Vec::new());
        let mut are_loaded = Vec::with_capacity(pairs.len());
        let mut valid_from = None;
        for (pair, content) in pairs.iter().zip(self.pairs) {
            let [chain, key] = &pair.files;
            let may_be_missing = pair.is_ordered && !pair.has_been_loaded;
            let certificate = content.and_then(|[chain_content, key_content]| {
                Certificate::load(&Source {
                    chain: (chain, &chain_content),
                    key: (key, &key_content),
                    now,
                    may_be_expired: pair.is_ordered,
                    in_use: in_use.certificates,
                })
            });
            are_loaded.push(certificate.is_ok());
            match certificate {
                Ok(certificate) => certificates.push(certificate),
                Err(error) if may_be_missing => {
                    if let Error::File(_, Problem::NotYetValid(time)) = error {
                        valid_from = valid_from.into_iter().chain([time]).min();
                    }
                    warnings.push(match error.missing_file() {
                        Some(file) => Warning::new(file, WarningKind::Missing),
                        None => Warning::new(chain, WarningKind::Unusable(error.to_string())),
                    });
                }
                Err(error) => return Err(error),
            }
        }
        if pairs.is_empty() && settings.challenges.is_none() {
            return Err(Error::NoCertificates);
        }
        warnings.extend(certificates.iter().flat_map(Certificate::warnings).cloned());
        let infos = certificates.iter().map(|certificate| certificate.info().clone()).collect();
        let client_ca = self.client_ca.transpose()?;
        let (config, names, tickets) =
            settings.config(certificates, client_ca.as_ref(), &in_use.tickets)?;
        Ok(Loaded { config, names, certificates: infos, warnings, tickets, are_loaded, valid_from })
    }
}
