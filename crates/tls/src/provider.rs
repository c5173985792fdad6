//! The cryptography that rustls uses here.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring as chosen;
use rustls::server::ProducesTickets;

/// The cryptography of this build, for configurations of servers and clients.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(chosen::default_provider())
}

/// Keys of tickets, which rotate.
pub(crate) fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    chosen::Ticketer::new()
}
