//! Finds out what the script of `--live`, which reloads pages, needs, and what a
//! Content-Security-Policy (CSP Level 3) forbids of this.
//!
//! The script is `<script src="/…">`, and connects to a WebSocket of its own origin, so `'self'` is
//! enough. The check is simpler than a browser's: a source that names a host counts only if the
//! host is this machine (`localhost`, for example). `https:` and `wss:` never count. Over HTTPS,
//! these two would be enough: if a policy has only these, the log says that it forbids the script,
//! although the script runs.

/// What the user has to change in a policy, such as `add 'self' to script-src`. `None` if the
/// script may run. `is_header` says whether the policies are in a header or in a `<meta>` element,
/// where browsers ignore `sandbox`.
pub(super) fn needed_change(policies: &[u8], is_header: bool) -> Option<String> {
    let (mut missing, mut is_too_strict) = (Vec::new(), false);
    // A header may have several policies; each must allow all that the script needs.
    for policy in String::from_utf8_lossy(policies).split(',') {
        let policy = Policy(policy);
        let script = match policy.directive("script-src-elem") {
            Some(_) => "'self' to script-src-elem",
            None => "'self' to script-src",
        };
        for (names, allows, what) in [
            (SCRIPT_SOURCES, allows_script as fn(&[&str]) -> bool, script),
            (&["connect-src", "default-src"], allows_connection, "'self' to connect-src"),
        ] {
            let sources = policy.first(names);
            if sources.is_some_and(|sources| !allows(&sources)) {
                missing.push(what);
            }
        }
        // With 'strict-dynamic', browsers ignore all sources that aren't nonces or hashes.
        is_too_strict |=
            policy.first(SCRIPT_SOURCES).is_some_and(|sources| has(&sources, STRICT_DYNAMIC));
        if let Some(allowed) = policy.directive("sandbox").filter(|_| is_header) {
            for (token, what) in [
                ("allow-scripts", "allow-scripts to sandbox"),
                ("allow-same-origin", "allow-same-origin to sandbox"),
            ] {
                if !allowed.iter().any(|known| known.eq_ignore_ascii_case(token)) {
                    missing.push(what);
                }
            }
        }
    }
    missing.sort_unstable();
    missing.dedup();
    let added = (!missing.is_empty()).then(|| format!("add {}", missing.join(" and ")));
    let removed = is_too_strict.then(|| format!("remove {STRICT_DYNAMIC}"));
    let changes: Vec<String> = added.into_iter().chain(removed).collect();
    (!changes.is_empty()).then(|| changes.join(" and "))
}

/// The directives that may restrict scripts. A browser uses the first of them that a policy has.
const SCRIPT_SOURCES: &[&str] = &["script-src-elem", "script-src", "default-src"];

const STRICT_DYNAMIC: &str = "'strict-dynamic'";

struct Policy<'a>(&'a str);

impl<'a> Policy<'a> {
    /// The values of a directive. Of several directives with the same name, the first counts.
    fn directive(&self, name: &str) -> Option<Vec<&'a str>> {
        self.0.split(';').find_map(|directive| {
            let mut words = directive.split_ascii_whitespace();
            let is_this = words.next()?.eq_ignore_ascii_case(name);
            is_this.then(|| words.collect())
        })
    }

    /// The values of the first of these directives that the policy has.
    fn first(&self, names: &[&str]) -> Option<Vec<&'a str>> {
        names.iter().find_map(|name| self.directive(name))
    }
}

fn has(sources: &[&str], source: &str) -> bool {
    sources.iter().any(|other| other.eq_ignore_ascii_case(source))
}

fn allows_script(sources: &[&str]) -> bool {
    ["'self'", "*", "http:"].iter().any(|source| has(sources, source))
        || sources.iter().any(|it| is_local(it))
}

fn allows_connection(sources: &[&str]) -> bool {
    ["'self'", "*", "ws:"].iter().any(|source| has(sources, source))
        || sources.iter().any(|it| is_local(it))
}

/// Whether a source names a host of this machine.
fn is_local(source: &str) -> bool {
    let host = source.split_once("://").map_or(source, |(_, host)| host);
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| {
        let front = host.get(..local.len()).filter(|start| start.eq_ignore_ascii_case(local));
        front.is_some() && matches!(host.as_bytes().get(local.len()), None | Some(b':' | b'/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_lacks_what_the_script_needs() {
        let (script, connect) = ("add 'self' to script-src", "add 'self' to connect-src");
        let both = "add 'self' to connect-src and 'self' to script-src";
        let script_and_less = "add 'self' to script-src and remove 'strict-dynamic'";
        for (policy, expected) in [
            ("", None),
            (" ; ;", None),
            ("img-src 'none'", None),
            ("default-src 'self'", None),
            ("Default-Src 'SELF'; report-uri /r", None),
            ("default-src *", None),
            ("default-src http: ws:", None),
            ("default-src http://localhost:8000", None),
            ("script-src localhost:*; connect-src ws://127.0.0.1:*/ ", None),
            ("default-src 'none'", Some(both)),
            ("default-src", Some(both)),
            ("default-src https:", Some(both)),
            ("default-src localhost.example", Some(both)),
            ("default-src 'none'; script-src 'self'", Some(connect)),
            ("default-src 'none'; script-src 'self'; connect-src 'self'", None),
            ("default-src 'none'; connect-src 'self'", Some(script)),
            ("script-src 'nonce-abc'", Some(script)),
            ("script-src 'self' 'nonce-abc' 'strict-dynamic'", Some("remove 'strict-dynamic'")),
            ("script-src 'nonce-abc' 'Strict-Dynamic'", Some(script_and_less)),
            ("default-src 'self' 'strict-dynamic'; script-src 'self'", None),
            ("script-src 'none'; script-src 'self'", Some(script)),
            ("script-src 'none'; script-src-elem 'self'", None),
            ("script-src 'self'; script-src-elem 'none'", Some("add 'self' to script-src-elem")),
            ("default-src 'self', script-src https:", Some(script)),
            ("default-src 'none', default-src 'none'", Some(both)),
            ("sandbox allow-scripts allow-same-origin", None),
            ("sandbox Allow-Scripts", Some("add allow-same-origin to sandbox")),
        ] {
            assert_eq!(needed_change(policy.as_bytes(), true).as_deref(), expected, "{policy}");
        }
        assert_eq!(needed_change(b"sandbox", false), None);
        let changed = needed_change(b"\xff 'none'; connect-src \xff", false);
        assert_eq!(changed.as_deref(), Some(connect));
    }
}
