//! The access log: a line for each finished request.
//!
//! ```text
//!  a worker: http ─▶ Worker: makes notes when a request starts, and a line when it ends
//!                       │ never waits for a write: lines that don't fit are dropped and counted
//!                       ▼
//!                    queue ─▶ one thread ─▶ one write for a batch of whole lines
//! ```
//!
//! [`line`] formats lines; [`terminal_line`] formats those for a terminal. [`queue`] moves lines
//! from the workers to the thread, and [`sink`] writes them. On a terminal, there may also be lines
//! about [`connections`]; [`limit`] limits their number.

mod connections;
mod escape;
mod limit;
mod line;
mod queue;
mod sink;
mod terminal_line;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Rc;

use sockeye::http_core::{Log, Outcome, RequestHead};
use sockeye::proto::{Peer, WallTime};
use tracing::warn;

pub(crate) use self::connections::Connections;
pub(crate) use self::line::Format;
use self::line::{DateCache, RequestSource};
use self::queue::Lines;
pub(crate) use self::sink::Sink;
use crate::proxies::Proxies;
use crate::signals::OnHangup;

/// A running access log. Clones write to the same sink.
#[derive(Clone)]
pub(crate) struct AccessLog {
    lines: Lines,
    format: Format,
    proxies: Proxies,
    is_file: bool,
}

impl AccessLog {
    /// Starts the thread that writes the lines of all workers. `workers` is their number. `subject`
    /// is the noun that warnings on a terminal use for lost lines, such as `request`.
    pub(crate) fn start(
        sink: Sink,
        format: Format,
        proxies: Proxies,
        workers: usize,
        subject: &'static str,
    ) -> io::Result<Self> {
        let is_file = matches!(sink, Sink::File { .. });
        if let Some(path) = sink.unread_pipe() {
            let path = path.display();
            warn!(target: "sockeye", %path, "the pipe of the access log has no reader; dropping lines");
        }
        Ok(Self { lines: Lines::start(workers, sink, subject)?, format, proxies, is_file })
    }

    /// What to do on SIGHUP: reopen the file. `None` if the log is not written to a file.
    pub(crate) fn on_hangup(&self) -> Option<OnHangup> {
        let lines = self.lines.clone();
        self.is_file.then(|| Box::new(move |_: &_| lines.reopen()) as OnHangup)
    }

    /// The log of one worker, which is used on this worker's thread.
    pub(crate) fn worker(&self, number: usize) -> Rc<dyn Log> {
        Rc::new(Worker { log: self.clone(), number, dates: RefCell::default() })
    }

    /// The writer of the lines about connections. `None` unless this log is on a terminal.
    pub(crate) fn connections(&self) -> Option<Connections> {
        match self.format {
            Format::Terminal { color } => Some(Connections { lines: self.lines.clone(), color }),
            Format::Combined | Format::Json => None,
        }
    }

    /// Writes the lines that are left in the queue. Call it after the workers have ended.
    pub(crate) fn finish(self) {
        self.lines.finish();
    }
}

/// The access log of one worker.
struct Worker {
    log: AccessLog,
    number: usize,
    dates: RefCell<DateCache>,
}

impl Log for Worker {
    fn on_request(
        &self,
        request: RequestHead<'_>,
        peer: &Peer,
        when: WallTime,
        notes: &mut Vec<u8>,
    ) {
        let AccessLog { format, proxies, .. } = &self.log;
        let mut dates = self.dates.borrow_mut();
        let date = dates.of(when, *format);
        let client = match request {
            _ if proxies.is_empty() => peer.address,
            RequestHead::Parsed(request) => proxies.client_of(peer.address, request),
            RequestHead::Unparsed(head) => proxies.client_of_unparsed(peer.address, &head),
        };
        let source = RequestSource { client, has_proxies: !proxies.is_empty(), peer };
        line::begin(*format, date, source, request, notes);
    }

    fn on_end(&self, notes: &[u8], outcome: &Outcome) {
        let AccessLog { format, lines, .. } = &self.log;
        let max = notes.len() + line::MAX_END_LEN;
        lines.put(self.number, max, |lines| line::end(*format, notes, outcome, lines));
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("number", &self.number).finish_non_exhaustive()
    }
}
