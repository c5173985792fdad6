//! A certificate for development, which no browser trusts without a warning.

use rustls::pki_types::PrivateKeyDer;

use crate::{Certificate, Error};

/// Makes a certificate for these names, signed by itself. Returns it and, in PEM, the certificate
/// and its key.
///
/// # Errors
///
/// If a name is invalid, or there is no randomness.
pub fn self_signed(names: Vec<String>) -> Result<(Certificate, [String; 2]), Error> {
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|error| Error::SelfSigned(error.to_string()))?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let certificate = Certificate::from_der(made.cert.der().clone(), key)?;
    Ok((certificate, [made.cert.pem(), made.signing_key.serialize_pem()]))
}
