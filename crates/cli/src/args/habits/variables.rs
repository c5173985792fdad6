//! Environment variables of flags that a command of Sockeye doesn't have.

use std::path::Path;

use super::flags::{Meaning, meaning};
use super::texts;
use crate::text;

/// What to do about a variable that sets no flag.
pub(in crate::args) enum Answer {
    /// Suggest the variable of this flag.
    Flag(&'static str),
    /// Warn with this text, and run the command.
    Warn(&'static str),
    /// Refuse to run the command, because the server would lack what the variable asks for. The
    /// text says why, or what to write.
    Refuse(String),
}

/// Advice about features that Sockeye lacks and without which the server must not start, if a
/// variable asks for one. Other advice only warns.
const IS_LACKING: [&str; 3] = [texts::NO_PASSWORDS, texts::READ_ONLY, texts::NO_CONFIGURATION];

/// The answer to a variable that would set `flag` of `command`, to this `value`. `None` if the flag
/// is not a known one of other programs, or is `--version`.
pub(in crate::args) fn answer_to_variable(
    command: &str,
    flag: &str,
    value: &str,
) -> Option<Answer> {
    // Container images often store their version in SOCKEYE_VERSION. The advice on the flag
    // `--version` doesn't fit.
    if flag == "--version" {
        return None;
    }
    Some(match meaning(command, flag)? {
        Meaning::Flag(own) => Answer::Flag(own),
        Meaning::Advice(text) if IS_LACKING.contains(&text) => Answer::Refuse(text.into()),
        Meaning::Advice(text) => Answer::Warn(text),
        Meaning::Folder => Answer::Refuse(format!(
            "write the folder as an argument: sockeye http {}",
            text::shell_word(Path::new(value))
        )),
        Meaning::TlsPart(_) => Answer::Refuse("write SOCKEYE_TLS=cert.pem,key.pem".into()),
    })
}
