//! `sockeye send`: opens connections, sends bytes or messages on each, and prints what comes back.
//!
//! All connections run on this thread. Standard input and output, which block, have a thread each:
//! [`bytes`] reads the one, [`printer`] writes the other.

pub(crate) mod bytes;
pub(crate) mod messages;
mod printer;

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;

use self::printer::Printer;

/// Waits until everything is printed to standard output, or to a file. A closed pipe on standard
/// output is no error (`| head`).
fn finish(printer: &Printer, file: Option<&Path>) -> anyhow::Result<()> {
    match (printer.finish(), file) {
        (Err(error), None) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        (result, None) => result.context("cannot write to standard output"),
        (result, Some(path)) => {
            result.with_context(|| format!("cannot write to {}", path.display()))
        }
    }
}
