//! A whole load, on its own threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::expected::Probe;
use crate::plan::{Plan, Until};
use crate::stats::Stats;
use crate::worker::{Share, Worker};

/// How often the progress of a load is reported.
const TICK: Duration = Duration::from_secs(1);

/// Stops a load, from any thread. Clones stop the same load.
#[derive(Clone, Debug, Default)]
pub struct StopHandle(Arc<AtomicBool>);

impl StopHandle {
    /// Ends the load, within 100 ms. Pending responses are not waited for.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The progress of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Since it started.
    pub time: Duration,
    /// Responses so far.
    pub responses: u64,
    /// Failures so far.
    pub failures: u64,
}

/// The result of a load.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The counts of all threads.
    pub stats: Stats,
    /// How long it took, including the wait for pending responses.
    pub time: Duration,
    /// It was stopped early.
    pub stopped: bool,
}

/// The responses and failures of one thread so far.
type LiveCounts = [AtomicU64; 2];

/// Makes a load, and waits for its end. Calls `report` every second.
///
/// # Errors
///
/// When a thread or a poller can't be created, or a poller fails. Failed requests are counted.
pub fn run(
    plan: &Arc<Plan>,
    probe: &Probe,
    stop: &StopHandle,
    mut report: impl FnMut(&Progress),
) -> io::Result<Outcome> {
    let started = Instant::now();
    let shares = Share::of_threads(plan);
    let counts: Vec<LiveCounts> = shares.iter().map(|_| LiveCounts::default()).collect();
    let (mut stats, mut time) = (Stats::default(), Duration::ZERO);
    thread::scope(|scope| {
        let (done, results) = mpsc::channel();
        for (at, (share, counts)) in shares.iter().zip(&counts).enumerate() {
            let done = done.clone();
            // The receiver is gone if another thread has failed.
            let work = move || drop(done.send(work(plan, probe, *share, counts, stop)));
            let thread = thread::Builder::new().name(format!("load-{at}"));
            thread.spawn_scoped(scope, work).inspect_err(|_| stop.stop())?;
        }
        drop(done);
        loop {
            match results.recv_timeout(TICK) {
                Ok(result) => {
                    let (counted, took) = result.inspect_err(|_| stop.stop())?;
                    stats.merge(counted);
                    time = time.max(took);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let [responses, failures] = [0, 1].map(|at| {
                        counts.iter().map(|counts| counts[at].load(Ordering::Relaxed)).sum()
                    });
                    report(&Progress { time: started.elapsed(), responses, failures });
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    })
    .map(|()| Outcome { stats, time, stopped: stop.is_stopped() })
}

/// Runs one thread's share.
fn work(
    plan: &Arc<Plan>,
    probe: &Probe,
    share: Share,
    counts: &LiveCounts,
    stop: &StopHandle,
) -> io::Result<(Stats, Duration)> {
    let mut worker = Worker::new(Arc::clone(plan), probe, share)?;
    let time = match plan.until {
        Until::Time(time) => Some(time.saturating_sub(probe.time)),
        Until::Requests(_) => None,
    };
    let go_on = |responses, failures| {
        counts[0].store(responses, Ordering::Relaxed);
        counts[1].store(failures, Ordering::Relaxed);
        !stop.is_stopped()
    };
    worker.run(time, go_on)?;
    worker.finish(go_on)
}
