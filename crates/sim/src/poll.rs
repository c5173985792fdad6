//! What one driver is about to be told: readiness as edges, and sends that are done.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sockeye_engine::driver::{IoEvent, Sent, Wake};
use sockeye_proto::Time;
use sockeye_proto::driver::Key;

use crate::Rng;

/// What is new about a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) ended: bool,
    pub(crate) failed: bool,
}

impl Edge {
    pub(crate) const READABLE: Self =
        Self { readable: true, writable: false, ended: false, failed: false };
    pub(crate) const WRITABLE: Self =
        Self { readable: false, writable: true, ended: false, failed: false };
    pub(crate) const ENDED: Self =
        Self { readable: true, writable: false, ended: true, failed: false };
    pub(crate) const FAILED: Self =
        Self { readable: true, writable: true, ended: true, failed: true };

    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            readable: self.readable | other.readable,
            writable: self.writable | other.writable,
            ended: self.ended | other.ended,
            failed: self.failed | other.failed,
        }
    }
}

#[derive(Debug)]
enum News {
    Incoming(u32),
    Ready(Key, Edge),
    Sent(Key, Sent),
}

impl News {
    /// Which connection it is about.
    fn key(&self) -> Option<Key> {
        match self {
            Self::Incoming(_) => None,
            Self::Ready(key, _) | Self::Sent(key, _) => Some(*key),
        }
    }
}

/// What came of the last wait, for the world to tell whether a shard has anything to do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Note {
    /// When the shard wants to be woken.
    pub(crate) until: Option<Time>,
    /// The wait gave something to do.
    pub(crate) stirred: bool,
    /// How much of it was news from the network.
    pub(crate) news: usize,
    /// How many calls followed it.
    pub(crate) calls: u64,
}

/// One driver's news. An edge is reported once: whoever doesn't act on it hears nothing more until
/// something changes.
#[derive(Debug, Default)]
pub(crate) struct Poller {
    news: VecDeque<News>,
    pub(crate) waker: Arc<Waker>,
    pub(crate) note: Note,
}

impl Poller {
    pub(crate) fn incoming(&mut self, listener: u32) {
        if !self.news.iter().any(|n| matches!(n, News::Incoming(id) if *id == listener)) {
            self.news.push_back(News::Incoming(listener));
        }
    }

    /// Edges of one connection that nobody has seen yet are one, unless a send was done in between:
    /// readiness that follows a send is reported after it.
    pub(crate) fn ready(&mut self, key: Key, edge: Edge) {
        let last = self.news.iter_mut().rev().find(|news| news.key() == Some(key));
        match last {
            Some(News::Ready(_, known)) => *known = known.or(edge),
            _ => self.news.push_back(News::Ready(key, edge)),
        }
    }

    pub(crate) fn sent(&mut self, key: Key, sent: Sent) {
        self.news.push_back(News::Sent(key, sent));
    }

    /// Forgets what would have been reported about a connection that was closed.
    pub(crate) fn forget(&mut self, key: Key) {
        self.news.retain(|n| !matches!(n, News::Ready(of, _) if *of == key));
    }

    /// Whether a wait would return at once.
    pub(crate) fn is_stirred(&self, now: Time) -> bool {
        !self.news.is_empty()
            || self.waker.0.load(Ordering::SeqCst)
            || self.note.until.is_some_and(|until| until <= now)
    }

    /// A wait: appends what there is, all of it or (`partial`) some of it, the
    /// connections in any order.
    pub(crate) fn wait(
        &mut self,
        until: Option<Time>,
        now: Time,
        partial: bool,
        rng: &mut Rng,
        io_events: &mut Vec<IoEvent>,
    ) {
        self.note = Note { until, stirred: false, news: 0, calls: 0 };
        self.note.stirred = self.is_stirred(now);
        self.waker.0.store(false, Ordering::SeqCst);
        let mut count = self.news.len();
        if partial && count > 1 {
            let salt = rng.draw();
            let place = |news: &News| Rng::new(salt ^ news.key().map_or(0, |key| key.0)).draw();
            self.news.make_contiguous().sort_by_key(place);
            count = rng.between(1, count);
        }
        self.note.news = count;
        let these = self.news.drain(..count);
        io_events.extend(these.map(|news| match news {
            News::Incoming(id) => IoEvent::ListenerReady(id),
            News::Sent(key, sent) => IoEvent::Sent { key, sent },
            News::Ready(key, Edge { readable, writable, ended, failed }) => {
                IoEvent::Ready { key, readable, writable, ended, failed }
            }
        }));
    }

    /// Drops everything, when the driver is gone. What it sent last is dropped with it.
    pub(crate) fn clear(&mut self) {
        drop(mem::take(&mut self.news));
        self.note = Note::default();
    }
}

/// Wakes a simulated driver, from wherever a job runs.
#[derive(Debug, Default)]
pub(crate) struct Waker(AtomicBool);

impl Wake for Waker {
    fn wake(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
