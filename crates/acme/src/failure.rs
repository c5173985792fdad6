//! Why there is no certificate.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::request::Response;

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
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// A sentence without a full stop, for the log.
    pub text: String,
    /// When the authority wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// What an authority says is cut after this many characters.
const MAX_DETAIL: usize = 500;

impl Failure {
    pub(crate) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: printable(&text.into()), retry_after: None }
    }

    /// The failure of a response with an error status (RFC 8555, 6.7).
    pub(crate) fn of(response: &Response, now: SystemTime) -> Self {
        let problem = response.json().unwrap_or_default();
        let kind = kind(response.status, &problem);
        let said = said(&problem).unwrap_or_else(|| format!("status {}", response.status));
        let text = match kind {
            FailureKind::RateLimited => {
                format!("the CA refuses because of too many requests: {said}")
            }
            FailureKind::Server => format!("the CA has an error: {said}"),
            FailureKind::Account => format!("the CA refuses this account: {said}"),
            FailureKind::ExternalAccount => {
                format!("the CA wants an external account binding, which is not supported: {said}")
            }
            FailureKind::Terms => match problem["instance"].as_str() {
                Some(url) => format!("the CA's terms of service have changed: agree at {url}"),
                None => format!("the CA's terms of service have changed: {said}"),
            },
            FailureKind::NameRefused => format!("the CA refuses a name: {said}"),
            _ if (300..400).contains(&response.status) => match &response.location {
                Some(url) => format!("the CA has moved: use the directory {url}"),
                None => format!("the CA redirects to nowhere: {said}"),
            },
            _ => format!("the CA refuses a request: {said}"),
        };
        Self { retry_after: response.retry_after(now), ..Self::new(kind, text) }
    }
}

/// The name of a problem's type without its namespace.
pub(crate) fn problem_name(problem: &Value) -> &str {
    let name = problem["type"].as_str().unwrap_or_default();
    name.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(name)
}

fn kind(status: u16, problem: &Value) -> FailureKind {
    match problem_name(problem) {
        "rateLimited" => FailureKind::RateLimited,
        "externalAccountRequired" => FailureKind::ExternalAccount,
        "userActionRequired" => FailureKind::Terms,
        "accountDoesNotExist" | "unauthorized" | "invalidContact" | "unsupportedContact" => {
            FailureKind::Account
        }
        "rejectedIdentifier" | "unsupportedIdentifier" | "caa" | "dns" => FailureKind::NameRefused,
        _ => match status {
            429 => FailureKind::RateLimited,
            500.. => FailureKind::Server,
            _ => FailureKind::Refused,
        },
    }
}

/// What a problem document says: its detail, those of its subproblems (RFC 8555, 6.7.1), its type.
pub(crate) fn said(problem: &Value) -> Option<String> {
    let mut text = problem["detail"].as_str()?.to_owned();
    for part in problem["subproblems"].as_array().into_iter().flatten().take(5) {
        let name = part["identifier"]["value"].as_str().unwrap_or("?");
        text += &format!("; {name}: {}", part["detail"].as_str().unwrap_or_default());
    }
    match problem_name(problem) {
        "" => Some(text),
        name => Some(format!("{text} ({name})")),
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
