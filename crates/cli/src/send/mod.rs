//! `sockeye send`: opens connections, sends bytes or messages on each, and prints what comes back.
//!
//! All connections run on this thread. Standard input and output, which block, have a thread each:
//! [`input`] reads the one, [`printer`] writes the other.

pub(crate) mod bytes;
mod input;
pub(crate) mod messages;
mod printer;
mod report;
pub(crate) mod websocket;

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use sockeye::engine::{Config, driver, run_client, run_client_tls};
use sockeye::proto::Protocol;

use self::printer::Printer;
use crate::client_tls::{ClientTls, Explained};

/// Runs protocols on connections to an address until all have ended.
fn run_connections<P: Protocol + 'static>(
    config: Config,
    tls: Option<&ClientTls>,
    address: &driver::Target,
    protocols: impl IntoIterator<Item = P>,
) -> anyhow::Result<()> {
    let protocols = protocols.into_iter();
    let result = match tls {
        None => run_client(
            config,
            protocols.map(|protocol| (address.clone(), Box::new(protocol) as Box<dyn Protocol>)),
        ),
        Some(tls) => {
            let connections = protocols.map(|protocol| {
                let protocol = Box::new(Explained { protocol, tls: tls.clone() });
                (address.clone(), protocol as Box<dyn Protocol>)
            });
            run_client_tls(config, tls.connector(), connections)
        }
    };
    result.context("the event loop failed")?;
    Ok(())
}

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
