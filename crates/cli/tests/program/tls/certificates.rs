//! Certificates for tests: an authority, and what it has issued.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use crate::support::Folder;
use crate::tls_clients::peers::{Authority, Identity};

/// The authority that the clients of tests trust.
fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("sockeye's tests"))
}

/// The certificate of the authority, in PEM.
pub(crate) fn authority_pem() -> String {
    authority().pem()
}

/// A new certificate for these DNS names and for 127.0.0.1, and its key, in PEM.
pub(crate) fn issue(names: &[&str]) -> [String; 2] {
    let Identity { certificate, key } = authority().issue(&[names, &["127.0.0.1"]].concat());
    [certificate, key]
}

/// Certificates in a folder, which no server of tests serves.
pub(crate) struct Certificates(Folder);

impl Certificates {
    /// `ca.pem`, and `NAME.pem` and `NAME.key` for each name.
    pub(crate) fn of(names: &[&str]) -> Self {
        let certificates = Self(Folder::new());
        certificates.write("ca.pem", &authority_pem());
        names.iter().for_each(|name| certificates.issue(name));
        certificates
    }

    /// Issues a certificate for a name, in place of the one from before.
    pub(crate) fn issue(&self, name: &str) {
        let [certificate, key] = issue(&[name]);
        self.write(&format!("{name}.pem"), &certificate);
        self.write(&format!("{name}.key"), &key);
    }

    /// Writes a file so that no one sees a part of it.
    pub(crate) fn write(&self, file: &str, content: &str) {
        let (new, path) = (self.path("new"), self.path(file));
        fs::write(&new, content).unwrap();
        fs::rename(new, path).unwrap();
    }

    pub(crate) fn path(&self, file: &str) -> String {
        self.0.join(file)
    }

    /// The value of `--tls` for a name.
    pub(crate) fn pair(&self, name: &str) -> String {
        format!("{},{}", self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }
}

/// Writes the files that rows of flags name.
pub(crate) fn write_for_flags(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let [certificate, key] = issue(&["localhost"]);
    fs::write(folder.join("both.pem"), certificate + &key).unwrap();
    fs::write(folder.join("ca.pem"), authority_pem()).unwrap();
}
