//! The subject of a certificate as text.

use std::fmt::Write;

use x509_parser::asn1_rs::ToDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::AttributeTypeAndValue;

/// The attribute types that have a short name in RFC 4514, section 3, and `emailAddress`: the
/// object identifier of each, and the name that OpenSSL writes for it.
const NAMES: [(&str, &str); 10] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The subject of a certificate as text (RFC 4514), the last part first: `CN=Ann,O=Example`. The
/// certificate is in DER, such as one in `TlsInfo::client_certificates`. Commas and other special
/// characters in a value are escaped, so no value looks like several parts. The text is empty if
/// the certificate has no subject but only alternative names. `None` if the certificate can't be
/// parsed.
#[must_use]
pub fn subject(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut text = String::new();
    let parts: Vec<_> = certificate.subject().iter_rdn().collect();
    for (at, part) in parts.iter().rev().enumerate() {
        for (number, attribute) in part.iter().enumerate() {
            text.push_str(match (at, number) {
                (0, 0) => "",
                (_, 0) => ",",
                _ => "+",
            });
            push(attribute, &mut text);
        }
    }
    Some(text)
}

/// Appends an attribute as `NAME=VALUE`. If its type is not in [`NAMES`], its object identifier is
/// the name. The value is then written as its DER encoding in hexadecimal, after `#` (RFC 4514,
/// 2.4). So is a value that is not a UTF8String, PrintableString, IA5String or NumericString.
fn push(attribute: &AttributeTypeAndValue<'_>, text: &mut String) {
    let kind = attribute.attr_type().to_id_string();
    let name = NAMES.iter().find(|(id, _)| *id == kind).map(|(_, name)| *name);
    text.push_str(name.unwrap_or(&kind));
    text.push('=');
    let value = name.and_then(|_| attribute.as_str().ok());
    let Some(value) = value else {
        text.push('#');
        for byte in attribute.attr_value().to_der_vec().unwrap_or_default() {
            // Writing to a string doesn't fail.
            let _ = write!(text, "{byte:02X}");
        }
        return;
    };
    let last = value.chars().count().saturating_sub(1);
    for (at, char) in value.chars().enumerate() {
        if char == '\0' {
            text.push_str("\\00");
            continue;
        }
        let is_edge = char == ' ' && (at == 0 || at == last) || char == '#' && at == 0;
        if is_edge || matches!(char, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            text.push('\\');
        }
        text.push(char);
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    fn of(parts: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        subject(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn a_subject_is_written_as_rfc_4514_says() {
        use DnType::{CommonName, CountryName, CustomDnType, OrganizationName};
        let special = "a,b+c\"d\\e<f>g;h";
        for (parts, expected) in [
            (&[][..], ""),
            (&[(CommonName, "ann")], "CN=ann"),
            (
                &[(CountryName, "DE"), (OrganizationName, "Ex"), (CommonName, "A B")],
                "CN=A B,O=Ex,C=DE",
            ),
            // Not two parts.
            (&[(CommonName, "ann,CN=admin")], "CN=ann\\,CN=admin"),
            (&[(CommonName, special)], "CN=a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h"),
            (&[(CommonName, " #a ")], "CN=\\ #a\\ "),
            (&[(CommonName, "#")], "CN=\\#"),
            (&[(CommonName, "a\0b")], "CN=a\\00b"),
            (&[(CommonName, "Z\u{fc}rich")], "CN=Z\u{fc}rich"),
            (&[(CustomDnType(vec![2, 5, 4, 97]), "x")], "2.5.4.97=#0C0178"),
        ] {
            assert_eq!(of(parts), expected);
        }
        // A value that `as_str` can't read is written as its encoding.
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        let value = DnValue::BmpString("A".try_into().unwrap());
        params.distinguished_name.push(CommonName, value);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(subject(certificate.der()).unwrap(), "CN=#1E020041");
        assert_eq!(subject(b""), None);
        assert_eq!(subject(b"\x30\x03abc"), None);
    }
}
