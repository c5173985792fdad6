//! The flags of TLS, which all servers have.

use std::ffi::OsString;

use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct Tls {
    /// Serve over TLS, with a certificate and its key in PEM, as cert.pem,key.pem.
    ///
    /// The certificate is followed by the intermediate ones (fullchain.pem). One file that has the
    /// key, too, is named alone: both.pem. If a path contains commas, the comma between two files
    /// that exist is used. Can be given several times: the certificate is chosen by the name that a
    /// client asks for. All addresses of --listen speak TLS then, except Unix sockets. The address
    /// doesn't change: for the port of https://, add --listen :443.
    #[arg(long, value_name = "CERT,KEY", help_heading = "TLS")]
    pub(crate) tls: Vec<OsString>,
}
