//! A connection's budgets for actions that cost this side more than the peer, such as resets. Each
//! budget recovers with time, or with requests and content. A DATA frame with fewer than [`SMALL`]
//! bytes of content (256) counts as small.

use std::time::Duration;

use sockeye_proto::Time;

use super::error::H2Error;
use super::limits::{MAX_STREAMS, SMALL};

/// How many streams may be reset, by the peer or because of its faults, before the connection slows
/// down: as many as may be in flight (100). Each answered request gives one reset back.
const RESETS: u32 = MAX_STREAMS as u32;

/// When the peer has used up its resets, nothing is read from the connection for this time.
const PAUSE: Duration = Duration::from_millis(100);

/// How many resets each pause gives back.
const RESETS_PER_PAUSE: u32 = RESETS / 10;

/// After this many pauses without an answered request between them, the connection ends.
const MAX_PAUSES: u32 = 10;

/// If this many control frames arrive at once, the connection ends. Control frames are here all
/// frames that [`Budgets::on_control`] counts. Each second that passes allows
/// `CONTROL_FRAMES_PER_SECOND` more.
const CONTROL_FRAMES: i64 = 1000;
const CONTROL_FRAMES_PER_SECOND: u64 = 33;

/// Requests and content allow further control frames, which need not follow at once: a client may
/// receive many small DATA frames, and only then send a WINDOW_UPDATE for each. At most this many
/// can be saved up.
const CONTROL_FRAMES_SAVED: i64 = 10_000;

/// How many DATA frames of this side may be small because the peer's window allows no more. Each
/// other DATA frame of this side gives one back.
const SMALL_FRAMES: u32 = 1000;

/// For every `OVERHEAD_RATIO` bytes received, there must be at least one byte of payload, received
/// or sent. `OVERHEAD` bytes count as payload from the start.
const OVERHEAD: u64 = 1024 * 1024;
const OVERHEAD_RATIO: u64 = 8;

/// What a peer has used of its budgets.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    /// Streams that were reset.
    resets: u32,
    pauses: u32,
    /// Control frames, minus those that requests, content and time allow. Those that the time since
    /// `control_since` allows are not subtracted yet.
    control: i64,
    control_since: Time,
    small_frames: u32,
    /// Bytes received.
    received: u64,
    /// Bytes of requests' header blocks, and of content in both directions.
    payload: u64,
}

impl Budgets {
    /// A stream was reset, by the peer or because of a fault of the peer. Returns how long to read
    /// nothing.
    pub(super) fn on_reset(&mut self) -> Result<Option<Duration>, H2Error> {
        self.resets += 1;
        if self.resets < RESETS {
            return Ok(None);
        }
        self.resets = RESETS - RESETS_PER_PAUSE;
        self.pauses += 1;
        if self.pauses > MAX_PAUSES {
            return Err(H2Error::flood("http2_reset_flood", "caused too many resets of streams"));
        }
        Ok(Some(PAUSE))
    }

    /// A response is complete.
    #[inline]
    pub(super) fn on_response(&mut self) {
        self.resets = self.resets.saturating_sub(1);
        self.pauses = 0;
    }

    /// A frame that has neither a request nor content has arrived. If it is the RST_STREAM frame of
    /// an open stream, [`Budgets::on_reset`] is called instead.
    pub(super) fn on_control(&mut self, now: Time) -> Result<(), H2Error> {
        if self.control <= 0 {
            self.control_since = now;
        }
        self.control += 1;
        if self.control < CONTROL_FRAMES {
            return Ok(());
        }
        let millis = u64::try_from(now.since(self.control_since).as_millis()).unwrap_or(u64::MAX);
        let recovered = millis.saturating_mul(CONTROL_FRAMES_PER_SECOND) / 1000;
        self.control = (self.control - i64::try_from(recovered).unwrap_or(i64::MAX)).max(0);
        self.control_since = now;
        if self.control < CONTROL_FRAMES {
            return Ok(());
        }
        Err(H2Error::flood("http2_control_flood", "sent too many frames without content"))
    }

    /// A request has arrived. It allows one control frame, such as a WINDOW_UPDATE.
    #[inline]
    pub(super) fn on_request(&mut self, block_len: usize) {
        self.payload += block_len as u64;
        self.give_back(1);
    }

    /// Content was received. It allows one control frame, unless it is small.
    #[inline]
    pub(super) fn on_content(&mut self, len: usize) {
        self.payload += len as u64;
        if len as u64 >= SMALL {
            self.give_back(1);
        }
    }

    #[inline]
    fn give_back(&mut self, control: i64) {
        self.control = (self.control - control).max(-CONTROL_FRAMES_SAVED);
    }

    /// A DATA frame with `len` bytes of content was sent. `is_cut`: a window allowed no more. A
    /// frame that is small because it was cut is counted. Any other frame allows two control
    /// frames, with which the peer enlarges its windows of the stream and of the connection.
    #[inline]
    pub(super) fn on_sent(&mut self, len: u64, is_cut: bool) -> Result<(), H2Error> {
        self.payload += len;
        if !is_cut || len >= SMALL {
            self.give_back(2);
            self.small_frames = self.small_frames.saturating_sub(1);
            return Ok(());
        }
        self.small_frames += 1;
        if self.small_frames <= SMALL_FRAMES {
            return Ok(());
        }
        Err(H2Error::flood("http2_small_windows", "opened its windows by a few bytes at a time"))
    }

    /// Bytes have arrived.
    #[inline]
    pub(super) fn on_received(&mut self, len: usize) -> Result<(), H2Error> {
        self.received += len as u64;
        if self.received / OVERHEAD_RATIO > self.payload + OVERHEAD {
            return Err(H2Error::flood("http2_overhead", "sent too many bytes without content"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_slow_the_connection_down_and_then_end_it_unless_requests_are_answered() {
        let mut budgets = Budgets::default();
        let mut pauses = 0;
        let resets = (1..).find(|_| match budgets.on_reset() {
            Ok(pause) => {
                pauses += u32::from(pause.is_some());
                false
            }
            Err(_) => true,
        });
        assert_eq!((resets, pauses), (Some(RESETS + MAX_PAUSES * RESETS_PER_PAUSE), MAX_PAUSES));

        let mut budgets = Budgets::default();
        for _ in 0..10_000 {
            budgets.on_response();
            assert_eq!(budgets.on_reset(), Ok(None));
        }
    }

    #[test]
    fn control_frames_recover_with_time_and_content() {
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        let mut budgets = Budgets::default();
        let flood = (1..).find(|_| budgets.on_control(at(1)).is_err());
        assert_eq!(flood, Some(CONTROL_FRAMES));
        // Content that was received before allows further frames, up to a limit.
        let mut budgets = Budgets::default();
        (0..20_000).for_each(|_| budgets.on_content(SMALL as usize));
        let flood = (1..).find(|_| budgets.on_control(at(1)).is_err());
        assert_eq!(flood, Some(CONTROL_FRAMES_SAVED + CONTROL_FRAMES));
        // One PING per second, for a day.
        let mut budgets = Budgets::default();
        assert!((1..86_400).all(|second| budgets.on_control(at(second)).is_ok()));
        // Two control frames for each DATA frame that is sent, and one for each that is received.
        for _ in 0..10_000 {
            budgets.on_sent(1, false).unwrap();
            budgets.on_content(SMALL as usize);
            assert!((0..3).all(|_| budgets.on_control(at(90_000)).is_ok()));
        }
        // Small frames of content allow none. Time that has passed may clear the count once.
        let flood = (1..).find(|_| {
            budgets.on_content(1);
            budgets.on_control(at(90_000)).is_err()
        });
        assert!(flood.is_some_and(|count| count <= 2 * CONTROL_FRAMES), "{flood:?}");
    }

    #[test]
    fn windows_may_be_small_now_and_then() {
        let mut budgets = Budgets::default();
        for _ in 0..10 * SMALL_FRAMES {
            budgets.on_sent(1, true).unwrap();
            budgets.on_sent(16_384, false).unwrap();
        }
        let flood = (1..).find(|_| budgets.on_sent(1, true).is_err());
        assert_eq!(flood, Some(SMALL_FRAMES + 1));
        // Small pieces of content are no fault of the windows.
        assert!((0..10 * SMALL_FRAMES).all(|_| budgets.on_sent(1, false).is_ok()));
    }

    #[test]
    fn most_bytes_must_be_payload() {
        let mut budgets = Budgets::default();
        let limit = OVERHEAD_RATIO * (OVERHEAD + 1);
        assert!(budgets.on_received(limit as usize - 1).is_ok());
        budgets.on_content(1);
        assert!(budgets.on_received(1).is_ok());
        assert!(budgets.on_received(OVERHEAD_RATIO as usize).is_err());
    }
}
