//! What will run: made of what was typed, with every check done that can be done before anything
//! is begun. An error says what was wrong and what to do about it.

mod content;
mod contents;
mod explain;
mod load;
mod send;
mod serve;
#[cfg(test)]
mod tests;

pub(crate) use self::content::{Content, Place};
pub(crate) use self::explain::{Explain, RefusedHost};
pub(crate) use self::load::Load;
pub(crate) use self::send::{Send, SendMessages};
pub(crate) use self::serve::{Echo, Http, Message, Serve};
use crate::args::Command;
use crate::error::{Error, OrExit};
use crate::target::SocketTarget;

/// Ready to run.
#[derive(Debug)]
pub(crate) enum Plan {
    Http(Box<Http>),
    Explain(Explain),
    Echo(Echo),
    Message(Message),
    Send(Send),
    SendMessages(SendMessages),
    Load(Load),
}

impl Plan {
    /// Checks what was typed.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a sentence: with the command line, or with what it names.
    pub(crate) fn of(command: Command) -> Result<Self, Error> {
        match command {
            Command::Http(typed) => serve::http(*typed).map(|plan| Self::Http(Box::new(plan))),
            Command::Explain(typed) => explain::explain(*typed).map(Self::Explain),
            Command::Echo(typed) => serve::echo(typed).or_usage().map(Self::Echo),
            Command::Message(typed) => serve::message(typed).map(Self::Message),
            Command::Load(typed) => load::load(*typed).map(Self::Load),
            Command::Send(typed) => match typed.target {
                SocketTarget::Message(..) => send::messages(typed).map(Self::SendMessages),
                SocketTarget::Tcp(..) | SocketTarget::Unix(_) => send::bytes(typed).map(Self::Send),
            },
        }
    }
}
