//! `sockeye send`: opens connections, sends bytes or messages on each, and prints what comes back.
//!
//! All connections run on the main thread. Standard input and standard output can block, so each
//! has a thread of its own: [`input`] reads standard input, [`printer`] writes standard output.

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
use crate::client_tls::{ClientTls, ExplainsTlsFailures};

/// Opens a connection to `address` for each of `protocols`, and runs them until all connections
/// have ended.
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
                let protocol = Box::new(ExplainsTlsFailures { protocol, tls: tls.clone() });
                (address.clone(), protocol as Box<dyn Protocol>)
            });
            run_client_tls(config, tls.connector(), connections)
        }
    };
    result.context("the event loop failed")?;
    Ok(())
}

/// Waits until everything is printed to standard output, or to `file`. It is no error if the reader
/// of standard output has exited (`| head`).
fn finish(printer: &Printer, file: Option<&Path>) -> anyhow::Result<()> {
    match (printer.finish(), file) {
        (Err(error), None) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        (result, None) => result.context("cannot write to standard output"),
        (result, Some(path)) => {
            result.with_context(|| format!("cannot write to {}", path.display()))
        }
    }
}
