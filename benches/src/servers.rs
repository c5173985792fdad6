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

use crate::{
    Result,
    args::Args,
    cpu::{self, Cores},
    probe::Reply,
    rows::{FILES, SENDFILE_FROM, Shape},
};

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Limit,
    Ours,
    Nginx,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Ours => "Sockeye",
            Self::Nginx => "nginx",
        }
    }
}

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
    connections: usize,
    /// How often a run is tried that other work disturbs.
    pub(crate) tries: u32,
}

impl Setup {
    /// Builds what is missing and lays out the folder.
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let wants = |kind| args.servers.contains(&kind);
        let sockeye = match &args.server {
            _ if !wants(Kind::Ours) => None,
            Some(path) => Some(path.clone()),
            None => Some(build()?),
        };
        let nginx = if wants(Kind::Nginx) { nginx_version() } else { None };
        if wants(Kind::Nginx) && nginx.is_none() {
            eprintln!("nginx is not installed: left out");
        }
        let dir = env::temp_dir().join(format!("sockeye-benches-{}", std::process::id()));
        fs::create_dir_all(dir.join("files"))?;
        let connections = args.idle + 2000;
        // What only shows that everything works need not be quiet.
        let tries = if args.quick { 1 } else { TRIES };
        let setup = Self { cores: Cores::choose()?, dir, sockeye, nginx, connections, tries };
        for file in FILES {
            fs::write(setup.file(file.name), content(file.size))?;
        }
        Ok(setup)
    }

    /// The servers that are here, the limit first.
    pub(crate) fn kinds(&self, wanted: &[Kind]) -> Vec<Kind> {
        let here = |kind: &Kind| match kind {
            Kind::Limit => true,
            Kind::Ours => self.sockeye.is_some(),
            Kind::Nginx => self.nginx.is_some(),
        };
        [Kind::Limit, Kind::Ours, Kind::Nginx]
            .into_iter()
            .filter(|kind| wanted.contains(kind) && here(kind))
            .collect()
    }

    /// As in `nginx/1.22.1`.
    pub(crate) fn nginx_name(&self) -> Option<&str> {
        self.nginx.as_deref()?.lines().next()?.split(": ").nth(1)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join("files").join(name)
    }

    /// Starts a server on its core; `None` where this kind has nothing for this load.
    ///
    /// The limit sends `reply`.
    pub(crate) fn start(&self, kind: Kind, load: Shape, reply: &Reply) -> Result<Option<Server>> {
        let command = match (kind, load) {
            (Kind::Nginx, Shape::Echo | Shape::Message { .. }) => return Ok(None),
            (Kind::Limit, _) => self.limit(load, reply)?,
            (Kind::Ours, _) => self.ours(load)?,
            (Kind::Nginx, _) => return self.nginx(load).map(Some),
        };
        self.spawn(kind, command, None).map(Some)
    }

    fn limit(&self, load: Shape, reply: &Reply) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("limit");
        let path = self.dir.join("reply");
        let Some(file) = load.file() else {
            if load == Shape::Echo {
                command.arg("echo");
            } else {
                fs::write(&path, &reply.body)?;
                command.arg("frames").arg(load.request().len().to_string()).arg(path);
            }
            if load.churns() {
                command.arg("close");
            }
            return Ok(command);
        };
        if file.size >= SENDFILE_FROM {
            fs::write(&path, &reply.head)?;
            command.arg("file").arg(path).arg(self.file(file.name));
        } else {
            fs::write(&path, [&reply.head[..], &reply.body].concat())?;
            command.arg("reply").arg(path);
        }
        if load.churns() {
            command.arg("close");
        }
        Ok(command)
    }

    fn ours(&self, load: Shape) -> Result<Command> {
        let mut command = Command::new(self.sockeye.as_ref().ok_or("no sockeye to measure")?);
        match load {
            Shape::Echo => command.arg("echo"),
            Shape::Message { .. } => command.arg("message").args(["--workers", "1"]),
            _ => command.arg("http").arg(self.dir.join("files")).args(["--workers", "1"]),
        };
        command.args(["--listen", "127.0.0.1:0"]);
        Ok(command)
    }

    fn nginx(&self, load: Shape) -> Result<Server> {
        // nginx can't say which free port it took. Nobody else is expected to want this one.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = self.dir.join("nginx.conf");
        fs::write(&config, self.nginx_config(address, load))?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&self.dir).arg("-c").arg(config);
        command.arg("-e").arg(self.dir.join("nginx-errors"));
        self.spawn(Kind::Nginx, command, Some(address))
    }

    /// nginx as a careful administrator would set it up for speed. Its small reply comes from its
    /// configuration, not from a file, which is the fastest that it can.
    fn nginx_config(&self, address: SocketAddr, load: Shape) -> String {
        let dir = self.dir.display();
        let built = self.nginx.as_deref().unwrap_or_default();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .filter(|module| !built.contains(&format!("--without-http_{module}_module")))
            .map(|module| format!("  {module}_temp_path {dir}/{module};\n"))
            .collect();
        let small = match load.file() {
            Some(file) if file == FILES[0] => {
                let body = String::from_utf8(content(file.size)).expect("the content is ASCII");
                format!("location = /{} {{ return 200 \"{body}\"; }}", file.name)
            }
            _ => String::new(),
        };
        format!(
            "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\n\
             events {{ worker_connections {connections}; }}\n\
             http {{\n{temporary}\
             \x20 access_log off;\n  sendfile on;\n  {push}\n  keepalive_requests 1000000000;\n\
             \x20 open_file_cache max=1000 inactive=60s;\n  open_file_cache_valid 1s;\n\
             \x20 server {{ listen {address}; root {dir}/files; {small} }}\n}}\n",
            connections = self.connections,
            // Measured: whole packets are cheaper up to a few hundred KiB, and dearer above.
            push = if load.file().is_some_and(|file| file.size >= 1 << 20) {
                "tcp_nopush off; sendfile_max_chunk 128k;"
            } else {
                "tcp_nopush on;"
            },
        )
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

fn nginx_version() -> Option<String> {
    let output = Command::new("nginx").arg("-V").output().ok()?;
    String::from_utf8(output.stderr).ok()
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
    // This program stands in target/release or, when it is tried out, in target/debug.
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("no target folder")?;
    Ok(target.join("release/sockeye"))
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
    fn content_has_the_size_that_was_asked_for() {
        assert_eq!(content(13), b"Hello, world.");
        assert_eq!(content(100_000).len(), 100_000);
    }
}
