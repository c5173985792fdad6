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

/// How often [`CertificateStore::expiring`] returns a certificate.
const EXPIRING_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

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
    pairs: Vec<[PathBuf; 2]>,
    settings: Settings,
    config: Arc<ServerConfig>,
    acceptor: TlsAcceptor,
    names: Arc<ByName>,
    certificates: Vec<CertificateInfo>,
    warnings: Vec<Warning>,
    tickets: Tickets,
    reader: Reader,
    /// Which pairs have been loaded. Only the others may be missing.
    present: Vec<bool>,
    /// What was read last.
    seen: [u8; 32],
    /// When a certificate that was not valid yet begins to be.
    valid_from: Option<SystemTime>,
    /// When [`CertificateStore::expiring`] has returned a certificate.
    reported: HashMap<Fingerprint, SystemTime>,
}

/// What was read and checked, and is not in use yet.
struct Loaded {
    config: ServerConfig,
    names: Arc<ByName>,
    certificates: Vec<CertificateInfo>,
    warnings: Vec<Warning>,
    tickets: Tickets,
    present: Vec<bool>,
}

/// The content of all files, or why one can't be read.
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
        Self::open_at(pairs, settings, SystemTime::now())
    }

    pub(crate) fn open_at(
        pairs: Vec<[PathBuf; 2]>,
        settings: Settings,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let mut reader = Reader::default();
        let contents = Contents::read(&pairs, &settings, &mut reader);
        reader.set_has_read();
        let seen = contents.digest();
        let present = vec![false; pairs.len()];
        let loaded = contents.check(&pairs, &settings, &present, &None, now)?;
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
            present: loaded.present,
            seen,
            valid_from: None,
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
    /// every kind of signature. `None`: the client's handshake is refused.
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

    /// Reads the files again: to be called every few seconds. If one has changed since the last call,
    /// all are checked, and then used for new connections. Returns `None` if nothing has changed.
    ///
    /// # Errors
    ///
    /// If a file has something wrong, everything stays as it was. The error is returned once, until a
    /// file changes again. The next call may succeed: a certificate and its key are seldom written
    /// at the same moment.
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

    fn replace(&mut self, contents: Contents, now: SystemTime) -> Result<(), Error> {
        let (pairs, settings) = (&self.pairs, &self.settings);
        let loaded = contents.check(pairs, settings, &self.present, &self.tickets, now);
        self.valid_from = match &loaded {
            Err(Error::File(_, Problem::NotYetValid(time))) => Some(*time),
            _ => None,
        };
        let loaded = loaded?;
        self.acceptor.replace(&loaded.config);
        self.config = Arc::new(loaded.config);
        self.names = loaded.names;
        self.certificates = loaded.certificates;
        self.warnings = loaded.warnings;
        self.tickets = loaded.tickets;
        self.present = loaded.present;
        Ok(())
    }

    /// Reads everything again, with other settings, and uses them for new connections.
    ///
    /// # Errors
    ///
    /// If something is wrong with a file, everything stays as it was, also the settings.
    pub fn reconfigure(&mut self, settings: Settings) -> Result<(), Error> {
        let before = std::mem::replace(&mut self.settings, settings);
        let contents = Contents::read(&self.pairs, &self.settings, &mut self.reader);
        let digest = contents.digest();
        let result = self.replace(contents, SystemTime::now());
        match result {
            Ok(()) => self.seen = digest,
            Err(_) => self.settings = before,
        }
        result
    }

    /// The certificates that have expired or [soon](CertificateInfo::expires_soon) will. Each is
    /// returned once a day.
    pub fn expiring(&mut self, now: SystemTime) -> Vec<CertificateInfo> {
        let reported = &mut self.reported;
        reported.retain(|_, at| now.duration_since(*at).is_ok_and(|ago| ago < EXPIRING_EVERY));
        let mut expiring = self.certificates.clone();
        expiring.retain(|certificate| {
            certificate.expires_soon(now) && !reported.contains_key(&certificate.fingerprint)
        });
        reported.extend(expiring.iter().map(|certificate| (certificate.fingerprint, now)));
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

impl Contents {
    fn read(pairs: &[[PathBuf; 2]], settings: &Settings, reader: &mut Reader) -> Self {
        Self {
            pairs: pairs.iter().map(|pair| reader.read_pair(pair)).collect(),
            client_ca: settings.client_ca.as_ref().map(|ca| reader.read(&ca.path)),
        }
    }

    /// A hash that differs if the content of any file, or the error of reading it, differs.
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

    /// Checks everything, and makes a configuration of it. `present` says which pairs have been loaded
    /// before.
    fn check(
        self,
        pairs: &[[PathBuf; 2]],
        settings: &Settings,
        present: &[bool],
        tickets: &Tickets,
        now: SystemTime,
    ) -> Result<Loaded, Error> {
        let may_be_missing = settings.challenges.is_some();
        let (mut certificates, mut warnings) = (Vec::with_capacity(pairs.len()), Vec::new());
        let mut is_present = Vec::with_capacity(pairs.len());
        for (([chain, key], was_present), content) in pairs.iter().zip(present).zip(self.pairs) {
            is_present.push(content.is_ok());
            match content {
                Ok([chain_content, key_content]) => {
                    certificates.push(Certificate::load(&Source {
                        chain: (chain, &chain_content),
                        key: (key, &key_content),
                        now,
                        may_be_expired: may_be_missing,
                    })?);
                }
                Err(error) if may_be_missing && !was_present && error.is_not_found() => {
                    warnings.push(Warning::new(chain, WarningKind::Missing));
                }
                Err(error) => return Err(error),
            }
        }
        if certificates.is_empty() && !may_be_missing {
            return Err(Error::NoCertificates);
        }
        warnings.extend(certificates.iter().flat_map(Certificate::warnings).cloned());
        let infos = certificates.iter().map(|certificate| certificate.info().clone()).collect();
        let client_ca = self.client_ca.transpose()?;
        let (config, names, tickets) =
            settings.config(certificates, client_ca.as_ref(), tickets)?;
        let (certificates, present) = (infos, is_present);
        Ok(Loaded { config, names, certificates, warnings, tickets, present })
    }
}
