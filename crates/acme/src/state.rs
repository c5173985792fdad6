//! The state folder: the account's key, and certificates with their keys.
//!
//! ```text
//! STATE/acme-v02.api.letsencrypt.org-directory/
//!   lock                      held while an order is in progress
//!   account-key.pem
//!   certificates/
//!     example.org             a link to the folder of the newest version
//!     .example.org.SUFFIX/
//!       cert.pem  key.pem     the certificate with its chain, and its key
//! ```
//!
//! Each version has a new folder, whose files are written to the disk (`fsync`) before the link is
//! replaced. The link is replaced by a rename, so that the certificate and its key change together.
//! So after a crash at any point, the link leads to a complete version.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sockeye_tls::{durable, sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::failure::{Failure, FailureKind};
use crate::issued::KeyPem;
use crate::jws::AccountKey;
use crate::renewal;

/// The files of one authority in the state folder.
#[derive(Clone, Debug)]
pub struct StateFolder {
    folder: PathBuf,
}

/// The lock of the state folder. Only its holder orders and writes certificates. The lock is
/// released when this value is dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "holds the lock")] File);

/// Facts about a certificate in the state folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The identifier in requests for renewal information (RFC 9773), if the certificate has one.
    pub id: Option<String>,
    /// The times from and until which the certificate is valid.
    pub lifetime: [SystemTime; 2],
    /// The SHA-256 hash of the certificate, which is different for each version.
    pub fingerprint: [u8; 32],
}

/// The mode of each file: only its owner may read it.
const MODE: u32 = 0o600;

/// A longer file name is cut to this number of bytes, and a hash is appended. (Linux allows 255.)
const MAX_NAME: usize = 150;

impl StateFolder {
    /// Opens the folder for the authority whose ACME directory has this URL, and creates it if it
    /// is missing.
    ///
    /// # Errors
    ///
    /// If the folder can't be created.
    pub fn open(state: &Path, directory_url: &str) -> Result<Self, Failure> {
        let folder = state.join(file_name(directory_url.trim_start_matches("https://")));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder.join(CERTIFICATES))
            .map_err(|error| failure("create", &folder, &error))?;
        Ok(Self { folder })
    }

    /// The folder of this authority.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn account_key_path(&self) -> PathBuf {
        self.folder.join("account-key.pem")
    }

    /// The paths of the certificate for these names, and of its key. The files may not exist yet.
    #[must_use]
    pub fn pair(&self, names: &[String]) -> [PathBuf; 2] {
        let link = self.link(names);
        [link.join(CERT), link.join(KEY)]
    }

    fn link(&self, names: &[String]) -> PathBuf {
        self.certificates().join(certificate_name(names))
    }

    /// The folder of the certificates. The other files of the state are not in it: a host may have
    /// the same name as one of them, such as `lock`.
    fn certificates(&self) -> PathBuf {
        self.folder.join(CERTIFICATES)
    }

    /// Takes the lock. Returns `None` if it is held, by this process or another one.
    ///
    /// # Errors
    ///
    /// If the lock's file can't be created or locked.
    pub fn try_lock(&self) -> Result<Option<Lock>, Failure> {
        let path = self.folder.join("lock");
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let file = file.map_err(|error| failure("open", &path, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failure("lock", &path, &error.into())),
        }
    }

    /// The account's key. If there is none, a new key is made, and stored before it is used.
    ///
    /// # Errors
    ///
    /// If the key can't be read or written.
    pub fn account_key(&self, _lock: &Lock) -> Result<AccountKey, Failure> {
        let path = self.account_key_path();
        match fs::read_to_string(&path) {
            Ok(pem) => AccountKey::from_pem(&pem).map_err(|error| {
                let text = format!(
                    "{} is no account key ({error}): remove it, and a new account is made",
                    path.display()
                );
                Failure::new(FailureKind::State, text)
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = AccountKey::generate().map_err(|error| {
                    Failure::new(FailureKind::State, format!("cannot make a key: {error}"))
                })?;
                durable::replace(&path, key.to_pem().as_bytes(), MODE)
                    .map_err(|error| failure("write", &path, &error))?;
                Ok(key)
            }
            Err(error) => Err(failure("read", &path, &error)),
        }
    }

    /// Facts about the certificate for these names; `None` if there is no certificate that fits the
    /// names and the key in the same folder.
    ///
    /// # Errors
    ///
    /// If a file can't be read.
    pub fn stored(&self, names: &[String]) -> Result<Option<Stored>, Failure> {
        let link = self.link(names);
        // The link is resolved once, so that both files are of one version, even if another process
        // replaces the link now.
        let issued = fs::canonicalize(&link).and_then(|folder| {
            let (chain, key) = (fs::read(folder.join(CERT))?, fs::read(folder.join(KEY))?);
            let text = |pem| String::from_utf8(pem).unwrap_or_default();
            Ok([text(chain), text(key)])
        });
        match issued {
            Ok([chain, key]) => Ok(check(names, &chain, &key).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failure("read a file in", &link, &error)),
        }
    }

    /// Stores the key of a certificate before the certificate is requested. If the folder can't be
    /// written, this call fails, and the certificate is not requested.
    ///
    /// # Errors
    ///
    /// If the key can't be written.
    pub fn begin<'a>(
        &self,
        lock: &'a Lock,
        names: &[String],
        key: &KeyPem,
    ) -> Result<Version<'a>, Failure> {
        let name = certificate_name(names);
        self.mend_link(&name)?;
        let version = format!(".{name}.{}", suffix());
        let folder = self.certificates().join(&version);
        let made = Version {
            state: self.clone(),
            _lock: lock,
            names: names.to_vec(),
            version,
            folder,
            key: key.clone(),
            is_used: false,
        };
        DirBuilder::new()
            .mode(0o700)
            .create(&made.folder)
            .and_then(|()| write(&made.folder.join(KEY), key.0.as_bytes()))
            .map_err(|error| failure("write", &made.folder, &error))?;
        Ok(made)
    }

    /// Repairs a state folder that was copied by `cp -rL`, say: the copy has a folder in place of
    /// the link, and [`Version::install`] couldn't replace that by a rename. The folder gets the
    /// name of a version, and a new link leads to it.
    fn mend_link(&self, name: &str) -> Result<(), Failure> {
        let link = self.certificates().join(name);
        if !fs::symlink_metadata(&link).is_ok_and(|found| found.is_dir()) {
            return Ok(());
        }
        let version = format!(".{name}.{}", suffix());
        fs::rename(&link, self.certificates().join(&version))
            .and_then(|()| symlink(&version, &link))
            .map_err(|error| failure("replace", &link, &error))
    }

    /// Removes the versions that are not in `kept`, which has the current and the previous version:
    /// a reader that resolved the link before it was replaced may still use the previous one. Also
    /// removes temporary links that a crash has left.
    fn remove_versions(&self, name: &str, kept: [&OsStr; 2]) {
        let prefix = format!(".{name}.");
        for entry in fs::read_dir(self.certificates()).into_iter().flatten().flatten() {
            let (found, path) = (entry.file_name(), entry.path());
            let text = found.to_string_lossy();
            // A version is named `.NAME.SUFFIX`, and the temporary link of `install` is named
            // `.NAME.SUFFIX.link`. A suffix has no dot. So if there is a dot behind the prefix,
            // apart from that of `.link`, the file belongs to a longer name, and is not removed.
            // Files without the prefix are not removed, either: for them, `rest` is a dot.
            let rest = text.strip_prefix(&prefix).unwrap_or(".");
            if kept.contains(&&*found) || rest.trim_end_matches(".link").contains('.') {
                continue;
            }
            let _ = match path.is_symlink() {
                true => fs::remove_file(path),
                false => fs::remove_dir_all(path),
            };
        }
    }
}

/// A certificate that has a key and is not issued yet. Dropping this value removes its folder,
/// unless the certificate was installed.
#[derive(Debug)]
pub struct Version<'a> {
    state: StateFolder,
    _lock: &'a Lock,
    names: Vec<String>,
    version: String,
    folder: PathBuf,
    key: KeyPem,
    is_used: bool,
}

impl Version<'_> {
    /// Checks the certificate with this chain in PEM, and replaces the previous certificate with
    /// it.
    ///
    /// # Errors
    ///
    /// If the certificate isn't for these names or this key, or can't be written. The previous
    /// certificate then stays in place, with one exception: if the new link can't be synchronised
    /// with the disk, the new certificate is in place, and may be lost in a crash.
    pub fn install(mut self, chain: &str) -> Result<Stored, Failure> {
        let stored = check(&self.names, chain, &self.key.0).map_err(|text| {
            let text = format!("the CA sent a certificate that can't be used: {text}");
            Failure::new(FailureKind::Certificate, text)
        })?;
        write(&self.folder.join(CERT), chain.as_bytes())
            .and_then(|()| durable::sync_folder(&self.folder))
            .map_err(|error| failure("write", &self.folder, &error))?;
        let link = self.state.link(&self.names);
        let previous = fs::read_link(&link).unwrap_or_default();
        let new = self.folder.with_file_name(format!("{}.link", self.version));
        symlink(&self.version, &new).and_then(|()| fs::rename(&new, &link)).map_err(|error| {
            let _ = fs::remove_file(&new);
            failure("replace", &link, &error)
        })?;
        // From now on, the link leads to the folder.
        self.is_used = true;
        let certificates = self.state.certificates();
        durable::sync_folder(&certificates)
            .map_err(|error| failure("write", &certificates, &error))?;
        let kept = [OsStr::new(&self.version), previous.as_os_str()];
        self.state.remove_versions(&certificate_name(&self.names), kept);
        Ok(stored)
    }
}

impl Drop for Version<'_> {
    fn drop(&mut self) {
        if !self.is_used {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

const CERTIFICATES: &str = "certificates";
const CERT: &str = "cert.pem";
const KEY: &str = "key.pem";

/// Checks that a certificate is for these names, and has this key. Does not check when it is valid:
/// the clock of the authority may be ahead of ours.
fn check(names: &[String], chain: &str, key: &str) -> Result<Stored, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.map_err(|error| error.to_string())?;
    let first = chain.first().ok_or("it has no certificate")?;
    let (_, certificate) = X509Certificate::from_der(first).map_err(|error| error.to_string())?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.map_or(&[][..], |found| &found.value.general_names);
    let has = |name: &String| {
        alternatives.iter().any(|found| {
            matches!(found, GeneralName::DNSName(found) if found.eq_ignore_ascii_case(name))
        })
    };
    if let Some(missing) = names.iter().find(|name| !has(name)) {
        return Err(format!("it is not for {missing}"));
    }
    let stored = stored(first, &certificate);
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
    let key = key.map_err(|error| error.to_string())?;
    let key = sockeye_tls::provider().key_provider.load_private_key(key);
    let key = key.map_err(|error| error.to_string())?;
    CertifiedKey::new(chain, key).keys_match().map_err(|_| "it has another key".to_owned())?;
    Ok(stored)
}

fn stored(der: &[u8], certificate: &X509Certificate<'_>) -> Stored {
    let (id, lifetime) = renewal::read(certificate);
    Stored { id, lifetime, fingerprint: sha256(der) }
}

/// The file name of the link for a certificate. For a certificate of one host name, it is that
/// name; otherwise the first name, the number of other names, and a hash of all names.
fn certificate_name(names: &[String]) -> String {
    match names {
        [name] => file_name(name),
        _ => {
            let mut sorted = names.to_vec();
            sorted.sort();
            let hash = hash(&sorted.join(","));
            let first = names.first().map_or("", String::as_str);
            file_name(&format!("{first}+{}-{hash}", names.len().saturating_sub(1)))
        }
    }
}

/// Converts text to a file name. Characters other than letters, digits and `.-_+` become `-`. Dots
/// and hyphens at both ends are removed. If the result is too long or empty, a hash of the text is
/// appended to the first [`MAX_NAME`] bytes of the result.
fn file_name(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    let name: String = text.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let name = name.trim_matches(['.', '-']);
    match name.len() {
        1..=MAX_NAME => name.to_owned(),
        len => format!("{}-{}", &name[..len.min(MAX_NAME)], hash(text)),
    }
}

fn hash(text: &str) -> String {
    sha256(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// A random suffix, which no other version has.
fn suffix() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// Writes a new file that only its owner can read.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    durable::write_new(path, content, MODE)
}

fn failure(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(FailureKind::State, format!("cannot {what} {}: {error}", path.display()))
}
