//! The cryptography of TLS: ring or aws-lc-rs. The features `ring` and `aws-lc-rs` select it.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as chosen;
use rustls::server::ProducesTickets;

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
compile_error!("TLS needs cryptography: enable the feature `ring` or `aws-lc-rs`");

/// The cryptography of this build, for configurations of servers and clients: aws-lc-rs if the
/// feature `aws-lc-rs` is enabled, else ring.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(chosen::default_provider())
}

/// Creates a ticketer, which encrypts and decrypts session tickets. It replaces its keys regularly.
pub(crate) fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    chosen::Ticketer::new()
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;

    #[test]
    fn aws_lc_rs_is_used_if_its_feature_is_enabled() {
        let is_post_quantum = provider().kx_groups[0].name() == NamedGroup::X25519MLKEM768;
        assert_eq!(is_post_quantum, cfg!(feature = "aws-lc-rs"));
    }
}
