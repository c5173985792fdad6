//! Starts the servers of this tree: `sockeye`, the handlers of the rows `mix` and `ws-broadcast` of
//! the results table, and the bare server, `limit`. The table divides the costs of the other
//! servers by those of `limit`.

use std::{env, ffi::OsStr, fs, path::Path, process::Command};

use super::{ExpectedExchange, Server, Setup};
use crate::{
    Result,
    kind::Kind,
    programs::Program,
    rows::{SENDFILE_FROM, Shape},
    tls::Certificate,
};

impl Setup {
    /// Starts our server under strace, which counts each kind of system call, and writes the counts
    /// to `out`.
    pub(crate) fn start_traced(&self, load: Shape, out: &Path) -> Result<Server> {
        let mut tracer = Command::new("strace");
        tracer.args(["-f", "-c", "-o"]).arg(out);
        self.start_under(tracer, load)
    }

    /// Starts our server under callgrind, which counts instructions, and writes the counts to
    /// `out`.
    pub(crate) fn start_counted(&self, load: Shape, out: &Path) -> Result<Server> {
        let mut tracer = Command::new("valgrind");
        tracer.args(["--tool=callgrind", "--quiet"]);
        tracer.arg(format!("--callgrind-out-file={}", out.display()));
        self.start_under(tracer, load)
    }

    fn start_under(&self, mut tracer: Command, load: Shape) -> Result<Server> {
        let program = self.sockeye(Kind::Ours, load)?;
        tracer.arg(program.get_program()).args(program.get_args());
        self.spawn(Kind::Ours, tracer, None)
    }

    /// The command for Sockeye, of this tree or of the build to compare with (`--before`). The rows
    /// `mix` and `ws-broadcast` have handlers of their own, which are in this program, not in
    /// `sockeye`.
    pub(super) fn sockeye(&self, kind: Kind, load: Shape) -> Result<Command> {
        if let Some(word) = match load {
            Shape::Mix => Some("sums"),
            Shape::Broadcast => Some("broadcast"),
            _ => None,
        } {
            let mut command = Command::new(env::current_exe()?);
            command.arg(word);
            return Ok(command);
        }
        let program = if kind == Kind::Before { &self.before } else { &self.sockeye };
        let mut command = Command::new(program.as_ref().ok_or("no sockeye to measure")?);
        match load {
            Shape::Echo => command.arg("echo"),
            load if load.is_websocket() => command.args(["echo", "--websocket"]),
            Shape::Message { .. } => command.arg("message").args(["--workers", "1"]),
            _ => command.arg("http").arg(self.dir.join("files")).args(["--workers", "1"]),
        };
        if load == Shape::Logged {
            command.arg("--access-log").arg(self.fresh_log(kind)?);
        }
        if load.tls().is_some() {
            let Certificate { certificate, key } = &self.certificate;
            let mut pair = certificate.clone().into_os_string();
            pair.push(",");
            pair.push(key);
            command.arg("--tls").arg(pair);
        }
        command.args(["--listen", "127.0.0.1:0"]);
        Ok(command)
    }

    /// The command for the bare server, which sends the responses of `exchanges`.
    pub(super) fn limit(&self, load: Shape, exchanges: &[ExpectedExchange]) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("limit");
        if load.is_http2() {
            command.arg("http2");
            for (at, (_, response)) in exchanges.iter().enumerate() {
                for (name, bytes) in [("block", &response.head), ("content", &response.body)] {
                    let path = self.dir.join(format!("{name}-{at}"));
                    fs::write(&path, bytes)?;
                    command.arg(path);
                }
            }
            return Ok(command);
        }
        // If a load requests only one file, all its responses are equal.
        let exchanges =
            if load.file().is_some() { &exchanges[..exchanges.len().min(1)] } else { exchanges };
        let mut paths = Vec::new();
        for (at, (_, response)) in exchanges.iter().enumerate() {
            let path = self.dir.join(format!("response-{at}"));
            fs::write(&path, [&response.head[..], &response.body].concat())?;
            paths.push(path);
        }
        let lengths: Vec<String> = exchanges.iter().map(|(length, _)| length.to_string()).collect();
        match (load, &paths[..]) {
            (Shape::Echo, _) => command.arg("echo"),
            (Shape::Message { .. }, [path]) => command.arg("frames").args(&lengths).arg(path),
            (Shape::Broadcast, [path]) => command.arg("broadcast").args(&lengths).arg(path),
            (load, [path]) if load.is_websocket() => {
                command.arg("websocket").args(&lengths).arg(path)
            }
            (_, [path]) => match load.file() {
                Some(file) if file.size >= SENDFILE_FROM => {
                    fs::write(path, &exchanges[0].1.head)?;
                    command.arg("file").arg(path).arg(self.file(file.name))
                }
                _ => command.arg("response").arg(path),
            },
            _ => command.arg("cycle").arg(lengths.join(",")).args(&paths),
        };
        if let Some(max) = load.max_requests() {
            command.arg(max.to_string());
        }
        Ok(command)
    }

    /// A setup with only our server, and without rows. `server` is the path of the program; `None`
    /// builds it from this tree.
    pub(crate) fn ours_at(server: Option<&str>) -> Result<Self> {
        let mut words = vec!["--servers".to_owned(), "ours".to_owned()];
        words.extend(server.into_iter().flat_map(|path| ["--server".to_owned(), path.to_owned()]));
        let mut args = crate::args::parse(&words)?.ok_or("unexpected --help")?;
        args.rows.clear();
        Self::new(&args)
    }

    /// Starts one of our programs with the arguments `words` on the server's core. If `trace` is
    /// given, strace writes the program's system calls to this file, with their times.
    pub(crate) fn start_with_args(
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
