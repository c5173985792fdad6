//! What will run: made of what was typed, with every check done that can be done before anything
//! is begun. An error says what was wrong and what to do about it.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use sockeye_engine::{Config, Linger, ListenAddr, driver, raise_descriptor_limit, usable_cores};
use sockeye_files::{Folder, OpenError};
use sockeye_proto::http1::Limits;

use crate::args::{self, Command};

/// Descriptors that a client needs besides its connections, and some to spare.
const OTHER_DESCRIPTORS: usize = 32;

/// Ready to run.
#[derive(Debug)]
pub(crate) enum Plan {
    Http(Http),
    Echo(Echo),
    Send(Send),
}

/// What a server needs, whatever it speaks.
#[derive(Debug)]
pub(crate) struct Serve {
    pub(crate) listen: Vec<ListenAddr>,
    pub(crate) workers: NonZeroUsize,
    pub(crate) config: Config,
}

#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) serve: Serve,
    pub(crate) folder: Folder,
    /// The folder or file, as an absolute path.
    pub(crate) path: PathBuf,
    pub(crate) limits: Limits,
}

#[derive(Debug)]
pub(crate) struct Echo {
    pub(crate) serve: Serve,
    pub(crate) idle: Duration,
}

#[derive(Debug)]
pub(crate) struct Send {
    /// Where to, the address to try first at the front; at least one.
    pub(crate) addresses: Vec<driver::Target>,
    /// What to send; `None` for standard input.
    pub(crate) messages: Option<Vec<Bytes>>,
    pub(crate) connections: usize,
    /// How long a peer may make no progress.
    pub(crate) silence: Duration,
    pub(crate) config: Config,
}

impl Plan {
    /// Checks what was typed.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a sentence.
    pub(crate) fn of(command: Command) -> anyhow::Result<Self> {
        match command {
            Command::Http(typed) => http(typed).map(Self::Http),
            Command::Echo(typed) => echo(typed).map(Self::Echo),
            Command::Send(typed) => send(typed).map(Self::Send),
        }
    }
}

fn http(typed: args::Http) -> anyhow::Result<Http> {
    let folder = Folder::open(&typed.folder).map_err(explain)?;
    let path = std::path::absolute(&typed.folder).context("cannot tell where we are")?;
    let mut limits = Limits::default();
    limits.request_line = typed.max_request_line.0;
    limits.head = typed.max_header.0;
    limits.fields = typed.max_header_fields.get();
    limits.head_timeout = typed.head_timeout.0;
    limits.idle_timeout = typed.idle_timeout.0;
    if limits.request_line > limits.head {
        bail!(
            "--max-request-line ({}) is part of --max-header ({}), and can't be larger",
            typed.max_request_line,
            typed.max_header
        );
    }
    Ok(Http { serve: serve(typed.listen, &typed.serve)?, folder, path, limits })
}

fn echo(typed: args::Echo) -> anyhow::Result<Echo> {
    Ok(Echo { serve: serve(typed.listen, &typed.serve)?, idle: typed.idle_timeout.0 })
}

fn serve(listen: Vec<ListenAddr>, typed: &args::Serve) -> anyhow::Result<Serve> {
    for (at, address) in listen.iter().enumerate() {
        let picks_a_port = matches!(address, ListenAddr::Any(0) | ListenAddr::Host(_, 0));
        if !picks_a_port && listen[..at].contains(address) {
            bail!("--listen {address} is given twice");
        }
    }
    let workers = match typed.workers {
        Some(count) => NonZeroUsize::new(count.into()).context("there must be a worker")?,
        None => usable_cores(),
    };
    let config = Config {
        max_connections: typed.max_connections.get(),
        max_connections_per_address: typed.max_connections_per_address.get(),
        max_buffered_output: typed.max_buffered.0,
        write_timeout: typed.write_timeout.0,
        drain_timeout: typed.drain_timeout.0,
        ..Config::default()
    };
    Ok(Serve { listen, workers, config })
}

fn send(typed: args::Send) -> anyhow::Result<Send> {
    let target = &typed.target;
    let addresses = target.look_up().with_context(|| format!("cannot look up {target}"))?;
    if addresses.is_empty() {
        bail!("{target} has no address");
    }
    let connections = usize::from(typed.connections);
    let descriptors = raise_descriptor_limit((connections + OTHER_DESCRIPTORS) as u64);
    if descriptors < (connections + OTHER_DESCRIPTORS) as u64 {
        bail!(
            "{connections} connections at once need more files than this process may have open \
             ({descriptors}); raise the limit (ulimit -n), or take fewer"
        );
    }
    let messages = |typed: Vec<OsString>| {
        typed.into_iter().map(|message| Bytes::from(message.into_vec())).collect::<Vec<_>>()
    };
    Ok(Send {
        addresses,
        messages: (!typed.messages.is_empty()).then(|| messages(typed.messages)),
        connections,
        silence: typed.timeout.0,
        config: Config {
            connect_timeout: typed.connect_timeout.0,
            // The conversations watch over progress themselves, and know when it is our own
            // standard output that holds things up.
            write_timeout: Duration::from_secs(366 * 24 * 3600),
            // What a peer sends after we are done with it is of no interest.
            linger: Linger { bytes: 0, quiet: Duration::ZERO, total: Duration::ZERO },
            ..Config::default()
        },
    })
}

/// Why a path can't be served, and what there is instead.
fn explain(error: OpenError) -> anyhow::Error {
    let parent = match &error {
        OpenError::NotFound(path) => nearest_parent(path),
        _ => None,
    };
    match parent {
        Some(parent) => anyhow!("{error}; the nearest folder that exists is {}", parent.display()),
        None => error.into(),
    }
}

fn nearest_parent(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().skip(1).find(|parent| parent.is_dir()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Typed;

    fn plan(line: &[&str]) -> anyhow::Result<Plan> {
        let typed = Typed::try_parse_from([&["sockeye"], line].concat())?;
        Plan::of(typed.command)
    }

    /// A folder of a test's own, gone afterwards.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("sockeye-plan-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn join(&self, name: &str) -> String {
            self.0.join(name).to_str().unwrap().to_owned()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn flags_reach_the_plan() {
        let plan = plan(&[
            "echo",
            "--listen",
            ":0",
            "--listen",
            "unix:/tmp/s",
            "--workers",
            "3",
            "--max-connections",
            "7",
            "--max-connections-per-address",
            "5",
            "--max-buffered",
            "1M",
            "--write-timeout",
            "1s",
            "--drain-timeout",
            "2s",
            "--idle-timeout",
            "3s",
        ]);
        let Ok(Plan::Echo(echo)) = plan else { panic!("an echo was asked for") };
        assert_eq!(echo.idle, Duration::from_secs(3));
        assert_eq!(echo.serve.listen, [ListenAddr::Any(0), ListenAddr::Unix("/tmp/s".into())]);
        assert_eq!(echo.serve.workers.get(), 3);
        let config = echo.serve.config;
        assert_eq!((config.max_connections, config.max_connections_per_address), (7, 5));
        assert_eq!(config.max_buffered_output, 1 << 20);
        assert_eq!(config.write_timeout, Duration::from_secs(1));
        assert_eq!(config.drain_timeout, Duration::from_secs(2));
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_there_is() {
        let folder = Folder::new("errors");
        let missing = folder.join("site/deep");
        let parent = &folder.0;
        let table: [(&[&str], String); 5] = [
            (
                &["http", &missing],
                format!("the nearest folder that exists is {}", parent.display()),
            ),
            (&["http", "/dev/null"], "/dev/null: neither a folder nor a regular file".into()),
            (
                &["http", "/", "--max-request-line", "9K", "--max-header", "8K"],
                "--max-request-line (9KiB) is part of --max-header (8KiB)".into(),
            ),
            (&["echo", "--listen", "1", "--listen", ":1"], "--listen :1 is given twice".into()),
            (&["send", "tcp://host.invalid:1", "x"], "cannot look up tcp://host.invalid:1".into()),
        ];
        for (line, says) in table {
            let error = format!("{:#}", plan(line).unwrap_err());
            assert!(error.contains(&says), "{line:?}: {error}");
        }
    }

    #[test]
    fn messages_are_sent_as_they_were_typed_and_none_means_standard_input() {
        let messages = |line: &[&str]| match plan(line) {
            Ok(Plan::Send(send)) => send.messages,
            other => panic!("{other:?}"),
        };
        let line = ["send", "tcp://127.0.0.1:1", "a b", "", "--", "-c"];
        assert_eq!(messages(&line), Some(vec!["a b".into(), "".into(), "-c".into()]));
        assert_eq!(messages(&line[..2]), None);
    }
}
