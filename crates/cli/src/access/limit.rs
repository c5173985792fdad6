//! Limits how many lines about connections a terminal shows: a flood of connections would fill it.
//!
//! In each [`PERIOD`], the first [`MAX_LINES`] lines are written. The others are counted, and one
//! line says at the end of the period how many they were.

use std::fmt::Write;
use std::mem;
use std::time::{Duration, Instant};

/// About as many lines as a terminal shows.
const MAX_LINES: u32 = 50;
const PERIOD: Duration = Duration::from_secs(1);

/// What a line says about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Connected,
    Closed,
}

#[derive(Debug, Default)]
pub(super) struct Limit {
    /// When the current period began.
    since: Option<Instant>,
    /// Number of lines written in the current period.
    written: u32,
    /// Numbers of lines that were left out and not reported yet.
    connected: u64,
    closed: u64,
}

/// What to do with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Write,
    /// Leave out the line. It is the first one left out since the last report, so a report is now
    /// due ([`Limit::due`]), and the thread that writes has to be woken.
    LeaveOutFirst,
    LeaveOut,
}

impl Limit {
    /// Counts a line, and decides whether to write it.
    pub(super) fn count(&mut self, kind: Kind, now: Instant) -> Decision {
        let is_over = |since| now.saturating_duration_since(since) >= PERIOD;
        if self.since.is_none_or(is_over) {
            (self.since, self.written) = (Some(now), 0);
        }
        if self.written < MAX_LINES {
            self.written += 1;
            return Decision::Write;
        }
        let is_first = self.connected + self.closed == 0;
        match kind {
            Kind::Connected => self.connected += 1,
            Kind::Closed => self.closed += 1,
        }
        if is_first { Decision::LeaveOutFirst } else { Decision::LeaveOut }
    }

    /// When the lines that were left out are to be reported. `None` if there are none.
    pub(super) fn due(&self) -> Option<Instant> {
        let is_any = self.connected + self.closed > 0;
        self.since.filter(|_| is_any).map(|since| since + PERIOD)
    }

    /// The line that says how many lines were left out, if it is due. With `last`, returns this
    /// line even before it is due.
    pub(super) fn take(&mut self, now: Instant, last: bool) -> Option<String> {
        self.due().filter(|due| last || *due <= now)?;
        let counts = [(&mut self.connected, "connected"), (&mut self.closed, "closed")];
        let counts = counts.into_iter().filter(|(count, _)| **count > 0);
        let mut line = "…".to_owned();
        for (at, (count, what)) in counts.enumerate() {
            let (joint, count) = ([" and", ","][at], mem::take(count));
            let more = if at == 0 { " more" } else { "" };
            // Writing to a string doesn't fail.
            let _ = write!(line, "{joint} {count}{more} {what}");
        }
        Some(line + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_limit_are_counted_and_reported_at_the_end_of_the_period() {
        let (mut limit, start) = (Limit::default(), Instant::now());
        for kind in [Kind::Connected, Kind::Closed].repeat(MAX_LINES as usize / 2) {
            assert_eq!(limit.count(kind, start), Decision::Write);
        }
        assert_eq!((limit.due(), limit.take(start, true)), (None, None));
        assert_eq!(limit.count(Kind::Connected, start), Decision::LeaveOutFirst);
        for _ in 0..311 {
            assert_eq!(limit.count(Kind::Connected, start), Decision::LeaveOut);
        }
        assert_eq!(limit.due(), Some(start + PERIOD));
        assert_eq!(limit.take(start + PERIOD / 2, false), None);
        let line = limit.take(start + PERIOD, false);
        assert_eq!(line.as_deref(), Some("… and 312 more connected\n"));
        assert_eq!(limit.take(start + PERIOD, true), None);

        let next = start + PERIOD;
        for at in 0..MAX_LINES + 3 {
            let is_written = limit.count(Kind::Closed, next) == Decision::Write;
            assert_eq!(is_written, at < MAX_LINES, "line {at}");
        }
        assert_eq!(limit.take(next, true).as_deref(), Some("… and 3 more closed\n"));
    }

    #[test]
    fn what_was_left_out_is_reported_even_if_a_new_period_has_begun() {
        let (mut limit, start) = (Limit::default(), Instant::now());
        for now in [start, start + PERIOD] {
            for kind in [Kind::Connected, Kind::Closed].repeat(MAX_LINES as usize) {
                limit.count(kind, now);
            }
        }
        let line = limit.take(start + PERIOD * 2, false).unwrap();
        assert_eq!(line, "… and 50 more connected, 50 closed\n");
    }
}
