//! Problem documents, by which an authority says why it refuses a request (RFC 8555, 6.7).

use std::time::SystemTime;

use serde_json::Value;

use crate::failure::{Failure, FailureKind};
use crate::request::Response;

/// Converts a response with an unexpected status to a failure.
pub(crate) fn failure(response: &Response, now: SystemTime) -> Failure {
    let problem = response.json().unwrap_or_default();
    let kind = kind(response.status, &problem);
    let text = problem_text(&problem).unwrap_or_else(|| format!("status {}", response.status));
    let text = match kind {
        FailureKind::RateLimited => {
            format!("the CA refuses because of too many requests: {text}")
        }
        FailureKind::Server => format!("the CA has an error: {text}"),
        FailureKind::Account => format!("the CA refuses this account: {text}"),
        FailureKind::ExternalAccount => {
            format!("the CA wants an external account binding, which is not supported: {text}")
        }
        FailureKind::Terms => match problem["instance"].as_str() {
            Some(url) => format!("the CA's terms of service have changed: agree at {url}"),
            None => format!("the CA's terms of service have changed: {text}"),
        },
        FailureKind::NameRefused => format!("the CA refuses a name: {text}"),
        _ if (300..400).contains(&response.status) => match &response.location {
            Some(url) => format!("the CA has moved: use the directory {url}"),
            None => format!("the CA redirects to nowhere: {text}"),
        },
        _ => format!("the CA refuses a request: {text}"),
    };
    Failure { retry_after: response.retry_after(now), ..Failure::new(kind, text) }
}

/// The name of a problem's type without its namespace.
pub(crate) fn name(problem: &Value) -> &str {
    let name = problem["type"].as_str().unwrap_or_default();
    name.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(name)
}

fn kind(status: u16, problem: &Value) -> FailureKind {
    match name(problem) {
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

/// The text of a problem document: its detail, the details of at most 5 subproblems (RFC 8555,
/// 6.7.1), and its type. `None` if the document has no detail.
pub(crate) fn problem_text(problem: &Value) -> Option<String> {
    let mut text = problem["detail"].as_str()?.to_owned();
    for part in problem["subproblems"].as_array().into_iter().flatten().take(5) {
        let name = part["identifier"]["value"].as_str().unwrap_or("?");
        text += &format!("; {name}: {}", part["detail"].as_str().unwrap_or_default());
    }
    match name(problem) {
        "" => Some(text),
        name => Some(format!("{text} ({name})")),
    }
}
