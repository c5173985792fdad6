//! Certificates from a CA (ACME): the thread that orders and renews them, and the thread's log
//! lines.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use sockeye::tls::ClientConfig;
use sockeye_acme::{
    Challenges, Client, Failure, FailureKind, Renewer, Report, Request, Response, Runtime, Settings,
};
use tracing::{error, info, warn};

use crate::log::Log;
use crate::signals::OnHangup;
use crate::text;

/// The renewal of the certificates of `--acme`, before [`Acme::start`] moves it to a thread.
#[derive(Debug)]
pub(crate) struct Acme {
    renewer: Renewer<ThreadRuntime>,
    challenges: Arc<Challenges>,
    /// Makes the thread retry failed orders.
    retry: SyncSender<()>,
    /// The names of all certificates.
    names: Vec<String>,
    /// The host of the CA's directory URL.
    host: String,
    email: Option<String>,
    /// The folder of the certificates, keys and account.
    state: PathBuf,
}

impl Acme {
    /// Opens the state folder. No request is sent to the CA before [`Acme::start`].
    pub(crate) fn new(settings: Settings, client: ClientConfig) -> Result<Self, Failure> {
        let challenges = Arc::<Challenges>::default();
        let (retry, signals) = sync_channel(1);
        let host = settings.directory.split('/').nth(2).unwrap_or_default().to_owned();
        let names = settings.certificates.concat();
        let email = settings.emails.first().cloned();
        let thread = ThreadRuntime {
            client: Client::new(Arc::new(client)),
            signals,
            retries: false,
            host: host.clone(),
        };
        let provider = sockeye::tls::provider();
        let renewer = Renewer::new(settings, Arc::clone(&challenges), provider, thread)?;
        let state = renewer.folder().to_owned();
        Ok(Self { renewer, challenges, retry, names, host, email, state })
    }

    /// For each certificate, the path of its file and of its key's file. The files may not exist
    /// yet.
    pub(crate) fn pairs(&self) -> Vec<[PathBuf; 2]> {
        self.renewer.pairs()
    }

    /// The names of all certificates.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The file of the account's key, which may not exist yet.
    pub(crate) fn account_key(&self) -> PathBuf {
        self.renewer.account_key()
    }

    pub(crate) fn challenges(&self) -> Arc<Challenges> {
        Arc::clone(&self.challenges)
    }

    /// The line about the certificates on the start screen.
    pub(crate) fn line(&self) -> String {
        let names = match self.names.len() {
            ..=3 => self.names.join(", "),
            more => format!("{} and {} more", self.names[..2].join(", "), more - 2),
        };
        let account = self.email.as_ref().map(|email| format!(" (account: {email})"));
        format!(
            "Certificates for {names} come from {}{}, and are kept in {}.",
            self.host,
            account.unwrap_or_default(),
            self.state.display()
        )
    }

    /// Starts the thread, which runs until the process ends. The returned function, which is called
    /// on SIGHUP, makes the thread retry failed orders at once.
    pub(crate) fn start(self) -> io::Result<OnHangup> {
        let Self { mut renewer, retry, .. } = self;
        thread::Builder::new().name("acme".into()).spawn(move || {
            loop {
                let wait = renewer.turn();
                if renewer.runtime().is_signalled_within(wait) {
                    renewer.retry_now();
                }
            }
        })?;
        Ok(Box::new(move |_: &Log| {
            // If the channel is full, the thread will retry anyway.
            let _ = retry.try_send(());
        }))
    }
}

/// The renewer's interface to the clock, the network and the log.
#[derive(Debug)]
struct ThreadRuntime {
    client: Client,
    /// Receives a message when SIGHUP has arrived. At most one message waits.
    signals: Receiver<()>,
    /// Whether SIGHUP has arrived during a wait. The renewer also waits within an order, for
    /// example for a validation.
    retries: bool,
    host: String,
}

impl ThreadRuntime {
    /// Waits up to `time` for SIGHUP, and returns whether it has arrived. A SIGHUP during the last
    /// order counts, too, since that order may have failed.
    fn is_signalled_within(&mut self, time: Duration) -> bool {
        if !self.retries {
            self.wait(time);
        }
        std::mem::take(&mut self.retries)
    }
}

impl Runtime for ThreadRuntime {
    fn now(&mut self) -> SystemTime {
        SystemTime::now()
    }

    fn wait(&mut self, time: Duration) {
        match self.signals.recv_timeout(time) {
            Ok(()) => self.retries = true,
            Err(RecvTimeoutError::Timeout) => {}
            // No sender is left, so that no SIGHUP can arrive.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(time),
        }
    }

    fn send(&mut self, request: &Request) -> Result<Response, Failure> {
        self.client.send(request)
    }

    fn report(&mut self, report: &Report) {
        let host = &self.host;
        match report {
            Report::Ordering { names } => {
                info!(target: "sockeye", "ordering a certificate for {} from {host}", names.join(", "));
            }
            Report::Terms { url } => {
                info!(target: "sockeye", "--acme agrees to the terms of service of {host}: {url}");
            }
            Report::Issued { names, not_after, renewed_at } => info!(
                target: "sockeye",
                "{host} has issued a certificate for {}: it expires {}, and is renewed {}",
                names.join(", "), text::date(*not_after), text::date(*renewed_at)
            ),
            Report::Found { names, not_after } => info!(
                target: "sockeye",
                "another server has stored a certificate for {}: it expires {}",
                names.join(", "), text::date(*not_after)
            ),
            Report::Waiting { names } => info!(
                target: "sockeye",
                "another server is ordering certificates in the same folder: the order for {} waits",
                names.join(", ")
            ),
            Report::Failed { names, failure, retry_after, not_after } => {
                let line = failed(names, failure, *retry_after, *not_after);
                // While the certificate in use is valid, a failure is only a warning.
                match not_after {
                    Some(end) if *end > SystemTime::now() => warn!(target: "sockeye", "{line}"),
                    _ => error!(target: "sockeye", "{line}"),
                }
            }
            _ => {}
        }
    }
}

/// The log line of a failed order: what failed, what to do, and when the next attempt is.
fn failed(
    names: &[String],
    failure: &Failure,
    retry_after: Duration,
    not_after: Option<SystemTime>,
) -> String {
    let advice = match failure.kind {
        FailureKind::Untrusted => "; for a CA of your own, name its root with --acme-ca FILE",
        FailureKind::Validation => {
            "; the CA must reach this server by that name, at port 443 for tls-alpn-01 and 80 for \
             http-01: check the DNS and firewalls"
        }
        FailureKind::RateLimited => "; for tests, use --acme-directory staging",
        _ => "",
    };
    let next = match retry_after.as_secs() {
        seconds @ ..120 => text::count(seconds.max(1), "second"),
        seconds @ ..7200 => text::count(seconds.div_ceil(60), "minute"),
        seconds => text::count(seconds.div_ceil(3600), "hour"),
    };
    let kept = not_after.map(|end| format!("; the certificate in use expires {}", text::date(end)));
    format!(
        "no new certificate for {}: {failure}{advice}{}; next attempt in {next}, or on SIGHUP",
        names.join(", "),
        kept.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_during_an_order_is_not_forgotten() {
        let (retry, signals) = sync_channel(1);
        let client = sockeye::tls::ClientSettings {
            trust: sockeye::tls::Trust::Anything,
            ..Default::default()
        };
        let client = Client::new(Arc::new(client.config().unwrap()));
        let mut thread = ThreadRuntime { client, signals, retries: false, host: String::new() };
        retry.send(()).unwrap();
        // The renewer waits like this within an order, for a validation. The wait receives the
        // signal; suppose that the order fails afterwards.
        thread.wait(Duration::from_secs(60));
        retry.send(()).unwrap();
        // This call doesn't wait, so it doesn't receive the second signal.
        assert!(thread.is_signalled_within(Duration::from_secs(60)));
        assert!(thread.signals.try_recv().is_ok());
        assert!(!thread.is_signalled_within(Duration::ZERO));
    }

    #[test]
    fn a_failure_says_what_to_do_and_what_happens_next() {
        let failure = |kind, text: &str| Failure { kind, text: text.into(), retry_after: None };
        let names = ["a.example".to_owned(), "b.example".to_owned()];
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (failure, seconds, not_after, expected) in [
            (
                failure(FailureKind::Unreachable, "cannot reach the CA at ca:443: refused"),
                57,
                None,
                "no new certificate for a.example, b.example: cannot reach the CA at ca:443: refused; \
                 next attempt in 57 seconds, or on SIGHUP",
            ),
            (
                failure(FailureKind::Untrusted, "not trusted"),
                240,
                Some(end),
                "no new certificate for a.example, b.example: not trusted; for a CA of your own, name \
                 its root with --acme-ca FILE; the certificate in use expires 2027-01-15; next \
                 attempt in 4 minutes, or on SIGHUP",
            ),
            (
                failure(FailureKind::RateLimited, "too many"),
                86_400,
                None,
                "no new certificate for a.example, b.example: too many; for tests, use \
                 --acme-directory staging; next attempt in 24 hours, or on SIGHUP",
            ),
        ] {
            let line = failed(&names, &failure, Duration::from_secs(seconds), not_after);
            assert_eq!(line, expected);
        }
    }
}
