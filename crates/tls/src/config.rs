//! The configuration of a server, from its settings and certificates.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoClientAuth, NoServerSessionStorage};

use crate::Certificate;
use crate::client_ca::{self, Verifier};
use crate::error::Error;
use crate::names::ByName;
use crate::provider::provider;
use crate::read::{Content, read};
use crate::settings::{ACME_TLS_ALPN, Settings};
use crate::tickets::Tickets;

impl Settings {
    /// A configuration with these certificates, which are not read again. No other configuration
    /// accepts its tickets.
    ///
    /// # Errors
    ///
    /// If the file of [`Settings::client_ca`] has something wrong, or there is no randomness for the
    /// keys of tickets.
    pub fn server_config(&self, certificates: Vec<Certificate>) -> Result<ServerConfig, Error> {
        let client_ca = self.client_ca.as_ref().map(|ca| read(&ca.path)).transpose()?;
        let (config, ..) = self.config(certificates, client_ca.as_ref(), None)?;
        Ok(config)
    }

    /// The configuration for these certificates. Tickets from `before` stay valid if the rules for
    /// client certificates are the same.
    pub(crate) fn config(
        &self,
        certificates: Vec<Certificate>,
        client_ca: Option<&Content>,
        before: Option<&Tickets>,
    ) -> Result<(ServerConfig, Arc<ByName>, Tickets), Error> {
        let names = ByName::new(&certificates, self.unknown_name, self.challenges.clone());
        let names = Arc::new(names);
        let Verifier { verifier, rules } = match self.client_ca.as_ref().zip(client_ca) {
            Some((ca, content)) => client_ca::verifier(ca, &content.bytes)?,
            None => Verifier { verifier: Arc::new(NoClientAuth), rules: None },
        };
        let tickets = Tickets::new(rules, before)?;
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
        config.ticketer = tickets.keys();
        Ok((config, names, tickets))
    }
}
