//! Reads PEM files, tolerating what text editors change, and recognises other formats that people
//! give instead of PEM.
//!
//! This module only finds the blocks, so that errors can name them. rustls decodes them.

use std::fmt::Debug;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::Problem;
use crate::x509::CertificateFields;

/// An error names at most this many labels of blocks that can't be used.
const MAX_OTHERS: usize = 4;

/// The blocks of a PEM file.
#[derive(Debug, Default)]
pub(crate) struct Pem {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) keys: Vec<PrivateKeyDer<'static>>,
    pub(crate) has_encrypted_key: bool,
    /// Labels of blocks that are neither certificates nor keys in a format that can be used.
    pub(crate) others: Vec<String>,
}

impl Pem {
    /// Reads all blocks. Text before, between and after them is skipped, and so is white space
    /// around their lines.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        // Some editors begin a file with a byte order mark.
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        if text.trim_ascii().is_empty() {
            return Err(Problem::Empty);
        }
        if let Some(problem) = not_pem(text) {
            return Err(problem);
        }
        let mut pem = Self::default();
        let mut block: Option<(String, Vec<u8>)> = None;
        for line in text.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii) {
            if let Some(begun) = line.strip_prefix(b"-----BEGIN ") {
                if let Some((label, _)) = block {
                    return Err(Problem::CutOff(label));
                }
                let label = label(begun)?;
                block = Some((label, Vec::new()));
            }
            let Some((label, lines)) = &mut block else { continue };
            lines.extend_from_slice(line);
            lines.push(b'\n');
            let ended = line.strip_prefix(b"-----END ").and_then(|end| end.strip_suffix(b"-----"));
            if ended.is_some_and(|ended| ended == label.as_bytes()) {
                let (label, lines) = (std::mem::take(label), std::mem::take(lines));
                block = None;
                pem.add(label, &lines)?;
            }
        }
        match block {
            Some((label, _)) => Err(Problem::CutOff(label)),
            None => Ok(pem),
        }
    }

    /// Adds a complete block.
    fn add(&mut self, label: String, block: &[u8]) -> Result<(), Problem> {
        match label.as_str() {
            "CERTIFICATE" => self.certificates.push(decode(label, block)?),
            // In these formats, a field in the block says whether the key is encrypted.
            "RSA PRIVATE KEY" | "EC PRIVATE KEY" if has_line(block, b"Proc-Type: 4,ENCRYPTED") => {
                self.has_encrypted_key = true;
            }
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
                self.keys.push(decode(label, block)?);
            }
            "ENCRYPTED PRIVATE KEY" => self.has_encrypted_key = true,
            // Written before keys by `openssl ecparam -genkey`.
            "EC PARAMETERS" => {}
            _ if self.others.len() < MAX_OTHERS && !self.others.contains(&label) => {
                self.others.push(label);
            }
            _ => {}
        }
        Ok(())
    }

    /// What is wrong with a file without a certificate.
    pub(crate) fn without_certificate(self) -> Problem {
        if !self.keys.is_empty() || self.has_encrypted_key {
            return Problem::KeyInsteadOfCertificate;
        }
        self.other().unwrap_or_else(Problem::NoCertificate)
    }

    /// What is wrong with a file without a key.
    pub(crate) fn without_key(self) -> Problem {
        if self.has_encrypted_key {
            return Problem::EncryptedKey;
        }
        if !self.certificates.is_empty() {
            return Problem::CertificateInsteadOfKey;
        }
        self.other().unwrap_or_else(Problem::NoKey)
    }

    /// The problem, if a block of another kind explains why the certificate or the key is missing.
    /// Otherwise, the `Err` holds the labels of the other blocks.
    fn other(self) -> Result<Problem, Vec<String>> {
        let has = |label: &str| self.others.iter().any(|other| other.ends_with(label));
        if has("CERTIFICATE REQUEST") {
            Ok(Problem::Request)
        } else if has("PKCS7") {
            Ok(Problem::Pkcs7)
        } else {
            Err(self.others)
        }
    }
}

fn decode<T: PemObject>(label: String, block: &[u8]) -> Result<T, Problem> {
    T::from_pem_slice(block).map_err(|_| Problem::Malformed(label))
}

/// The label in the first line of a block. `begun` is what follows `-----BEGIN ` in this line.
fn label(begun: &[u8]) -> Result<String, Problem> {
    /// No label in use is longer.
    const MAX_LABEL: usize = 64;
    let begun = String::from_utf8_lossy(begun);
    match begun.strip_suffix("-----") {
        Some(label) if label.len() <= MAX_LABEL => Ok(label.to_owned()),
        _ if begun.contains("\\n") => Err(Problem::EscapedLineBreaks),
        _ => Err(Problem::Malformed(begun.split("---").next().unwrap_or_default().to_owned())),
    }
}

fn has_line(block: &[u8], line: &[u8]) -> bool {
    block.split(|byte| *byte == b'\n').any(|other| other == line)
}

/// The format of a file that isn't PEM, as a problem. `None` if no other format is recognised.
fn not_pem(bytes: &[u8]) -> Option<Problem> {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Some(Problem::Utf16);
    }
    // DER begins with the tag of a sequence.
    let content = bytes.strip_prefix(b"\x30")?;
    // The length of the sequence follows. A byte below 0x80 is the length itself. The lower 7 bits
    // of a greater one say how many further bytes contain the length.
    let (first, content) = content.split_first()?;
    let content = match first {
        0..0x80 => content,
        _ => content.get(usize::from(first & 0x7F)..)?,
    };
    if content.starts_with(&[0x02, 0x01, 0x03]) {
        // The integer 3: the version with which a PKCS#12 file begins (RFC 7292, 4).
        return Some(Problem::Pkcs12);
    }
    if CertificateFields::parse(bytes).is_some() {
        return Some(Problem::DerCertificate);
    }
    PrivateKeyDer::try_from(bytes).ok().map(|_| Problem::DerKey)
}
