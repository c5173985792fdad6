//! Warns if no thread runs the tasks of the tokio runtime. Without the warning, requests would wait
//! and nobody would know why.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sockeye::Time;
use sockeye::proto::Timed;
use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::warn;

/// If a new task is not polled within this time, the warning is logged.
const STALLED_AFTER: Duration = Duration::from_secs(1);

/// Watches one task at a time: checks whether it is polled within [`STALLED_AFTER`].
#[derive(Clone)]
pub(crate) struct Watchdog {
    watched: Rc<RefCell<Option<Watched>>>,
    /// Whether a worker of the server has logged the warning.
    warned: Arc<AtomicBool>,
    /// Whether the runtime has no threads of its own.
    current_thread: bool,
}

/// A task that may not have been polled yet.
struct Watched {
    /// The task's [`PollToken`]. When the task has been polled, nobody owns the token any more.
    unpolled: Weak<()>,
    deadline: Time,
}

/// A task drops this when it is first polled. `None` if the task isn't watched.
pub(crate) type PollToken = Option<Arc<()>>;

impl Watchdog {
    /// A watchdog for one worker of a server. The workers of a server share `warned`.
    pub(crate) fn new(runtime: &Handle, warned: Arc<AtomicBool>) -> Self {
        let current_thread = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread;
        Self { watched: Rc::default(), warned, current_thread }
    }

    /// Watches the next task, unless another one is watched or the warning was logged. Returns the
    /// token for the task.
    pub(crate) fn watch_next(&self, now: Time) -> PollToken {
        let mut watched = self.watched.borrow_mut();
        if watched.is_some() || self.warned.load(Ordering::Relaxed) {
            return None;
        }
        let unpolled = Arc::new(());
        *watched =
            Some(Watched { unpolled: Arc::downgrade(&unpolled), deadline: now + STALLED_AFTER });
        Some(unpolled)
    }

    /// Stops watching the task. Returns whether to log the warning: only if the task has not been
    /// polled, and no worker of the server has logged the warning before.
    fn stop_watching(&self) -> bool {
        let watched = self.watched.take();
        watched.is_some_and(|watched| watched.unpolled.strong_count() > 0)
            && !self.warned.swap(true, Ordering::Relaxed)
    }
}

impl Timed for Watchdog {
    fn deadline(&self) -> Option<Time> {
        self.watched.borrow().as_ref().map(|watched| watched.deadline)
    }

    fn on_deadline(&mut self, _: Time) {
        if !self.stop_watching() {
            return;
        }
        let why = if self.current_thread {
            "a current-thread runtime runs only while a thread is in its block_on: keep one there, \
             or use a multi-thread runtime; if one is there, something blocks it"
        } else {
            "all threads of the runtime are blocked: use spawn_blocking for blocking work"
        };
        warn!(target: "sockeye", why, "the tokio runtime has not polled a new request for 1 s");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Time {
        Time::ZERO + Duration::from_secs(secs)
    }

    fn watch(warned: &Arc<AtomicBool>) -> Watchdog {
        let (watched, warned) = (Rc::default(), Arc::clone(warned));
        Watchdog { watched, warned, current_thread: true }
    }

    #[test]
    fn a_task_that_is_not_polled_causes_one_warning_per_server() {
        let warned = Arc::default();
        let watches = [watch(&warned), watch(&warned)];
        assert_eq!(watches[0].deadline(), None);
        let polled = watches[0].watch_next(secs(5));
        assert_eq!(watches[0].deadline(), Some(secs(6)));
        assert!(polled.is_some() && watches[0].watch_next(secs(5)).is_none(), "one at a time");
        drop(polled);
        assert!(!watches[0].stop_watching());
        assert_eq!(watches[0].deadline(), None);

        // The runtime has stopped.
        let unpolled = watches.each_ref().map(|watch| watch.watch_next(secs(7)));
        assert_eq!(watches.each_ref().map(Watchdog::stop_watching), [true, false]);
        assert!(unpolled.iter().all(Option::is_some));
        assert!(watches[0].watch_next(secs(9)).is_none(), "one warning is enough");
    }
}
