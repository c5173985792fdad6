//! Which certificate answers a name: exact, then wildcard, then the default or none.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::Certificate;

/// The certificates by name.
#[derive(Debug)]
pub(crate) struct ByName {
    /// Wildcards without their `*`: `.example.org`.
    names: HashMap<String, Arc<CertifiedKey>>,
    /// For clients that ask for no name or an unknown one.
    default: Option<Arc<CertifiedKey>>,
    /// For clients that ask for no name: they can't be told apart.
    nameless: Option<Arc<CertifiedKey>>,
}

impl ByName {
    /// The first certificate that has a name is used for it. The first of all is the default, if
    /// there is to be one.
    pub(crate) fn new(certificates: &[Certificate], has_default: bool) -> Self {
        let mut names = HashMap::new();
        for certificate in certificates {
            for name in certificate.names() {
                let name = name.strip_prefix('*').unwrap_or(name);
                names.entry(name.to_owned()).or_insert_with(|| Arc::clone(&certificate.key));
            }
        }
        let nameless = certificates.first().map(|first| Arc::clone(&first.key));
        Self { names, default: nameless.clone().filter(|_| has_default), nameless }
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        // A wildcard stands for one label.
        let wildcard = name.find('.').and_then(|dot| self.names.get(&name[dot..]));
        self.names.get(&name).or(wildcard).or(self.default.as_ref())
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            Some(name) => self.find(name),
            None => self.nameless.as_ref(),
        }
        .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::self_signed;

    fn certificate(names: &[&str]) -> Certificate {
        self_signed(names.iter().map(|name| (*name).to_owned()).collect()).unwrap().0
    }

    #[test]
    fn an_exact_name_comes_before_a_wildcard_and_the_default() {
        let certificates = [
            certificate(&["first.example"]),
            certificate(&["*.example.org", "example.org"]),
            certificate(&["www.example.org"]),
        ];
        for has_default in [true, false] {
            let by_name = ByName::new(&certificates, has_default);
            let found = |name: &str| {
                let key = by_name.find(name)?;
                certificates.iter().position(|other| Arc::ptr_eq(&other.key, key))
            };
            let default = has_default.then_some(0);
            for (name, expected) in [
                ("first.example", Some(0)),
                ("example.org", Some(1)),
                ("a.example.org", Some(1)),
                ("WWW.Example.org", Some(2)),
                ("a.b.example.org", default),
                ("org", default),
                ("", default),
            ] {
                assert_eq!(found(name), expected, "{name}, {has_default}");
            }
        }
    }
}
