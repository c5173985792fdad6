//! The access log: a line for each request, when it is over.
//!
//! ```text
//!  a worker: http1 ─▶ Worker: notes when a request comes, a line when it is over
//!                        │ try_lock, never waits; what doesn't fit is dropped and counted
//!                        ▼
//!                     queue ─▶ one thread ─▶ one write for a batch of whole lines
//! ```
//!
//! [`line`] is what a line looks like, [`queue`] how it gets out without holding a worker up.

mod line;
mod queue;
mod target;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use sockeye::http_core::{Begun, Log, Outcome};
use sockeye::proto::{Peer, WallTime};
use tracing::warn;

pub(crate) use self::line::Format;
use self::line::{Dates, Who};
use self::queue::Lines;
pub(crate) use self::target::Target;
use crate::proxies::Proxies;

/// What is logged, and where.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) format: Format,
}

/// An access log that is being written.
pub(crate) struct AccessLog {
    lines: Lines,
    format: Format,
    proxies: Proxies,
    is_file: bool,
}

impl AccessLog {
    /// Begins to write for so many workers, of clients behind these proxies.
    pub(crate) fn start(plan: Plan, proxies: Proxies, workers: usize) -> std::io::Result<Self> {
        let Plan { target, format } = plan;
        let is_file = matches!(target, Target::File { .. });
        if let Some(path) = target.unread_pipe() {
            warn!(
                target: "sockeye",
                path = %path.display(),
                "nobody reads the access log: its lines are dropped until somebody does"
            );
        }
        Ok(Self { lines: Lines::start(workers, target)?, format, proxies, is_file })
    }

    /// What tells the workers' servers where to log.
    pub(crate) fn source(&self) -> Source {
        let (lines, proxies) = (self.lines.clone(), self.proxies.clone());
        Source { lines, format: self.format, proxies }
    }

    /// What opens the file again, where it is one.
    pub(crate) fn reopener(&self) -> Option<impl Fn() + Send + use<>> {
        let lines = self.lines.clone();
        self.is_file.then_some(move || lines.reopen())
    }

    /// Writes what is left. The workers have ended.
    pub(crate) fn finish(self) {
        self.lines.finish();
    }
}

/// Makes the log of each worker.
#[derive(Clone)]
pub(crate) struct Source {
    lines: Lines,
    format: Format,
    proxies: Proxies,
}

impl Source {
    /// The log of one worker, to be made on its thread.
    pub(crate) fn worker(&self, own: usize) -> Rc<dyn Log> {
        Rc::new(Worker {
            lines: self.lines.clone(),
            own,
            format: self.format,
            proxies: self.proxies.clone(),
            dates: RefCell::default(),
        })
    }
}

/// One worker's way into the log.
struct Worker {
    lines: Lines,
    own: usize,
    format: Format,
    proxies: Proxies,
    dates: RefCell<Dates>,
}

impl Log for Worker {
    fn begun(&self, request: Begun<'_>, peer: &Peer, when: WallTime, notes: &mut Vec<u8>) {
        let mut dates = self.dates.borrow_mut();
        let date = dates.of(when, self.format);
        let who = match request {
            _ if self.proxies.is_empty() => Who { client: peer.address, by: None },
            Begun::Request(request) => {
                let client = self.proxies.client_of(peer.address, request);
                Who { client, by: Some(peer.address) }
            }
            Begun::Unread(unread) => {
                let client = self.proxies.client_of_unread(peer.address, &unread);
                Who { client, by: Some(peer.address) }
            }
        };
        line::begin(self.format, date, who, request, notes);
    }

    fn ended(&self, notes: &[u8], outcome: &Outcome) {
        let most = notes.len() + line::END;
        self.lines.put(self.own, most, |lines| line::end(self.format, notes, outcome, lines));
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("own", &self.own).finish_non_exhaustive()
    }
}
