//! The headers that are sent with all files, or with all pages. Each can be changed or removed.

use sockeye_http::{BadField, Fields};

/// Headers that are sent with files.
///
/// The defaults make attacks harder and break no ordinary site:
///
/// - `X-Content-Type-Options: nosniff` with every file: browsers run a file as a script only if its
///   type is that of a script.
/// - `Referrer-Policy: strict-origin-when-cross-origin` with pages: other sites learn which site a
///   visitor comes from, not which page. It is the default of current browsers.
/// - `X-Frame-Options: SAMEORIGIN` with pages: no other site can show the page in a frame, as
///   clickjacking does. A `Content-Security-Policy` with `frame-ancestors` overrides it.
///
/// A `Content-Security-Policy` or a `Strict-Transport-Security` depends on the site: no default
/// fits all, so they are only sent if they are set.
///
/// ```
/// use sockeye_files::Headers;
///
/// let mut headers = Headers::default();
/// headers.set("X-Frame-Options", "DENY")?;
/// headers.set("Permissions-Policy", "camera=()")?;
/// headers.remove("Referrer-Policy");
/// # Ok::<(), sockeye_files::BadField>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    headers: Vec<Header>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Header {
    name: Box<str>,
    value: Box<str>,
    /// Sent only with types that a browser shows as a page.
    pages_only: bool,
}

/// Headers that [`Headers::set`] refuses: those that are computed for each file or response, and
/// `Expires` and `Pragma`, which are never sent. [`Fields`] refuses further ones: those that the
/// server writes, such as `Content-Length` and `Date`, and those about the connection.
const COMPUTED: [&str; 15] = [
    "Accept-Ranges",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
    "Allow",
    "Cache-Control",
    "Content-Encoding",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Expires",
    "Last-Modified",
    "Location",
    "Pragma",
    "Retry-After",
    "Vary",
];

impl Default for Headers {
    fn default() -> Self {
        let header = |name: &str, value: &str, pages_only| Header {
            name: name.into(),
            value: value.into(),
            pages_only,
        };
        let headers = vec![
            header("X-Content-Type-Options", "nosniff", false),
            header("Referrer-Policy", "strict-origin-when-cross-origin", true),
            header("X-Frame-Options", "SAMEORIGIN", true),
        ];
        Self { headers }
    }
}

impl Headers {
    /// No headers.
    #[must_use]
    pub const fn none() -> Self {
        Self { headers: Vec::new() }
    }

    /// Sets the value of a header. A new header is sent with every file.
    ///
    /// # Errors
    ///
    /// When the name or value is invalid, the server computes the header itself, or the header is
    /// about the connection (such as `Upgrade`), or is `Expires` or `Pragma`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), BadField> {
        Fields::new().push(name, value.as_bytes())?;
        if COMPUTED.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(BadField::Reserved);
        }
        match self.headers.iter_mut().find(|header| header.name.eq_ignore_ascii_case(name)) {
            Some(header) => header.value = value.trim().into(),
            None => {
                let (name, value) = (name.into(), value.trim().into());
                self.headers.push(Header { name, value, pages_only: false });
            }
        }
        Ok(())
    }

    /// Removes a header; its name may be in upper or lower case.
    pub fn remove(&mut self, name: &str) {
        self.headers.retain(|header| !header.name.eq_ignore_ascii_case(name));
    }

    /// The Content-Security-Policy of pages.
    pub(crate) fn policy(&self) -> Option<&str> {
        let name = "Content-Security-Policy";
        self.of(true).find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The headers of a file. `is_page`: whether a browser shows it as a page.
    pub(crate) fn of(&self, is_page: bool) -> impl Iterator<Item = (&str, &str)> {
        let sent = self.headers.iter().filter(move |header| is_page || !header.pages_only);
        sent.map(|header| (&*header.name, &*header.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &Headers, is_page: bool) -> Vec<&str> {
        headers.of(is_page).map(|(name, _)| name).collect()
    }

    #[test]
    fn pages_get_more_headers_than_other_files() {
        let mut headers = Headers::default();
        assert_eq!(names(&headers, false), ["X-Content-Type-Options"]);
        assert_eq!(
            names(&headers, true),
            ["X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options"]
        );
        headers.set("x-frame-options", " DENY ").unwrap();
        headers.set("Permissions-Policy", "camera=()").unwrap();
        headers.remove("referrer-policy");
        assert_eq!(
            names(&headers, true),
            ["X-Content-Type-Options", "X-Frame-Options", "Permissions-Policy"]
        );
        assert!(headers.of(true).any(|field| field == ("X-Frame-Options", "DENY")));
        assert_eq!(names(&headers, false), ["X-Content-Type-Options", "Permissions-Policy"]);
        assert_eq!(names(&Headers::none(), true), [""; 0]);
    }

    #[test]
    fn computed_headers_can_not_be_set() {
        let mut headers = Headers::none();
        for name in ["etag", "Cache-Control", "Content-Length", "Date", "VARY"] {
            assert_eq!(headers.set(name, "x"), Err(BadField::Reserved), "{name}");
        }
        assert_eq!(headers.set("a b", "x"), Err(BadField::Name));
        assert_eq!(headers.set("X", "a\r\nSet-Cookie: b"), Err(BadField::Value));
        assert_eq!(headers, Headers::none());
    }
}
