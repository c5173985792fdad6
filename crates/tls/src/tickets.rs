//! Session tickets, which skip the checks of a full handshake.

use std::fmt;
use std::sync::Arc;

use rustls::server::ProducesTickets;

use crate::provider::ticketer;

/// The rules for client certificates: the hash of the authorities, and whether a certificate is
/// required. `None`: no certificate is asked for.
pub(crate) type Rules = Option<([u8; 32], bool)>;

/// The keys of tickets, which rotate, and the rules under which tickets were issued. A client that
/// resumes a session isn't asked for a certificate again, so other rules have other keys.
#[derive(Clone)]
pub(crate) struct Tickets {
    rules: Rules,
    keys: Arc<dyn ProducesTickets>,
}

impl Tickets {
    /// Keys for these rules. If `before` has the same rules, its keys stay in use.
    pub(crate) fn new(rules: Rules, before: Option<&Self>) -> Result<Self, rustls::Error> {
        match before {
            Some(before) if before.rules == rules => Ok(before.clone()),
            _ => Ok(Self { rules, keys: ticketer()? }),
        }
    }

    pub(crate) fn keys(&self) -> Arc<dyn ProducesTickets> {
        Arc::clone(&self.keys)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("rules", &self.rules).finish_non_exhaustive()
    }
}
