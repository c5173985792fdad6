//! The servers: found or built, started on a free port, and ended with the value that holds them.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Result,
    args::Args,
    cpu::{self, Cores},
    pages,
    probe::Reply,
    rows::{FILES, SENDFILE_FROM, Shape},
};

mod config;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Limit,
    Ours,
    Nginx,
    Lighttpd,
    H2o,
    Hyper,
    Tokio,
}

impl Kind {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 7] =
        [Self::Limit, Self::Ours, Self::Nginx, Self::Lighttpd, Self::H2o, Self::Hyper, Self::Tokio];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Ours => "Sockeye",
            Self::Nginx => "nginx",
            Self::Lighttpd => "lighttpd",
            Self::H2o => "h2o",
            Self::Hyper => "hyper",
            Self::Tokio => "tokio",
        }
    }

    /// As one types it.
    pub(crate) fn word(self) -> &'static str {
        if self == Self::Ours { "ours" } else { self.name() }
    }

    /// Whether it has something for this load.
    fn takes(self, load: Shape) -> bool {
        match self {
            Self::Limit | Self::Ours => true,
            Self::Nginx | Self::H2o => {
                !matches!(load, Shape::Echo | Shape::Message { .. } | Shape::Mix)
            }
            // It has no packed siblings.
            Self::Lighttpd => matches!(load, Shape::Get { .. } | Shape::Idle { .. }),
            Self::Hyper => match load {
                Shape::Mix => true,
                Shape::Get { file, .. } | Shape::Idle { file } => file == FILES[0],
                _ => false,
            },
            Self::Tokio => load == Shape::Echo,
        }
    }
}

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
    /// The servers of other crates, where they could be built.
    peers: Option<PathBuf>,
    /// What the installed servers call themselves.
    versions: Vec<(Kind, String)>,
    connections: usize,
    /// How often a run is tried that other work disturbs.
    pub(crate) tries: u32,
}

impl Setup {
    /// Builds what is missing and lays out the folder.
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let wants = |kind| args.servers.contains(&kind);
        if args.install {
            install()?;
        }
        let sockeye = match &args.server {
            _ if !wants(Kind::Ours) => None,
            Some(path) => Some(path.clone()),
            None => Some(build()?),
        };
        let nginx = if wants(Kind::Nginx) { said_by("nginx", "-V") } else { None };
        let mut versions = Vec::new();
        for (kind, flag) in [(Kind::Nginx, "-v"), (Kind::Lighttpd, "-v"), (Kind::H2o, "-v")] {
            let said = if wants(kind) { said_by(kind.name(), flag) } else { None };
            let version = said.as_deref().and_then(version);
            match version {
                Some(version) => versions.push((kind, format!("{} {version}", kind.name()))),
                None if wants(kind) => eprintln!("{} is not installed: left out", kind.name()),
                None => {}
            }
        }
        let peers = if wants(Kind::Hyper) || wants(Kind::Tokio) {
            build_peers()
                .inspect_err(|error| eprintln!("hyper and tokio are left out: {error}"))
                .ok()
        } else {
            None
        };
        let dir = env::temp_dir().join(format!("sockeye-benches-{}", std::process::id()));
        fs::create_dir_all(dir.join("files"))?;
        let connections = args.idle + 2000;
        // What only shows that everything works need not be quiet.
        let tries = if args.quick { 1 } else { TRIES };
        let cores = Cores::choose()?;
        let setup = Self { cores, dir, sockeye, nginx, peers, versions, connections, tries };
        for file in FILES {
            fs::write(setup.file(file.name), content(file.size))?;
        }
        if args.rows.contains(&"pages") && pages::write(&setup.file("pages"))? == 0 {
            eprintln!("neither brotli nor gzip is installed: the pages have no packed siblings");
        }
        Ok(setup)
    }

    /// With our own server alone, for what isn't a comparison.
    pub(crate) fn ours() -> Result<Self> {
        let args = crate::args::parse(&["--servers".to_owned(), "ours".to_owned()])?;
        let mut args = args.ok_or("no help was asked for")?;
        args.rows.clear();
        Self::new(&args)
    }

    /// A place for a file of ours.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Our server with its system calls counted into `out`.
    pub(crate) fn start_traced(&self, load: Shape, out: &Path) -> Result<Server> {
        let program = self.ours_for(load)?;
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(out);
        command.arg(program.get_program()).args(program.get_args());
        self.spawn(Kind::Ours, command, None)
    }

    /// The servers that are here, the limit first.
    pub(crate) fn kinds(&self, wanted: &[Kind]) -> Vec<Kind> {
        let here = |kind: &Kind| match kind {
            Kind::Limit => true,
            Kind::Ours => self.sockeye.is_some(),
            Kind::Hyper | Kind::Tokio => self.peers.is_some(),
            kind => self.versions.iter().any(|(here, _)| here == kind),
        };
        Kind::ALL.into_iter().filter(|kind| wanted.contains(kind) && here(kind)).collect()
    }

    /// As in `nginx 1.22.1`, of every server that is no part of this tree.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.versions.iter().map(|(_, version)| version.clone()).collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join("files").join(name)
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
            Kind::Ours => self.ours_for(load)?,
            Kind::Hyper | Kind::Tokio => {
                let mut command = Command::new(self.peers.as_ref().ok_or("no peers to measure")?);
                command.arg(kind.name());
                command
            }
            Kind::Nginx | Kind::Lighttpd | Kind::H2o => {
                return self.configured(kind, load).map(Some);
            }
        };
        self.spawn(kind, command, None).map(Some)
    }

    fn limit(&self, load: Shape, turns: &[Turn]) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("limit");
        let mut paths = Vec::new();
        for (at, (_, reply)) in turns.iter().enumerate() {
            let path = self.dir.join(format!("reply-{at}"));
            fs::write(&path, [&reply.head[..], &reply.body].concat())?;
            paths.push(path);
        }
        let lengths: Vec<String> = turns.iter().map(|(length, _)| length.to_string()).collect();
        match (load, &paths[..]) {
            (Shape::Echo, _) => command.arg("echo"),
            (Shape::Message { .. }, [path]) => command.arg("frames").args(&lengths).arg(path),
            (_, [path]) => match load.file() {
                Some(file) if file.size >= SENDFILE_FROM => {
                    fs::write(path, &turns[0].1.head)?;
                    command.arg("file").arg(path).arg(self.file(file.name))
                }
                _ => command.arg("reply").arg(path),
            },
            _ => command.arg("cycle").arg(lengths.join(",")).args(&paths),
        };
        if let Some(most) = load.most() {
            command.arg(most.to_string());
        }
        Ok(command)
    }

    fn ours_for(&self, load: Shape) -> Result<Command> {
        if load == Shape::Mix {
            let mut command = Command::new(env::current_exe()?);
            command.arg("sums");
            return Ok(command);
        }
        let mut command = Command::new(self.sockeye.as_ref().ok_or("no sockeye to measure")?);
        match load {
            Shape::Echo => command.arg("echo"),
            Shape::Message { .. } => command.arg("message").args(["--workers", "1"]),
            _ => command.arg("http").arg(self.dir.join("files")).args(["--workers", "1"]),
        };
        command.args(["--listen", "127.0.0.1:0"]);
        Ok(command)
    }

    /// A server that reads its configuration from a file. None of them can say which free port it
    /// took; nobody else is expected to want this one.
    fn configured(&self, kind: Kind, load: Shape) -> Result<Server> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = self.dir.join(format!("{}.conf", kind.name()));
        let options = config::Options {
            dir: &self.dir,
            address,
            load,
            connections: self.connections,
            built: self.nginx.as_deref().unwrap_or_default(),
        };
        let mut command = Command::new(kind.name());
        match kind {
            Kind::Nginx => {
                fs::write(&config, options.nginx())?;
                command.arg("-p").arg(&self.dir).arg("-c").arg(config);
                command.arg("-e").arg(self.dir.join("nginx-errors"));
            }
            Kind::Lighttpd => {
                fs::write(&config, options.lighttpd())?;
                command.arg("-D").arg("-f").arg(config);
            }
            _ => {
                fs::write(&config, options.h2o())?;
                command.arg("-c").arg(config);
            }
        }
        self.spawn(kind, command, Some(address))
    }

    fn spawn(&self, kind: Kind, mut command: Command, known: Option<SocketAddr>) -> Result<Server> {
        let log = self.dir.join(format!("{}.log", kind.name()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(&log)?);
        // A child inherits its parent's core.
        cpu::pin(self.cores.server)?;
        let child = command.spawn();
        cpu::pin(self.cores.client)?;
        let mut child = child.map_err(|error| format!("{}: {error}", kind.name()))?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut server = Server { child, address: ([127, 0, 0, 1], 0).into(), _stdout: None };
        let address = match known {
            Some(address) => server.answers(address).then_some(address),
            None => announced(&mut stdout),
        };
        // Kept open, so that a server that has more to say can say it.
        server._stdout = Some(stdout);
        server.address = address.ok_or_else(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("{} did not start: {}", kind.name(), said.trim())
        })?;
        Ok(server)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // What is left in the temporary folder is no harm.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A server that runs until this value goes.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells the program under this process, a tracer, to stop, and waits for both.
    pub(crate) fn end(mut self) -> Result<()> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for child in children.split_whitespace() {
            let pid = Pid::from_raw(child.parse()?).ok_or("no process has the number 0")?;
            kill_process(pid, Signal::TERM)?;
        }
        self.child.wait()?;
        Ok(())
    }

    /// Waits until the server accepts connections; false when it ended instead.
    fn answers(&mut self, address: SocketAddr) -> bool {
        let patience = Instant::now() + Duration::from_secs(5);
        while Instant::now() < patience {
            if TcpStream::connect(address).is_ok() {
                return true;
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a process that has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first address that a server prints; `None` when it ends without one.
fn announced(stdout: &mut impl BufRead) -> Option<SocketAddr> {
    stdout.lines().map_while(std::io::Result::ok).find_map(|line| address_in(&line))
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let schemes = ["http://", "tcp://", "message://"];
    let (_, rest) = schemes.iter().find_map(|scheme| line.split_once(scheme))?;
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c)));
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// A file's content: text, so that it can stand in a configuration too.
pub(crate) fn content(size: usize) -> Vec<u8> {
    b"Hello, world. ".iter().copied().cycle().take(size).collect()
}

/// Installs what is missing of the servers to compare with, and the programs that pack.
fn install() -> Result<()> {
    const PACKAGES: [&str; 5] = ["nginx-light", "lighttpd", "h2o", "brotli", "gzip"];
    let root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if root { "apt-get" } else { "sudo" });
    if !root {
        command.arg("apt-get");
    }
    command.args(["-qq", "install", "-y", "--no-install-recommends"]).args(PACKAGES);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("apt-get: {status}").into()),
        Err(error) => Err(format!("apt-get: {error}").into()),
    }
}

/// What a program says of itself, on whichever of its outputs; `None` where it isn't installed.
fn said_by(program: &str, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    String::from_utf8([output.stdout, output.stderr].concat()).ok()
}

/// The first word that looks like a version.
fn version(said: &str) -> Option<&str> {
    let words = said.split(|c: char| c.is_whitespace() || "/()".contains(c));
    let looks = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    words.into_iter().find(looks)
}

/// Builds the servers of other crates, which are no part of the workspace.
fn build_peers() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/Cargo.toml");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = target_dir()?.join("peers");
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    if !status.success() {
        return Err("they do not build".into());
    }
    Ok(target.join("release/sockeye-bench-peers"))
}

/// This program stands in target/release or, when it is tried out, in target/debug.
fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.ancestors().nth(2).ok_or("no target folder")?.to_owned())
}

/// Builds the program from this tree, which is quick when nothing changed and right when
/// something did.
fn build() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--release", "--quiet", "-p", "sockeye"])
        .status()?;
    if !status.success() {
        return Err("sockeye does not build".into());
    }
    Ok(target_dir()?.join("release/sockeye"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_what_a_server_prints() {
        for (line, address) in [
            ("http://127.0.0.1:8000", Some("127.0.0.1:8000")),
            ("  at http://127.0.0.1:8000/ (Ctrl-C stops)", Some("127.0.0.1:8000")),
            ("tcp://[::1]:7", Some("[::1]:7")),
            ("message://127.0.0.1:65432", Some("127.0.0.1:65432")),
            ("serving the folder files", None),
        ] {
            assert_eq!(address_in(line), address.map(|a| a.parse().unwrap()), "{line}");
        }
    }

    #[test]
    fn versions_are_found_in_what_servers_say() {
        for (said, found) in [
            ("nginx version: nginx/1.22.1\n", Some("1.22.1")),
            ("lighttpd/1.4.69 (ssl) - a light and fast webserver\n", Some("1.4.69")),
            ("h2o version 2.2.5\nOpenSSL: OpenSSL 3.0\n", Some("2.2.5")),
            ("no such thing", None),
        ] {
            assert_eq!(version(said), found);
        }
    }

    #[test]
    fn content_has_the_size_that_was_asked_for() {
        assert_eq!(content(13), b"Hello, world.");
        assert_eq!(content(100_000).len(), 100_000);
    }
}
