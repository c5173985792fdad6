//! The signals of a server.
//!
//! - SIGTERM, SIGINT (Ctrl-C) and SIGQUIT: the first drains the server, the second stops it at
//!   once, the third ends the process.
//! - SIGHUP: counts as one of the signals above if the terminal of standard error was closed.
//!   Otherwise the server reads the files of `--answers` and `--tls` again, retries the orders of
//!   `--acme` that failed, and reopens the file of `--access-log`. Without any of these flags, the
//!   signal drains or stops a server on a terminal, as the signals above do; other servers (a
//!   service, `nohup`) ignore it.
//! - SIGUSR1: does the same as SIGHUP with these flags, because nginx reopens its logs on this
//!   signal. Ignored without them.
//! - SIGXFSZ (a write beyond the limit on file sizes) is ignored, so that the write fails instead.

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

/// How long the process waits for the last log lines when it is stopped at once.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Catches signals from now on, so that none is lost while the server starts.
pub(crate) fn catch() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1])
}

/// From now on a write beyond the limit on file sizes (`RLIMIT_FSIZE`) fails with `EFBIG`. By
/// default it would end the process, but a log that can't grow is no reason to stop serving.
pub(crate) fn ignore_file_size_signal() -> io::Result<()> {
    // The flag is not used: any handler replaces the default action.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// The signal that stopped a server at once; 0 if none did.
#[derive(Debug, Default)]
pub(crate) struct StoppedBy(AtomicI32);

impl StoppedBy {
    /// The exit code with which shells report a process that a signal ended; 0 without a signal,
    /// and for SIGHUP.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.0.load(Ordering::Acquire) {
            0 | SIGHUP => 0,
            signal => exit_code(signal),
        }
    }
}

fn exit_code(signal: i32) -> u8 {
    match signal {
        SIGINT => 130,
        SIGQUIT => 131,
        SIGTERM => 143,
        _ => 1,
    }
}

/// Called for SIGHUP and SIGUSR1.
pub(crate) type OnHangup = Box<dyn FnMut(&Log) + Send>;

/// Starts a thread that handles signals until the process ends.
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
    // After a terminal was closed, `is_terminal` returns false.
    let has_terminal = io::stderr().is_terminal();
    let act = move || {
        let mut count = 0;
        for signal in &mut signals {
            let is_closing = signal == SIGHUP && has_terminal && !io::stderr().is_terminal();
            if matches!(signal, SIGHUP | SIGUSR1) && !is_closing {
                if let Some(hangups) = &hangups {
                    // If the channel is full, a call is pending already, which serves this signal,
                    // too.
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
                    // The logs may wait for a pipe that nobody reads.
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

/// Ends the process after [`FLUSH_TIMEOUT`], if it has not ended by then.
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

/// Runs `acts` on a thread of its own, so that a disk that hangs doesn't delay the next signal.
fn start_hangup_thread(mut acts: Vec<OnHangup>, log: Log) -> io::Result<SyncSender<()>> {
    let (sender, receiver) = sync_channel(1);
    let work = move || receiver.iter().for_each(|()| acts.iter_mut().for_each(|act| act(&log)));
    thread::Builder::new().name("hangup".into()).spawn(work)?;
    Ok(sender)
}
