//! The name of the server that a client asks for (SNI).
//!
//! rustls' unbuffered connections don't return this name. But they call the resolver of
//! certificates with it, on the same thread, while they read the client hello.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::SignatureAlgorithm;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

thread_local! {
    /// What the last client hello that was read on this thread asked for, until it is taken.
    static LAST_HELLO: RefCell<Option<HelloRequest>> = const { RefCell::new(None) };
}

/// What a client hello asked for.
pub(super) struct HelloRequest {
    pub(super) name: Option<Box<str>>,
    /// Whether the certificate that was found has an RSA key: signing takes several times as long
    /// as with other keys. `None`: no certificate was found.
    pub(super) signs_slowly: Option<bool>,
}

/// A resolver that asks another resolver for the certificate, and stores in [`LAST_HELLO`] what the
/// client hello asked for.
#[derive(Debug)]
pub(super) struct RecordingResolver(pub(super) Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for RecordingResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(|name| name.to_ascii_lowercase().into());
        let key = self.0.resolve(hello);
        let signs_slowly = key.as_ref().map(|key| key.key.algorithm() == SignatureAlgorithm::RSA);
        LAST_HELLO.set(Some(HelloRequest { name, signs_slowly }));
        key
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}

/// What the last client hello that this thread read asked for. `None` if none was read since the
/// last call.
pub(super) fn take() -> Option<HelloRequest> {
    LAST_HELLO.take()
}
