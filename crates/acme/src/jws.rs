//! Signed requests: JSON Web Signatures (RFC 7515) with ES256, as ACME requires them (RFC 8555,
//! 6.2).

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey};
use serde_json::json;
use sockeye_tls::sha256;

/// The length in bytes of a coordinate of P-256, and of each of the two numbers of a signature.
const COORDINATE: usize = 32;

/// Bytes as base64url without padding (RFC 7515, 2).
pub(crate) fn base64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// The key of an account at a certificate authority: ECDSA with P-256.
pub struct AccountKey(KeyPair);

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccountKey").field(&self.thumbprint()).finish()
    }
}

impl AccountKey {
    /// Generates a new key.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub fn generate() -> Result<Self, rcgen::Error> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self)
    }

    /// Reads a key that [`AccountKey::to_pem`] wrote: PKCS#8 in PEM.
    ///
    /// # Errors
    ///
    /// If the text is no ECDSA key with P-256.
    pub fn from_pem(pem: &str) -> Result<Self, rcgen::Error> {
        KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256).map(Self)
    }

    /// The key as PKCS#8 in PEM. Keep it secret.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// The public key as a JWK, with its members in the order of RFC 7638.
    fn jwk(&self) -> String {
        // The raw key is an uncompressed point: the byte 4, then x and y.
        let point = &self.0.public_key_raw()[1..];
        let (x, y) = point.split_at(COORDINATE);
        format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, base64url(x), base64url(y))
    }

    /// The thumbprint of the public key (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        base64url(&sha256(self.jwk().as_bytes()))
    }

    /// Signs a request. The request names its account by the URL `account`, or by the public key if
    /// there is no URL yet. The payload is empty for POST-as-GET.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub fn sign(
        &self,
        url: &str,
        nonce: &str,
        account: Option<&str>,
        payload: &str,
    ) -> Result<String, rcgen::Error> {
        let quoted = |text: &str| json!(text).to_string();
        let who = match account {
            Some(url) => format!(r#""kid":{}"#, quoted(url)),
            None => format!(r#""jwk":{}"#, self.jwk()),
        };
        let protected =
            format!(r#"{{"alg":"ES256",{who},"nonce":{},"url":{}}}"#, quoted(nonce), quoted(url));
        let (protected, payload) = (base64url(protected.as_bytes()), base64url(payload.as_bytes()));
        let signature = self.0.sign(format!("{protected}.{payload}").as_bytes())?;
        let signature = fixed(&signature).ok_or(rcgen::Error::RingUnspecified)?;
        let signature = base64url(&signature);
        Ok(json!({ "protected": protected, "payload": payload, "signature": signature })
            .to_string())
    }
}

/// Converts an ECDSA signature from DER (`SEQUENCE { INTEGER, INTEGER }`), which [`KeyPair`] makes,
/// to the form of JWS (RFC 7518, 3.4): both numbers, each padded to [`COORDINATE`] bytes.
fn fixed(der: &[u8]) -> Option<[u8; 2 * COORDINATE]> {
    let (numbers, rest) = element(0x30, der)?;
    let (r, numbers) = element(0x02, numbers)?;
    let (s, numbers) = element(0x02, numbers)?;
    if !rest.is_empty() || !numbers.is_empty() {
        return None;
    }
    let mut signature = [0; 2 * COORDINATE];
    for (number, half) in [r, s].into_iter().zip(signature.chunks_mut(COORDINATE)) {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[zeros..];
        half[COORDINATE.checked_sub(number.len())?..].copy_from_slice(number);
    }
    Some(signature)
}

/// The content of the DER element with this tag, and the bytes after the element. Signatures with
/// P-256 are shorter than 128 bytes, so that lengths have one byte.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    match der {
        [found, len @ ..128, rest @ ..] if *found == tag => rest.split_at_checked((*len).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    fn decoded(value: &Value) -> Vec<u8> {
        BASE64URL_NOPAD.decode(value.as_str().unwrap().as_bytes()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_signed_request_can_be_verified(payload in ".{0,80}", url in ".{0,40}") {
            let key = AccountKey::generate().unwrap();
            for account in [None, Some("https://ca.example/account/\"1\"")] {
                let jws: Value =
                    serde_json::from_str(&key.sign(&url, "nonce", account, &payload).unwrap()).unwrap();
                let signed = format!(
                    "{}.{}",
                    jws["protected"].as_str().unwrap(),
                    jws["payload"].as_str().unwrap()
                );
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.0.public_key_raw())
                    .verify(signed.as_bytes(), &decoded(&jws["signature"]))
                    .unwrap();
                prop_assert_eq!(decoded(&jws["payload"]), payload.as_bytes());
                let protected: Value = serde_json::from_slice(&decoded(&jws["protected"])).unwrap();
                prop_assert_eq!(&protected["alg"], "ES256");
                prop_assert_eq!(&protected["nonce"], "nonce");
                prop_assert_eq!(&protected["url"], &url);
                prop_assert_eq!(protected.get("kid").and_then(Value::as_str), account);
                prop_assert_eq!(protected.get("jwk").is_some(), account.is_none());
            }
        }

        #[test]
        fn no_signature_in_der_panics(der in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = fixed(&der);
        }
    }

    #[test]
    fn numbers_of_a_signature_get_their_full_length() {
        let der = [0x30, 7, 2, 1, 5, 2, 2, 0, 0x80];
        let mut expected = [0; 64];
        (expected[31], expected[63]) = (5, 0x80);
        assert_eq!(fixed(&der), Some(expected));
        assert_eq!(fixed(&[0x30, 7, 2, 1, 5, 2, 2, 0]), None);
        // A number of 33 bytes that doesn't begin with 0.
        let long = [&[0x30, 38, 2, 33][..], &[1; 33], &[2, 1, 5]].concat();
        assert_eq!(fixed(&long), None);
    }

    #[test]
    fn a_key_is_the_same_after_it_was_stored() {
        let key = AccountKey::generate().unwrap();
        let read = AccountKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(key.thumbprint(), read.thumbprint());
        assert!(AccountKey::from_pem("").is_err());
    }
}
