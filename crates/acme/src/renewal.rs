//! When a certificate is renewed: after two thirds of its lifetime, or when the authority wants it
//! renewed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;

use crate::directory::Directory;
use crate::failure::Failure;
use crate::jws::base64url;
use crate::problem;
use crate::request::{Method, Request, Response};

/// The shortest and the longest time between two requests for renewal information, whatever
/// `Retry-After` says (RFC 9773, 4.3).
const CHECKS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(24 * 60 * 60)];

/// The time until the next request for renewal information, unless the authority answers with
/// renewal information and a valid `Retry-After`.
pub(crate) const DEFAULT_CHECK: Duration = Duration::from_secs(6 * 60 * 60);

/// When the authority wants a certificate renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The start and the end of the window, in which the certificate should be renewed.
    pub times: [SystemTime; 2],
    /// The time until the next request for renewal information.
    pub check_after: Duration,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum RenewalStep {
    /// Send this request, and give the response to [`RenewalInfo::receive`].
    Send(Request),
    /// The answer; `None` if the authority has no renewal information.
    Done(Option<Window>),
}

/// Asks an authority when it wants a certificate renewed (RFC 9773): a state machine without I/O.
#[derive(Debug)]
pub struct RenewalInfo<'a> {
    directory_url: &'a str,
    /// The identifier of the certificate for renewal information (RFC 9773, 4.1).
    id: &'a str,
    stage: Stage,
}

/// The resource to request next, or the result.
#[derive(Debug)]
enum Stage {
    /// The authority's directory, which has the URLs of its services (RFC 8555, 7.1.1).
    Directory,
    /// The renewal information of the certificate, at this URL.
    Info(String),
    Done(Option<Window>),
}

impl<'a> RenewalInfo<'a> {
    /// Begins to request the renewal information of the certificate with this identifier.
    #[must_use]
    pub fn new(directory_url: &'a str, id: &'a str) -> Self {
        Self { directory_url, id, stage: Stage::Directory }
    }

    /// Returns what to do next.
    #[must_use]
    pub fn step(&self) -> RenewalStep {
        let url = match &self.stage {
            Stage::Directory => self.directory_url,
            Stage::Info(url) => url,
            Stage::Done(window) => return RenewalStep::Done(*window),
        };
        let (method, content) = (Method::Get, String::new());
        RenewalStep::Send(Request { method, url: url.to_owned(), content })
    }

    /// Handles the response to the request of the last step.
    ///
    /// # Errors
    ///
    /// If the authority refuses the request, or the response is malformed.
    pub fn receive(&mut self, response: &Response, now: SystemTime) -> Result<(), Failure> {
        if response.status != 200 {
            return Err(problem::failure(response, now));
        }
        self.stage = match self.stage {
            Stage::Directory => match Directory::of(response)?.renewal_info {
                Some(base) => Stage::Info(format!("{}/{}", base.trim_end_matches('/'), self.id)),
                None => Stage::Done(None),
            },
            Stage::Info(_) => Stage::Done(Some(window(response, now)?)),
            Stage::Done(window) => Stage::Done(window),
        };
        Ok(())
    }
}

fn window(response: &Response, now: SystemTime) -> Result<Window, Failure> {
    let object = response.json()?;
    let window = &object["suggestedWindow"];
    let (Some(start), Some(end)) = (time(&window["start"]), time(&window["end"])) else {
        return Err(Failure::malformed("the renewal information has no suggestedWindow"));
    };
    if start >= end {
        return Err(Failure::malformed(
            "the renewal information has a suggestedWindow that ends before it begins",
        ));
    }
    let check_after = response.retry_after(now).unwrap_or(DEFAULT_CHECK);
    Ok(Window { times: [start, end], check_after: check_after.clamp(CHECKS[0], CHECKS[1]) })
}

fn time(value: &Value) -> Option<SystemTime> {
    OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok().map(Into::into)
}

/// When to renew a certificate with this lifetime: at a random time of the window, if there is one,
/// else after two thirds of the lifetime. In no case later than when the lifetime's last tenth
/// begins. `random`, from 0 to 1, selects the time of the window: 0 its start, 1 its end.
pub(crate) fn due(lifetime: [SystemTime; 2], window: Option<&Window>, random: f64) -> SystemTime {
    let [not_before, not_after] = lifetime;
    let length = not_after.duration_since(not_before).unwrap_or_default();
    let random = random.clamp(0.0, 1.0);
    let due = match window {
        Some(Window { times: [start, end], .. }) => {
            *start + end.duration_since(*start).unwrap_or_default().mul_f64(random)
        }
        None => not_before + length.mul_f64(2.0 / 3.0),
    };
    due.min(not_after - length / 10)
}

/// Reads a certificate's identifier for renewal information (RFC 9773, 4.1), if it has one, and the
/// times from and until which the certificate is valid.
pub(crate) fn read(certificate: &X509Certificate<'_>) -> (Option<String>, [SystemTime; 2]) {
    let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0));
    let key =
        certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(found) => found.key_identifier.as_ref(),
            _ => None,
        });
    let id = key.map(|key| format!("{}.{}", base64url(key.0), base64url(certificate.raw_serial())));
    let validity = certificate.validity();
    (id, [time(validity.not_before.timestamp()), time(validity.not_after.timestamp())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn json(text: &str) -> Response {
        Response { status: 200, content: text.into(), ..Response::default() }
    }

    const DIRECTORY: &str = r#"{"newNonce":"https://ca/n","newAccount":"https://ca/a",
        "newOrder":"https://ca/o","renewalInfo":"https://ca/ari/"}"#;

    #[test]
    fn two_thirds_of_the_lifetime_or_what_the_authority_says() {
        let window =
            |start, end| Some(Window { times: [at(start), at(end)], check_after: DEFAULT_CHECK });
        for (window, random, expected) in [
            (None, 0.0, 1060),
            (window(1010, 1020), 0.0, 1010),
            (window(1010, 1020), 0.5, 1015),
            (window(1010, 1020), 1.0, 1020),
            // A window in the past: due at once.
            (window(10, 20), 0.5, 15),
            // A window too late: due before the last tenth of the lifetime.
            (window(1085, 5000), 0.5, 1081),
        ] {
            assert_eq!(due([at(1000), at(1090)], window.as_ref(), random), at(expected));
        }
    }

    #[test]
    fn renewal_information_is_asked_for_by_identifier() {
        let mut info = RenewalInfo::new("https://ca/dir", "aki.serial");
        let url = |step| match step {
            RenewalStep::Send(Request { method: Method::Get, url, .. }) => url,
            other => panic!("{other:?}"),
        };
        assert_eq!(url(info.step()), "https://ca/dir");
        info.receive(&json(DIRECTORY), at(0)).unwrap();
        assert_eq!(url(info.step()), "https://ca/ari/aki.serial");
        let mut response = json(
            r#"{"suggestedWindow":{"start":"1970-01-01T00:01:00Z","end":"1970-01-01T01:00:00.5+00:30"}}"#,
        );
        response.retry_after = Some("7200".into());
        info.receive(&response, at(0)).unwrap();
        let end = at(1800) + Duration::from_millis(500);
        let check_after = Duration::from_secs(7200);
        assert_eq!(
            info.step(),
            RenewalStep::Done(Some(Window { times: [at(60), end], check_after }))
        );
    }

    #[test]
    fn an_authority_without_renewal_information_is_no_error() {
        let mut info = RenewalInfo::new("https://ca/dir", "aki.serial");
        info.receive(&json(&DIRECTORY.replace("renewalInfo", "other")), at(0)).unwrap();
        assert_eq!(info.step(), RenewalStep::Done(None));
    }

    #[test]
    fn nonsense_is_refused_and_waits_are_clamped() {
        for content in [
            "",
            "{}",
            r#"{"suggestedWindow":{"start":"tomorrow","end":"1970-01-01T01:00:00Z"}}"#,
            r#"{"suggestedWindow":{"start":"1970-01-01T01:00:00Z","end":"1970-01-01T01:00:00Z"}}"#,
        ] {
            let mut info = RenewalInfo::new("https://ca/dir", "aki.serial");
            info.receive(&json(DIRECTORY), at(0)).unwrap();
            assert!(info.receive(&json(content), at(0)).is_err(), "{content}");
        }
        let good =
            r#"{"suggestedWindow":{"start":"1970-01-01T00:00:00Z","end":"1970-01-01T01:00:00Z"}}"#;
        for (retry_after, expected) in [
            (None, 6 * 60 * 60),
            (Some("0"), 60),
            (Some("99999999999999999999"), 86_400),
            (Some("Thu, 01 Jan 1970 00:10:00 GMT"), 600),
            (Some("soon"), 6 * 60 * 60),
        ] {
            let response = Response { retry_after: retry_after.map(Into::into), ..json(good) };
            let window = window(&response, at(0)).unwrap();
            assert_eq!(window.check_after, Duration::from_secs(expected), "{retry_after:?}");
        }
    }
}
