//! Tasks whose request is over, and how they end: aborted, at once or after a grace period.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use sockeye::Time;
use sockeye::proto::Timed;
use tokio::task::AbortHandle;

/// How long a task goes on whose request's body broke off: enough to remove a file or to tell a
/// database.
const GRACE: Duration = Duration::from_secs(5);

/// How many tasks of one worker go on like that at most. Beyond it the oldest is aborted, so that
/// clients that come and leave can't gather more.
const MOST: usize = 1024;

/// A task that is aborted when nobody waits for it any more.
pub(crate) struct AbortOnDrop(AbortHandle);

impl AbortOnDrop {
    pub(crate) fn new(handle: AbortHandle) -> Self {
        Self(handle)
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The tasks of one worker that have their grace period.
#[derive(Clone, Default)]
pub(crate) struct EndingTasks {
    /// The oldest in front, with when it is aborted.
    tasks: Rc<RefCell<VecDeque<(Time, AbortOnDrop)>>>,
}

impl EndingTasks {
    /// Lets the task go on for a while.
    pub(crate) fn push(&self, task: AbortOnDrop, now: Time) {
        let mut tasks = self.tasks.borrow_mut();
        while tasks.len() >= MOST
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
        (AbortOnDrop::new(join.abort_handle()), join)
    }

    fn was_aborted(runtime: &Runtime, join: JoinHandle<()>) -> bool {
        runtime.block_on(join).is_err_and(|error| error.is_cancelled())
    }

    #[test]
    fn a_task_has_its_grace_period_and_no_more() {
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
    fn tasks_that_go_on_are_limited_and_finished_ones_are_forgotten() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let ending = EndingTasks::default();
        let done = runtime.spawn(async {});
        ending.push(AbortOnDrop::new(done.abort_handle()), Time::ZERO);
        runtime.block_on(done).unwrap();
        let mut joins = VecDeque::new();
        for _ in 0..=MOST {
            let (task, join) = endless(&runtime);
            ending.push(task, Time::ZERO);
            joins.push_back(join);
        }
        assert_eq!(ending.tasks.borrow().len(), MOST);
        assert!(was_aborted(&runtime, joins.pop_front().unwrap()));
        assert!(joins.iter().all(|join| !join.is_finished()));
    }
}
