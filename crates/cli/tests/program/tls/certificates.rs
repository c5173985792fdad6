//! Certificates for tests: an authority, and what it has issued.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};

use crate::support::Folder;

/// Certificates and keys in PEM.
struct Pem {
    authority: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> &'static Pem {
    static AUTHORITY: OnceLock<Pem> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let params = ca("sockeye's tests");
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        Pem { authority, issuer: Issuer::new(params, key) }
    })
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// The certificate of the authority, in PEM.
pub(crate) fn authority_pem() -> &'static str {
    &authority().authority
}

/// The certificate of a new authority, which has issued nothing, in PEM.
pub(crate) fn new_authority() -> String {
    ca("another authority").self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// A new certificate for these DNS names and for 127.0.0.1, and its key, in PEM.
pub(crate) fn issue(names: &[&str]) -> [String; 2] {
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            .unwrap();
    params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    [params.signed_by(&key, &authority().issuer).unwrap().pem(), key.serialize_pem()]
}

/// Certificates in a folder, which no server of tests serves.
pub(crate) struct Certificates(Folder);

impl Certificates {
    /// `ca.pem`, and `NAME.pem` and `NAME.key` for each name.
    pub(crate) fn of(names: &[&str]) -> Self {
        let certificates = Self(Folder::new());
        certificates.write("ca.pem", authority_pem());
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
