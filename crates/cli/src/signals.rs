//! What signals mean to a server.
//!
//! - SIGTERM, SIGINT (Ctrl-C) and SIGQUIT: stop accepting and finish what is under way. A second one
//!   cuts all connections and ends the process, a third ends it where it stands.
//! - SIGHUP: to a server that reads a file of its own, that the file has changed; it is read again.
//!   To one with an access log in a file, that this was moved away; it is opened again. To another,
//!   that the terminal is gone: one that has one on its standard error drains; one that has none (a
//!   service, `nohup`) takes no notice.
//! - SIGXFSZ, which comes with a write beyond the limit on a file's size: nothing. The write fails
//!   then, as one to a full disk does.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use sockeye::engine::Handle;

use crate::log::Log;
use crate::quantity::Span;
use crate::text;

/// Signals are taken from now on, so that none is lost while the server starts.
pub(crate) fn take() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP])
}

/// From now on a write beyond the limit on a file's size (`RLIMIT_FSIZE`) fails with `EFBIG` and
/// does not end the process: a log that can't grow any more is no reason to stop serving.
pub(crate) fn outlive_file_size_limit() -> io::Result<()> {
    // Nobody looks at the flag. A handler keeps the signal from doing what it does by default.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// How long a stop at once waits for the last lines of logs.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The signal that stopped a server at once, if one did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stopped(Arc<AtomicI32>);

impl Stopped {
    /// What a shell calls the end of a process by that signal.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        exit_code(self.0.load(Ordering::Acquire))
    }
}

fn exit_code(signal: i32) -> Option<u8> {
    match signal {
        SIGINT => Some(130),
        SIGQUIT => Some(131),
        SIGTERM => Some(143),
        _ => None,
    }
}

/// Reads what a server is to read again on SIGHUP.
pub(crate) type Reread = Box<dyn FnMut(&Log) + Send>;

/// Acts on signals for as long as the process runs.
pub(crate) fn watch(
    mut signals: Signals,
    handle: Handle,
    times: Times,
    reread: Option<Reread>,
    log: Log,
) -> io::Result<Stopped> {
    let stopped = Stopped::default();
    let noted = stopped.clone();
    let reread = reread.map(|reread| start_rereading(reread, log.clone())).transpose()?;
    let act = move || {
        let mut asked = 0;
        for signal in &mut signals {
            if signal == SIGHUP
                && let Some(reread) = &reread
            {
                // One that waits already is for this signal as well.
                let _ = reread.try_send(());
                continue;
            }
            if signal == SIGHUP && !io::stderr().is_terminal() {
                tracing::debug!("SIGHUP: no terminal that could be gone, nothing to do");
                continue;
            }
            asked += 1;
            match asked {
                1 => {
                    let line = times.announce(handle.connections());
                    handle.drain();
                    log.say(line);
                }
                2 => {
                    noted.0.store(signal, Ordering::Release);
                    handle.stop();
                    // Logs may wait for a pipe that nobody reads.
                    end_soon(signal);
                }
                _ => end(signal),
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(act)?;
    Ok(stopped)
}

/// How long a stop may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) lame_duck: Duration,
    pub(crate) drain: Duration,
}

impl Times {
    fn announce(self, connections: usize) -> String {
        let connections = text::count(connections as u64, "open connection");
        let when = match self.lame_duck.is_zero() {
            true => String::new(),
            false => format!(" in {}", Span(self.lame_duck)),
        };
        let drain = Span(self.drain);
        format!("shutting down{when}: {connections}, waiting up to {drain}; again to stop at once")
    }
}

fn end(signal: i32) -> ! {
    std::process::exit(exit_code(signal).unwrap_or(1).into())
}

/// Ends the process half a second from now, if it has not ended by then.
fn end_soon(signal: i32) {
    let watch = thread::Builder::new().name("end".into());
    let ended = watch.spawn(move || {
        thread::sleep(LAST_WORDS);
        end(signal)
    });
    if ended.is_err() {
        end(signal);
    }
}

/// Reads again whenever it is told to, on a thread of its own: where the disk hangs, the next signal
/// is acted on all the same.
fn start_rereading(mut reread: Reread, log: Log) -> io::Result<SyncSender<()>> {
    let (sender, receiver) = sync_channel(1);
    let work = move || receiver.iter().for_each(|()| reread(&log));
    thread::Builder::new().name("reread".into()).spawn(work)?;
    Ok(sender)
}
