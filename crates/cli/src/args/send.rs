//! The flags of `sockeye send`.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, value_parser};
use sockeye::engine::Config;
use sockeye::message::protocol::Limits;
use tracing_subscriber::filter::LevelFilter;

use super::client_tls::ClientTls;
use crate::log::level;
use crate::quantity::{Size, Span, above_zero};
use crate::target::{Target, address, target_of_send};

/// The help heading of the flags for message:// and message+tls://. The flags in [`OF_BOTH`] also
/// apply to ws:// and wss://.
pub(super) const MESSAGES: &str = "Messages";
/// The help heading of the flags that apply only to ws:// and wss://.
pub(super) const WEBSOCKETS: &str = "WebSocket";
/// Flags under the heading [`MESSAGES`] that also apply to WebSockets.
const OF_BOTH: [&str; 4] = ["--file", "--count", "--output", "--max-content"];

const EXAMPLES: &str = "\
Examples:
  # Send text to an echo server, on two connections at once.
  sockeye send tcp://127.0.0.1:65432 hello --connections 2
  # Send standard input, end our side, and print the whole response.
  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | sockeye send tcp://127.0.0.1:8000 --half-close
  # The same over TLS, with a request from a file.
  sockeye send tls://example.org:443 --half-close < request
  # Send lines that you type to a WebSocket, and see what comes in. Ctrl-D closes it.
  sockeye send wss://example.org/chat
  # Send a message, and print its response.
  sockeye send message://127.0.0.1:65432 '{\"action\": \"search\", \"value\": \"ring\"}'";

/// Send bytes or messages to a server, and print what it sends back.
///
/// To tcp://HOST:PORT, tls://HOST:PORT and unix:PATH, each connection sends all contents as bytes.
/// It expects an echo server, and closes when as many bytes have come back as it has sent; with
/// other servers, use --half-close to print everything they send. The bytes of a single connection
/// are printed unchanged, but on a terminal control characters are escaped. With several
/// connections, each received piece is printed as a line with its connection's number. Without
/// contents, standard input is sent as it is read.
///
/// To message://HOST:PORT and message+tls://HOST:PORT, each content and each --file is a message,
/// of type text/json if it is JSON, and binary otherwise. Messages are sent one after the other,
/// each on a connection of its own (see --keep-alive). Text in responses is printed as UTF-8 with a
/// line break; binary content is escaped on a terminal and unchanged elsewhere. These responses are
/// failures: an error, invalid JSON, or the message itself, as from an echo server. Without
/// contents and files, all of standard input is one message.
///
/// To ws://HOST[:PORT]/PATH and wss://HOST[:PORT]/PATH, each content, each --file and, without
/// these, each line of standard input is a message of text. Messages that come in are printed: text
/// with a line break, bytes escaped on a terminal and unchanged elsewhere. --file, --count,
/// --output and --max-content apply to these messages, too. The WebSocket is closed when as many
/// messages have come in as were sent. If the lines are typed on a terminal, it stays open until
/// Ctrl-D, or until the server closes it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Send {
    /// tcp|tls|message[+tls]://HOST:PORT, ws[s]://HOST[:PORT]/PATH or unix:PATH.
    #[arg(value_parser = target_of_send)]
    pub(crate) target: Target,

    /// What to send. Default: standard input.
    #[arg(value_name = "CONTENT")]
    pub(crate) contents: Vec<OsString>,

    /// Connections to open at once. Each sends the same.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..))]
    pub(crate) connections: u16,

    /// End our side (FIN) after sending, and read until the server ends its side.
    ///
    /// For tcp://, tls:// and unix:. Without it, our side stays open until as many bytes have come
    /// back as were sent, since some servers stop sending when their client ends its side.
    #[arg(long)]
    pub(crate) half_close: bool,

    /// How long the server may neither send nor read while a response is due.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: Span,

    /// Maximum time to connect, and then for the TLS handshake.
    #[arg(long, value_name = "TIME", default_value_t = Span(Config::default().connect_timeout))]
    pub(crate) connect_timeout: Span,

    /// Connect to this address. Names and certificates stay those of the target.
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub(crate) connect_to: Option<Target>,

    /// Lowest level to log: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "warn", hide_possible_values = true)]
    #[arg(value_parser = level())]
    pub(crate) log: LevelFilter,

    #[command(flatten)]
    pub(crate) tls: ClientTls,

    #[command(flatten)]
    pub(crate) websocket: WebSocketFlags,

    #[command(flatten)]
    pub(crate) message: MessageFlags,
}

#[derive(Args, Debug)]
#[command(next_help_heading = WEBSOCKETS)]
pub(crate) struct WebSocketFlags {
    /// Send messages of bytes, not of text.
    ///
    /// Without contents and files, all of standard input is one message.
    #[arg(long)]
    pub(crate) binary: bool,

    /// Offer to compress messages (permessage-deflate).
    #[arg(long)]
    pub(crate) deflate: bool,

    /// HTTP header of the request, as 'Name: value'. Can be given several times.
    ///
    /// 'Sec-WebSocket-Protocol: NAME' offers a subprotocol.
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = MESSAGES)]
pub(crate) struct MessageFlags {
    /// Type of the content.
    ///
    /// Default: text/json for JSON in UTF-8, otherwise binary/custom-client-binary-type.
    #[arg(id = "type", long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,

    /// Encoding of the content.
    ///
    /// JSON is converted to it: utf-8, utf-16, latin-1 or ascii. Default: utf-8 for text/json,
    /// otherwise binary.
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<String>,

    /// Send a file's content as a message. Can be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,

    /// Send many messages on one connection, if the server supports it.
    #[arg(long)]
    pub(crate) keep_alive: bool,

    /// Number of times to send all messages.
    #[arg(long, value_name = "N", default_value_t = NonZeroU32::MIN)]
    #[arg(value_parser = above_zero::<NonZeroU32>)]
    pub(crate) count: NonZeroU32,

    /// Write the content of responses to a file, unchanged.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Maximum size of a response's content. A larger response is an error.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().content.into())]
    pub(crate) max_content: Size,
}

impl Send {
    /// Refuses flags that don't apply to the target. `given` has the flags on the command line that
    /// are under the heading [`MESSAGES`], and those under [`WEBSOCKETS`].
    pub(super) fn check(&self, given: [Vec<String>; 2]) -> Result<(), String> {
        let target = &self.target;
        self.tls.check(target)?;
        let is_message = matches!(target, Target::Message(..));
        let is_websocket = matches!(target, Target::WebSocket { .. });
        if self.half_close && (is_message || is_websocket) {
            return Err(format!(
                "--half-close is for tcp:// and tls://HOST:PORT and unix:PATH; {target} takes messages, \
                 which end without it"
            ));
        }
        let [mut for_messages, for_websockets] = given;
        if is_websocket {
            for_messages.retain(|flag| !OF_BOTH.contains(&&**flag));
        }
        let (given, forms) = match (is_message, is_websocket) {
            (true, _) => (for_websockets, "ws[s]://HOST[:PORT]/PATH"),
            (_, true) => (for_messages, "message://HOST:PORT"),
            _ if for_messages.is_empty() => (for_websockets, "ws[s]://HOST[:PORT]/PATH"),
            _ => (for_messages, "message://HOST:PORT"),
        };
        if given.is_empty() {
            return Ok(());
        }
        let verb = if given.len() == 1 { "is" } else { "are" };
        let takes = match (is_message, is_websocket) {
            (true, _) => "messages in frames",
            (_, true) => "messages of WebSocket",
            _ => "bytes",
        };
        Err(format!("{} {verb} for {forms}; {target} takes {takes}", given.join(" and ")))
    }
}
