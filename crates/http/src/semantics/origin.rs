//! Protection against cross-site requests: which web pages may use a service.
//!
//! Any page can make a browser send some requests, such as a POST of `text/plain`, or open a
//! WebSocket, to any server that the browser can reach. For a POST, the browser only hides the
//! response from the page: the request has had its effect. So a service should refuse requests from
//! pages of other origins before they have an effect. Browsers send the origin of a page in
//! `Origin` (RFC 6454, 7), and the page's relation to the server in `Sec-Fetch-Site` (Fetch
//! Metadata). Most other programs send neither.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::names::FieldName;
use super::request::Request;

/// The origins whose pages may use a service: the server's own, and those that are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    origins: Vec<Box<str>>,
    hint: Cow<'static, str>,
    on_refused: OnRefused,
}

/// See [`AllowedOrigins::on_refused`].
#[derive(Clone, Default)]
struct OnRefused(Option<Arc<Report>>);

type Report = dyn Fn(Option<&str>) + Send + Sync;

impl fmt::Debug for OnRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnRefused").field(&self.0.is_some()).finish()
    }
}

impl PartialEq for OnRefused {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Eq for OnRefused {}

/// The length in bytes of the longest origin that [`AllowedOrigins::on_refused`] gets. No real
/// origin is longer: a name in DNS has at most 253 bytes.
const MAX_REPORTED: usize = 300;

impl AllowedOrigins {
    /// Adds an origin, such as `https://example.org` or `http://localhost:5173`.
    #[must_use]
    pub fn allow(mut self, origin: &str) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Whether only the server's own origin is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// The origin of `request`, if it is the only one and was added by [`AllowedOrigins::allow`]. A
    /// page of it can read the response if `Access-Control-Allow-Origin` names the origin.
    #[must_use]
    pub fn added_origin<'r>(&self, request: &Request<'r>) -> Option<&'r [u8]> {
        let origin = request.common_field(FieldName::Origin)?;
        let is_added = || self.origins.iter().any(|known| is_same(known.as_bytes(), origin));
        (!request.is_repeated(FieldName::Origin) && is_added()).then_some(origin)
    }

    /// Adds `hint` to the text of each refusal: a sentence without its full stop, which says how to
    /// allow an origin.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Calls `on_refused` with the origin of each refused request, for example to log it. The
    /// argument is `None` if the request has no origin or several, or if the origin has more than
    /// 300 bytes or characters other than visible ASCII.
    #[must_use]
    pub fn on_refused(mut self, on_refused: impl Fn(Option<&str>) + Send + Sync + 'static) -> Self {
        self.on_refused = OnRefused(Some(Arc::new(on_refused)));
        self
    }

    /// Why `request` is refused: a sentence without its full stop. `None` if `request` is allowed.
    /// `tls`: the request's connection uses TLS.
    #[must_use]
    pub fn refusal(&self, request: &Request<'_>, tls: bool) -> Option<String> {
        let is_cross_site = || {
            request.fields_named("sec-fetch-site").any(|v| v.eq_ignore_ascii_case(b"cross-site"))
        };
        let what = match request.common_field(FieldName::Origin) {
            None if is_cross_site() => "a page of another site",
            None => return None,
            Some(_) if request.is_repeated(FieldName::Origin) => "more than one origin",
            Some(_) if self.added_origin(request).is_some() => return None,
            Some(origin) if is_own(origin, request.host(), tls) && !is_cross_site() => return None,
            Some(_) => "a page of another origin",
        };
        if let OnRefused(Some(report)) = &self.on_refused {
            let origin = request.common_field(FieldName::Origin);
            let is_one = !request.is_repeated(FieldName::Origin);
            let is_valid = |origin: &&[u8]| {
                origin.len() <= MAX_REPORTED && origin.iter().all(u8::is_ascii_graphic)
            };
            let origin = origin.filter(|_| is_one).filter(is_valid);
            report(origin.and_then(|origin| str::from_utf8(origin).ok()));
        }
        let hint = match &*self.hint {
            "" => String::new(),
            hint => format!(". {hint}"),
        };
        Some(format!("the request comes from {what}, which is not allowed here{hint}"))
    }
}

/// The default port of `https://`.
const HTTPS_PORT: &[u8] = b":443";

/// Splits an origin: returns the default port of its scheme, with the colon (`:80`), and the part
/// after the scheme, which is the host and, if it is written, the port. `None` for schemes other
/// than `http` and `https`.
fn parts(origin: &[u8]) -> Option<(&'static [u8], &[u8])> {
    const SCHEMES: [(&[u8], &[u8]); 2] = [(b"http://", b":80"), (b"https://", HTTPS_PORT)];
    SCHEMES.into_iter().find_map(|(scheme, port)| {
        let (front, host) = origin.split_at_checked(scheme.len())?;
        front.eq_ignore_ascii_case(scheme).then_some((port, host))
    })
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    match (parts(one), parts(other)) {
        (Some((port, one)), Some((other_port, other))) => {
            port == other_port && is_same_host(one, other, port)
        }
        _ => one.eq_ignore_ascii_case(other),
    }
}

/// Whether `origin` is the server's own, for a request with this `host`. `tls`: the connection uses
/// TLS. Without TLS, the origin may begin with `http://` or `https://`, since a proxy in front of
/// the server may use TLS. With TLS, an `http://` origin is not the server's own, because anybody
/// on the network path can have sent the page.
fn is_own(origin: &[u8], host: Option<&[u8]>, tls: bool) -> bool {
    parts(origin).zip(host).is_some_and(|((port, origin), host)| {
        (!tls || port == HTTPS_PORT) && is_same_host(origin, host, port)
    })
}

/// Whether two hosts and their ports are the same. `port`, with its colon, is the default for a
/// host that is written without a port.
fn is_same_host(one: &[u8], other: &[u8], port: &[u8]) -> bool {
    let bare = |host| <[u8]>::strip_suffix(host, port).unwrap_or(host);
    !one.is_empty() && bare(one).eq_ignore_ascii_case(bare(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OwnedRequest;

    fn is_allowed(origins: &AllowedOrigins, line: &str, fields: &str) -> bool {
        let head = format!("{line}\r\n{fields}\r\n");
        let request = OwnedRequest::read(head.as_bytes()).unwrap();
        origins.refusal(&request.view(), false).is_none()
    }

    #[test]
    fn refused_origins_are_reported_if_they_can_be_shown() {
        let (report, reports) = std::sync::mpsc::channel();
        let origins = AllowedOrigins::default()
            .on_refused(move |origin| report.send(origin.map(str::to_owned)).unwrap());
        let long = format!("Origin: https://{}\r\n", "a".repeat(MAX_REPORTED));
        for (fields, expected) in [
            ("Origin: https://evil.example\r\n", Some(Some("https://evil.example"))),
            ("Origin: null\r\n", Some(Some("null"))),
            ("Origin: a b\r\n", Some(None)),
            (&long, Some(None)),
            ("Origin: https://a.b\r\nOrigin: https://c.d\r\n", Some(None)),
            ("Sec-Fetch-Site: cross-site\r\n", Some(None)),
            ("Origin: https://a.example\r\n", None),
        ] {
            let fields = format!("Host: a.example\r\n{fields}");
            assert_eq!(is_allowed(&origins, "GET / HTTP/1.1", &fields), expected.is_none());
            let reported = reports.try_recv().ok();
            assert_eq!(reported, expected.map(|origin| origin.map(str::to_owned)), "{fields}");
        }
    }

    #[test]
    fn an_added_origin_is_returned_as_the_request_has_it() {
        let origins = AllowedOrigins::default().allow("https://app.example");
        assert!(!origins.is_empty() && AllowedOrigins::default().is_empty());
        for (fields, expected) in [
            ("Origin: https://app.example\r\n", Some("https://app.example")),
            ("Origin: https://APP.example:443\r\n", Some("https://APP.example:443")),
            ("Origin: https://a.example\r\n", None),
            ("Origin: https://app.example\r\nOrigin: https://app.example\r\n", None),
            ("", None),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
            let request = OwnedRequest::read(head.as_bytes()).unwrap();
            let added = origins.added_origin(&request.view());
            assert_eq!(added, expected.map(str::as_bytes), "{fields}");
        }
    }

    #[test]
    fn over_tls_only_pages_that_came_over_tls_are_the_servers_own() {
        let origins = AllowedOrigins::default().allow("http://app.example");
        for (origin, allowed) in [
            ("https://a.example", true),
            ("https://a.example:443", true),
            ("http://a.example", false),
            ("http://a.example:80", false),
            ("http://a.example:443", false),
            ("http://app.example", true),
        ] {
            let head = format!("POST / HTTP/1.1\r\nHost: a.example\r\nOrigin: {origin}\r\n\r\n");
            let request = OwnedRequest::read(head.as_bytes()).unwrap();
            let is_allowed = origins.refusal(&request.view(), true).is_none();
            assert_eq!(is_allowed, allowed, "{origin}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused_unless_it_is_allowed() {
        let origins = AllowedOrigins::default().allow("https://app.example").allow("app://x");
        let origins = origins.allow("http://other.example:80");
        const HOST: &str = "Host: localhost:65432\r\n";
        for (host, fields, allowed) in [
            // Programs.
            (HOST, "", true),
            (HOST, "Referer: http://evil.example/\r\n", true),
            // Pages of this server.
            (HOST, "Origin: http://localhost:65432\r\n", true),
            (HOST, "Origin: HTTP://LOCALHOST:65432\r\nSec-Fetch-Site: same-origin\r\n", true),
            ("Host: a.example\r\n", "Origin: https://a.example\r\n", true),
            ("Host: a.example:443\r\n", "Origin: https://a.example\r\n", true),
            ("Host: a.example:80\r\n", "Origin: http://a.example\r\n", true),
            ("Host: [::1]:80\r\n", "Origin: http://[::1]\r\n", true),
            (HOST, "Sec-Fetch-Site: none\r\n", true),
            (HOST, "Sec-Fetch-Site: same-origin\r\n", true),
            // Pages of allowed origins.
            (HOST, "Origin: https://app.example\r\nSec-Fetch-Site: cross-site\r\n", true),
            (HOST, "Origin: https://app.example:443\r\n", true),
            (HOST, "Origin: http://other.example\r\n", true),
            (HOST, "Origin: app://x\r\n", true),
            // Pages of other origins.
            (HOST, "Origin: http://evil.example\r\n", false),
            (HOST, "Origin: http://localhost:8000\r\n", false),
            (HOST, "Origin: http://localhost\r\n", false),
            (HOST, "Origin: http://127.0.0.1:65432\r\n", false),
            (HOST, "Origin: http://localhost:65432.evil.example\r\n", false),
            (HOST, "Origin: http://localhost:65432/\r\n", false),
            (HOST, "Origin: ftp://localhost:65432\r\n", false),
            (HOST, "Origin: localhost:65432\r\n", false),
            (HOST, "Origin: http://app.example\r\n", false),
            (HOST, "Origin: null\r\n", false),
            (HOST, "Origin:\r\n", false),
            ("Host:\r\n", "Origin: http://\r\n", false),
            ("Host: a.example:80\r\n", "Origin: https://a.example\r\n", false),
            ("Host: a.example\r\n", "Origin: https://a.example:80\r\n", false),
            (HOST, "Sec-Fetch-Site: cross-site\r\n", false),
            (HOST, "Sec-Fetch-Site: Cross-Site\r\n", false),
            (HOST, "Origin: http://localhost:65432\r\nSec-Fetch-Site: cross-site\r\n", false),
            (HOST, "Origin: https://app.example\r\nOrigin: http://evil.example\r\n", false),
        ] {
            let fields = format!("{host}{fields}");
            for line in ["POST / HTTP/1.1", "GET / HTTP/1.1"] {
                assert_eq!(is_allowed(&origins, line, &fields), allowed, "{line} {fields}");
            }
        }
        // An absolute target overrides Host. Without both, no origin is the server's own.
        let line = "POST http://a.example/ HTTP/1.1";
        assert!(is_allowed(&origins, line, "Host: b.example\r\nOrigin: http://a.example\r\n"));
        assert!(!is_allowed(&origins, line, "Host: b.example\r\nOrigin: http://b.example\r\n"));
        assert!(!is_allowed(&origins, "POST / HTTP/1.0", "Origin: http://a.example\r\n"));
        assert!(is_allowed(&origins, "POST / HTTP/1.0", ""));
    }
}
