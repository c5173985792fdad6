//! HTTP requests to an ACME authority, and its responses: values without I/O.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::failure::Failure;

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Requests a resource that needs no account.
    Get,
    /// Requests a nonce.
    Head,
    /// Used for all signed requests.
    Post,
}

/// A request to an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// An absolute URL.
    pub url: String,
    /// The content: JSON of type `application/jose+json`. Empty unless the method is POST.
    pub content: String,
}

/// A response of an authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The field `Location`.
    pub location: Option<String>,
    /// The field `Replay-Nonce`.
    pub nonce: Option<String>,
    /// The field `Retry-After`.
    pub retry_after: Option<String>,
    /// The content.
    pub content: Vec<u8>,
}

/// Maximum length in bytes of a URL, a nonce or a challenge's token. Longer ones are invalid.
const MAX_TEXT: usize = 2048;

impl Response {
    /// The time until `Retry-After`, which is a number of seconds or a date (RFC 9110, 10.2.3).
    pub(crate) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Callers limit this time, so for a number above `u64::MAX`, any long time will do.
            return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    }

    pub(crate) fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.content)
            .map_err(|error| Failure::malformed(format!("a response is not JSON: {error}")))
    }
}

/// The URL in this member of a JSON object.
pub(crate) fn url(object: &Value, member: &str) -> Result<String, Failure> {
    let found = object[member].as_str();
    checked_url(found.ok_or_else(|| Failure::malformed(format!("a response has no {member}")))?)
}

/// Checks a URL that the authority sent. Refuses schemes other than https, so that nobody on the
/// network path can change requests to this URL.
pub(crate) fn checked_url(text: &str) -> Result<String, Failure> {
    let is_plain = text.len() <= MAX_TEXT && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_https = text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
    let problem = match (is_https, is_plain) {
        (true, true) => return Ok(text.to_owned()),
        (false, _) => "that is not https",
        (true, false) => "that is too long, or has a character that URLs can't have",
    };
    Err(Failure::malformed(format!("a response has a URL {problem}: {text}")))
}

/// Checks a nonce, which consists of characters of base64url (RFC 8555, 6.5.1).
pub(crate) fn checked_nonce(text: &str) -> Option<String> {
    is_base64url(text).then(|| text.to_owned())
}

pub(crate) fn is_base64url(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_TEXT).contains(&text.len()) && text.bytes().all(allowed)
}
