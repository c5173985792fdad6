//! Limits how often something is logged.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Time;

/// The minimum time between two reports of the same event.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Limits how often an event caused by many requests is logged: the first time at once, then at
/// most once a minute, with the number of requests since the previous report.
#[derive(Debug, Default)]
pub struct ReportLimiter(Mutex<Unreported>);

#[derive(Debug, Default)]
struct Unreported {
    /// How many requests were counted since the previous report.
    requests: u64,
    /// No report before this time.
    after: Time,
}

impl ReportLimiter {
    /// Counts a request. If a report is due, returns the number of requests since the previous
    /// report.
    pub fn report(&self, now: Time) -> Option<u64> {
        let mut unreported = self.lock();
        unreported.requests += 1;
        unreported.take_due(now)
    }

    /// When to report the requests since the previous report. `None` if there are none.
    pub fn due(&self) -> Option<Time> {
        let unreported = self.lock();
        (unreported.requests > 0).then_some(unreported.after)
    }

    /// The number of requests since the previous report, if there are any and a report is due.
    pub fn take_due(&self, now: Time) -> Option<u64> {
        self.lock().take_due(now)
    }

    /// The number of requests since the previous report, if there are any, even if no report is
    /// due: for a final report when the server stops.
    pub fn take(&self) -> Option<u64> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Unreported> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unreported {
    fn take_due(&mut self, now: Time) -> Option<u64> {
        if now < self.after {
            return None;
        }
        let requests = self.take()?;
        self.after = now + REPORT_INTERVAL;
        Some(requests)
    }

    fn take(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.requests)).filter(|requests| *requests > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreported_requests_are_reported_after_a_minute_or_at_the_end() {
        let reports = ReportLimiter::default();
        let at = |secs: u64| Time::ZERO + Duration::from_secs(secs);
        assert_eq!((reports.due(), reports.take_due(at(5)), reports.take()), (None, None, None));
        assert_eq!(reports.report(at(5)), Some(1));
        assert_eq!(reports.due(), None);
        assert_eq!((reports.report(at(6)), reports.report(at(7))), (None, None));
        assert_eq!((reports.due(), reports.take_due(at(64))), (Some(at(65)), None));
        assert_eq!((reports.take_due(at(65)), reports.due()), (Some(2), None));
        assert_eq!((reports.report(at(66)), reports.due()), (None, Some(at(125))));
        assert_eq!((reports.take(), reports.take()), (Some(1), None));
    }
}
