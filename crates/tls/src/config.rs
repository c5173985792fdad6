//! The configuration of a server, from its settings and certificates.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoClientAuth, NoServerSessionStorage, ProducesTickets};

use crate::Certificate;
use crate::client_ca;
use crate::error::Error;
use crate::names::ByName;
use crate::provider::{provider, ticketer};
use crate::read::{Content, read};
use crate::settings::{ACME_TLS_ALPN, Settings};

/// The keys that encrypt session tickets; they rotate. `None` if clients are asked for
/// certificates, or before the first configuration.
pub(crate) type Tickets = Option<Arc<dyn ProducesTickets>>;

impl Settings {
    /// A configuration with these certificates, which are not read again. No other configuration
    /// accepts a session ticket that this one issues.
    ///
    /// # Errors
    ///
    /// If something is wrong with the file of [`Settings::client_ca`], or the system provides no
    /// randomness for the keys of tickets.
    pub fn server_config(&self, certificates: Vec<Certificate>) -> Result<ServerConfig, Error> {
        let client_ca = self.client_ca.as_ref().map(|ca| read(&ca.path)).transpose()?;
        let (config, ..) = self.config(certificates, client_ca.as_ref(), &None)?;
        Ok(config)
    }

    /// The configuration for these certificates, its table of certificates by name, and its keys of
    /// session tickets. If `before` has keys, they are used again, so that older tickets stay
    /// valid; otherwise new ones are made. If clients are asked for certificates, there are no
    /// keys.
    pub(crate) fn config(
        &self,
        certificates: Vec<Certificate>,
        client_ca: Option<&Content>,
        before: &Tickets,
    ) -> Result<(ServerConfig, Arc<ByName>, Tickets), Error> {
        let names = ByName::new(&certificates, self.unknown_name, self.challenges.clone());
        let names = Arc::new(names);
        let verifier = match self.client_ca.as_ref().zip(client_ca) {
            Some((ca, content)) => client_ca::verifier(ca, &content.bytes)?,
            None => Arc::new(NoClientAuth),
        };
        let tickets = match (&self.client_ca, before) {
            (Some(_), _) => None,
            (None, Some(before)) => Some(Arc::clone(before)),
            (None, None) => Some(ticketer()?),
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&names) as _);
        config.alpn_protocols.clone_from(&self.alpn);
        if self.challenges.is_some() {
            config.alpn_protocols.push(ACME_TLS_ALPN.to_vec());
        }
        // Sessions resume by tickets only: a cache of sessions would have to be shared and limited.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match &tickets {
            Some(tickets) => config.ticketer = Arc::clone(tickets),
            // A client that resumes isn't asked for its certificate again. If it got a new ticket
            // each time, it could resume for ever, even after its certificate has expired.
            None => config.send_tls13_tickets = 0,
        }
        Ok((config, names, tickets))
    }
}
