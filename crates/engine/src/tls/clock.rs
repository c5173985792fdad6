//! The time that rustls sees, for certificates and session tickets: the event loop's wall time.

use std::cell::Cell;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use sockeye_proto::WallTime;

thread_local! {
    /// The time that [`set`] was last given on this thread.
    static NOW: Cell<WallTime> = const { Cell::new(WallTime::from_secs(0)) };
}

/// A clock for rustls that returns the time that [`set`] was last given.
#[derive(Debug)]
pub(super) struct LoopClock;

impl TimeProvider for LoopClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(NOW.get().as_secs())))
    }
}

/// Sets this thread's time. Must be called before the client's side of a connection is created, and
/// before either side reads records.
pub(super) fn set(now: WallTime) {
    NOW.set(now);
}
