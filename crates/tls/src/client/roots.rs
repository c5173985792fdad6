//! The authorities that a client trusts.

use std::env;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::error::ClientError;
use crate::error::{Error, Problem};
use crate::pem::Pem;
use crate::read::read;
use crate::x509::CertificateFields;

/// The environment variables with which users replace the paths where rustls-native-certs looks.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The authorities that this machine trusts.
pub(super) fn of_system() -> Result<RootCertStore, ClientError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if !roots.is_empty() {
        return Ok(roots);
    }
    let set: Vec<String> = VARIABLES
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", env::var_os(name)?.display())))
        .collect();
    let mut looked_in = match &set[..] {
        [] => "/etc/ssl, /etc/pki/tls and other usual folders".to_owned(),
        set => set.join(" and "),
    };
    if let Some(error) = found.errors.first() {
        looked_in = format!("{looked_in} ({error})");
    }
    Err(ClientError::NoRoots { looked_in })
}

/// Returns the authorities among the certificates in PEM files, and all the certificates. A
/// certificate that isn't an authority's is trusted if a server presents it, but not as an issuer:
/// the key of a server must not sign for other names.
pub(super) fn of_files(
    paths: &[PathBuf],
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Error> {
    let mut roots = RootCertStore::empty();
    let mut all = Vec::new();
    for path in paths {
        let certificates = certificates(path)?;
        let mut is_usable = false;
        for certificate in &certificates {
            // A bundle may have an old certificate that can't be parsed.
            let Some(facts) = CertificateFields::parse(certificate) else { continue };
            // A certificate of version 1 can't say whether it is an authority's.
            is_usable |= match facts.is_authority || facts.is_v1 {
                true => roots.add(certificate.clone()).is_ok(),
                false => true,
            };
        }
        if !is_usable {
            return Err(Error::file(path, Problem::Malformed("CERTIFICATE".into())));
        }
        all.extend(certificates);
    }
    Ok((roots, all))
}

/// The certificates in a PEM file. Fails if it has none.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let problem = |problem| Error::file(path, problem);
    let pem = Pem::parse(&read(path)?.bytes).map_err(problem)?;
    match pem.certificates.is_empty() {
        true => Err(problem(pem.without_certificate())),
        false => Ok(pem.certificates),
    }
}
