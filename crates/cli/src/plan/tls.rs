//! The certificates of a server.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use sockeye::TlsAcceptor;
use sockeye::tls::{Certificate, Settings};

use crate::args;
use crate::error::Error;

/// Reads the certificates. `None` without `--tls`. Clients must support one of the protocols `alpn`
/// if they name any.
pub(super) fn tls(flags: &args::Tls, alpn: &[&[u8]]) -> Result<Option<TlsAcceptor>, Error> {
    if flags.tls.is_empty() {
        return Ok(None);
    }
    let read = |value: &OsString| {
        let [chain, key] = pair(value);
        Certificate::from_files(&chain, &key)
    };
    let certificates = flags.tls.iter().map(read).collect::<Result<_, _>>();
    let alpn = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let settings = Settings { alpn, ..Settings::default() };
    let config = certificates.and_then(|all| settings.server_config(all));
    let config = config.map_err(|error| Error::Failure(anyhow::anyhow!("--tls: {error}")))?;
    Ok(Some(TlsAcceptor::new(&config)))
}

/// The files of the certificate and of its key; one file twice if it has both. A path may contain
/// commas: the first comma between two files that exist separates them.
fn pair(value: &OsStr) -> [PathBuf; 2] {
    let path = |bytes| PathBuf::from(OsStr::from_bytes(bytes));
    let bytes = value.as_bytes();
    let commas = bytes.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(at, _)| at);
    let splits = commas.map(|at| [path(&bytes[..at]), path(&bytes[at + 1..])]);
    let splits: Vec<_> = splits.collect();
    let exist = |pair: &&[PathBuf; 2]| pair.iter().all(|path| path.exists());
    match splits.iter().find(exist).or(splits.first()) {
        Some(pair) if !path(bytes).exists() => pair.clone(),
        _ => [value.into(), value.into()],
    }
}
