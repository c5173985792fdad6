//! The servers: found, built or installed, and started on a free port.
//!
//! [`kind`] says who there is, [`process`] what they are while they run. Each that can't be had is
//! left out with a word, and leaves out no other.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Command,
};

use crate::{
    Result,
    args::Args,
    cpu::Cores,
    pages,
    probe::Reply,
    rows::{FILES, Shape},
};

mod config;
mod kind;
mod ours;
mod peers;
mod process;
mod system;
mod words;

pub(crate) use kind::Kind;
pub(crate) use process::Server;
pub(crate) use words::Program;

use kind::From;

/// A request's length, and the reply that the limit gives to it.
pub(crate) type Turn = (usize, Reply);

/// A run is tried so often when it is disturbed.
const TRIES: u32 = 5;

/// What all servers need: their programs, the folder that they serve, and a core.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) cores: Cores,
    /// Removed at the end.
    dir: PathBuf,
    sockeye: Option<PathBuf>,
    /// What `nginx -V` says.
    nginx: Option<String>,
    /// The servers of others that are here.
    others: Vec<Other>,
    connections: usize,
    /// How often a run is tried that other work disturbs.
    pub(crate) tries: u32,
}

/// A server that is no part of this tree.
#[derive(Debug)]
struct Other {
    kind: Kind,
    program: PathBuf,
    /// As in `nginx 1.22.1`.
    version: String,
}

impl Setup {
    /// Builds what is missing and lays out the folder.
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let wants = |kind| args.servers.contains(&kind);
        if args.install {
            install(&args.servers);
        }
        let sockeye = match &args.server {
            _ if !wants(Kind::Ours) => None,
            Some(path) if path.is_file() => Some(path.clone()),
            Some(path) => return Err(format!("{} is no program", path.display()).into()),
            None => Some(ours::build()?),
        };
        let nginx = if wants(Kind::Nginx) { system::said_by("nginx", "-V") } else { None };
        let mut others = Vec::new();
        for kind in args.servers.iter().copied().filter(|kind| kind.from() != From::Tree) {
            match other(kind, args.quick) {
                Ok(other) => others.push(other),
                Err(error) => eprintln!("{} is left out: {error}", kind.name()),
            }
        }
        let dir = env::temp_dir().join(format!("sockeye-benches-{}", std::process::id()));
        fs::create_dir_all(dir.join("files"))?;
        let connections = args.idle + 2000;
        // What only shows that everything works need not be quiet.
        let tries = if args.quick { 1 } else { TRIES };
        let cores = Cores::choose()?;
        let setup = Self { cores, dir, sockeye, nginx, others, connections, tries };
        for file in FILES {
            fs::write(setup.file(file.name), content(file.size))?;
        }
        if args.rows.contains(&"pages") && pages::write(&setup.file("pages"))? == 0 {
            eprintln!("neither brotli nor gzip is installed: the pages have no packed siblings");
        }
        Ok(setup)
    }

    /// With our own server alone, for what isn't a comparison.
    pub(crate) fn only_ours() -> Result<Self> {
        let args = crate::args::parse(&["--servers".to_owned(), "ours".to_owned()])?;
        let mut args = args.ok_or("no help was asked for")?;
        args.rows.clear();
        Self::new(&args)
    }

    /// A place for a file of ours.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The servers that are here, the limit first.
    pub(crate) fn kinds(&self, wanted: &[Kind]) -> Vec<Kind> {
        let here = |kind: &Kind| match kind {
            Kind::Limit => true,
            Kind::Ours => self.sockeye.is_some(),
            kind => self.others.iter().any(|other| other.kind == *kind),
        };
        Kind::ALL.into_iter().filter(|kind| wanted.contains(kind) && here(kind)).collect()
    }

    /// As in `nginx 1.22.1`, of every server that is no part of this tree.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.others.iter().map(|other| other.version.clone()).collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join("files").join(name)
    }

    /// Where a server writes its access log, without what an earlier run wrote.
    fn fresh_log(&self, kind: Kind) -> Result<PathBuf> {
        let path = self.dir.join(format!("{}-access.log", kind.name()));
        fs::File::create(&path)?;
        Ok(path)
    }

    fn program(&self, kind: Kind) -> Result<&PathBuf> {
        let other = self.others.iter().find(|other| other.kind == kind);
        Ok(&other.ok_or_else(|| format!("{} is not here", kind.name()))?.program)
    }

    /// Starts a server on its core; `None` where this kind has nothing for this load.
    ///
    /// The limit sends the replies of `turns`.
    pub(crate) fn start(&self, kind: Kind, load: Shape, turns: &[Turn]) -> Result<Option<Server>> {
        if !kind.takes(load) {
            return Ok(None);
        }
        let command = match kind {
            Kind::Limit => self.limit(load, turns)?,
            Kind::Ours => self.ours(load)?,
            Kind::Axum | Kind::Hyper | Kind::May | Kind::Tokio => self.peer(kind)?,
            Kind::StaticWebServer => return self.static_web_server(load).map(Some),
            Kind::Nginx | Kind::Lighttpd | Kind::H2o => {
                return self.configured(kind, load).map(Some);
            }
        };
        self.spawn(kind, command, None).map(Some)
    }

    fn spawn(&self, kind: Kind, command: Command, known: Option<SocketAddr>) -> Result<Server> {
        let log = self.dir.join(format!("{}.log", kind.name()));
        Server::start(command, self.cores, &log, known)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // What is left in the temporary folder is no harm.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Finds a server of others, or builds it; a quick run builds none.
fn other(kind: Kind, quick: bool) -> Result<Other> {
    let (program, version) = match kind.from() {
        From::Tree => return Err("it is a part of this tree".into()),
        From::System { .. } => {
            let said = system::said_by(kind.name(), "-v");
            let version = said.as_deref().and_then(system::version).map(str::to_owned);
            (kind.name().into(), version.ok_or("it is not installed, which --install does")?)
        }
        From::Install { .. } => {
            let programs = [peers::installed(kind)?, kind.name().into()];
            let found = programs.into_iter().find_map(|program: PathBuf| {
                let said = system::said_by(program.to_str()?, "--version")?;
                Some((program, system::version(&said)?.to_owned()))
            });
            found.ok_or("it is not installed, which --install does in some minutes")?
        }
        From::Peers { on } => {
            let program = peers::path(kind)?;
            if !quick {
                peers::build(kind)?;
            } else if !program.exists() {
                return Err("it is not built yet, and a quick run builds no other servers".into());
            }
            (program, peers::version_of(on).unwrap_or("of unknown version").to_owned())
        }
    };
    let name = match kind.from() {
        From::Peers { on } => on,
        _ => kind.name(),
    };
    Ok(Other { kind, program, version: format!("{name} {version}") })
}

/// Installs what is missing of the wanted servers. What can't be had is told, and left out.
fn install(wanted: &[Kind]) {
    if let Err(error) = system::install(wanted) {
        eprintln!("{error}");
    }
    for kind in wanted {
        if let From::Install { version } = kind.from()
            && other(*kind, true).is_err()
            && let Err(error) = peers::install(*kind, version)
        {
            eprintln!("{error}");
        }
    }
}

/// A file's content: text, so that it can stand in a configuration too.
pub(crate) fn content(size: usize) -> Vec<u8> {
    b"Hello, world. ".iter().copied().cycle().take(size).collect()
}

/// For servers that can't say which free port they took: nobody else is expected to want this one.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// This program stands in target/release or, when it is tried out, in target/debug.
fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.ancestors().nth(2).ok_or("no target folder")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_the_size_that_was_asked_for() {
        assert_eq!(content(13), b"Hello, world.");
        assert_eq!(content(100_000).len(), 100_000);
    }
}
