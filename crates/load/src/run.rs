//! Runs a load on threads of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use sockeye_engine::driver::Wake;

use crate::expected::Probe;
use crate::plan::{Plan, Until};
use crate::stats::Stats;
use crate::worker::{Share, Worker};

/// How often the progress of a load is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Stops a load, from any thread. Clones stop the same load.
#[derive(Clone, Default)]
pub struct StopHandle(Arc<Stop>);

#[derive(Default)]
struct Stop {
    stopped: AtomicBool,
    /// Each of them wakes one worker of the load.
    wakers: Mutex<Vec<Arc<dyn Wake>>>,
}

impl StopHandle {
    /// Ends the load now, without waiting for pending responses.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        let wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.iter().for_each(|waker| waker.wake());
    }

    fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }
}

impl fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StopHandle").field(&self.is_stopped()).finish()
    }
}

/// The progress of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Time since the load started.
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
    /// How long the load took. It ends when no more requests are sent, or with the last response,
    /// whichever is later. With [`Until::Requests`], it doesn't end before the last failure.
    pub time: Duration,
    /// A [`StopHandle`] stopped the load.
    pub stopped: bool,
}

/// The responses and failures of one thread so far.
type LiveCounts = [AtomicU64; 2];

/// Runs a load until it ends. Calls `report` every second.
///
/// # Errors
///
/// When a thread or an event loop can't be created, or an event loop fails. A failed request is no
/// error; [`Stats::failures`] counts it.
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
            // If another thread has failed, the receiver is gone, and nobody needs this result.
            let work = move || drop(done.send(work(plan, probe, *share, counts, stop)));
            let thread = thread::Builder::new().name(format!("load-{at}"));
            thread.spawn_scoped(scope, work).inspect_err(|_| stop.stop())?;
        }
        drop(done);
        loop {
            match results.recv_timeout(REPORT_INTERVAL) {
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

/// Runs one thread's share of the load.
fn work(
    plan: &Arc<Plan>,
    probe: &Probe,
    share: Share,
    counts: &LiveCounts,
    stop: &StopHandle,
) -> io::Result<(Stats, Duration)> {
    let mut worker = Worker::new(Arc::clone(plan), probe, share)?;
    // Registered before `stop` is first checked, so that no stop is missed.
    stop.0.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(worker.waker());
    // Before the load, the probe has sent each request. The time that this took is part of the
    // plan's time.
    let time = match plan.until {
        Until::Time(time) => Some(time.saturating_sub(probe.time)),
        Until::Requests(_) => None,
    };
    let keep_running = |responses, failures| {
        counts[0].store(responses, Ordering::Relaxed);
        counts[1].store(failures, Ordering::Relaxed);
        !stop.is_stopped()
    };
    worker.run(time, keep_running)?;
    worker.finish(keep_running)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use sockeye_engine::driver::Target;

    use super::*;
    use crate::plan::{LoadKind, PreparedRequest};

    /// A load on a server that reads requests of one byte and never responds.
    fn silent() -> (TcpListener, Arc<Plan>, Probe) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut plan = Plan::new(LoadKind::Echo, vec![PreparedRequest::bytes("x".into())]);
        plan.connections = std::num::NonZeroUsize::MIN;
        plan.until = Until::Requests(1);
        let target = Target::Ip(listener.local_addr().unwrap());
        (listener, plan.into(), Probe { target, time: Duration::ZERO, expected: [].into() })
    }

    #[test]
    fn stop_wakes_a_load_that_waits_for_a_response() {
        let (listener, plan, probe) = silent();
        let stop = StopHandle::default();
        let stopper = stop.clone();
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.read_exact(&mut [0]).unwrap();
            stopper.stop();
            stream
        });
        let outcome = run(&plan, &probe, &stop, |_| {}).unwrap();
        server.join().unwrap();
        assert!(outcome.stopped);
        assert_eq!(outcome.stats.failures.total(), 0, "it would have timed out otherwise");
        assert_eq!(outcome.stats.unanswered, 1);
    }

    #[test]
    fn a_warm_up_is_left_out_of_the_latencies_alone() {
        let (listener, plan, probe) = silent();
        let mut plan = Plan::clone(&plan);
        plan.until = Until::Requests(3);
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut echo = [0];
            while let Ok(1..) = stream.read(&mut echo) {
                stream.write_all(&echo).unwrap();
            }
        });
        let share = Share::all(&plan);
        let mut worker = Worker::new(plan.into(), &probe, share).unwrap();
        worker.run(None, |responses, _| responses == 0).unwrap();
        // The server may have sent more than one response by now.
        let warm_up = worker.responses();
        worker.reset_latencies();
        worker.run(None, |_, _| true).unwrap();
        let (stats, _) = worker.finish(|_, _| true).unwrap();
        server.join().unwrap();
        assert_eq!((stats.responses, stats.latencies.count()), (3, 3 - warm_up));
    }

    #[test]
    fn a_load_that_waits_for_a_response_does_not_poll() {
        let (_listener, plan, probe) = silent();
        let share = Share::all(&plan);
        let mut worker = Worker::new(plan, &probe, share).unwrap();
        let mut calls = 0;
        let keep_running = |_, _| {
            calls += 1;
            true
        };
        worker.run(Some(Duration::from_secs(1)), keep_running).unwrap();
        assert!(calls < 10, "{calls}");
    }
}
