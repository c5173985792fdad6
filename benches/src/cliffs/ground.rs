//! What all cliffs stand on: folders to serve, and our servers over them, plain or traced.

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

/// Bytes of a file of which a folder has many.
const EACH: usize = 200;
/// Longer than what any buffer takes, and without a byte on the disk.
pub(super) const HUGE: u64 = 1 << 30;

/// Where the calls to the kernel of a server are counted.
#[derive(Debug)]
struct Trace {
    out: PathBuf,
    /// So many are made over one connection, whatever a plan says.
    requests: u64,
}

/// Folders and servers.
#[derive(Debug)]
pub(super) struct Ground {
    setup: Setup,
    trace: Option<Trace>,
}

impl Ground {
    /// With the server that is named, or the one that is built from this tree.
    pub(super) fn new(server: Option<&str>) -> Result<Self> {
        let ground = Self { setup: Setup::ours_at(server)?, trace: None };
        let site = ground.path("site");
        fs::create_dir_all(site.join("list"))?;
        for (name, size) in
            [("small.txt", 13), ("16k.bin", 16 << 10), ("100k.bin", 100 << 10), ("1m.bin", 1 << 20)]
        {
            fs::write(site.join(name), content(size))?;
        }
        for number in 0..10 {
            fs::write(site.join("list").join(file_name(number)), content(EACH))?;
        }
        File::create(site.join("huge.bin"))?.set_len(HUGE)?;
        Ok(ground)
    }

    pub(super) fn cores(&self) -> Cores {
        self.setup.cores
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.setup.path(name)
    }

    /// The name of a folder with so many files, [`file_name`] each, which is made when it is first
    /// asked for.
    pub(super) fn folder_of(&self, count: usize) -> Result<String> {
        let name = format!("of-{count}");
        let path = self.path(&name);
        if !path.exists() {
            eprintln!("  making {count} files");
            fs::create_dir(&path)?;
            let text = content(EACH);
            for number in 0..count {
                fs::write(path.join(file_name(number)), &text)?;
            }
        }
        Ok(name)
    }

    /// `sockeye http` of a folder, with one worker.
    pub(super) fn serve(&self, folder: &str, more: &[&str]) -> Result<Server> {
        let path = self.path(folder);
        let mut words =
            ["http", "--workers", "1", "--listen", "127.0.0.1:0"].map(OsStr::new).to_vec();
        words.push(path.as_os_str());
        words.extend(more.iter().map(OsStr::new));
        self.start(Program::Sockeye, &words)
    }

    /// The service whose responses are written in pieces: see [`streams`](super::streams).
    pub(super) fn streams(&self) -> Result<Server> {
        self.start(Program::Bench, &["cliffs", "streams"].map(OsStr::new))
    }

    fn start(&self, program: Program, words: &[&OsStr]) -> Result<Server> {
        self.setup.start_words(program, words, self.trace.as_ref().map(|trace| &*trace.out))
    }

    /// A client that has learned what `server` answers, and goes on until it is told to stop or, where
    /// the plan says so, until all is asked.
    pub(super) fn client(&self, server: &Server, plan: Plan) -> Result<Worker> {
        let probe = learn(server, &plan)?;
        self.client_that_knows(server, plan, probe)
    }

    /// The same of a client that has learned elsewhere: its first request is the server's first.
    pub(super) fn client_that_knows(
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

    /// Has servers traced, and clients make so many requests, while `work` is done, which says when
    /// they were made; returns the calls of that time.
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

/// What the responses to a plan's requests look like.
pub(super) fn learn(server: &Server, plan: &Plan) -> Result<Probe> {
    Ok(sockeye_load::probe(plan, &[Target::Ip(server.address)])?)
}

/// The name of one of many files.
pub(super) fn file_name(number: usize) -> String {
    format!("{number:06}.txt")
}

/// Writes a file as careful programs do: beside it, and then in its place.
pub(super) fn put_in_place(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, content)?;
    fs::rename(beside, path)
}
