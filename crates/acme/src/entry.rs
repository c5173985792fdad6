//! What a [`Renewer`](crate::Renewer) knows of one certificate, and when the certificate is due.

use std::time::{Duration, SystemTime};

use crate::failure::FailureKind;
use crate::renewal::{self, DEFAULT_CHECK, Window};
use crate::state::Stored;

/// The shortest time from the issuance of a certificate to the order of the next one, however short
/// the lifetime is.
const SHORTEST_USE: Duration = Duration::from_secs(10);

/// One certificate.
pub(crate) struct Entry {
    pub(crate) names: Vec<String>,
    /// The certificate in the state folder, if there is one.
    pub(crate) stored: Option<Stored>,
    /// When the authority wants the certificate renewed, if it has said so.
    pub(crate) window: Option<Window>,
    /// When to look again whether the certificate has to be ordered.
    pub(crate) due: SystemTime,
    /// When to ask for renewal information.
    pub(crate) check: SystemTime,
    /// A certificate that was just issued isn't due before this time. Without this, a clock that is
    /// ahead, or an authority whose windows are always in the past, would lead to one order after
    /// the other.
    pub(crate) earliest_due: SystemTime,
    /// Number of failures in a row.
    pub(crate) failures: u32,
    /// The index in [`Settings::kinds`](crate::Settings::kinds) of the kind of challenge that the
    /// first attempt to order prefers. After each failure, the next attempt prefers the next kind
    /// of the list.
    pub(crate) first_kind: usize,
    /// Number of orders that may have failed because of their field `replaces`, since the last new
    /// certificate, or since the last order without this field.
    pub(crate) failed_replacing: u32,
    /// The kind of the last failure that was reported in the current row of failures.
    pub(crate) reported: Option<FailureKind>,
    /// Whether [`Report::Waiting`](crate::Report::Waiting) was reported since the last new
    /// certificate.
    pub(crate) has_reported_waiting: bool,
}

impl Entry {
    /// A certificate that the next call of [`Renewer::turn`](crate::Renewer::turn) checks. The call
    /// orders it if there is no `stored` certificate, or if the stored one is due.
    pub(crate) fn new(names: Vec<String>, stored: Option<Stored>, now: SystemTime) -> Self {
        Self {
            names,
            stored,
            window: None,
            due: now,
            check: now,
            earliest_due: now,
            failures: 0,
            first_kind: 0,
            failed_replacing: 0,
            reported: None,
            has_reported_waiting: false,
        }
    }

    /// Records a new certificate. Returns when it is due for renewal.
    pub(crate) fn record(&mut self, stored: Stored, now: SystemTime) -> SystemTime {
        self.earliest_due = now + shortest_use(&stored);
        self.due = renewal::due(stored.lifetime, None, 0.0).max(self.earliest_due);
        (self.stored, self.window, self.check) = (Some(stored), None, now);
        (self.failed_replacing, self.has_reported_waiting) = (0, false);
        self.forget_failures();
        self.due
    }

    /// Ends a row of failures: the next failure begins a new row.
    pub(crate) fn forget_failures(&mut self) {
        (self.failures, self.reported) = (0, None);
    }

    /// Makes everything that depends on the time due, so that it is looked at again. The failures
    /// are forgotten, because the wrong clock may have caused them, for example if a certificate of
    /// the authority seemed to have expired.
    pub(crate) fn on_clock_set_back(&mut self, now: SystemTime) {
        // This overwrites `due`, which may have been a random time of the window. Without `window`,
        // the next renewal information sets `due` to a new random time.
        (self.due, self.check, self.window) = (now, now, None);
        if let Some(stored) = &self.stored {
            self.earliest_due = self.earliest_due.min(now + shortest_use(stored));
        }
        self.forget_failures();
    }
}

/// The shortest time for which a certificate that was just issued is used before the next one is
/// ordered: a third of its lifetime, but at least [`SHORTEST_USE`] and at most [`DEFAULT_CHECK`].
fn shortest_use(stored: &Stored) -> Duration {
    let [start, end] = stored.lifetime;
    let lifetime = end.duration_since(start).unwrap_or_default();
    (lifetime / 3).clamp(SHORTEST_USE, DEFAULT_CHECK)
}
