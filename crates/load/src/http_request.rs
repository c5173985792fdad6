//! HTTP requests, prepared for HTTP/1.1 and HTTP/2.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sockeye_http::{BadField, Fields, is_token_byte};

use crate::plan::{Http2Request, PreparedRequest};

/// An HTTP request. Its framing and its `Connection` field are added by
/// [`HttpRequest::prepare`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method, case-sensitive.
    pub method: String,
    /// The value of the `Host` field.
    pub host: String,
    /// The path, and the query if there is one.
    pub target: String,
    /// Further fields, in order. One named `Host` replaces [`HttpRequest::host`].
    pub fields: Vec<(String, String)>,
    /// The content.
    pub body: Option<Bytes>,
    /// Send the content as one chunk instead of with its length. Only HTTP/1.1 has chunks.
    pub chunked: bool,
}

/// A request that can't be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRequest(String);

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadRequest {}

impl HttpRequest {
    /// A GET request.
    #[must_use]
    pub fn get(host: &str, target: &str) -> Self {
        Self {
            method: "GET".into(),
            host: host.into(),
            target: target.into(),
            fields: Vec::new(),
            body: None,
            chunked: false,
        }
    }

    /// The request, ready to be sent.
    ///
    /// # Errors
    ///
    /// If servers could misread the request:
    /// - The method or the name of a field is not a token (RFC 9110, 5.6.2).
    /// - The host or the target has a character that is not visible ASCII.
    /// - The value of a field has a control character other than a tab.
    /// - `fields` has a field that this method adds, such as Content-Length (but Host replaces the
    ///   one that it adds), or it has Upgrade or Keep-Alive.
    pub fn prepare(&self) -> Result<PreparedRequest, BadRequest> {
        let bad = |what: String| Err(BadRequest(what));
        let Self { method, host, target, .. } = self;
        if method.is_empty() || !method.bytes().all(is_token_byte) {
            return bad(format!("'{method}' is not a valid method"));
        }
        if let Some(c) = target.chars().find(|c| !c.is_ascii_graphic()) {
            let encoded = percent_encoded(c);
            let c = c.escape_default();
            return bad(format!("a URL can't contain '{c}': write it as {encoded}"));
        }
        if let Some(c) = host.chars().find(|c| !c.is_ascii_graphic()) {
            return bad(format!("a host can't contain '{}'", c.escape_default()));
        }
        let mut fields = Fields::new();
        for (name, value) in &self.fields {
            fields.push_to_request(name, value.as_bytes()).map_err(|error| {
                let is_named = |other: &str| name.eq_ignore_ascii_case(other);
                let why = match error {
                    // RFC 9110, 7.6.1.
                    BadField::Reserved if is_named("upgrade") || is_named("keep-alive") => {
                        "would have to be named in Connection, which is set automatically".into()
                    }
                    BadField::Reserved => "is set automatically".into(),
                    error => error.to_string(),
                };
                BadRequest(format!("the field '{name}': {why}"))
            })?;
        }
        let named = self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = if named { String::new() } else { format!("Host: {host}\r\n") };
        let (framing, content) = match &self.body {
            None => (String::new(), Bytes::new()),
            Some(body) if !self.chunked => {
                (format!("Content-Length: {}\r\n", body.len()), body.clone())
            }
            Some(body) => {
                let size = format!("{:x}\r\n", body.len());
                let chunk = [size.as_bytes(), body, b"\r\n"].concat();
                let chunks = if body.is_empty() { Vec::new() } else { chunk };
                let content = [&chunks[..], b"0\r\n\r\n"].concat();
                ("Transfer-Encoding: chunked\r\n".into(), content.into())
            }
        };
        let wire = |connection: &str| -> Bytes {
            let line = format!("{method} {target} HTTP/1.1\r\n{host}");
            let framing = format!("{framing}{connection}\r\n");
            [line.as_bytes(), fields.as_bytes(), framing.as_bytes(), &content].concat().into()
        };
        let (keep_alive, last) = (wire(""), wire("Connection: close\r\n"));
        let http2 = self.for_http2(&fields).map(Arc::new);
        Ok(PreparedRequest { keep_alive, last, is_head: method == "HEAD", http2, websocket: None })
    }

    /// The request for HTTP/2, with the checked `fields`. `None` if the request has chunks, fields
    /// about the connection (RFC 9113, 8.2.2), or the method CONNECT, which has another form in
    /// HTTP/2 (8.5).
    fn for_http2(&self, fields: &Fields) -> Option<Http2Request> {
        // `Fields` refuses the other fields about the connection, such as Upgrade.
        let is_about_connection = |(name, value): (&[u8], &[u8])| {
            name.eq_ignore_ascii_case(b"proxy-connection")
                || name.eq_ignore_ascii_case(b"http2-settings")
                || (name.eq_ignore_ascii_case(b"te") && !value.eq_ignore_ascii_case(b"trailers"))
        };
        if self.chunked || self.method == "CONNECT" || fields.iter().any(is_about_connection) {
            return None;
        }
        let mut authority = self.host.clone();
        let mut others = Vec::new();
        for (name, value) in fields.iter() {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if name == "host" {
                authority = String::from_utf8_lossy(value).into_owned();
            } else {
                others.push((name, value.to_vec()));
            }
        }
        if let Some(content) = &self.body {
            others.push(("content-length".into(), content.len().to_string().into_bytes()));
        }
        Some(Http2Request {
            method: self.method.clone(),
            authority,
            path: self.target.clone(),
            fields: others,
            content: self.body.clone(),
        })
    }
}

/// Percent-encodes a character (RFC 3986, 2.1).
#[must_use]
pub fn percent_encoded(c: char) -> String {
    c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(request: &HttpRequest, last: bool) -> String {
        String::from_utf8(request.prepare().unwrap().to_send(last).to_vec()).unwrap()
    }

    #[test]
    fn requests_are_written_with_their_framing() {
        let mut request = HttpRequest::get("here:80", "/a?b");
        assert_eq!(text(&request, false), "GET /a?b HTTP/1.1\r\nHost: here:80\r\n\r\n");
        request.method = "POST".into();
        request.fields = vec![("host".into(), "there".into()), ("A".into(), " b ".into())];
        request.body = Some("Hello".into());
        assert_eq!(
            text(&request, true),
            "POST /a?b HTTP/1.1\r\nhost: there\r\nA: b\r\nContent-Length: 5\r\n\
             Connection: close\r\n\r\nHello"
        );
        request.chunked = true;
        assert_eq!(
            text(&request, false),
            "POST /a?b HTTP/1.1\r\nhost: there\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nHello\r\n0\r\n\r\n"
        );
        request.body = Some(Bytes::new());
        assert!(text(&request, false).ends_with("chunked\r\n\r\n0\r\n\r\n"));
    }

    #[test]
    fn features_of_http1_do_not_fit_http2() {
        let get = HttpRequest::get("h", "/");
        let with = |name: &str, value: &str| HttpRequest {
            fields: vec![(name.into(), value.into())],
            ..get.clone()
        };
        for (request, fits) in [
            (get.clone(), true),
            (HttpRequest { method: "CONNECT".into(), ..get.clone() }, false),
            (HttpRequest { body: Some("x".into()), chunked: true, ..get.clone() }, false),
            (with("TE", "trailers"), true),
            (with("TE", "gzip"), false),
            (with("Proxy-Connection", "close"), false),
            (with("HTTP2-Settings", "AAMAAABk"), false),
        ] {
            assert_eq!(request.prepare().unwrap().fits_http2(), fits, "{request:?}");
        }
        let request = HttpRequest { body: Some("x".into()), ..with("Host", "there") };
        let prepared = request.prepare().unwrap();
        let http2 = prepared.http2.as_deref().unwrap();
        assert_eq!((&*http2.authority, &*http2.path), ("there", "/"));
        assert_eq!(http2.fields, [("content-length".into(), b"1".to_vec())]);
    }

    #[test]
    fn fields_that_are_not_set_here_are_sent() {
        let pairs = [("Date", "today"), ("Server", "x")];
        let fields = pairs.map(|(name, value)| (name.into(), value.into())).to_vec();
        let request = HttpRequest { fields, ..HttpRequest::get("h", "/") };
        assert!(text(&request, false).ends_with("\r\nDate: today\r\nServer: x\r\n\r\n"));
        let prepared = request.prepare().unwrap();
        let lower = [("date".into(), b"today".to_vec()), ("server".into(), b"x".to_vec())];
        assert_eq!(prepared.http2.as_deref().unwrap().fields, lower);
    }

    #[test]
    fn a_method_may_have_the_name_of_a_field_that_is_set_here() {
        let request = HttpRequest { method: "UPGRADE".into(), ..HttpRequest::get("h", "/") };
        assert!(text(&request, false).starts_with("UPGRADE / HTTP/1.1\r\n"));
    }

    #[test]
    fn ambiguous_requests_are_not_sent() {
        let with = |name: &str, value: &str| HttpRequest {
            fields: vec![(name.into(), value.into())],
            ..HttpRequest::get("h", "/")
        };
        for (request, expected) in [
            (HttpRequest { method: "GE T".into(), ..HttpRequest::get("h", "/") }, "'GE T'"),
            (HttpRequest { method: String::new(), ..HttpRequest::get("h", "/") }, "''"),
            (HttpRequest::get("h\r\nA: b", "/"), "a host can't contain '\\r'"),
            (HttpRequest::get("h", "/a b"), "a URL can't contain ' '"),
            (HttpRequest::get("h", "/a\r\nb"), "contain '\\r'"),
            (with("Content-Length", "1"), "'Content-Length': is set automatically"),
            (with("Upgrade", "h2c"), "'Upgrade': would have to be named in Connection"),
            (with("keep-alive", "max=5"), "'keep-alive': would have to be named in Connection"),
            (with("A", "b\r\nC: d"), "control character"),
            (with("A b", "c"), "not a token"),
        ] {
            let error = request.prepare().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
