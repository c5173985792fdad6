//! The plans of `sockeye send`: one for bytes, one for Sockeye's message protocol, one for
//! WebSockets.

use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use sockeye::engine::{Config, Linger, driver, raise_descriptor_limit};
use sockeye::message::protocol::Message;

use super::client_tls::client_tls;
use super::messages::{self, TypeFlags};
use super::websocket::{self, OwnedMessage, UpgradeRequest};
use crate::args;
use crate::client_tls::{ClientTls, HttpVersions};
use crate::error::{Error, OrUsage};
use crate::target::Target;

/// File descriptors besides those of connections, with a margin.
const OTHER_DESCRIPTORS: u64 = 32;

/// After the close frames of a WebSocket, how long the server may take to close the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How to connect. Part of each plan.
#[derive(Debug)]
pub(crate) struct Client {
    /// The server's addresses, at least one, in the order to try them.
    pub(crate) addresses: Vec<driver::Target>,
    /// The number of connections.
    pub(crate) connections: usize,
    /// A connection fails if a response is due and the server neither sends nor reads for this
    /// long.
    pub(crate) timeout: Duration,
    pub(crate) config: Config,
    pub(crate) tls: Option<ClientTls>,
    /// The target to suggest if the server seems to expect TLS. `None` if TLS is used already, or
    /// for a Unix socket.
    pub(crate) with_tls: Option<Target>,
}

/// The plan for bytes: `tcp://`, `tls://` and `unix:`.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) client: Client,
    /// The bytes that each connection sends, in this order. `None` for standard input.
    pub(crate) contents: Option<Vec<Bytes>>,
    /// Whether to close the sending side after the last byte.
    pub(crate) half_close: bool,
}

/// The plan for messages: `message://` and `message+tls://`.
#[derive(Debug)]
pub(crate) struct SendMessages {
    pub(crate) client: Client,
    /// All these messages are sent `count` times, by each of `client.connections` senders. A sender
    /// uses one connection at a time.
    pub(crate) messages: Vec<Message>,
    pub(crate) count: usize,
    /// Whether a sender sends many messages on one connection, if the server supports it.
    /// Otherwise, the sender opens a new connection for each message.
    pub(crate) keep_alive: bool,
    /// Maximum size of a response's content.
    pub(crate) max_content: u64,
    /// The file for the content of responses; `None` for standard output.
    pub(crate) output: Option<(PathBuf, File)>,
}

/// The plan for WebSockets: `ws://` and `wss://`.
#[derive(Debug)]
pub(crate) struct SendWebSocket {
    pub(crate) client: Client,
    pub(crate) target: Target,
    pub(crate) request: UpgradeRequest,
    /// Each connection sends all these messages, `count` times. `None` for the lines of standard
    /// input.
    pub(crate) messages: Option<Rc<[OwnedMessage]>>,
    pub(crate) count: usize,
    /// Maximum size of a received message.
    pub(crate) max_content: usize,
    /// Whether to offer compression.
    pub(crate) deflate: bool,
    /// The file for received messages; `None` for standard output.
    pub(crate) output: Option<(PathBuf, File)>,
}

pub(crate) fn send_bytes(flags: args::Send) -> Result<Send, Error> {
    let client = client(&flags)?;
    let contents: Vec<Bytes> =
        flags.contents.into_iter().map(|content| Bytes::from(content.into_vec())).collect();
    let contents = (!contents.is_empty()).then_some(contents);
    Ok(Send { client, contents, half_close: flags.half_close })
}

pub(crate) fn send_messages(flags: args::Send) -> Result<SendMessages, Error> {
    let message = &flags.message;
    let (content_type, encoding) = (message.content_type.as_deref(), message.encoding.as_deref());
    let messages =
        messages::read(&flags.contents, &message.file, TypeFlags { content_type, encoding })?;
    let client = client(&flags)?;
    Ok(SendMessages {
        client,
        messages,
        count: usize::try_from(message.count.get()).or_usage()?,
        keep_alive: message.keep_alive,
        max_content: message.max_content.bytes(),
        output: message.output.as_ref().map(create).transpose()?,
    })
}

pub(crate) fn send_websocket(mut flags: args::Send) -> Result<SendWebSocket, Error> {
    let contents = std::mem::take(&mut flags.contents);
    let request = UpgradeRequest::new(&flags.target, &flags.websocket.header)?;
    let messages = websocket::read(contents, &flags.message.file, flags.websocket.binary)?;
    let mut client = client(&flags)?;
    // After both close frames, the server closes the connection (RFC 6455, 7.1.1).
    client.config.linger =
        Linger { quiet: CLOSE_TIMEOUT, total: CLOSE_TIMEOUT, ..Linger::default() };
    let message = &flags.message;
    Ok(SendWebSocket {
        client,
        request,
        messages: messages.map(Into::into),
        deflate: flags.websocket.deflate,
        count: usize::try_from(message.count.get()).or_usage()?,
        max_content: message.max_content.0,
        output: message.output.as_ref().map(create).transpose()?,
        target: flags.target,
    })
}

/// Creates the file of `--output`.
fn create(path: &PathBuf) -> Result<(PathBuf, File), Error> {
    let failure = || format!("cannot write to {}", path.display());
    let created = File::create(path).map(|file| (path.clone(), file));
    created.map_err(|error| Error::of_path(error, failure()))
}

/// Looks up the addresses of a server. Returns at least one.
pub(super) fn addresses(target: &Target) -> anyhow::Result<Vec<driver::Target>> {
    let addresses = target.look_up().with_context(|| format!("cannot look up {target}"))?;
    if addresses.is_empty() {
        bail!("{target} has no address");
    }
    Ok(addresses)
}

/// Raises the process's limit on file descriptors to `connections` and `others` together. Fails if
/// the hard limit is lower.
pub(super) fn reserve_descriptors(connections: u64, others: u64) -> anyhow::Result<()> {
    let descriptors = raise_descriptor_limit(connections + others);
    if descriptors < connections + others {
        bail!(
            "--connections {connections} needs {} open files, and this process may have \
             {descriptors}: raise the limit (ulimit -n), or use fewer connections",
            connections + others
        );
    }
    Ok(())
}

fn client(flags: &args::Send) -> Result<Client, Error> {
    let tls = client_tls(&flags.tls, &flags.target, HttpVersions::Any, false)?;
    let addresses = addresses(flags.connect_to.as_ref().unwrap_or(&flags.target))?;
    let with_tls = flags.target.with_tls();
    reserve_descriptors(flags.connections.into(), OTHER_DESCRIPTORS)?;
    Ok(Client {
        addresses,
        connections: flags.connections.into(),
        timeout: flags.timeout.0,
        config: Config {
            connect_timeout: flags.connect_timeout.0,
            handshake_timeout: flags.connect_timeout.0,
            // A year, which is in effect no limit. `timeout` applies instead: unlike this limit, it
            // doesn't run while a connection waits for standard output.
            write_timeout: Duration::from_secs(366 * 24 * 3600),
            // Close at once after the last response, without reading more.
            linger: Linger { bytes: 0, quiet: Duration::ZERO, total: Duration::ZERO },
            ..Config::default()
        },
        tls,
        with_tls,
    })
}
