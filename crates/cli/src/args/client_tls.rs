//! The TLS flags of all client commands, such as `send` and `load`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::target::Target;

#[derive(Args, Debug)]
#[command(next_help_heading = "TLS")]
pub(crate) struct ClientTls {
    /// Trust the authorities in this PEM file, not the system's.
    ///
    /// Can be given several times. A certificate in the file is also trusted as the server's own,
    /// for example a self-signed one. It must have the server's name and be valid. Default: the
    /// authorities of the system, or those in $SSL_CERT_FILE and $SSL_CERT_DIR.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Vec<PathBuf>,

    /// Accept every certificate: anyone on the path can read and change everything.
    #[arg(long, conflicts_with = "ca")]
    pub(crate) insecure: bool,

    /// Certificate to send to servers that ask for one: cert.pem,key.pem.
    ///
    /// PEM files. One file with both the certificate and the key is written alone: both.pem.
    #[arg(long, value_name = "CERT,KEY")]
    pub(crate) cert: Option<OsString>,
}

impl ClientTls {
    /// Refuses these flags if `target` doesn't use TLS.
    pub(super) fn check(&self, target: &Target) -> Result<(), String> {
        let given = [
            ("--ca", !self.ca.is_empty()),
            ("--insecure", self.insecure),
            ("--cert", self.cert.is_some()),
        ];
        check_tls(&given, target)
    }

    /// The warning to print if `--insecure` is given. It is printed each time, because the flag is
    /// easily forgotten in a script.
    pub(super) fn note(&self, target: &Target) -> Option<String> {
        let text = format!("--insecure: the certificate of {target} is not verified");
        self.insecure.then_some(text)
    }
}

/// Refuses TLS flags if `target` doesn't use TLS. `flags` has the name of each flag, and whether it
/// is given.
pub(super) fn check_tls(flags: &[(&str, bool)], target: &Target) -> Result<(), String> {
    let Some((flag, _)) = flags.iter().find(|(_, given)| *given) else { return Ok(()) };
    if target.tls_host().is_some() {
        return Ok(());
    }
    Err(match target.with_tls() {
        Some(with_tls) => format!("{flag} is for TLS, and {target} has none: write {with_tls}"),
        None => format!("{flag} is for TLS, and {target} has none"),
    })
}
