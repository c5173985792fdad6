//! Failures: why a certificate was not issued.

use std::fmt;
use std::time::Duration;

/// Kinds of failures. If the orders of one certificate fail several times in a row with one kind,
/// only the first failure is reported, unless [`Renewer::retry_now`](crate::Renewer::retry_now) was
/// called in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// There was no connection to the authority, it broke, or a response took too long.
    Unreachable,
    /// The authority's own TLS certificate isn't trusted.
    Untrusted,
    /// The authority refuses further requests for now, because there were too many.
    RateLimited,
    /// The authority has an internal error (status 5xx).
    Server,
    /// The authority could not validate a name, or offers no challenge for it that this server can
    /// answer.
    Validation,
    /// The authority issues no certificate for a name.
    NameRefused,
    /// The authority took too long to validate a name or to make the certificate.
    TooSlow,
    /// The account was deactivated, or the authority refuses the account or an e-mail address.
    Account,
    /// The authority accepts only accounts that are bound to one that was made outside ACME
    /// (external account binding).
    ExternalAccount,
    /// The authority's terms of service have changed, and it wants a person to agree.
    Terms,
    /// The authority refuses a request for another reason.
    Refused,
    /// The authority sent something that isn't ACME.
    Malformed,
    /// A certificate or its signing request can't be made, or the certificate that arrived is
    /// malformed or not the one that was ordered.
    Certificate,
    /// The state folder can't be read or written, or the account's key can't be made or used.
    State,
    /// This program has panicked.
    Panic,
}

/// Why a certificate was not issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// A sentence without a full stop, for the log.
    pub text: String,
    /// The time for which the authority wants the client to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
}

/// Texts are truncated after this many characters, because they may contain text of an authority,
/// which may have any length.
const MAX_DETAIL: usize = 500;

impl Failure {
    pub(crate) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: printable(&text.into()), retry_after: None }
    }

    /// Whether the order's field `replaces` may have caused this failure. That field tells the
    /// authority which certificate the new one replaces (RFC 9773, 5).
    pub(crate) fn may_be_due_to_replaces(&self) -> bool {
        use FailureKind::{RateLimited, Terms, Validation};
        !matches!(self.kind, RateLimited | Terms | Validation)
    }

    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self::new(FailureKind::Malformed, text)
    }
}

/// Makes text from an authority fit one line of a log: without control characters, and truncated.
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
