//! Aborts the task of a request that ends early: at once, or, if the task learns that the request's
//! body is incomplete, after a grace period.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use sockeye::Time;
use sockeye::proto::Timed;
use tokio::task::AbortHandle;

/// How long a task may continue after its request's body broke off: enough to delete a file or to
/// roll back a transaction.
const GRACE: Duration = Duration::from_secs(5);

/// Maximum number of tasks in their grace period per worker (event loop). Beyond it, the oldest is
/// aborted, so that clients that break off requests can't accumulate tasks.
const MAX_TASKS: usize = 1024;

/// Aborts a task when it is dropped.
pub(crate) struct AbortOnDrop(pub(crate) AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The tasks of one worker that are in their grace period.
#[derive(Clone, Default)]
pub(crate) struct EndingTasks {
    /// The oldest first, each with the time when it is aborted.
    tasks: Rc<RefCell<VecDeque<(Time, AbortOnDrop)>>>,
}

impl EndingTasks {
    /// Starts the grace period of a task.
    pub(crate) fn push(&self, task: AbortOnDrop, now: Time) {
        let mut tasks = self.tasks.borrow_mut();
        while tasks.len() >= MAX_TASKS
            || tasks.front().is_some_and(|(_, AbortOnDrop(task))| task.is_finished())
        {
            tasks.pop_front();
        }
        tasks.push_back((now + GRACE, task));
    }
}

impl Timed for EndingTasks {
    fn deadline(&self) -> Option<Time> {
        self.tasks.borrow().front().map(|(until, _)| *until)
    }

    fn on_deadline(&mut self, now: Time) {
        let mut tasks = self.tasks.borrow_mut();
        while tasks.front().is_some_and(|(until, _)| *until <= now) {
            tasks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};
    use tokio::task::JoinHandle;

    use super::*;

    fn endless(runtime: &Runtime) -> (AbortOnDrop, JoinHandle<()>) {
        let join = runtime.spawn(std::future::pending());
        (AbortOnDrop(join.abort_handle()), join)
    }

    fn was_aborted(runtime: &Runtime, join: JoinHandle<()>) -> bool {
        runtime.block_on(join).is_err_and(|error| error.is_cancelled())
    }

    #[test]
    fn a_task_is_aborted_after_its_grace_period() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut ending = EndingTasks::default();
        assert_eq!(ending.deadline(), None);
        let start = Time::ZERO;
        let second = start + GRACE / 2;
        let (first_task, first) = endless(&runtime);
        let (second_task, other) = endless(&runtime);
        ending.push(first_task, start);
        ending.push(second_task, second);
        assert_eq!(ending.deadline(), Some(start + GRACE));
        ending.on_deadline(start + GRACE);
        assert!(was_aborted(&runtime, first));
        assert!(!other.is_finished());
        assert_eq!(ending.deadline(), Some(second + GRACE));
        ending.on_deadline(second + GRACE);
        assert!(was_aborted(&runtime, other));
        assert_eq!(ending.deadline(), None);
    }

    #[test]
    fn ending_tasks_are_limited_and_finished_ones_are_removed() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let ending = EndingTasks::default();
        let done = runtime.spawn(async {});
        ending.push(AbortOnDrop(done.abort_handle()), Time::ZERO);
        runtime.block_on(done).unwrap();
        let mut joins = VecDeque::new();
        for _ in 0..=MAX_TASKS {
            let (task, join) = endless(&runtime);
            ending.push(task, Time::ZERO);
            joins.push_back(join);
        }
        assert_eq!(ending.tasks.borrow().len(), MAX_TASKS);
        assert!(was_aborted(&runtime, joins.pop_front().unwrap()));
        assert!(joins.iter().all(|join| !join.is_finished()));
    }
}
