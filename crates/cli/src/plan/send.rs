//! What will be sent.

use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use sockeye::engine::{Config, Linger, driver, raise_descriptor_limit};
use sockeye::message::protocol as message;

use super::contents;
use crate::args;
use crate::error::{Error, OrExit};
use crate::target::SocketTarget;

/// Descriptors that a client needs besides its connections, and some to spare.
const OTHER_DESCRIPTORS: u64 = 32;

/// Where to, and how long to wait, whatever is sent.
#[derive(Debug)]
pub(crate) struct Calls {
    /// Where to, the address to try first at the front; at least one.
    pub(crate) addresses: Vec<driver::Target>,
    /// How many at once.
    pub(crate) connections: usize,
    /// How long a peer may make no progress.
    pub(crate) silence: Duration,
    pub(crate) config: Config,
}

/// Bytes.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) calls: Calls,
    /// What to send; `None` for standard input.
    pub(crate) messages: Option<Vec<Bytes>>,
    /// End our side behind it, and read to the peer's end.
    pub(crate) half_close: bool,
}

/// Messages.
#[derive(Debug)]
pub(crate) struct SendMessages {
    pub(crate) calls: Calls,
    /// What each connection sends, once for each `count`.
    pub(crate) messages: Vec<message::Message>,
    pub(crate) count: usize,
    pub(crate) keep_alive: bool,
    /// Bytes of a response's content.
    pub(crate) most: u64,
    /// The file that the responses' content goes into, by its name; `None` for standard output.
    pub(crate) output: Option<(PathBuf, File)>,
}

pub(super) fn bytes(typed: args::Send) -> Result<Send, Error> {
    let calls = calls(&typed).or_failure()?;
    let half_close = typed.half_close;
    let messages: Vec<Bytes> =
        typed.contents.into_iter().map(|message| Bytes::from(message.into_vec())).collect();
    Ok(Send { calls, messages: (!messages.is_empty()).then_some(messages), half_close })
}

pub(super) fn messages(typed: args::Send) -> Result<SendMessages, Error> {
    let flags = &typed.message;
    let kind = contents::Kind::of(flags.content_type.as_deref(), flags.encoding.as_deref());
    let messages = contents::read(&typed.contents, &flags.file, kind)?;
    let calls = calls(&typed).or_failure()?;
    let create = |path: &PathBuf| {
        let doing = || format!("cannot write to {}", path.display());
        File::create(path)
            .map(|file| (path.clone(), file))
            .map_err(|error| Error::of_path(error, doing()))
    };
    Ok(SendMessages {
        calls,
        messages,
        count: flags.count.map_or(Ok(1), |count| usize::try_from(count.get())).or_usage()?,
        keep_alive: flags.keep_alive,
        most: flags.most(),
        output: flags.output.as_ref().map(create).transpose()?,
    })
}

/// Where a target is, the address to try first at the front; at least one.
pub(super) fn addresses(target: &SocketTarget) -> anyhow::Result<Vec<driver::Target>> {
    let addresses = target.look_up().with_context(|| format!("cannot look up {target}"))?;
    if addresses.is_empty() {
        bail!("{target} has no address");
    }
    Ok(addresses)
}

/// Makes sure that so many connections, and so many other files, can be open at once.
pub(super) fn reserve_descriptors(connections: u64, others: u64) -> anyhow::Result<()> {
    let descriptors = raise_descriptor_limit(connections + others);
    if descriptors < connections + others {
        bail!(
            "{connections} connections at once need more files than this process may have open \
             ({descriptors}); raise the limit (ulimit -n), or take fewer"
        );
    }
    Ok(())
}

fn calls(typed: &args::Send) -> anyhow::Result<Calls> {
    let addresses = addresses(&typed.target)?;
    reserve_descriptors(typed.connections.into(), OTHER_DESCRIPTORS)?;
    Ok(Calls {
        addresses,
        connections: typed.connections.into(),
        silence: typed.timeout.0,
        config: Config {
            connect_timeout: typed.connect_timeout.0,
            // The connections watch over progress themselves, and know when it is our own
            // standard output that holds things up.
            write_timeout: Duration::from_secs(366 * 24 * 3600),
            // What a peer sends after we are done with it is of no interest.
            linger: Linger { bytes: 0, quiet: Duration::ZERO, total: Duration::ZERO },
            ..Config::default()
        },
    })
}
