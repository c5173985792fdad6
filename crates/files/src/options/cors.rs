//! Cross-origin resource sharing: which other sites' scripts may read the files (Fetch standard,
//! "CORS protocol").
//!
//! Credentials are never allowed: no file depends on them.

use std::borrow::Cow;
use std::fmt;

use sockeye_http::{Fields, preflight_fields};

use super::fields::with;

/// Which other sites' scripts may read the files. Default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors(AllowedOrigins);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum AllowedOrigins {
    #[default]
    None,
    Any,
    Listed(Vec<Box<str>>),
}

/// Text that is not an origin. An origin is a scheme and a host in lower case, and perhaps a port:
/// `https://example.org`, `http://localhost:5173`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOrigin(String);

impl fmt::Display for BadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an origin: one looks like https://example.org", self.0)
    }
}

impl std::error::Error for BadOrigin {}

/// Response headers that scripts may read to resume downloads, in addition to those that the Fetch
/// standard lets them read anyway.
const EXPOSED_HEADERS: &str = "Accept-Ranges, Content-Encoding, Content-Range, ETag";

impl Cors {
    /// No other site's scripts may read the files.
    #[must_use]
    pub const fn none() -> Self {
        Self(AllowedOrigins::None)
    }

    /// Every site's scripts may read the files.
    #[must_use]
    pub const fn any() -> Self {
        Self(AllowedOrigins::Any)
    }

    /// Scripts of these origins may read the files; `*` allows every site.
    ///
    /// # Errors
    ///
    /// When one of them is not an origin.
    pub fn origins<T: AsRef<str>>(origins: impl IntoIterator<Item = T>) -> Result<Self, BadOrigin> {
        let (mut some, mut any) = (Vec::new(), false);
        for origin in origins {
            match origin.as_ref() {
                "*" => any = true,
                origin if is_origin(origin) => some.push(origin.into()),
                other => return Err(BadOrigin(other.to_owned())),
            }
        }
        Ok(Self(match some.is_empty() {
            _ if any => AllowedOrigins::Any,
            true => AllowedOrigins::None,
            false => AllowedOrigins::Listed(some),
        }))
    }

    /// The fields that don't depend on the request.
    pub(crate) fn constant_fields(&self) -> Fields {
        let (name, value) = match &self.0 {
            AllowedOrigins::None => return Fields::new(),
            AllowedOrigins::Any => ("Access-Control-Allow-Origin", "*"),
            AllowedOrigins::Listed(_) => ("Vary", "Origin"),
        };
        with(with(Fields::new(), name, value), "Access-Control-Expose-Headers", EXPOSED_HEADERS)
    }

    /// Returns `fields` with the fields of CORS added.
    pub(crate) fn add_to<'f>(&self, fields: &'f Fields, origin: Option<&[u8]>) -> Cow<'f, Fields> {
        let constant = self.constant_fields();
        if constant.is_empty() {
            return Cow::Borrowed(fields);
        }
        let fields = constant.and(fields);
        Cow::Owned(self.with_allowed_origin(&fields, origin).into_owned())
    }

    /// Whether every origin gets the same fields.
    pub(crate) fn is_same_for_all(&self) -> bool {
        !matches!(self.0, AllowedOrigins::Listed(_))
    }

    /// Adds the field that depends on the origin of the request to `fields`, which include
    /// [`Cors::constant_fields`].
    pub(crate) fn with_allowed_origin<'f>(
        &self,
        fields: &'f Fields,
        origin: Option<&[u8]>,
    ) -> Cow<'f, Fields> {
        match self.listed_origin(origin) {
            Some(origin) => Cow::Owned(with(fields.clone(), "Access-Control-Allow-Origin", origin)),
            None => Cow::Borrowed(fields),
        }
    }

    /// The origin of the request, if it is on the list.
    fn listed_origin(&self, origin: Option<&[u8]>) -> Option<&str> {
        let AllowedOrigins::Listed(origins) = &self.0 else { return None };
        origins.iter().map(|known| &**known).find(|known| Some(known.as_bytes()) == origin)
    }

    /// The fields that answer a preflight request. `names` are the headers that the script wants to
    /// send, if the request lists any. `None` if the origin is not allowed, or `names` can't be
    /// sent in a field.
    pub(crate) fn preflight(&self, origin: &[u8], names: Option<&[u8]>) -> Option<Fields> {
        let (origin, varies) = match &self.0 {
            AllowedOrigins::None => return None,
            AllowedOrigins::Any => ("*", ""),
            AllowedOrigins::Listed(_) => (self.listed_origin(Some(origin))?, "Origin, "),
        };
        let varies =
            format!("{varies}Access-Control-Request-Method, Access-Control-Request-Headers");
        let fields = with(Fields::new(), "Access-Control-Allow-Origin", origin);
        // The client sent `names`, so they may be invalid.
        let fields = fields.and(&preflight_fields("GET, HEAD", names)?);
        Some(with(fields, "Vary", &varies))
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| lower(byte) || matches!(byte, b'+' | b'-' | b'.'))
        && !host.is_empty()
        && host
            .bytes()
            .all(|byte| lower(byte) || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_and_invalid_origins() {
        for good in ["https://example.org", "http://localhost:5173", "http://[::1]:8000", "app://x"]
        {
            assert!(Cors::origins([good]).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "https://",
            "https://example.org/",
            "HTTPS://EXAMPLE.ORG",
            "null",
            "a b://c",
        ] {
            assert_eq!(Cors::origins([bad]), Err(BadOrigin(bad.to_owned())));
            assert_eq!(Cors::origins(["*", bad]), Err(BadOrigin(bad.to_owned())));
        }
        assert_eq!(Cors::origins(["https://a", "*"]), Ok(Cors::any()));
        assert_eq!(Cors::origins([""; 0]), Ok(Cors::default()));
    }

    #[test]
    fn listed_origins_are_echoed_and_others_are_not() {
        let base = Fields::new();
        let granted = |cors: &Cors, origin: &'static str| {
            let fields = cors
                .with_allowed_origin(&base, Some(origin.as_bytes()))
                .into_owned()
                .and(&cors.constant_fields());
            String::from_utf8(fields.as_bytes().to_vec()).unwrap()
        };
        let some = Cors::origins(["https://a", "https://b"]).unwrap();
        assert_eq!(granted(&Cors::default(), "https://a"), "");
        assert!(
            granted(&Cors::any(), "https://a").starts_with("Access-Control-Allow-Origin: *\r\n")
        );
        let a = granted(&some, "https://a");
        assert!(a.starts_with("Access-Control-Allow-Origin: https://a\r\nVary: Origin\r\n"), "{a}");
        assert!(granted(&some, "https://c").starts_with("Vary: Origin\r\n"));
        assert!(granted(&some, "https://A").starts_with("Vary: Origin\r\n"));
    }

    #[test]
    fn preflight_requests_of_allowed_origins_are_answered() {
        let text = |cors: &Cors, origin: &[u8], names: Option<&[u8]>| {
            let fields = cors.preflight(origin, names)?;
            Some(String::from_utf8(fields.as_bytes().to_vec()).unwrap())
        };
        assert_eq!(text(&Cors::default(), b"https://a", None), None);
        let some = Cors::origins(["https://a"]).unwrap();
        assert_eq!(text(&some, b"https://b", None), None);
        assert_eq!(
            text(&some, b"https://a", Some(b"range, x-mine")).unwrap(),
            "Access-Control-Allow-Origin: https://a\r\n\
             Access-Control-Allow-Methods: GET, HEAD\r\n\
             Access-Control-Allow-Headers: range, x-mine\r\n\
             Access-Control-Max-Age: 86400\r\n\
             Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n"
        );
        assert_eq!(text(&Cors::any(), b"https://b", Some(b"a\r\nb")), None);
    }
}
