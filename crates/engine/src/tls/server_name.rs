//! The name of the server that a client asks for (SNI), and the errors if no certificate fits.
//!
//! rustls' unbuffered connections don't return this name. But they call the resolver of
//! certificates with it, on the same thread, while they read the client hello.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, PeerIncompatible, SignatureAlgorithm};

use super::error::TlsError;

/// If there is no certificate for a name, rustls sends the alert access_denied. It is replaced by
/// unrecognized_name, the alert for this case (RFC 6066, section 3).
const ACCESS_DENIED: [u8; 2] = [2, 49];
const UNRECOGNIZED_NAME: [u8; 2] = [2, 112];
/// A record with the alert handshake_failure, for use before anything is encrypted.
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

thread_local! {
    /// The request of the last client hello that this thread read, until [`take`] returns it.
    static LAST_HELLO: RefCell<Option<HelloRequest>> = const { RefCell::new(None) };
}

/// The name that a client hello asked for, and facts about the certificate found for it.
pub(super) struct HelloRequest {
    pub(super) name: Option<Box<str>>,
    /// Whether the certificate that was found has an RSA key, with which signing takes several
    /// times as long as with other keys. `None`: no certificate was found.
    pub(super) signs_slowly: Option<bool>,
    /// Whether the client can verify signatures by the key of that certificate.
    can_verify: bool,
}

impl HelloRequest {
    /// Returns the error to report if reading this hello failed with `error`. Corrects or adds the
    /// alert at the end of `out`, in which the answer to the hello begins at `start`.
    pub(super) fn correct(&self, error: TlsError, out: &mut Vec<u8>, start: usize) -> TlsError {
        match error {
            // No certificate was found for the name.
            _ if self.signs_slowly.is_none() => {
                if out[start..].ends_with(&ACCESS_DENIED) {
                    out.truncate(out.len() - ACCESS_DENIED.len());
                    out.extend(UNRECOGNIZED_NAME);
                }
                TlsError::UnknownName
            }
            // The client can't verify the certificate's signatures. In TLS 1.2, rustls then sends
            // no alert, and returns an error that doesn't blame the client.
            TlsError::Ours(Error::General(_)) if !self.can_verify && out.len() == start => {
                out.extend(HANDSHAKE_FAILURE);
                TlsError::Failed(PeerIncompatible::NoSignatureSchemesInCommon.into())
            }
            error => error,
        }
    }
}

/// A resolver that asks another resolver for the certificate, and stores a [`HelloRequest`] in
/// [`LAST_HELLO`].
#[derive(Debug)]
pub(super) struct RecordingResolver(pub(super) Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for RecordingResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(|name| name.to_ascii_lowercase().into());
        let schemes = hello.signature_schemes().to_vec();
        let key = self.0.resolve(hello);
        let signs_slowly = key.as_ref().map(|key| key.key.algorithm() == SignatureAlgorithm::RSA);
        let can_verify = key.as_ref().is_some_and(|key| key.key.choose_scheme(&schemes).is_some());
        LAST_HELLO.set(Some(HelloRequest { name, signs_slowly, can_verify }));
        key
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}

/// Takes the request of the last client hello that this thread read. `None` if the thread has read
/// no hello since the last call.
pub(super) fn take() -> Option<HelloRequest> {
    LAST_HELLO.take()
}
