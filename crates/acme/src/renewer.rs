//! Decides which certificates are due, and orders them.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;

use crate::backoff::{self, Validity};
use crate::challenge::{ChallengeKind, Challenges};
use crate::entry::Entry;
use crate::failure::{Failure, FailureKind};
use crate::issuance::{Issuance, Step, Wanted};
use crate::renewal::{self, DEFAULT_CHECK, RenewalInfo, RenewalStep, Window};
use crate::request::{Request, Response};
use crate::state::{Lock, StateFolder, Stored};

/// What a [`Renewer`] needs from the program: a clock, an HTTPS client and a log.
pub trait Runtime {
    /// The current time.
    fn now(&mut self) -> SystemTime;

    /// Waits this long, or less, for example because the program stops.
    fn wait(&mut self, time: Duration);

    /// Sends a request to the authority: [`Client::send`](crate::Client::send).
    ///
    /// # Errors
    ///
    /// The reason why there is no response.
    fn send(&mut self, request: &Request) -> Result<Response, Failure>;

    /// Called with each event that is worth a line in a log. [`Report::Issued`] and
    /// [`Report::Found`] also mean that the files of the certificate have changed.
    fn report(&mut self, report: &Report);

    /// A random number from 0 to 1, so that many servers don't send requests at the same time. It
    /// need not be unpredictable.
    fn random(&mut self) -> f64 {
        f64::from(RandomState::new().hash_one(0) as u32) / f64::from(u32::MAX)
    }
}

/// An event of a renewer, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// An order begins. Not reported for further attempts after a failure.
    Ordering {
        /// The names of the certificate.
        names: Vec<String>,
    },
    /// The authority has terms of service, to which an order agrees. Reported once per renewer.
    Terms {
        /// The URL of the terms.
        url: String,
    },
    /// A certificate was issued.
    Issued {
        /// Its names.
        names: Vec<String>,
        /// When it expires.
        not_after: SystemTime,
        /// When it is renewed, unless the authority asks for another time.
        renewed_at: SystemTime,
    },
    /// Another server has stored a new certificate in the same folder.
    Found {
        /// Its names.
        names: Vec<String>,
        /// When it expires.
        not_after: SystemTime,
    },
    /// Another server that uses the same folder is ordering. This renewer waits. If the other
    /// server then has a certificate for the same names, this renewer uses it, otherwise it orders
    /// one. Reported once for each certificate that is due.
    Waiting {
        /// The names of the certificate.
        names: Vec<String>,
    },
    /// An attempt to get a certificate has failed. Of several failures of one kind in a row, only
    /// the first is reported.
    Failed {
        /// The names of the certificate.
        names: Vec<String>,
        /// Why the attempt failed.
        failure: Failure,
        /// The time until the next attempt.
        retry_after: Duration,
        /// When the existing certificate expires; `None` if there is none.
        not_after: Option<SystemTime>,
    },
}

/// Settings of a [`Renewer`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The URL of the authority's directory.
    pub directory: String,
    /// The names of each certificate.
    pub certificates: Vec<Vec<String>>,
    /// The e-mail addresses of the account.
    pub emails: Vec<String>,
    /// The challenges that listeners can answer, the preferred one first. After any failure, the
    /// next attempt prefers the next challenge of this list. A renewal prefers the challenge that
    /// the last successful order preferred.
    pub kinds: Vec<ChallengeKind>,
    /// The state folder: see [`StateFolder`].
    pub state: PathBuf,
}

/// Gets certificates and renews them. A thread calls [`turn`](Renewer::turn) in a loop, and waits
/// before the next call for the time that `turn` returns.
pub struct Renewer<R> {
    directory: String,
    emails: Vec<String>,
    kinds: Vec<ChallengeKind>,
    state: StateFolder,
    certificates: Vec<Entry>,
    challenges: Arc<Challenges>,
    provider: Arc<CryptoProvider>,
    runtime: R,
    has_reported_terms: bool,
    /// The latest time that the last turn saw.
    last_turn: SystemTime,
}

impl<R: fmt::Debug> fmt::Debug for Renewer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewer").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}

/// The longest time between two turns. Somebody may set the clock, or the machine may sleep; the
/// next turn notices that. If the clock is set back by at most this time, the renewer ignores it:
/// an order is delayed by no more than this time.
const LONGEST_TURN: Duration = Duration::from_secs(10 * 60);

/// An order names the old certificate in the field `replaces` (RFC 9773, 5). After this many
/// failures that the field may have caused, the next order omits it. A single failure isn't enough:
/// an authority may exempt only orders with this field from its rate limits.
const MAX_REPLACING: u32 = 3;

/// How long to wait, while another server orders, before looking again.
const WAIT_FOR_OTHER: Duration = Duration::from_secs(2);

impl<R: Runtime> Renewer<R> {
    /// Opens the state folder.
    ///
    /// # Errors
    ///
    /// If the folder can't be created or read.
    pub fn new(
        settings: Settings,
        challenges: Arc<Challenges>,
        provider: Arc<CryptoProvider>,
        mut runtime: R,
    ) -> Result<Self, Failure> {
        let Settings { directory, certificates, emails, kinds, state } = settings;
        let state = StateFolder::open(&state, &directory)?;
        let now = runtime.now();
        let certificates = certificates.into_iter().map(|names| {
            let stored = state.stored(&names)?;
            Ok(Entry::new(names, stored, now))
        });
        let certificates = certificates.collect::<Result<_, Failure>>()?;
        let has_reported_terms = false;
        Ok(Self {
            directory,
            emails,
            kinds,
            state,
            certificates,
            challenges,
            provider,
            runtime,
            has_reported_terms,
            last_turn: now,
        })
    }

    /// The files of all certificates and their keys. The two files of a certificate that was never
    /// issued don't exist.
    #[must_use]
    pub fn pairs(&self) -> Vec<[PathBuf; 2]> {
        self.certificates.iter().map(|entry| self.state.pair(&entry.names)).collect()
    }

    /// The folder of this authority in the state folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.state.path()
    }

    /// The file of the account's key, which may not exist yet.
    #[must_use]
    pub fn account_key(&self) -> PathBuf {
        self.state.account_key_path()
    }

    /// The runtime that [`Renewer::new`] was given.
    pub fn runtime(&mut self) -> &mut R {
        &mut self.runtime
    }

    /// If the last order of a certificate has failed, the certificate becomes due at once. If the
    /// next order fails, too, the failure is reported again, because somebody waits for the result.
    pub fn retry_now(&mut self) {
        let now = self.runtime.now();
        for entry in self.certificates.iter_mut().filter(|entry| entry.failures > 0) {
            (entry.due, entry.reported) = (now, None);
        }
    }

    /// Asks for renewal information that is due, and orders certificates that are due. Returns how
    /// long to wait until the next turn.
    pub fn turn(&mut self) -> Duration {
        let now = self.runtime.now();
        // All times that were computed before may be too late if the clock has been set back.
        if self.last_turn.duration_since(now).is_ok_and(|back| back > LONGEST_TURN) {
            self.certificates.iter_mut().for_each(|entry| entry.on_clock_set_back(now));
        }
        for at in 0..self.certificates.len() {
            if self.runtime.now() >= self.certificates[at].check {
                self.check_renewal_info(at);
            }
            if self.runtime.now() >= self.certificates[at].due {
                self.attempt(at);
            }
        }
        // The time at the start or at the end of this turn, whichever is later: the clock may have
        // been set back in between.
        self.last_turn = now.max(self.runtime.now());
        let now = self.runtime.now();
        let next = self.certificates.iter().map(|entry| entry.due.min(entry.check)).min();
        let next = next.map(|next| next.duration_since(now).unwrap_or_default());
        next.unwrap_or(LONGEST_TURN).min(LONGEST_TURN)
    }

    /// Asks the authority for the window in which it wants the certificate renewed. Without an
    /// answer, the previous answer remains valid. If there was no answer yet, the certificate is
    /// due after two thirds of its lifetime.
    fn check_renewal_info(&mut self, at: usize) {
        let stored = self.certificates[at].stored.clone();
        let now = self.runtime.now();
        let Some(Stored { id: Some(id), lifetime, .. }) = stored else {
            self.certificates[at].check = now + LONGEST_TURN;
            return;
        };
        let answer = caught(|| self.renewal_info(&id));
        let random = self.runtime.random();
        let entry = &mut self.certificates[at];
        entry.check = now + DEFAULT_CHECK;
        if let Ok(Some(window)) = answer {
            entry.check = now + window.check_after;
            // A new random time is chosen only for a new window.
            if entry.window.is_none_or(|known| known.times != window.times) {
                // After a failure, `due` remains the time of the next attempt.
                if entry.failures == 0 {
                    let due = renewal::due(lifetime, Some(&window), random);
                    entry.due = due.max(entry.earliest_due);
                }
                entry.window = Some(window);
            }
        }
    }

    fn renewal_info(&mut self, id: &str) -> Result<Option<Window>, Failure> {
        let directory = self.directory.clone();
        let mut info = RenewalInfo::new(&directory, id);
        loop {
            match info.step() {
                RenewalStep::Send(request) => {
                    let response = self.runtime.send(&request)?;
                    info.receive(&response, self.runtime.now())?;
                }
                RenewalStep::Done(window) => return Ok(window),
            }
        }
    }

    /// Orders the certificate if it is due, and no other server has ordered it or is ordering.
    fn attempt(&mut self, at: usize) {
        if let Err(failure) = caught(|| self.try_attempt(at)) {
            self.failed(at, failure);
        }
    }

    fn try_attempt(&mut self, at: usize) -> Result<(), Failure> {
        if self.is_fresh(at)? {
            return Ok(());
        }
        let Some(lock) = self.state.try_lock()? else {
            self.wait_for_other(at);
            return Ok(());
        };
        // The server that had the lock may have just stored the certificate.
        if self.is_fresh(at)? {
            return Ok(());
        }
        let stored = self.order(at, &lock).map_err(|failure| match failure.kind {
            FailureKind::Account => {
                let key = self.state.account_key_path();
                let text = format!(
                    "{failure}; correct the account's e-mail address, or remove {} to get a new account",
                    key.display()
                );
                Failure { text, ..failure }
            }
            _ => failure,
        })?;
        let (names, not_after) = (self.certificates[at].names.clone(), stored.lifetime[1]);
        let renewed_at = self.record(at, stored);
        self.runtime.report(&Report::Issued { names, not_after, renewed_at });
        Ok(())
    }

    /// Reads the certificate from its files again, and returns whether there is one that isn't due.
    fn is_fresh(&mut self, at: usize) -> Result<bool, Failure> {
        let now = self.runtime.now();
        let entry = &self.certificates[at];
        let Some(stored) = self.state.stored(&entry.names)? else { return Ok(false) };
        if entry.stored.as_ref() != Some(&stored) {
            let (names, not_after) = (entry.names.clone(), stored.lifetime[1]);
            let due = self.record(at, stored);
            self.runtime.report(&Report::Found { names, not_after });
            return Ok(due > now);
        }
        // If there is a window, `due` remains: it is a random time in the window, or, after a
        // failure or a wait for another server, the time of this attempt.
        let due = match entry.window {
            Some(_) => entry.due,
            None => renewal::due(stored.lifetime, None, 0.0).max(entry.earliest_due),
        };
        if due > now {
            let entry = &mut self.certificates[at];
            entry.due = due;
            entry.forget_failures();
        }
        Ok(due > now)
    }

    /// Records a new certificate. Returns when it is due for renewal.
    fn record(&mut self, at: usize, stored: Stored) -> SystemTime {
        let now = self.runtime.now();
        self.certificates[at].record(stored, now)
    }

    fn wait_for_other(&mut self, at: usize) {
        let due = self.runtime.now() + WAIT_FOR_OTHER;
        let entry = &mut self.certificates[at];
        entry.due = due;
        if !std::mem::replace(&mut entry.has_reported_waiting, true) {
            self.runtime.report(&Report::Waiting { names: entry.names.clone() });
        }
    }

    /// Orders a certificate and stores it.
    fn order(&mut self, at: usize, lock: &Lock) -> Result<Stored, Failure> {
        let entry = &mut self.certificates[at];
        let key = self.state.account_key(lock)?;
        let mut kinds = self.kinds.clone();
        let first_kind = (entry.first_kind + entry.failures as usize) % kinds.len().max(1);
        kinds.rotate_left(first_kind);
        let wanted = Wanted {
            names: entry.names.clone(),
            kinds,
            emails: self.emails.clone(),
            replaces: if entry.failed_replacing < MAX_REPLACING {
                entry.stored.as_ref().and_then(|stored| stored.id.clone())
            } else {
                entry.failed_replacing = 0;
                None
            },
        };
        let names = wanted.names.clone();
        if entry.failures == 0 {
            self.runtime.report(&Report::Ordering { names: names.clone() });
        }
        let directory = self.directory.clone();
        let mut issuance = Issuance::new(&directory, &key, wanted);
        let challenges = Arc::clone(&self.challenges);
        let _withdraw = Withdraw(&challenges);
        let mut version = None;
        loop {
            match issuance.step()? {
                Step::Send(request) => {
                    let is_replacing = issuance.is_replacing();
                    let response = self.runtime.send(&request);
                    let now = self.runtime.now();
                    let result = response.and_then(|response| issuance.receive(&response, now));
                    if is_replacing && result.as_ref().is_err_and(Failure::may_be_due_to_replaces) {
                        self.certificates[at].failed_replacing += 1;
                    }
                    result?;
                    self.report_terms(issuance.terms());
                }
                Step::Present(challenge) => challenges.present(challenge, &self.provider)?,
                Step::Wait(time) => self.runtime.wait(time),
                Step::Store(key) => version = Some(self.state.begin(lock, &names, &key)?),
                Step::Done(issued) => {
                    // The order has succeeded with this preference, so renewals keep it.
                    self.certificates[at].first_kind = first_kind;
                    let version = version.ok_or_else(|| Failure::malformed("no key"))?;
                    return version.install(&issued.chain);
                }
            }
        }
    }

    fn report_terms(&mut self, terms: Option<&str>) {
        if let Some(url) = terms.filter(|_| !self.has_reported_terms) {
            self.has_reported_terms = true;
            self.runtime.report(&Report::Terms { url: url.to_owned() });
        }
    }

    fn failed(&mut self, at: usize, failure: Failure) {
        let (now, random) = (self.runtime.now(), self.runtime.random());
        let entry = &mut self.certificates[at];
        entry.failures = entry.failures.saturating_add(1);
        let lifetime = entry.stored.as_ref().map(|stored| stored.lifetime);
        let not_after = lifetime.map(|[_, end]| end);
        let validity = lifetime.map(|[start, end]| Validity {
            lifetime: end.duration_since(start).unwrap_or_default(),
            left: end.duration_since(now).unwrap_or_default(),
        });
        let retry_after = backoff::delay(entry.failures, &failure, validity, random);
        entry.due = now + retry_after;
        if entry.reported.replace(failure.kind) != Some(failure.kind) {
            let names = entry.names.clone();
            self.runtime.report(&Report::Failed { names, failure, retry_after, not_after });
        }
    }
}

/// Turns a panic into a failure, because a panic must not end the renewals of all certificates.
fn caught<T>(code: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|_| {
        let text = "this program has a fault: please report the panic that the log shows";
        Err(Failure::new(FailureKind::Panic, text))
    })
}

/// When dropped, makes listeners answer no challenge any more. A destructor does this, because an
/// order may end in many places.
struct Withdraw<'a>(&'a Challenges);

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}
