//! The flags of `sockeye health`.

use clap::Args;

use super::client_tls::ClientTls;
use crate::quantity::Span;
use crate::target::{Target, address, any_target, unix_socket};

const EXAMPLES: &str = "\
Exit codes: 0 healthy, 1 an error or no response in time, 2 wrong command line.

Examples:
  # Does the page of a server respond without an error? The URL is the default.
  sockeye health http://127.0.0.1:8000/
  # A small file, within two seconds.
  sockeye health http://127.0.0.1:8000/index.html --timeout 2s
  # A message server.
  sockeye health message://127.0.0.1:65432
  # Over TLS, here without a look at the certificate, which has another name than the address.
  sockeye health https://127.0.0.1:8443/
  # The same, and the certificate must be valid for example.org.
  sockeye health https://example.org/ --connect-to 127.0.0.1:8443";

/// Check that a server responds: for containers and supervisors.
///
/// Sends one GET request to http:// or https://HOST[:PORT]/PATH, or to the path / at unix:PATH. A
/// status below 400 is healthy, also a redirect, which isn't followed. A server at message:// or
/// message+tls://HOST:PORT gets a message. An echo server, at tcp:// or tls://HOST:PORT, or at
/// ws:// or wss://HOST[:PORT]/PATH, gets 64 bytes. Prints one line: to standard output if the
/// server is healthy, otherwise to standard error.
///
/// With TLS, the certificate is verified, unless the URL's host is localhost or a loopback address:
/// certificates are for other names, and the connection doesn't leave this machine. With --ca, the
/// certificate is always verified.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Health {
    /// http[s]://HOST[:PORT]/PATH, unix:PATH or another server.
    #[arg(value_name = "URL", value_parser = any_target)]
    #[arg(default_value = "http://127.0.0.1:8000/")]
    pub(crate) target: Target,

    /// Maximum time until the response is complete.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub(crate) timeout: Span,

    /// Connect to a Unix socket, not the URL's host: a path, or @NAME if abstract.
    #[arg(long, value_name = "PATH", value_parser = unix_socket)]
    pub(crate) unix_socket: Option<Target>,

    /// Connect to this address. Names and certificates stay those of the target.
    #[arg(long, value_name = "HOST:PORT", value_parser = address, conflicts_with = "unix_socket")]
    pub(crate) connect_to: Option<Target>,

    #[command(flatten)]
    pub(crate) tls: ClientTls,
}

impl Health {
    /// Refuses `--unix-socket` for a target that is not a URL of HTTP or WebSocket, and TLS flags
    /// for a target without TLS.
    pub(super) fn check(&self) -> Result<(), String> {
        self.tls.check(&self.target)?;
        match (&self.unix_socket, &self.target) {
            (Some(_), Target::Tcp(..) | Target::Unix(_) | Target::Message(..)) => Err(format!(
                "--unix-socket is for http[s]:// and ws[s]://HOST[:PORT]/PATH, not {}",
                self.target
            )),
            _ => Ok(()),
        }
    }
}
