//! A whole load, on threads of its own.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sockeye_engine::driver::Wake;

use crate::lesson::Lesson;
use crate::plan::{Plan, Until};
use crate::stats::Stats;
use crate::worker::{Share, Worker};

/// How often a load that runs tells how far it is.
const TICK: Duration = Duration::from_secs(1);

/// Stops a load, from any thread. Clones stop the same one.
#[derive(Clone, Default)]
pub struct Control {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    stopped: AtomicBool,
    wakers: Mutex<Vec<Arc<dyn Wake>>>,
}

impl Control {
    /// Ends the load now. What is under way is not waited for.
    pub fn stop(&self) {
        self.state.stopped.store(true, Ordering::Release);
        let wakers = self.state.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.iter().for_each(|waker| waker.wake());
    }

    fn is_stopped(&self) -> bool {
        self.state.stopped.load(Ordering::Acquire)
    }

    fn add(&self, waker: Arc<dyn Wake>) {
        self.state.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(waker);
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("stopped", &self.is_stopped()).finish()
    }
}

/// How far a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Since it began.
    pub time: Duration,
    /// Responses so far.
    pub replies: u64,
    /// Whatever went wrong so far.
    pub troubles: u64,
}

/// What a load came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was counted, of all threads together.
    pub stats: Stats,
    /// How long it took, with what was waited for at the end.
    pub time: Duration,
    /// It was ended from outside, before its time.
    pub stopped: bool,
}

/// What the threads have counted, for whoever watches.
#[derive(Debug, Default)]
struct Live {
    replies: AtomicU64,
    troubles: AtomicU64,
}

/// Makes a load, and waits for its end. `watch` is told every second how far it is.
///
/// # Errors
///
/// When no thread or no poller is to be had, or one fails. What goes wrong with requests is counted.
pub fn run(
    plan: &Arc<Plan>,
    lesson: &Lesson,
    control: &Control,
    mut watch: impl FnMut(&Seen),
) -> io::Result<Outcome> {
    let (done, results) = mpsc::channel();
    let mut lives: Vec<Arc<Live>> = Vec::new();
    let begun = Instant::now();
    for (at, share) in Share::of_threads(plan).into_iter().enumerate() {
        let live = Arc::<Live>::default();
        lives.push(Arc::clone(&live));
        let (plan, lesson) = (Arc::clone(plan), lesson.clone());
        let (done, stops) = (done.clone(), control.clone());
        let thread = thread::Builder::new().name(format!("load-{at}"));
        let work = move || {
            // Nobody to tell is a main thread that gave up for another one's failure.
            let _ = done.send(work(&plan, &lesson, share, &live, &stops));
        };
        thread.spawn(work).inspect_err(|_| control.stop())?;
    }
    drop(done);
    let mut stats = Stats::default();
    let mut time = Duration::ZERO;
    loop {
        match results.recv_timeout(TICK) {
            Ok(result) => {
                let (counted, took) = result.inspect_err(|_| control.stop())?;
                stats.merge(counted);
                time = time.max(took);
            }
            Err(RecvTimeoutError::Timeout) => {
                let sum = |of: fn(&Live) -> &AtomicU64| {
                    lives.iter().map(|live| of(live).load(Ordering::Relaxed)).sum()
                };
                watch(&Seen {
                    time: begun.elapsed(),
                    replies: sum(|live| &live.replies),
                    troubles: sum(|live| &live.troubles),
                });
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(Outcome { stats, time, stopped: control.is_stopped() })
}

/// One thread's part.
fn work(
    plan: &Arc<Plan>,
    lesson: &Lesson,
    share: Share,
    live: &Live,
    control: &Control,
) -> io::Result<(Stats, Duration)> {
    let mut worker = Worker::new(Arc::clone(plan), lesson, share)?;
    control.add(worker.waker());
    let length = match plan.until {
        Until::Time(length) => Some(length.saturating_sub(lesson.took)),
        Until::Requests(_) => None,
    };
    let go_on = |replies, troubles| {
        live.replies.store(replies, Ordering::Relaxed);
        live.troubles.store(troubles, Ordering::Relaxed);
        !control.is_stopped()
    };
    worker.run(length, go_on)?;
    worker.finish(go_on)
}
