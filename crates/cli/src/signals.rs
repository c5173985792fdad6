//! What a server does on signals.
//!
//! - SIGTERM, SIGINT (Ctrl-C) and SIGQUIT: the first of these signals drains the server, the second
//!   stops the server at once, the third ends the process.
//! - SIGHUP: counts as one of the signals above if the terminal of standard error was closed.
//!   Otherwise the server reads the files of `--answers` and `--tls` again, retries failed orders
//!   of `--acme`, and reopens the file of `--access-log`. If it has none of these, a server on a
//!   terminal counts SIGHUP as one of the signals above, and any other server (a service, `nohup`)
//!   ignores it.
//! - SIGUSR1: if the server has any of these, it does the same as on SIGHUP, because nginx reopens
//!   its logs on SIGUSR1. Otherwise the signal is ignored.
//! - SIGXFSZ: ignored. The kernel sends it at a write beyond the limit on file sizes, and then the
//!   write fails.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;
use sockeye::engine::Handle;

use crate::log::Log;
use crate::quantity::Span;
use crate::text;

/// How long a server that is stopped at once may take, for example to write the last log lines.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Starts to catch signals. Called before the server starts, so that no signal is lost.
pub(crate) fn catch() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1])
}

/// Ignores SIGXFSZ, so that a write beyond the limit on file sizes (`RLIMIT_FSIZE`) fails with
/// `EFBIG`. By default the signal ends the process, but a log that can't grow is no reason to stop
/// serving.
pub(crate) fn ignore_file_size_signal() -> io::Result<()> {
    // The registered flag is never read: it is enough that a handler replaces the default action.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// The signal that stopped the server at once, after an earlier one had started to drain it. 0 if
/// there was none.
#[derive(Debug, Default)]
pub(crate) struct StoppedBy(AtomicI32);

impl StoppedBy {
    /// The exit code of the process: see [`exit_code`]. 0 if no signal stopped the server at once.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.0.load(Ordering::Acquire) {
            0 => 0,
            signal => exit_code(signal),
        }
    }
}

/// The exit code for a server that this signal stopped at once: 128 plus the signal's number, as
/// shells report a process that a signal has ended.
fn exit_code(signal: i32) -> u8 {
    match signal {
        // The kernel and the shell may both send SIGHUP when a terminal is closed, so the second
        // one doesn't show that somebody was impatient.
        SIGHUP => 0,
        SIGINT => 130,
        SIGQUIT => 131,
        SIGTERM => 143,
        _ => 1,
    }
}

/// A function to call on SIGHUP and SIGUSR1.
pub(crate) type OnHangup = Box<dyn FnMut(&Log) + Send>;

/// Starts a thread that handles signals until the process ends. `lame_duck` and `drain` are the
/// times of `--lame-duck` and `--drain-timeout`, for the message.
pub(crate) fn watch(
    mut signals: Signals,
    handle: Handle,
    [lame_duck, drain]: [Duration; 2],
    on_hangup: Vec<OnHangup>,
    log: Log,
) -> io::Result<Arc<StoppedBy>> {
    let stopped = Arc::<StoppedBy>::default();
    let stopped_by = Arc::clone(&stopped);
    let hangups = match on_hangup.is_empty() {
        true => None,
        false => Some(start_hangup_thread(on_hangup, log.clone())?),
    };
    // `is_terminal` returns false once the terminal was closed, so ask before.
    let has_terminal = io::stderr().is_terminal();
    let act = move || {
        let mut count = 0;
        for signal in &mut signals {
            let is_closing = signal == SIGHUP && has_terminal && !io::stderr().is_terminal();
            if matches!(signal, SIGHUP | SIGUSR1) && !is_closing {
                if let Some(hangups) = &hangups {
                    // If the channel is full, a call is pending already, which serves for this
                    // signal, too.
                    let _ = hangups.try_send(());
                    continue;
                }
                if signal == SIGUSR1 || !has_terminal {
                    tracing::debug!("ignored a signal to reopen files: there are none");
                    continue;
                }
            }
            count += 1;
            match count {
                1 => {
                    let line = shutting_down(lame_duck, drain, handle.connections());
                    handle.drain();
                    log.print(line);
                }
                2 => {
                    stopped_by.0.store(signal, Ordering::Release);
                    handle.stop();
                    // Stopping may take forever if a log is a pipe that nobody reads.
                    exit_after_timeout(signal);
                }
                _ => exit(signal),
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(act)?;
    Ok(stopped)
}

fn shutting_down(lame_duck: Duration, drain: Duration, connections: usize) -> String {
    let when = match lame_duck.is_zero() {
        true => String::new(),
        false => format!(" in {:#}", Span(lame_duck)),
    };
    let (connections, drain) = (text::count(connections as u64, "connection"), Span(drain));
    format!(
        "Shutting down{when}: {connections} open, waiting up to {drain:#}. Press Ctrl-C again to stop \
         now."
    )
}

fn exit(signal: i32) -> ! {
    std::process::exit(exit_code(signal).into())
}

/// Ends the process after [`FLUSH_TIMEOUT`], unless it has ended earlier. Returns at once.
fn exit_after_timeout(signal: i32) {
    let thread = thread::Builder::new().name("end".into());
    let started = thread.spawn(move || {
        thread::sleep(FLUSH_TIMEOUT);
        exit(signal)
    });
    if started.is_err() {
        exit(signal);
    }
}

/// Starts a thread that calls all `acts` for each message to the returned sender. The thread that
/// handles signals doesn't call them itself, so that a hanging disk doesn't delay the next signal.
fn start_hangup_thread(mut acts: Vec<OnHangup>, log: Log) -> io::Result<SyncSender<()>> {
    let (sender, receiver) = sync_channel(1);
    let work = move || receiver.iter().for_each(|()| acts.iter_mut().for_each(|act| act(&log)));
    thread::Builder::new().name("hangup".into()).spawn(work)?;
    Ok(sender)
}
