//! Certificates in files that others replace.

use std::path::PathBuf;

use crate::certificate::read;
use crate::{Certificate, Error};

/// Pairs of files, each a certificate with its chain and its key, which may be replaced at any time.
/// They are compared by content: a mounted secret is replaced by renaming a link, and a file may be
/// written in place.
#[derive(Debug)]
pub struct CertificateFiles {
    pairs: Vec<[PathBuf; 2]>,
    /// What was read last, or why it could not be.
    seen: Vec<Result<[Vec<u8>; 2], String>>,
}

impl CertificateFiles {
    /// Reads the certificates in these pairs of files: chain and key.
    ///
    /// # Errors
    ///
    /// The first [`Error`] of a pair.
    pub fn read(pairs: Vec<[PathBuf; 2]>) -> Result<(Self, Vec<Certificate>), Error> {
        let mut files = Self { pairs, seen: Vec::new() };
        let certificates = files.changed().unwrap_or_else(|| Ok(Vec::new()))?;
        Ok((files, certificates))
    }

    /// Reads all certificates again if a file has changed since the last call. An error is returned
    /// once, until something changes again: go on with the certificates from before.
    pub fn changed(&mut self) -> Option<Result<Vec<Certificate>, Error>> {
        let mut contents = Vec::with_capacity(self.pairs.len());
        for [chain, key] in &self.pairs {
            contents.push(read(chain).and_then(|chain| Ok([chain, read(key)?])));
        }
        let seen: Vec<_> = contents
            .iter()
            .map(|content| match content {
                Ok(content) => Ok(content.clone()),
                Err(error) => Err(error.to_string()),
            })
            .collect();
        if seen == self.seen {
            return None;
        }
        self.seen = seen;
        let certificate = |(pair, content): (&[PathBuf; 2], Result<[Vec<u8>; 2], Error>)| {
            let [chain, key] = content?;
            Certificate::from_pem([(&pair[0], &chain), (&pair[1], &key)])
        };
        Some(self.pairs.iter().zip(contents).map(certificate).collect())
    }
}
