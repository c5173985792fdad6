//! Reads from an X.509 certificate what this crate needs to know.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::oid;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS,
};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

/// What a certificate says. The issuer, the subject and the public key are in DER, to be compared.
pub(crate) struct CertificateFields {
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    /// The issuer's common name, or all of its name if it has none, for messages.
    pub(crate) issuer_name: String,
    pub(crate) public_key: Vec<u8>,
    /// The subject alternative names: DNS names in lower case, and IP addresses.
    pub(crate) names: Vec<String>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) is_authority: bool,
    /// The certificate has version 1 of X.509, in which it can't say whether it belongs to an
    /// authority. Some old roots have this version.
    pub(crate) is_v1: bool,
    /// The certificate has a URL of its issuer's certificate, as those from public authorities do.
    pub(crate) names_issuer_url: bool,
    /// The certificate is signed with a hash that clients refuse.
    pub(crate) is_weak: bool,
}

impl CertificateFields {
    /// `None` if `der` isn't a certificate.
    pub(crate) fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let issuer = certificate.issuer();
        let common_name = issuer.iter_common_name().next().and_then(|name| name.as_str().ok());
        let mut facts = Self {
            subject: certificate.subject().as_raw().to_vec(),
            issuer: issuer.as_raw().to_vec(),
            issuer_name: common_name.map_or_else(|| issuer.to_string(), str::to_owned),
            public_key: certificate.public_key().raw.to_vec(),
            names: Vec::new(),
            not_before: time(&certificate.validity().not_before),
            not_after: time(&certificate.validity().not_after),
            is_authority: certificate.is_ca(),
            is_v1: certificate.version() == X509Version::V1,
            names_issuer_url: false,
            is_weak: [
                OID_PKCS1_SHA1WITHRSA,
                OID_PKCS1_MD5WITHRSAENC,
                // ecdsa-with-SHA1 (RFC 3279, 2.2.3).
                oid!(1.2.840.10045.4.1),
            ]
            .contains(&certificate.signature_algorithm.algorithm),
        };
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(alternatives) => {
                    facts.names.extend(alternatives.general_names.iter().filter_map(name));
                }
                ParsedExtension::AuthorityInfoAccess(access) => {
                    facts.names_issuer_url = access.accessdescs.iter().any(|description| {
                        description.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS
                    });
                }
                _ => {}
            }
        }
        Some(facts)
    }

    /// Whether the names of subject and issuer are the same, as in roots.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

/// The text of a DNS name or an IP address. `None` for other kinds of names.
fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from);
            Some(v4.or(v6).ok()?.to_string())
        }
        _ => None,
    }
}

/// Converts a time. Times before 1970 become the start of 1970.
fn time(time: &ASN1Time) -> SystemTime {
    match u64::try_from(time.timestamp()) {
        Ok(seconds) => UNIX_EPOCH + Duration::from_secs(seconds),
        Err(_) => UNIX_EPOCH,
    }
}

/// Writes a time in UTC, without seconds.
pub(crate) fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let Ok(time) = ASN1Time::from_timestamp(seconds.try_into().unwrap_or(i64::MAX)) else {
        return "a time after the year 9999".into();
    };
    let time = time.to_datetime();
    let (date, hour, minute) = (time.date(), time.hour(), time.minute());
    format!("{date} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        let time = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(time(0), "1970-01-01 00:00 UTC");
        assert_eq!(time(1_795_726_080), "2026-11-26 20:48 UTC");
        assert_eq!(time(1 << 50), "a time after the year 9999");
    }
}
