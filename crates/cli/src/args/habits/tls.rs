//! Other programs have one flag for the certificate and another for the key. This module joins the
//! values of both to the value of `--tls CERT,KEY`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::flags::TlsPart;
use crate::text;

/// The flags of other programs that were typed for the certificate and the key, each with its
/// value.
#[derive(Debug, Default)]
pub(super) struct TlsParts {
    certificate: Option<(String, OsString)>,
    key: Option<(String, OsString)>,
    /// The value of the first `--tls`, if one was typed. Beside a flag for the key, it may be the
    /// certificate alone.
    typed: Option<OsString>,
}

impl TlsParts {
    /// Notes a typed value of `--tls`, for the error about a key without a certificate.
    pub(super) fn note(&mut self, value: &OsStr) {
        self.typed.get_or_insert_with(|| value.to_owned());
    }

    /// Stores `file`, the value of `flag`, as this part.
    ///
    /// # Errors
    ///
    /// If `file` is missing or begins with `-`, or if the part has a file already.
    pub(super) fn set(
        &mut self,
        part: TlsPart,
        flag: &str,
        file: Option<OsString>,
    ) -> Result<(), String> {
        let slot = match part {
            TlsPart::Certificate => &mut self.certificate,
            TlsPart::Key => &mut self.key,
        };
        match (slot.is_some(), file) {
            (false, Some(file)) if !file.as_bytes().starts_with(b"-") => {
                *slot = Some((flag.to_owned(), file));
                Ok(())
            }
            (false, _) => Err(format!("'{flag}' needs a file: write --tls cert.pem,key.pem")),
            (true, _) => Err(format!(
                "'{flag}' is given twice: for several certificates, write --tls cert.pem,key.pem \
                 for each"
            )),
        }
    }

    /// The value for `--tls`. `None` if no part is set. Fails if one part is missing.
    pub(super) fn value(self) -> Result<Option<OsString>, String> {
        match (self.certificate, self.key) {
            (None, None) => Ok(None),
            (Some((certificate, value)), Some((key, _))) if value.as_bytes().contains(&b',') => {
                Err(format!(
                    "'{certificate}' names the key, too: leave out '{key}', and write --tls {}",
                    text::shell_word(Path::new(&value))
                ))
            }
            (Some((_, mut value)), Some((_, key))) => {
                value.push(",");
                value.push(key);
                Ok(Some(value))
            }
            // The value is `CERT,KEY`, as for `--tls`.
            (Some((_, value)), None) if value.as_bytes().contains(&b',') => Ok(Some(value)),
            (Some((flag, file)), None) => Err(format!(
                "'{flag}' needs the key, too: write --tls {0},KEY, or --tls {0} if the key is in the \
                 same file",
                text::shell_word(Path::new(&file))
            )),
            (None, Some((flag, file))) => {
                let certificate = self.typed.filter(|typed| !typed.as_bytes().contains(&b','));
                let is_known = certificate.is_some();
                let mut pair = certificate.unwrap_or_else(|| "CERT".into());
                pair.push(",");
                pair.push(file);
                let pair = text::shell_word(Path::new(&pair));
                Err(match is_known {
                    true => format!("'{flag}' is a part of --tls: write --tls {pair}"),
                    false => format!("'{flag}' needs the certificate, too: write --tls {pair}"),
                })
            }
        }
    }
}
