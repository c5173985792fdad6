//! The name of the server that a client asks for (SNI).
//!
//! rustls' unbuffered connections don't have it. But they call the resolver of certificates with
//! it, on the same thread, while they read the client hello.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;

thread_local! {
    /// The name in the client hello that was read last on this thread, until it is taken.
    static NAME: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// Notes the name, and asks another resolver for the certificate.
#[derive(Debug)]
struct Noting(Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for Noting {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(|name| name.to_ascii_lowercase().into());
        NAME.with(|noted| *noted.borrow_mut() = name);
        self.0.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}

/// The same configuration, whose handshakes note the name for [`take`].
pub(super) fn noted(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.cert_resolver = Arc::new(Noting(config.cert_resolver));
    Arc::new(config)
}

/// The name in the client hello that this thread has just read, if there was one.
pub(super) fn take() -> Option<Box<str>> {
    NAME.with(|noted| noted.borrow_mut().take())
}
