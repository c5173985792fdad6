//! Why there is no certificate.

use std::fmt;
use std::time::Duration;

/// Kinds of failures. Each is reported once until another one happens or a certificate arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// There was no connection to the authority, or it broke.
    Unreachable,
    /// The authority's own TLS certificate isn't trusted.
    Untrusted,
    /// The authority refuses for now: too many requests.
    RateLimited,
    /// The authority has an error of its own.
    Server,
    /// The authority could not validate a name.
    Validation,
    /// The authority gives no certificate for a name.
    NameRefused,
    /// The authority took too long to validate a name or to make the certificate.
    TooSlow,
    /// The account was deactivated, or is not allowed to order.
    Account,
    /// The authority wants an account that was made elsewhere (external account binding).
    ExternalAccount,
    /// The authority's terms of service have changed, and it wants a person to agree.
    Terms,
    /// The authority refuses a request for another reason.
    Refused,
    /// The authority sent what isn't ACME.
    Malformed,
    /// The certificate doesn't fit what was ordered.
    Certificate,
    /// The state folder can't be read or written.
    State,
    /// This program has panicked.
    Panic,
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// A sentence without a full stop, for the log.
    pub text: String,
    /// How long the authority wants the client to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
}

/// What an authority says is cut after this many characters.
const MAX_DETAIL: usize = 500;

impl Failure {
    pub(crate) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: printable(&text.into()), retry_after: None }
    }

    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self::new(FailureKind::Malformed, text)
    }
}

/// Text from outside for one line of a log, with a limit.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().take(MAX_DETAIL).map(shown).collect();
    if text.chars().nth(MAX_DETAIL).is_some() {
        line.push('…');
    }
    line
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
