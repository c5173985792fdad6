//! Starts our own programs with given arguments, when nothing is compared.

use std::{env, ffi::OsStr, path::Path, process::Command};

use super::{Server, Setup};
use crate::{Result, kind::Kind, programs::Program};

impl Setup {
    /// With only our server: built from this tree, or `server`.
    pub(crate) fn ours_at(server: Option<&str>) -> Result<Self> {
        let mut words = vec!["--servers".to_owned(), "ours".to_owned()];
        words.extend(server.into_iter().flat_map(|path| ["--server".to_owned(), path.to_owned()]));
        let mut args = crate::args::parse(&words)?.ok_or("no help was asked for")?;
        args.rows.clear();
        Self::new(&args)
    }

    /// Starts a program on the server's core. It prints its address. With `trace`, strace writes
    /// its system calls to that file, with their times.
    pub(crate) fn start_words(
        &self,
        program: Program,
        words: &[&OsStr],
        trace: Option<&Path>,
    ) -> Result<Server> {
        let path = match program {
            Program::Sockeye => self.sockeye.clone().ok_or("no sockeye to measure")?,
            Program::Bench => env::current_exe()?,
        };
        let mut command = match trace {
            None => Command::new(path),
            Some(out) => {
                let mut command = Command::new("strace");
                command.args(["-f", "-ttt", "-s", "0", "-o"]).arg(out).arg(path);
                command
            }
        };
        command.args(words);
        self.spawn(Kind::Ours, command, None)
    }
}
