//! Finds or builds the servers, and starts them on free ports.
//!
//! [`Kind`] lists the servers; [`process`] has the type of a running server. Other servers than our
//! own are left out, with a message, if they are not available.

use std::{env, fs, net::SocketAddr, path::PathBuf, process::Command};

use crate::{
    Result,
    args::Args,
    cpu::Cores,
    kind::{Kind, Origin},
    pages,
    probe::Response,
    programs::{self, OtherServer},
    rows::{FILES, ROWS, Row, Shape, content},
    tls::Certificate,
};

mod config;
mod ours;
mod peers;
mod process;
mod system;

pub(crate) use process::Server;

/// The length of a request in bytes (over HTTP/2 always 0), and the response that a server is
/// expected to send.
pub(crate) type ExpectedExchange = (usize, Response);

/// Maximum number of attempts of a run, which is repeated if other work of the machine disturbs it:
/// see [`Run::disturbed`](crate::compare::Run::disturbed).
const TRIES: u32 = 5;

/// What is prepared for all servers: their programs, the folder that they serve, a certificate, and
/// the two cores of a measurement.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) cores: Cores,
    /// A temporary folder, which is removed when this value is dropped.
    dir: PathBuf,
    /// Our program, if it is measured.
    sockeye: Option<PathBuf>,
    /// Another build of our program, to compare with.
    before: Option<PathBuf>,
    /// The output of `nginx -V`, which says what this nginx supports.
    nginx: Option<String>,
    /// The available other servers.
    other_servers: Vec<OtherServer>,
    /// The maximum number of connections, for the configurations of servers that need one.
    connections: usize,
    /// The certificate of all servers, for loads over TLS.
    pub(crate) certificate: Certificate,
    /// Maximum number of attempts of a run that other work disturbs.
    pub(crate) tries: u32,
}

impl Setup {
    /// Finds or builds the programs, and creates the folder.
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let wants = |kind| args.servers.contains(&kind);
        if args.install {
            programs::install(&args.servers);
        }
        for path in args.server.iter().chain(&args.before) {
            if !path.is_file() {
                return Err(format!("{} is not a program", path.display()).into());
            }
        }
        let sockeye = match &args.server {
            _ if !wants(Kind::Ours) => None,
            Some(path) => Some(path.clone()),
            None => Some(programs::build_ours()?),
        };
        let before = args.before.clone();
        let nginx = if wants(Kind::Nginx) { programs::version_output("nginx", "-V") } else { None };
        let mut other_servers = Vec::new();
        for kind in args.servers.iter().copied().filter(|kind| kind.origin() != Origin::Tree) {
            match programs::other_server(kind, args.quick) {
                Ok(other) => other_servers.push(other),
                Err(error) => eprintln!("{} is left out: {error}", kind.name()),
            }
        }
        let dir = env::temp_dir().join(format!("sockeye-benches-{}", std::process::id()));
        fs::create_dir_all(dir.join("files"))?;
        // More than any row opens: a row has either `args.idle` connections, or at most 1,000.
        let connections = args.idle + 2000;
        // With `--quick`, the results don't matter, so a disturbed run is not repeated.
        let tries = if args.quick { 1 } else { TRIES };
        let cores = Cores::choose()?;
        let certificate = Certificate::make(&dir)?;
        let setup = Self {
            cores,
            dir,
            sockeye,
            before,
            nginx,
            other_servers,
            connections,
            certificate,
            tries,
        };
        for file in FILES {
            fs::write(setup.file(file.name), content(file.size))?;
        }
        let page = |row: &&Row| row.load.is_page() && args.rows.contains(&row.name);
        if ROWS.iter().any(|row| page(&row)) && pages::write(&setup.file("pages"))? == 0 {
            eprintln!(
                "neither brotli nor gzip is installed: the pages have no precompressed files"
            );
        }
        Ok(setup)
    }

    /// A setup with only our server, built from this tree.
    pub(crate) fn only_ours() -> Result<Self> {
        let args = crate::args::parse(&["--servers".to_owned(), "ours".to_owned()])?;
        let mut args = args.ok_or("unexpected --help")?;
        args.rows.clear();
        Self::new(&args)
    }

    /// A path for a temporary file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The available servers among `wanted`, in the order of [`Kind::ALL`].
    pub(crate) fn kinds(&self, wanted: &[Kind]) -> Vec<Kind> {
        let here = |kind: &Kind| match kind {
            Kind::Limit => true,
            Kind::Ours => self.sockeye.is_some(),
            Kind::Before => self.before.is_some(),
            kind => self.other_servers.iter().any(|other| other.kind == *kind),
        };
        Kind::ALL.into_iter().filter(|kind| wanted.contains(kind) && here(kind)).collect()
    }

    /// The versions of the available other servers, such as `nginx 1.22.1`.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.other_servers.iter().map(|other| other.version.clone()).collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join("files").join(name)
    }

    /// Creates a server's access log, or empties an old one. Returns the path.
    fn fresh_log(&self, kind: Kind) -> Result<PathBuf> {
        let path = self.dir.join(format!("{}-access.log", kind.name()));
        fs::File::create(&path)?;
        Ok(path)
    }

    fn program(&self, kind: Kind) -> Result<&PathBuf> {
        let other = self.other_servers.iter().find(|other| other.kind == kind);
        Ok(&other.ok_or_else(|| format!("{} is not available", kind.name()))?.program)
    }

    /// Starts a server on the servers' core, or returns `None` if it can't serve this load.
    ///
    /// The bare server, [`Kind::Limit`], sends the responses of `exchanges`.
    pub(crate) fn start(
        &self,
        kind: Kind,
        load: Shape,
        exchanges: &[ExpectedExchange],
    ) -> Result<Option<Server>> {
        if !kind.supports(load) {
            return Ok(None);
        }
        let command = match kind {
            Kind::Limit => self.limit(load, exchanges)?,
            Kind::Ours | Kind::Before => self.sockeye(kind, load)?,
            Kind::Axum
            | Kind::Hyper
            | Kind::May
            | Kind::Tokio
            | Kind::Tungstenite
            | Kind::NodeWs => self.peer(kind, load)?,
            Kind::StaticWebServer => return self.static_web_server(load).map(Some),
            Kind::Nghttpd => return self.nghttpd().map(Some),
            Kind::Nginx | Kind::Lighttpd | Kind::H2o => {
                return self.configured(kind, load).map(Some);
            }
        };
        self.spawn(kind, command, None).map(Some)
    }

    fn spawn(
        &self,
        kind: Kind,
        command: Command,
        fixed_address: Option<SocketAddr>,
    ) -> Result<Server> {
        let log = self.dir.join(format!("{}.log", kind.name()));
        Server::start(command, self.cores, &log, fixed_address)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // A leftover in the temporary folder is harmless.
        let _ = fs::remove_dir_all(&self.dir);
    }
}
