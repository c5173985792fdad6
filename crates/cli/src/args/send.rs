//! What was typed to talk to a server.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, value_parser};

use super::defaults::{ENGINE, MESSAGE};
use crate::log::Level;
use crate::quantity::{Size, Span};
use crate::target::SocketTarget;

/// Sends to a server, and prints what comes back.
///
/// To tcp://HOST:PORT and unix:PATH, bytes, for a server that sends them back: a connection sends
/// all contents one after the other, and closes when as many bytes have come back as were sent. To a
/// server that answers something else, --half-close reads all of it. Of one connection, the bytes are
/// printed as they came, and on a terminal with control characters escaped; of several, a line for
/// each piece says whose it is. Where there is nothing to send, sends what standard input has, as it
/// comes.
///
/// To message://HOST:PORT, messages: each content, and then each --file, is one, of type text/json
/// where it is JSON and binary otherwise. Each has a connection of its own, one after the other.
/// What is in the responses is printed: text as UTF-8 with a line break behind it; anything else
/// escaped on a terminal, and as it came elsewhere. A failure is a response that is an error, that says
/// it is text/json and is no JSON, or that is the message itself, as from a server that echoes. Where
/// there is nothing to send, all that standard input has is one message.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// tcp://HOST:PORT, unix:PATH or message://HOST:PORT.
    pub(crate) target: SocketTarget,

    /// What to send. Standard input if there is none.
    #[arg(value_name = "CONTENT")]
    pub(crate) contents: Vec<OsString>,

    /// How many connections to open at once; each sends the same.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..))]
    pub(crate) connections: u16,

    /// End our side (FIN) when everything is sent, and read until the peer ends its own.
    ///
    /// For tcp:// and unix:. Without it our side stays open until as many bytes have come back as were
    /// sent, since some servers take its end for the end of both.
    #[arg(long)]
    pub(crate) half_close: bool,

    /// How long the peer may be silent, and not read either, while it owes us something.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: Span,

    /// How long connecting may take.
    #[arg(long, value_name = "TIME", default_value_t = Span(ENGINE.connect_timeout))]
    pub(crate) connect_timeout: Span,

    /// From which level on to log, to standard error.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log: Level,

    #[command(flatten)]
    pub(crate) message: MessageFlags,
}

/// What only messages have.
#[derive(Args, Debug)]
#[command(next_help_heading = "Messages")]
pub(crate) struct MessageFlags {
    /// The content's type [default: text/json where it is JSON in UTF-8, else
    /// binary/custom-client-binary-type]
    #[arg(id = "type", long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,

    /// The content's encoding. JSON that is typed is sent in it: utf-8, utf-16, latin-1, ascii
    /// [default: utf-8 for text/json, else binary]
    #[arg(long, value_name = "ENCODING")]
    pub(crate) encoding: Option<String>,

    /// Sends what is in a file. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,

    /// Sends many messages on one connection, where the peer shows that it can; else as without it.
    #[arg(long)]
    pub(crate) keep_alive: bool,

    /// How many times to send everything [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<NonZeroU32>,

    /// Writes what is in the responses to a file, as it came.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Bytes of a response's content; a larger one is an error [default: 16MiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_content: Option<Size>,
}

impl MessageFlags {
    /// The largest content of a response.
    pub(crate) fn most(&self) -> u64 {
        self.max_content.map_or(MESSAGE.content, |size| size.0 as u64)
    }

    /// Those that were given, as they were typed.
    fn given(&self) -> Vec<&'static str> {
        let given = [
            ("--type", self.content_type.is_some()),
            ("--encoding", self.encoding.is_some()),
            ("--file", !self.file.is_empty()),
            ("--keep-alive", self.keep_alive),
            ("--count", self.count.is_some()),
            ("--output", self.output.is_some()),
            ("--max-content", self.max_content.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag).collect()
    }
}

impl Send {
    /// Refuses flags that the target's scheme has no use for.
    pub(super) fn check(&self) -> Result<(), String> {
        let given = self.message.given();
        if self.half_close && matches!(self.target, SocketTarget::Message(..)) {
            return Err(format!(
                "--half-close is for tcp://HOST:PORT and unix:PATH; {} sends messages, whose replies \
                 say where they end",
                self.target
            ));
        }
        if matches!(self.target, SocketTarget::Message(..)) || given.is_empty() {
            return Ok(());
        }
        let verb = if given.len() == 1 { "is" } else { "are" };
        Err(format!(
            "{} {verb} for message://HOST:PORT; {} is sent bytes as they are",
            given.join(" and "),
            self.target
        ))
    }
}
