//! Creates the folders to serve, and starts our servers, with or without strace.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use sockeye_engine::driver::Target;
use sockeye_load::{Plan, Probe, Share, Until, Worker};

use super::trace::{Calls, Window};
use crate::{
    Result,
    cpu::Cores,
    programs::Program,
    rows::content,
    servers::{Server, Setup},
};

/// Size of a file in a folder with many files, in bytes.
const FILE_SIZE: usize = 200;
/// Size of a sparse file that is larger than any buffer, in bytes.
pub(super) const HUGE: u64 = 1 << 30;

/// How servers are traced.
#[derive(Debug)]
struct Trace {
    /// The output file of strace.
    out: PathBuf,
    /// Number of requests, over one connection.
    requests: u64,
}

/// Creates folders, and starts servers and clients.
#[derive(Debug)]
pub(super) struct Fixture {
    setup: Setup,
    trace: Option<Trace>,
}

impl Fixture {
    /// Creates the folder `site`. `server` is the program to run; by default, the one that is built
    /// from this tree.
    pub(super) fn new(server: Option<&str>) -> Result<Self> {
        let fixture = Self { setup: Setup::ours_at(server)?, trace: None };
        let site = fixture.path("site");
        fs::create_dir_all(site.join("list"))?;
        for (name, size) in
            [("small.txt", 13), ("16k.bin", 16 << 10), ("100k.bin", 100 << 10), ("1m.bin", 1 << 20)]
        {
            fs::write(site.join(name), content(size))?;
        }
        for number in 0..10 {
            fs::write(site.join("list").join(file_name(number)), content(FILE_SIZE))?;
        }
        File::create(site.join("huge.bin"))?.set_len(HUGE)?;
        Ok(fixture)
    }

    pub(super) fn cores(&self) -> Cores {
        self.setup.cores
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.setup.path(name)
    }

    /// The name of a folder with `count` files, which [`file_name`] names. Creates the folder if it
    /// doesn't exist.
    pub(super) fn folder_of(&self, count: usize) -> Result<String> {
        let name = format!("of-{count}");
        let path = self.path(&name);
        if !path.exists() {
            eprintln!("  making {count} files");
            fs::create_dir(&path)?;
            let text = content(FILE_SIZE);
            for number in 0..count {
                fs::write(path.join(file_name(number)), &text)?;
            }
        }
        Ok(name)
    }

    /// Starts `sockeye http` for a folder, with one worker. `more`: further arguments.
    pub(super) fn serve(&self, folder: &str, more: &[&str]) -> Result<Server> {
        let path = self.path(folder);
        let mut words =
            ["http", "--workers", "1", "--listen", "127.0.0.1:0"].map(OsStr::new).to_vec();
        words.push(path.as_os_str());
        words.extend(more.iter().map(OsStr::new));
        self.start(Program::Sockeye, &words)
    }

    /// Starts the service of [`streams`](super::streams).
    pub(super) fn streams(&self) -> Result<Server> {
        self.start(Program::Bench, &["cliffs", "streams"].map(OsStr::new))
    }

    fn start(&self, program: Program, words: &[&OsStr]) -> Result<Server> {
        self.setup.start_with_args(program, words, self.trace.as_ref().map(|trace| &*trace.out))
    }

    /// A client that has learned which responses to expect from `server`. The client runs until it
    /// is stopped, or to the end of the plan; while servers are traced, for [`Trace::requests`]
    /// requests over one connection.
    pub(super) fn client(&self, server: &Server, plan: Plan) -> Result<Worker> {
        let probe = learn(server, &plan)?;
        self.client_with_probe(server, plan, probe)
    }

    /// Like [`Fixture::client`], but `probe` is from another server, so that the client's first
    /// request is the first that `server` gets.
    pub(super) fn client_with_probe(
        &self,
        server: &Server,
        mut plan: Plan,
        mut probe: Probe,
    ) -> Result<Worker> {
        probe.target = Target::Ip(server.address);
        if let Some(trace) = &self.trace {
            plan.connections = std::num::NonZeroUsize::MIN;
            plan.until = Until::Requests(trace.requests);
        }
        let share = Share::all(&plan);
        Ok(Worker::new(Arc::new(plan), &probe, share)?)
    }

    /// Traces the servers that `work` starts. `work` makes `requests` requests, and returns the
    /// time window in which it made them. Returns the system calls per request in that window.
    pub(super) fn traced(
        &mut self,
        requests: u64,
        work: impl FnOnce(&Self) -> Result<Window>,
    ) -> Result<Calls> {
        let out = self.path("calls");
        self.trace = Some(Trace { out: out.clone(), requests });
        let done = work(self);
        self.trace = None;
        Ok(Calls::within(&fs::read_to_string(out)?, &done?, requests))
    }
}

/// Sends a plan's requests, to learn which responses a client has to expect.
pub(super) fn learn(server: &Server, plan: &Plan) -> Result<Probe> {
    Ok(sockeye_load::probe(plan, &[Target::Ip(server.address)])?)
}

/// The name of one of many files.
pub(super) fn file_name(number: usize) -> String {
    format!("{number:06}.txt")
}

/// Replaces a file atomically: writes a temporary file, and renames it.
pub(super) fn replace_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, content)?;
    fs::rename(temporary, path)
}
