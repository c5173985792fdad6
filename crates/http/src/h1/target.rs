//! The four forms of a request target (RFC 9112, 3.2), and which method may use which.

use crate::semantics::chars;
use crate::semantics::control::Target;
use crate::semantics::method::MethodKind;
use crate::semantics::refusal::Refusal;
use crate::semantics::span::Range;

const BAD_FORM: Refusal<'static> =
    Refusal::bad("sent a request target in a form that its method does not allow");

/// Finds the parts of the target, which is at `start..end` of `head`. The caller has checked that
/// each byte of the target is valid in a target. `path_end` is the position in `head` of the
/// target's first `?`, or `end` if it has none.
#[inline(always)]
pub(crate) fn split(
    head: &[u8],
    start: usize,
    path_end: usize,
    end: usize,
    method: MethodKind,
) -> Result<Target, Refusal<'static>> {
    let target = &head[start..end];
    let Range { start, end } = Range::new(start, end);
    let path_end = path_end as u32;
    match target {
        // Origin form (3.2.1).
        [b'/', ..] if method != MethodKind::Connect => {
            Ok(Target { start, end, path_start: start, path_end, authority: Range::default() })
        }
        _ => split_other(target, Range { start, end }, path_end, method),
    }
}

/// Like [`split`], for a target that is not in origin form.
fn split_other(
    target: &[u8],
    whole: Range,
    path_end: u32,
    method: MethodKind,
) -> Result<Target, Refusal<'static>> {
    let Range { start, end } = whole;
    match target {
        [] => Err(Refusal::bad("sent no request target")),
        // Authority form, only for CONNECT (3.2.3).
        _ if method == MethodKind::Connect => {
            if !target.contains(&b':') || !chars::is_host(target) {
                return Err(BAD_FORM);
            }
            Ok(Target { start, end, path_start: end, path_end: end, authority: whole })
        }
        // Asterisk form, only for OPTIONS (3.2.4).
        [b'*'] if method == MethodKind::Options => {
            Ok(Target { start, end, path_start: start, path_end, authority: Range::default() })
        }
        // Absolute form (3.2.2).
        _ => {
            let scheme = scheme_len(target).ok_or(BAD_FORM)?;
            let rest = &target[scheme..];
            let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
            let len = len.unwrap_or(rest.len());
            // User information ends with '@', which no host contains (RFC 9110, 4.2.4).
            if len == 0 || !chars::is_host(&rest[..len]) {
                return Err(Refusal::bad("sent a request target with a bad authority"));
            }
            let host = start + scheme as u32;
            let path_start = host + len as u32;
            Ok(Target {
                start,
                end,
                path_start,
                path_end,
                authority: Range { start: host, end: path_start },
            })
        }
    }
}

/// The length of `http://` or `https://` at the start. `None` for any other scheme, which only a
/// proxy could serve.
fn scheme_len(target: &[u8]) -> Option<usize> {
    const SCHEMES: [&[u8]; 2] = [b"http://", b"https://"];
    let starts_target = |scheme: &&[u8]| {
        target.get(..scheme.len()).is_some_and(|first| first.eq_ignore_ascii_case(scheme))
    };
    SCHEMES.into_iter().find(starts_target).map(<[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts<'a> = (Option<&'a str>, &'a str, Option<&'a str>);

    fn parts(method: MethodKind, target: &str) -> Option<Parts<'_>> {
        let path_end = target.find('?').unwrap_or(target.len());
        let found = split(target.as_bytes(), 0, path_end, target.len(), method).ok()?;
        let text = |range: Range| &target[range.start as usize..range.end as usize];
        Some((found.authority().map(text), text(found.path()), found.query().map(text)))
    }

    #[test]
    fn each_form_has_its_parts() {
        use MethodKind::{Connect, Get, Options};
        for (method, target, expected) in [
            (Get, "/", (None, "/", None)),
            (Get, "/a/b?", (None, "/a/b", Some(""))),
            (Get, "/a?b?c", (None, "/a", Some("b?c"))),
            (Get, "//host/a", (None, "//host/a", None)),
            (Get, "http://a.b/c?d", (Some("a.b"), "/c", Some("d"))),
            (Get, "HTTPS://a.b:8", (Some("a.b:8"), "", None)),
            (Get, "/a|b^?c|d\\^", (None, "/a|b^", Some("c|d\\^"))),
            (Get, "http://a.b/{c}?\"<>`", (Some("a.b"), "/{c}", Some("\"<>`"))),
            (Get, "http://[::1]?d", (Some("[::1]"), "", Some("d"))),
            (Get, "http://[v1.x]:65535/", (Some("[v1.x]:65535"), "/", None)),
            (Options, "*", (None, "*", None)),
            (Options, "/", (None, "/", None)),
            (Connect, "a.b:443", (Some("a.b:443"), "", None)),
            (Connect, "[v1.x]:443", (Some("[v1.x]:443"), "", None)),
        ] {
            assert_eq!(parts(method, target), Some(expected), "{method:?} {target}");
        }
    }

    #[test]
    fn targets_of_other_forms_are_refused() {
        use MethodKind::{Connect, Get, Options};
        for (method, target) in [
            (Get, ""),
            (Get, "*"),
            (Get, "a"),
            (Get, "?a"),
            (Get, "a.b:443"),
            (Get, "http:/a"),
            (Get, "http://"),
            (Get, "http:///a"),
            (Get, "http://:80/"),
            (Get, "http://user@a/"),
            (Get, "http://a,b/"),
            (Get, "http://a|b/"),
            (Get, "http://a^b"),
            (Get, "http://{a}/"),
            (Get, "http://a\"?b"),
            (Get, "http://a`b:80/"),
            (Get, "http://a<b>/"),
            (Get, "ht|tp://a/"),
            (Get, "http://a:65536/"),
            (Get, "http://[v1.]/"),
            (Get, "ftp://a/"),
            (Options, "**"),
            (Connect, "/"),
            (Connect, "a.b"),
            (Connect, "a.b:65536"),
            (Connect, "a|b:443"),
            (Connect, "a.b:443?^"),
            (Connect, "http://a.b:443"),
        ] {
            assert_eq!(parts(method, target), None, "{method:?} {target}");
        }
    }
}
