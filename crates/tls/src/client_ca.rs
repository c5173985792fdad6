//! Which certificates of clients a server accepts.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::ClientCa;
use crate::error::{Error, Problem};
use crate::pem::Pem;
use crate::provider::provider;
use crate::x509::CertificateFields;

/// Makes a verifier that trusts the authorities in a PEM file. Other certificates in the file are
/// ignored.
pub(crate) fn verifier(ca: &ClientCa, pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let problem = |problem| Error::File(ca.path.clone(), problem);
    let pem = Pem::parse(pem).map_err(problem)?;
    if pem.certificates.is_empty() {
        return Err(problem(pem.without_certificate()));
    }
    let mut roots = RootCertStore::empty();
    for certificate in pem.certificates {
        let malformed = || problem(Problem::Malformed("CERTIFICATE".into()));
        let facts = CertificateFields::parse(&certificate).ok_or_else(malformed)?;
        if !facts.is_authority {
            continue;
        }
        roots.add(certificate).map_err(|_| malformed())?;
    }
    if roots.is_empty() {
        return Err(problem(Problem::NoAuthority));
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = if ca.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| Error::Config(rustls::Error::General(error.to_string())))
}
