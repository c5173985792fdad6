//! Converts between a Content-Type (RFC 9110, 8.3.1) and the type and encoding of a [`Message`].

use std::borrow::Cow;

use sockeye_http::is_token_byte;

use super::text::Encoding;
use super::{JSON, Message};

/// JSON in HTTP (RFC 8259, 11).
const APPLICATION_JSON: &str = "application/json";

/// The name of JSON in a Content-Type. A response uses the name that its request used, or the
/// default if the request was not JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum JsonName {
    /// `text/json`, the only name in the frames of messages over TCP.
    Text,
    /// `application/json`.
    #[default]
    Application,
}

/// A Content-Type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Media {
    /// The message's type: [`JSON`] for both names of JSON, otherwise the type that was sent,
    /// without its charset.
    pub(super) content_type: Cow<'static, str>,
    /// The message's encoding: the charset. Without a charset, `utf-8` for text and JSON, and
    /// `binary` for other types.
    pub(super) content_encoding: Cow<'static, str>,
    /// The name of JSON, if the type is JSON.
    pub(super) json: Option<JsonName>,
}

impl Media {
    /// Reads the value of a Content-Type field; `None` if it is malformed.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let value = std::str::from_utf8(value).ok()?;
        let (kind, rest) = token(value)?;
        let (subtype, mut rest) = token(rest.strip_prefix('/')?)?;
        let essence = &value[..kind.len() + 1 + subtype.len()];
        let (mut others, mut charset) = (String::new(), None);
        while !rest.is_empty() {
            let (parameter, tail) = parameter(rest)?;
            rest = tail;
            let Some(parameter) = parameter else { continue };
            if !parameter.is_charset() {
                others.push_str("; ");
                others.push_str(parameter.text);
            } else if charset.replace(parameter.value).is_some() {
                return None;
            }
        }
        let json = [(JSON, JsonName::Text), (APPLICATION_JSON, JsonName::Application)]
            .into_iter()
            .find_map(|(name, json)| essence.eq_ignore_ascii_case(name).then_some(json));
        let is_text = json.is_some() || kind.eq_ignore_ascii_case("text");
        Some(Self {
            content_type: match json {
                Some(_) => Cow::Borrowed(JSON),
                None => Cow::Owned(format!("{essence}{others}")),
            },
            content_encoding: match charset {
                Some(charset) if charset.eq_ignore_ascii_case("utf-8") => Cow::Borrowed("utf-8"),
                Some(charset) => charset.into(),
                None => Cow::Borrowed(if is_text { "utf-8" } else { "binary" }),
            },
            json,
        })
    }

    /// Whether this is the type of an HTML form, which browsers and curl send by default.
    pub(super) fn is_form(&self) -> bool {
        let essence = self.content_type.split(';').next().unwrap_or_default();
        ["application/x-www-form-urlencoded", "multipart/form-data"]
            .iter()
            .any(|form| essence.eq_ignore_ascii_case(form))
    }
}

/// The Content-Type of a message to send.
pub(super) fn content_type(message: &Message, json: JsonName) -> Cow<'_, str> {
    let utf8 = message.content_encoding == "utf-8";
    let name: &str = match (message.is_json(), json) {
        // JSON that systems exchange is UTF-8 (RFC 8259, 8.1), so `application/json` has no charset
        // parameter (RFC 8259, 11). An encoding other than UTF-8 is named nevertheless.
        (true, JsonName::Application) if utf8 => return Cow::Borrowed(APPLICATION_JSON),
        (true, JsonName::Text) if utf8 => return Cow::Borrowed("text/json; charset=utf-8"),
        (true, JsonName::Application) => APPLICATION_JSON,
        _ => &message.content_type,
    };
    match charset(&message.content_encoding) {
        Some(charset) if !name.is_empty() && !has_charset(name) => {
            format!("{name}; charset={charset}").into()
        }
        _ => Cow::Owned(name.to_owned()),
    }
}

/// The charset to send for an encoding: its IANA name, or `encoding` unchanged if [`Encoding`]
/// doesn't know it. `None` if the content is not text, or if `encoding` is not a token.
fn charset(encoding: &str) -> Option<&str> {
    match Encoding::of(encoding) {
        Some(Encoding::Utf8 | Encoding::Utf8Sig) => Some("utf-8"),
        Some(Encoding::Utf16) => Some("utf-16"),
        Some(Encoding::Utf16Le) => Some("utf-16le"),
        Some(Encoding::Utf16Be) => Some("utf-16be"),
        Some(Encoding::Latin1) => Some("iso-8859-1"),
        Some(Encoding::Ascii) => Some("us-ascii"),
        None if encoding == "binary" || encoding.is_empty() => None,
        None => encoding.bytes().all(is_token_byte).then_some(encoding),
    }
}

/// Whether a Content-Type has a charset. Where it is malformed, any `charset=` counts as one.
fn has_charset(content_type: &str) -> bool {
    let mut rest = content_type.find(';').map_or("", |at| &content_type[at..]);
    while let Some((parameter, tail)) = parameter(rest) {
        if parameter.is_some_and(|parameter| parameter.is_charset()) {
            return true;
        }
        rest = tail;
    }
    rest.to_ascii_lowercase().contains("charset=")
}

/// A parameter of a Content-Type.
struct Parameter<'t> {
    /// All of it, as it was sent.
    text: &'t str,
    name: &'t str,
    /// Its value, without the quotes of a quoted string.
    value: String,
}

impl Parameter<'_> {
    fn is_charset(&self) -> bool {
        self.name.eq_ignore_ascii_case("charset")
    }
}

/// Reads a `;` and the parameter after it. Returns the parameter and the rest of `text`; `None` if
/// they are malformed. The parameter may be absent: `*( OWS ";" OWS [ parameter ] )` (RFC 9110,
/// 5.6.6).
fn parameter(text: &str) -> Option<(Option<Parameter<'_>>, &str)> {
    let text = trim_start(trim_start(text).strip_prefix(';')?);
    let Some((name, tail)) = token(text) else { return Some((None, text)) };
    let (value, tail) = parameter_value(tail.strip_prefix('=')?)?;
    let text = &text[..text.len() - tail.len()];
    Some((Some(Parameter { text, name, value }), tail))
}

/// The token at the front of `text`, and the rest.
fn token(text: &str) -> Option<(&str, &str)> {
    let len = text.bytes().take_while(|byte| is_token_byte(*byte)).count();
    (len > 0).then(|| text.split_at(len))
}

/// `text` without the spaces and tabs in front.
fn trim_start(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// The token or quoted string (without its quotes) at the front of `text`, and the rest.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(value, rest)| (value.to_owned(), rest));
    };
    let (mut value, mut characters) = (String::new(), quoted.chars());
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            character => value.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_content_type_is_a_type_and_an_encoding() {
        use JsonName::{Application, Text};
        for (value, content_type, encoding, json) in [
            ("text/json", "text/json", "utf-8", Some(Text)),
            ("Text/JSON;charset=UTF-8", "text/json", "utf-8", Some(Text)),
            ("application/json", "text/json", "utf-8", Some(Application)),
            (
                "application/json ; a=b; charset=\"utf-16\"",
                "text/json",
                "utf-16",
                Some(Application),
            ),
            ("text/plain", "text/plain", "utf-8", None),
            (
                "text/plain; charset=latin-1; format=flowed;",
                "text/plain; format=flowed",
                "latin-1",
                None,
            ),
            ("A/b;;c=\";\\\"\" ; D=e", "A/b; c=\";\\\"\"; D=e", "binary", None),
            ("a/b; charset=utf-8", "a/b", "utf-8", None),
            ("application/octet-stream", "application/octet-stream", "binary", None),
        ] {
            let media = Media::read(value.as_bytes()).expect(value);
            assert_eq!((&*media.content_type, &*media.content_encoding), (content_type, encoding));
            assert_eq!(media.json, json, "{value}");
        }
        for value in [
            "",
            "json",
            "/json",
            "text/",
            "text /json",
            "text/json x",
            "text/json; charset",
            "text/json; charset=",
            "text/json; charset=\"utf-8",
            "text/json; charset = utf-8",
            "text/json, text/json",
            "text/json; charset=utf-8; charset=utf-8",
            "text/json; =utf-8",
        ] {
            assert_eq!(Media::read(value.as_bytes()), None, "{value}");
        }
        assert_eq!(Media::read(b"text/\xff"), None);
    }

    #[test]
    fn a_message_goes_out_under_its_type_and_charset() {
        let message = |content_type: &'static str, encoding: &'static str| Message {
            content_type: content_type.into(),
            content_encoding: encoding.into(),
            content: Default::default(),
        };
        for (content_type_, encoding, text, application) in [
            ("text/json", "utf-8", "text/json; charset=utf-8", "application/json"),
            (
                "text/json",
                "utf-16",
                "text/json; charset=utf-16",
                "application/json; charset=utf-16",
            ),
            (
                "text/plain",
                "latin-1",
                "text/plain; charset=iso-8859-1",
                "text/plain; charset=iso-8859-1",
            ),
            (
                "text/html; charset=utf-8",
                "utf-8",
                "text/html; charset=utf-8",
                "text/html; charset=utf-8",
            ),
            (
                "text/plain; accept-charset=x",
                "latin-1",
                "text/plain; accept-charset=x; charset=iso-8859-1",
                "text/plain; accept-charset=x; charset=iso-8859-1",
            ),
            (
                "text/plain;x=\"; charset=\"",
                "latin-1",
                "text/plain;x=\"; charset=\"; charset=iso-8859-1",
                "text/plain;x=\"; charset=\"; charset=iso-8859-1",
            ),
            ("a/b;; A=b ;Charset=c", "utf-8", "a/b;; A=b ;Charset=c", "a/b;; A=b ;Charset=c"),
            ("a/b; c; charset=d", "utf-8", "a/b; c; charset=d", "a/b; c; charset=d"),
            ("a/b; charset=", "utf-8", "a/b; charset=", "a/b; charset="),
            ("a/b", "binary", "a/b", "a/b"),
            ("a/b", "no token", "a/b", "a/b"),
            ("", "utf-8", "", ""),
        ] {
            let message = message(content_type_, encoding);
            assert_eq!(content_type(&message, JsonName::Text), text);
            assert_eq!(content_type(&message, JsonName::Application), application);
        }
    }

    proptest! {
        #[test]
        fn what_goes_out_comes_in_as_it_was(
            kind in "[a-z]{1,8}/[a-z.+-]{1,8}",
            encoding in proptest::sample::select(vec!["utf-8", "utf-16", "utf-16-be", "latin-1", "ascii"]),
        ) {
            let message = Message {
                content_type: kind.into(),
                content_encoding: encoding.into(),
                content: Default::default(),
            };
            let media = Media::read(content_type(&message, JsonName::Text).as_bytes()).unwrap();
            prop_assert_eq!(&media.content_type, &message.content_type);
            prop_assert_eq!(Encoding::of(&media.content_encoding), Encoding::of(encoding));
        }

        #[test]
        fn any_bytes_are_a_type_or_none(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Media::read(&value);
        }
    }
}
