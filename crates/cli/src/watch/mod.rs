//! Watches the served folders for `--live`, on a thread of its own, and reports the URL paths of
//! files that have changed.

mod names;
mod tree;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use sockeye::files::Live;

pub(crate) use self::tree::Root;
use self::tree::Tree;

/// Pages are told of changes once nothing has changed for this long, because an editor makes
/// several changes when it saves a file.
const QUIET: Duration = Duration::from_millis(50);

/// Pages are told of changes after this time even if files keep changing, as during a build.
const MAX_DELAY: Duration = Duration::from_millis(500);

/// How long [`start`] waits at most for the first look at all folders. When that look is complete,
/// all are watched. For most sites it takes less, so no change is missed after [`start`] has
/// returned.
const MAX_FIRST_LOOK: Duration = Duration::from_secs(1);

/// Watches these folders until the process ends. If they contain very many folders, some are not
/// watched yet when this returns.
///
/// # Errors
///
/// The system can't watch folders, or start a thread.
pub(crate) fn start(roots: Vec<Root>, live: Arc<Live>) -> anyhow::Result<()> {
    let mut tree = Tree::new(roots).map_err(|error| match error {
        Errno::MFILE => anyhow!(
            "--live: too many programs of this user watch files; raise the limit with sysctl \
             fs.inotify.max_user_instances=1024"
        ),
        other => anyhow!("--live: cannot watch folders: {}", io::Error::from(other)),
    })?;
    let look = move || {
        tree.look();
        tree
    };
    let is_complete = spawn(look, MAX_FIRST_LOOK, move |tree, is_late| {
        if is_late {
            tracing::info!(
                target: "sockeye",
                "--live: all folders were looked at: from now on, pages reload when files change"
            );
        }
        if let Err(error) = watch(tree, &live) {
            let error = io::Error::from(error);
            tracing::error!(target: "sockeye", "--live: pages reload no more: {error}");
        }
    })?;
    if !is_complete {
        tracing::warn!(
            target: "sockeye",
            "--live: there are many folders to look at: pages don't reload until that is done"
        );
    }
    Ok(())
}

/// Runs `first` and then `rest` on a thread, and waits up to `max` for the end of `first`. Returns
/// whether `first` ended in that time. `rest` gets the result of `first`, and whether it was late.
fn spawn<T: Send + 'static>(
    first: impl FnOnce() -> T + Send + 'static,
    max: Duration,
    rest: impl FnOnce(T, bool) + Send + 'static,
) -> anyhow::Result<bool> {
    // A channel without a buffer: `send` succeeds only if the signal is received, so both sides
    // agree on whether `first` was late.
    let (done, is_done) = mpsc::sync_channel(0);
    let run = move || {
        let result = first();
        rest(result, done.send(()).is_err());
    };
    thread::Builder::new().name("watch".into()).spawn(run).context("cannot start a thread")?;
    Ok(is_done.recv_timeout(max) != Err(RecvTimeoutError::Timeout))
}

fn watch(mut tree: Tree, live: &Live) -> Result<(), Errno> {
    loop {
        wait(&tree, None)?;
        let (start, mut changed) = (Instant::now(), BTreeSet::new());
        loop {
            changed.append(&mut tree.read()?);
            let left = MAX_DELAY.saturating_sub(start.elapsed());
            if changed.is_empty() || left.is_zero() || !wait(&tree, Some(QUIET.min(left)))? {
                break;
            }
        }
        live.changed(changed.iter().map(Vec::as_slice));
    }
}

/// Waits for a change, at most for `time` (`None`: without a limit). Returns whether there may be
/// one.
fn wait(tree: &Tree, time: Option<Duration>) -> Result<bool, Errno> {
    let time = time.map(|time| Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    });
    match poll(&mut [PollFd::new(tree, PollFlags::IN)], time.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_first_look_does_not_hold_up_the_start() {
        let (go, may_go) = mpsc::channel();
        let (report, reports) = mpsc::channel();
        let look = move || may_go.recv().unwrap();
        let is_complete = spawn(look, Duration::ZERO, move |number, is_late| {
            report.send((number, is_late)).unwrap();
        });
        assert!(!is_complete.unwrap());
        go.send(7).unwrap();
        assert_eq!(reports.recv().unwrap(), (7, true));
    }

    #[test]
    fn a_short_first_look_is_waited_for() {
        let (report, reports) = mpsc::channel();
        let rest = move |number, is_late| report.send((number, is_late)).unwrap();
        assert!(spawn(|| 7, Duration::MAX, rest).unwrap());
        assert_eq!(reports.recv().unwrap(), (7, false));
    }
}
