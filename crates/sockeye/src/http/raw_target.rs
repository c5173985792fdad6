//! The target of a request as a [`Uri`], and as the client sent it.

use bytes::Bytes;
use http::Uri;
use http::uri::InvalidUri;
use sockeye_http as http_core;

/// A request target as the client sent it, if [`Uri`] can't represent it.
///
/// Some clients send `"`, `<`, `>` and backquotes in a URL as they are, and [`Uri`] refuses them:
/// `<`, `>` and backquotes in a path, `"`, `<` and `>` in a query. Then the request's [`Uri`] has
/// them percent-encoded, and its extensions contain the raw target. If [`Uri`] refuses the
/// host of `http://HOST/PATH`, the extensions contain the raw target, too, and the [`Uri`] has only
/// the path and the query.
///
/// ```
/// use sockeye::http::{Body, RawTarget, Request};
///
/// fn target(request: &Request<Body>) -> Vec<u8> {
///     match request.extensions().get::<RawTarget>() {
///         // Such as `/a?b=<c>`. The URI is `/a?b=%3Cc%3E`.
///         Some(RawTarget(target)) => target.to_vec(),
///         None => request.uri().to_string().into(),
///     }
/// }
/// ```
///
/// The bytes are visible ASCII characters. Escape them before you write them to a log or a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTarget(pub Bytes);

/// The characters of request targets that [`Uri`] refuses in a path.
const REFUSED_IN_PATH: &[u8] = b"<>`";
/// The characters of request targets that [`Uri`] refuses in a query.
const REFUSED_IN_QUERY: &[u8] = b"\"<>";

/// Converts a target that [`Uri`] refuses: percent-encodes the characters that it refuses. If it
/// still refuses the target, because of the host, converts only the path and the query.
#[cold]
pub(super) fn encoded(request: &http_core::Request<'_>) -> Result<(Uri, RawTarget), InvalidUri> {
    let target = request.target();
    let query_len = request.query().map_or(0, |query| query.len() + 1);
    let (before, query) = target.split_at(target.len() - query_len);
    let uri = |before: &[u8]| {
        let mut encoded = Vec::with_capacity(before.len() + query.len() + 16);
        encode(before, REFUSED_IN_PATH, &mut encoded);
        encode(query, REFUSED_IN_QUERY, &mut encoded);
        Uri::from_maybe_shared(Bytes::from(encoded))
    };
    // `before` may begin with a scheme and a host, which have none of the encoded characters.
    let uri = uri(before).or_else(|_| uri(request.path()))?;
    Ok((uri, RawTarget(Bytes::copy_from_slice(target))))
}

/// Appends `part` to `encoded`, and percent-encodes the characters in `refused`.
fn encode(part: &[u8], refused: &[u8], encoded: &mut Vec<u8>) {
    for byte in part {
        if refused.contains(byte) {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            encoded.push(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use sockeye_http::OwnedRequest;
    use sockeye_proto::{Address, Peer};

    use super::*;
    use crate::http::convert;

    fn peer() -> Peer {
        Peer::new(Address::Unix, 0)
    }

    /// The URI that a target is converted to, and the raw target in the extensions.
    fn converted(target: &[u8]) -> (String, Option<Vec<u8>>) {
        let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let request = OwnedRequest::read(&head).unwrap();
        let request = convert::request(&request.view(), &peer()).unwrap();
        let raw = request.extensions().get::<RawTarget>().map(|raw| raw.0.to_vec());
        (request.uri().to_string(), raw)
    }

    #[test]
    fn exactly_the_characters_that_a_uri_refuses_are_percent_encoded() {
        for prefix in ["/a", "/a?", "http://b/a", "http://b/?a"] {
            for byte in (b'!'..=b'~').filter(|byte| *byte != b'#') {
                // A request with a backslash in its path is refused.
                if byte == b'\\' && !prefix.contains('?') {
                    continue;
                }
                let target = format!("{prefix}{}z", char::from(byte));
                let expected = match target.parse::<Uri>() {
                    Ok(_) => (target.clone(), None),
                    Err(_) => (format!("{prefix}%{byte:02X}z"), Some(target.clone().into_bytes())),
                };
                assert_eq!(converted(target.as_bytes()), expected);
            }
        }
    }

    #[test]
    fn paths_and_queries_are_encoded_apart_from_each_other() {
        for (target, uri) in [
            ("/\"{`}?\"{`}", "/\"{%60}?%22{`}"),
            ("/a|^b?a|^\\b<", "/a|^b?a|^\\b%3C"),
            ("//a`?", "//a%60?"),
            ("/%60%zz`", "/%60%zz%60"),
            ("HTTP://B:80/`?<", "http://B:80/%60?%3C"),
            // `Uri` refuses this authority: only path and query are left.
            ("http://a%20b/`?<", "/%60?%3C"),
            ("http://a%20b?\"", "/?%22"),
            ("http://a%20b", "/"),
        ] {
            let raw = Some(target.as_bytes().to_vec());
            assert_eq!(converted(target.as_bytes()), (uri.to_owned(), raw));
        }
        for target in ["/", "/a|b{c}^?d|\\`", "http://b/?{|}"] {
            assert_eq!(converted(target.as_bytes()), (target.to_owned(), None));
        }
    }
}
