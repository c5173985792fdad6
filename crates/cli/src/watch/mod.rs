//! Watches the served folders for `--live`, on a thread of its own, and says which URLs' files have
//! changed.

mod names;
mod tree;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use sockeye::files::Live;

pub(crate) use self::tree::Root;
use self::tree::Tree;

/// How long nothing must change before pages are told. One save of an editor is several changes.
const QUIET: Duration = Duration::from_millis(50);

/// How long pages wait at most, while a build writes file after file.
const MAX_DELAY: Duration = Duration::from_millis(500);

/// Watches these folders from now on, until the process ends.
///
/// # Errors
///
/// The system can't watch folders, or start a thread.
pub(crate) fn start(roots: Vec<Root>, live: Arc<Live>) -> anyhow::Result<()> {
    let tree = Tree::open(roots).map_err(|error| match error {
        Errno::MFILE => anyhow!(
            "--live: this user watches too many folders in other programs; raise the limit with \
             sysctl fs.inotify.max_user_instances=1024"
        ),
        other => anyhow!("--live: cannot watch folders: {}", io::Error::from(other)),
    })?;
    let run = move || {
        if let Err(error) = watch(tree, &live) {
            let error = io::Error::from(error);
            tracing::error!(target: "sockeye", "--live: pages reload no more: {error}");
        }
    };
    thread::Builder::new().name("watch".into()).spawn(run).context("cannot start a thread")?;
    Ok(())
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

/// Waits for a change, at most for this time. Returns whether there is one.
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
