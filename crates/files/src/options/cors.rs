//! Cross-origin reads: which other sites' scripts may read the files.
//!
//! See the Fetch standard, 3.2. Credentials are never allowed: there are none that files depend on.

use std::borrow::Cow;
use std::fmt;

use sockeye_http::Fields;

/// Which other sites' scripts may read the files. None, by default: browsers keep it so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors(Allowed);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Allowed {
    #[default]
    None,
    Any,
    Some(Vec<Box<str>>),
}

/// What is no origin: it must be a scheme and a host in small letters, perhaps with a port, such as
/// `https://example.org` or `http://localhost:5173`, and nothing behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOrigin(String);

impl fmt::Display for BadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no origin: one looks like https://example.org", self.0)
    }
}

impl std::error::Error for BadOrigin {}

/// What a script may read of a response besides what every script may: what resuming needs.
const EXPOSED: &str = "Accept-Ranges, Content-Encoding, Content-Range, ETag";

/// How long a browser may remember what it was allowed, in seconds. None remembers it longer than
/// a day.
const MAX_AGE: &str = "86400";

impl Cors {
    /// No other site may.
    #[must_use]
    pub const fn nobody() -> Self {
        Self(Allowed::None)
    }

    /// Every site may.
    #[must_use]
    pub const fn any() -> Self {
        Self(Allowed::Any)
    }

    /// The sites with these origins may; a `*` among them means every site.
    ///
    /// # Errors
    ///
    /// When one of them is no origin.
    pub fn origins<T: AsRef<str>>(origins: impl IntoIterator<Item = T>) -> Result<Self, BadOrigin> {
        let mut some = Vec::new();
        for origin in origins {
            match origin.as_ref() {
                "*" => return Ok(Self::any()),
                origin if is_origin(origin) => some.push(origin.into()),
                other => return Err(BadOrigin(other.to_owned())),
            }
        }
        Ok(Self(if some.is_empty() { Allowed::None } else { Allowed::Some(some) }))
    }

    /// Adds to `fields` what doesn't depend on the request.
    pub(crate) fn stand_in(&self, fields: &mut Fields) {
        let mut push = |name, value: &str| {
            let pushed = fields.push(name, value.as_bytes());
            debug_assert_eq!(pushed, Ok(()), "a constant that is a valid field");
        };
        match &self.0 {
            Allowed::None => return,
            Allowed::Any => push("Access-Control-Allow-Origin", "*"),
            Allowed::Some(_) => push("Vary", "Origin"),
        }
        push("Access-Control-Expose-Headers", EXPOSED);
    }

    /// Those fields alone.
    pub(crate) fn standing(&self) -> Fields {
        let mut fields = Fields::new();
        self.stand_in(&mut fields);
        fields
    }

    /// Whether it doesn't matter who asks.
    pub(crate) fn is_same_for_all(&self) -> bool {
        !matches!(self.0, Allowed::Some(_))
    }

    /// Adds to `fields`, which have what stands in them, what depends on who asks.
    pub(crate) fn grant<'f>(&self, fields: &'f Fields, origin: Option<&[u8]>) -> Cow<'f, Fields> {
        match self.granted(origin) {
            Some(origin) => {
                let mut fields = fields.clone();
                let pushed = fields.push("Access-Control-Allow-Origin", origin.as_bytes());
                debug_assert_eq!(pushed, Ok(()), "an origin is a valid value");
                Cow::Owned(fields)
            }
            None => Cow::Borrowed(fields),
        }
    }

    /// The origin that asks, where it is one of those that may.
    fn granted(&self, origin: Option<&[u8]>) -> Option<&str> {
        let Allowed::Some(origins) = &self.0 else { return None };
        origins.iter().map(|known| &**known).find(|known| Some(known.as_bytes()) == origin)
    }

    /// The fields of the answer to a browser that asks before it reads, with fields of its own
    /// that it names; `None` where it may not.
    pub(crate) fn preflight(&self, origin: &[u8], names: Option<&[u8]>) -> Option<Fields> {
        let (origin, varies) = match &self.0 {
            Allowed::None => return None,
            Allowed::Any => ("*", ""),
            Allowed::Some(_) => (self.granted(Some(origin))?, "Origin, "),
        };
        let varies =
            format!("{varies}Access-Control-Request-Method, Access-Control-Request-Headers");
        let mut fields = Fields::new();
        // A field can't be split, whatever the names are: at worst there is none.
        let mut push = |name, value: &[u8]| fields.push(name, value).ok();
        push("Access-Control-Allow-Origin", origin.as_bytes())?;
        push("Access-Control-Allow-Methods", b"GET, HEAD")?;
        if let Some(names) = names {
            push("Access-Control-Allow-Headers", names)?;
        }
        push("Access-Control-Max-Age", MAX_AGE.as_bytes())?;
        push("Vary", varies.as_bytes())?;
        Some(fields)
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let scheme_ok = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'));
    let host_ok = !host.is_empty()
        && host.bytes().all(
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b':' | b'[' | b']'),
        );
    scheme_ok && host_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        for fresh in
            ["https://example.org", "http://localhost:5173", "http://[::1]:8000", "app://x"]
        {
            assert!(Cors::origins([fresh]).is_ok(), "{fresh}");
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
        }
        assert_eq!(Cors::origins(["https://a", "*"]), Ok(Cors::any()));
        assert_eq!(Cors::origins([""; 0]), Ok(Cors::default()));
    }

    #[test]
    fn what_is_granted_depends_on_who_asks_where_only_some_may() {
        let base = Fields::new();
        let granted = |cors: &Cors, origin: &'static str| {
            let mut fields = cors.grant(&base, Some(origin.as_bytes())).into_owned();
            cors.stand_in(&mut fields);
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
    fn a_browser_that_asks_first_is_told() {
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
