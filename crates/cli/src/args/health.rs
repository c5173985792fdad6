//! The flags of `sockeye health`.

use clap::Args;

use crate::quantity::Span;
use crate::target::{Target, target_of_load, unix_socket};

const EXAMPLES: &str = "\
Exit codes: 0 healthy, 1 an error or no response in time, 2 wrong command line.

Examples:
  # Does the page of a server respond without an error? The URL is the default.
  sockeye health http://127.0.0.1:8000/
  # A small file, within two seconds.
  sockeye health http://127.0.0.1:8000/index.html --timeout 2s
  # A message server.
  sockeye health message://127.0.0.1:65432";

/// Check that a server responds: for containers and supervisors.
///
/// Sends one GET request to http://HOST[:PORT]/PATH, or to the path / at unix:PATH. A status below
/// 400 is healthy, also a redirect, which isn't followed. message://HOST:PORT is sent a message,
/// and tcp://HOST:PORT, an echo server, 64 bytes. Prints one line: to standard output if the server
/// is healthy, otherwise to standard error.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Health {
    /// http://HOST[:PORT]/PATH, or unix:PATH.
    #[arg(value_name = "URL", value_parser = target_of_load)]
    #[arg(default_value = "http://127.0.0.1:8000/")]
    pub(crate) target: Target,

    /// Maximum time until the response is complete.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub(crate) timeout: Span,

    /// Connect to a Unix socket, not the URL's host: a path, or @NAME if abstract.
    #[arg(long, value_name = "PATH", value_parser = unix_socket)]
    pub(crate) unix_socket: Option<Target>,
}

impl Health {
    /// Refuses `--unix-socket` for a target that isn't an `http://` URL.
    pub(super) fn check(&self) -> Result<(), String> {
        match (&self.unix_socket, &self.target) {
            (Some(_), Target::Tcp(..) | Target::Unix(_) | Target::Message(..)) => {
                Err(format!("--unix-socket is for http://HOST[:PORT]/PATH, not {}", self.target))
            }
            _ => Ok(()),
        }
    }
}
