//! Challenges, and the answers that listeners give while an authority validates a name.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use sockeye_tls::sha256;

use crate::failure::{Failure, FailureKind};

/// How this side proves to the authority that it controls a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChallengeKind {
    /// The authority asks for a file over plain HTTP at port 80 (RFC 8555, 8.3).
    Http01,
    /// The authority makes a TLS handshake at port 443, and gets a special certificate (RFC 8737).
    TlsAlpn01,
}

impl ChallengeKind {
    /// The name of this kind in ACME.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A challenge that the authority has not validated yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// How this side proves that it controls the name.
    pub kind: ChallengeKind,
    /// The name that is being validated.
    pub name: String,
    /// The authority's random text, which identifies the challenge.
    pub token: String,
    /// The answer that the authority expects: the token, and the hash of the account's key (RFC
    /// 8555, 8.1).
    pub key_authorization: String,
}

/// The path before the token of http-01.
const HTTP_PATH: &str = "/.well-known/acme-challenge/";

/// The answers of listeners to an authority. The thread that orders certificates shares this value
/// with all listeners. There is an answer only while a challenge waits for validation; at other
/// times, a look into this value costs one atomic load.
#[derive(Debug, Default)]
pub struct Challenges {
    is_waiting: AtomicBool,
    waiting: Mutex<Option<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    challenge: Challenge,
    /// The certificate to present, for tls-alpn-01 only.
    certificate: Option<Arc<CertifiedKey>>,
}

impl Challenges {
    /// Makes listeners answer this challenge from now on, instead of the previous one.
    ///
    /// # Errors
    ///
    /// If the certificate of tls-alpn-01 can't be made.
    pub fn present(&self, challenge: Challenge, provider: &CryptoProvider) -> Result<(), Failure> {
        let certificate = match challenge.kind {
            ChallengeKind::Http01 => None,
            ChallengeKind::TlsAlpn01 => Some(Arc::new(certificate(&challenge, provider)?)),
        };
        *self.lock() = Some(Waiting { challenge, certificate });
        self.is_waiting.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes listeners answer no challenge from now on.
    pub fn withdraw(&self) {
        self.is_waiting.store(false, Ordering::Release);
        *self.lock() = None;
    }

    /// Whether a challenge waits for validation.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Acquire)
    }

    /// The content of the response to a GET for this path over plain HTTP; `None` if no challenge
    /// waits for a request of this path.
    #[must_use]
    pub fn http(&self, path: &[u8]) -> Option<String> {
        if !self.is_waiting() {
            return None;
        }
        let token = path.strip_prefix(HTTP_PATH.as_bytes())?;
        let waiting = self.lock();
        let challenge = &waiting.as_ref()?.challenge;
        let is_ours =
            challenge.kind == ChallengeKind::Http01 && challenge.token.as_bytes() == token;
        is_ours.then(|| challenge.key_authorization.clone())
    }

    /// The certificate that proves this name by tls-alpn-01, for a ClientHello that offers
    /// `acme-tls/1`; `None` if no such challenge waits for this name.
    #[must_use]
    pub fn tls(&self, server_name: &str) -> Option<Arc<CertifiedKey>> {
        if !self.is_waiting() {
            return None;
        }
        let waiting = self.lock();
        let Waiting { challenge, certificate } = waiting.as_ref()?;
        let is_ours = challenge.name.eq_ignore_ascii_case(server_name);
        certificate.as_ref().filter(|_| is_ours).map(Arc::clone)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl sockeye_tls::Challenges for Challenges {
    fn certificate(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.tls(hello.server_name()?)
    }
}

/// The certificate of tls-alpn-01: for this name alone, with a hash of the key authorization.
fn certificate(challenge: &Challenge, provider: &CryptoProvider) -> Result<CertifiedKey, Failure> {
    let failure = |error: &dyn fmt::Display| {
        let text = format!("cannot make the certificate of tls-alpn-01: {error}");
        Failure::new(FailureKind::Certificate, text)
    };
    let made = || -> Result<_, rcgen::Error> {
        let mut params = CertificateParams::new(vec![challenge.name.clone()])?;
        params.distinguished_name = DistinguishedName::new();
        let hash = sha256(challenge.key_authorization.as_bytes());
        params.custom_extensions.push(CustomExtension::new_acme_identifier(&hash));
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?, key))
    };
    let (made, key) = made().map_err(|error| failure(&error))?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = provider.key_provider.load_private_key(key).map_err(|error| failure(&error))?;
    Ok(CertifiedKey::new(vec![made.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::*;

    use super::*;

    fn challenge(kind: ChallengeKind) -> Challenge {
        Challenge {
            kind,
            name: "www.example.org".into(),
            token: "token-1_A".into(),
            key_authorization: "token-1_A.thumbprint".into(),
        }
    }

    #[test]
    fn http_answers_only_the_token_that_waits() {
        let challenges = Challenges::default();
        let answer = |path: &str| challenges.http(path.as_bytes());
        let path = "/.well-known/acme-challenge/token-1_A";
        assert_eq!(answer(path), None);
        challenges.present(challenge(ChallengeKind::Http01), &sockeye_tls::provider()).unwrap();
        assert_eq!(answer(path).as_deref(), Some("token-1_A.thumbprint"));
        for other in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/token-1_a", "/"]
        {
            assert_eq!(answer(other), None, "{other}");
        }
        assert!(challenges.tls("www.example.org").is_none());
        challenges.present(challenge(ChallengeKind::TlsAlpn01), &sockeye_tls::provider()).unwrap();
        assert_eq!(answer(path), None);
        challenges.present(challenge(ChallengeKind::Http01), &sockeye_tls::provider()).unwrap();
        challenges.withdraw();
        assert_eq!(answer(path), None);
        assert!(!challenges.is_waiting());
    }

    #[test]
    fn tls_answers_only_the_name_that_waits_with_its_hash() {
        let challenges = Challenges::default();
        assert!(challenges.tls("www.example.org").is_none());
        challenges.present(challenge(ChallengeKind::TlsAlpn01), &sockeye_tls::provider()).unwrap();
        assert!(challenges.tls("example.org").is_none());
        let key = challenges.tls("WWW.example.org").unwrap();
        let (_, parsed) = X509Certificate::from_der(&key.cert[0]).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names, [GeneralName::DNSName("www.example.org")]);
        let oid = oid_registry::Oid::from(&[1, 3, 6, 1, 5, 5, 7, 1, 31]).unwrap();
        let extension = parsed.get_extension_unique(&oid).unwrap().unwrap();
        assert!(extension.critical);
        let hash = sha256(b"token-1_A.thumbprint");
        assert_eq!(extension.value, [&[4, 32][..], &hash[..]].concat());
        challenges.withdraw();
        assert!(challenges.tls("www.example.org").is_none());
    }
}
