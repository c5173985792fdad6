//! Selects the certificate for a client. If the client asks for a name, the candidates are, in this
//! order, the certificates with the exact name, those with a wildcard for the name, and the default
//! ones, if there are any. Clients that ask for no name have candidates of their own (`nameless`).
//! A client gets the first candidate whose signatures it can verify, or else the first of all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::settings::{ACME_TLS_ALPN, Challenges};
use crate::{Certificate, UnknownName};

/// Certificates for one name: those with RSA keys after the others, because signatures by RSA cost
/// much more.
type Candidates = Vec<Arc<CertifiedKey>>;

/// The certificates by name.
#[derive(Debug)]
pub(crate) struct ByName {
    /// The keys are names in lower case. Wildcards are without their `*`: `.example.org`.
    names: HashMap<String, Candidates>,
    /// For clients that ask for an unknown name. Empty if they are refused.
    default: Candidates,
    /// For clients that ask for no name, because they know only an IP address.
    nameless: Candidates,
    challenges: Option<Arc<dyn Challenges>>,
}

impl ByName {
    /// If several certificates have the same name and type of key, the first is used.
    pub(crate) fn new(
        certificates: &[Certificate],
        unknown_name: UnknownName,
        challenges: Option<Arc<dyn Challenges>>,
    ) -> Self {
        let mut names: HashMap<String, Candidates> = HashMap::new();
        let is_rsa = |key: &Arc<CertifiedKey>| key.key.algorithm() == SignatureAlgorithm::RSA;
        for certificate in certificates {
            for name in &certificate.info().names {
                let name = name.strip_prefix('*').unwrap_or(name);
                names.entry(name.to_owned()).or_default().push(Arc::clone(&certificate.key));
            }
        }
        for candidates in names.values_mut() {
            candidates.sort_by_key(is_rsa);
        }
        // All certificates that have `name`, which is one of the names of `certificate`. Only
        // `certificate` if `name` is `None`.
        let same_name = |certificate: &Certificate, name: Option<&String>| {
            let name = name.map(|name| name.strip_prefix('*').unwrap_or(name));
            let candidates = name.and_then(|name| names.get(name)).cloned();
            candidates.unwrap_or_else(|| vec![Arc::clone(&certificate.key)])
        };
        let is_address = |name: &&String| name.parse::<IpAddr>().is_ok();
        let first = certificates.first().map(|first| same_name(first, first.info().names.first()));
        let first = first.unwrap_or_default();
        // For clients that name no server, only the address of a certificate counts, not its other
        // names: a certificate that shares one of them may not be for the address.
        let nameless = certificates.iter().find_map(|certificate| {
            let address = certificate.info().names.iter().find(is_address)?;
            Some(same_name(certificate, Some(address)))
        });
        let nameless = nameless.unwrap_or_else(|| first.clone());
        let default = match unknown_name {
            UnknownName::FirstCertificate => first,
            UnknownName::Refuse => Vec::new(),
        };
        Self { names, default, nameless, challenges }
    }

    /// The certificate for a client that asks for `name` and verifies signatures by `schemes`.
    /// `None` if there is no candidate.
    pub(crate) fn find(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let lists: [&[Arc<CertifiedKey>]; 3] = match name {
            Some(name) => {
                let name = name.to_ascii_lowercase();
                // A wildcard stands for one label.
                let wildcard = name.find('.').map(|dot| &name[dot..]);
                let named = |name| self.names.get(name).map_or(&[][..], Vec::as_slice);
                [named(name.as_str()), wildcard.map_or(&[], named), &self.default]
            }
            None => [&self.nameless, &[], &[]],
        };
        let candidates = || lists.into_iter().flatten();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        // If the client can verify none of them, it gets the first one all the same. Then the error
        // of the handshake is that no signature scheme fits, and not that the name is unknown.
        candidates().find(fits).or_else(|| candidates().next()).cloned()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(challenges) = &self.challenges
            && let Some(mut offered) = hello.alpn()
            && offered.any(|name| name == ACME_TLS_ALPN)
        {
            // A CA that validates a name offers only this protocol. A client that offers others,
            // too, is refused: otherwise ALPN might choose this protocol for that client, and a
            // program that ignores the choice would answer the client's requests.
            let is_only = hello.alpn().is_some_and(|offered| offered.count() == 1);
            return if is_only { challenges.certificate(&hello) } else { None };
        }
        self.find(hello.server_name(), hello.signature_schemes())
    }
}
