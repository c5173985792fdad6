//! What waiting connections cost the server in CPU time and memory, and how many slow readers are
//! still connected after the write timeout.
//!
//! A cliff is a condition that might make requests more expensive (see `mod.rs`). The command line
//! names the cliffs to measure. Two of them, `idle` and `readers`, are measured here, too.

use std::{fs, net::SocketAddr, thread, time::Duration};

use super::{
    fixture::Fixture,
    strain::{Reads, Strain, idle, readers},
};
use crate::{Result, cpu::Threads, memory, servers::Server};

/// A kind of connections that wait: idle ones, or slow readers.
#[derive(Clone, Copy, Debug)]
struct WaitingKind {
    /// The name of the cliff that this kind is measured with.
    cliff: &'static str,
    title: &'static str,
    count: usize,
    /// Opens a number of such connections to a server. The [`Strain`] keeps them open.
    open: fn(SocketAddr, usize) -> Result<Strain>,
}

const SOME: Reads = Reads::Some(16 << 10);

const KINDS: [WaitingKind; 3] = [
    WaitingKind { cliff: "idle", title: "10,000 idle connections", count: 10_000, open: idle },
    WaitingKind {
        cliff: "readers",
        title: "1,000 that request 1 GiB and read nothing",
        count: 1_000,
        open: |address, count| readers(address, count, Reads::Nothing),
    },
    WaitingKind {
        cliff: "readers",
        title: "1,000 that request 1 GiB and read 16 KiB each second",
        count: 1_000,
        open: |address, count| readers(address, count, SOME),
    },
];

/// How long the server is measured.
const MEASURED_FOR: Duration = Duration::from_secs(4);

/// The figures of one kind of waiting connections.
#[derive(Clone, Debug)]
pub(super) struct WaitingRow {
    pub(super) title: &'static str,
    /// The server's CPU time as a share of one core.
    pub(super) cpu_share: f64,
    /// The server's private memory per connection, in bytes.
    pub(super) bytes_per_connection: f64,
    /// The server's resident memory, in bytes.
    pub(super) resident: u64,
}

/// Measures the kinds that belong to `cliffs`.
pub(super) fn run(fixture: &Fixture, cliffs: &[&str]) -> Result<Vec<WaitingRow>> {
    let wanted = KINDS.iter().filter(|kind| cliffs.contains(&kind.cliff));
    wanted.map(|kind| measure_kind(fixture, kind)).collect()
}

fn measure_kind(fixture: &Fixture, kind: &WaitingKind) -> Result<WaitingRow> {
    let server = fixture.serve("site", &[])?;
    // The first connection makes the server allocate memory that later ones share: don't count it.
    (kind.open)(server.address, 1)?.end()?;
    let before = memory::field(server.pid(), "Anonymous:")?;
    let strain = (kind.open)(server.address, kind.count)?;
    // Gives the buffers of slow readers time to fill.
    thread::sleep(Duration::from_secs(1));
    let begin = Threads::of(server.pid())?;
    thread::sleep(MEASURED_FOR);
    let cpu_time = Threads::of(server.pid())?.since(&begin).cpu_time;
    let after = memory::field(server.pid(), "Anonymous:")?;
    let resident = memory::field(server.pid(), "Rss:")?;
    strain.end()?;
    Ok(WaitingRow {
        title: kind.title,
        cpu_share: cpu_time.as_secs_f64() / MEASURED_FOR.as_secs_f64(),
        bytes_per_connection: (after as f64 - before as f64) / kind.count as f64,
        resident,
    })
}

/// How many slow readers are still connected after three times the write timeout. Of `opened`
/// connections that read nothing, `reading_nothing` are left; of `opened` others, which read 16
/// KiB per second, `reading_some` are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectedReaders {
    pub(super) opened: usize,
    pub(super) reading_nothing: usize,
    pub(super) reading_some: usize,
}

/// The write timeout for this measurement.
pub(super) const TIMEOUT: &str = "4s";
/// When the readers are counted: three times the write timeout.
const COUNT_AFTER: Duration = Duration::from_secs(12);

/// Counts the slow readers that are still connected long after the write timeout.
pub(super) fn count_connected_readers(fixture: &Fixture) -> Result<ConnectedReaders> {
    const COUNT: usize = 200;
    let connected = |reads| -> Result<usize> {
        let server = fixture.serve("site", &["--write-timeout", TIMEOUT])?;
        let before = sockets(&server)?;
        let strain = readers(server.address, COUNT, reads)?;
        thread::sleep(COUNT_AFTER);
        let still_open = sockets(&server)?.saturating_sub(before);
        strain.end()?;
        Ok(still_open)
    };
    Ok(ConnectedReaders {
        opened: COUNT,
        reading_nothing: connected(Reads::Nothing)?,
        reading_some: connected(SOME)?,
    })
}

/// Number of open sockets of the server.
fn sockets(server: &Server) -> Result<usize> {
    let folder = fs::read_dir(format!("/proc/{}/fd", server.pid()))?;
    let targets = folder.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    Ok(targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count())
}
