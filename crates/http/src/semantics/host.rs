//! The check of a request's host against DNS rebinding.
//!
//! The owner of a domain can point one of its names at a loopback address. A browser then treats
//! the server at that address as part of the owner's site, and lets the site's pages read the
//! server's responses. The server can recognise such a request only by its host, which is a name in
//! the owner's domain. So a server at loopback addresses answers only for hosts that an attacker
//! can't point at it: `localhost`, its subdomains (RFC 6761, 6.3), IP addresses, and names that the
//! server's operator allows.

use std::fmt;
use std::net::Ipv4Addr;

use sockeye_proto::Peer;

use crate::Request;
use crate::semantics::chars;

/// Maximum length of a name in DNS, in bytes. [`AllowedHosts::allow`] refuses longer names, and
/// they are not repeated to a client or a log.
const MAX_NAME_LEN: usize = 253;

/// The allowed host names: `localhost`, names that end with `.localhost`, IP addresses, and added
/// names.
///
/// ```
/// use sockeye_http::AllowedHosts;
///
/// let hosts = AllowedHosts::default().allow("www.example.org")?;
/// assert!(hosts.allows(b"WWW.example.org:8000"));
/// assert!(hosts.allows(b"localhost:8000"));
/// assert!(hosts.allows(b"[::1]"));
/// assert!(!hosts.allows(b"example.org"));
/// # Ok::<(), sockeye_http::BadHostName>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    // Invariant: no name has a port or a final dot.
    names: Vec<Box<str>>,
    /// What [`AllowedHosts::hint`] appends to a refusal: `. ` and a sentence without its full stop.
    /// Empty without a hint.
    hint: String,
}

/// The error of [`AllowedHosts::allow`]: this text is not a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadHostName(String);

impl fmt::Display for BadHostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a host name: write it as in a URL, such as www.example.org", self.0)
    }
}

impl std::error::Error for BadHostName {}

impl AllowedHosts {
    /// Adds a name. Case, a final dot and a port are ignored.
    ///
    /// # Errors
    ///
    /// If `name` is neither an IP address (IPv6 in brackets) nor a host name as browsers send it:
    /// at most 253 ASCII letters, digits, hyphens, dots and underscores. Browsers send other
    /// letters as Punycode.
    pub fn allow(mut self, name: &str) -> Result<Self, BadHostName> {
        let host = name.as_bytes();
        let stripped = without_port(host);
        let is_valid = is_name(stripped) && !stripped.ends_with(b".") || stripped.starts_with(b"[");
        if !chars::is_host(host) || !is_valid {
            return Err(BadHostName(name.to_owned()));
        }
        self.names.push(String::from_utf8_lossy(stripped).into());
        Ok(self)
    }

    /// Adds `hint`, a sentence without its full stop, to the response to a refused request. The
    /// hint can say how to allow the name.
    #[must_use]
    pub fn hint(mut self, hint: &str) -> Self {
        self.hint = format!(". {hint}");
        self
    }

    /// The names that were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// Whether `host`, a valid value of a `Host` field, is allowed.
    #[must_use]
    pub fn allows(&self, host: &[u8]) -> bool {
        let name = without_port(host);
        name.starts_with(b"[")
            || is_localhost(name)
            || str::from_utf8(name).is_ok_and(|name| name.parse::<Ipv4Addr>().is_ok())
            || self.names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Why a request for `host` is refused: the end of a sentence that begins with "the client".
    pub(crate) fn refusal_text(&self, host: &[u8]) -> String {
        let hint = &self.hint;
        match printable_name(host) {
            Some(name) => format!("asked for the host {name}, which is not allowed here{hint}"),
            None => format!("asked for a host that is not allowed here{hint}"),
        }
    }
}

/// Answers requests for hosts that are not allowed with 421, on the connections that a function
/// selects by peer.
pub struct HostCheck {
    hosts: AllowedHosts,
    /// Whether requests on the connection of this peer are checked.
    pub(crate) applies: Box<dyn Fn(&Peer) -> bool>,
    on_refused: Option<OnRefused>,
}

/// Called for each refused request, with the requested name. `None` if the name is empty or not
/// safe to show ([`printable_name`]).
type OnRefused = Box<dyn Fn(Option<&str>)>;

impl HostCheck {
    /// Allows only `hosts` on connections of peers for which `applies` returns true, and all hosts
    /// on other connections. `applies` is called once per connection.
    pub fn new(hosts: AllowedHosts, applies: impl Fn(&Peer) -> bool + 'static) -> Self {
        Self { hosts, applies: Box::new(applies), on_refused: None }
    }

    /// Calls `on_refused` for each refused request, with the requested name without its port.
    /// `None` if the name is empty or not safe to show: it has special characters, or is too long
    /// for DNS.
    #[must_use]
    pub fn on_refused(mut self, on_refused: impl Fn(Option<&str>) + 'static) -> Self {
        self.on_refused = Some(Box::new(on_refused));
        self
    }

    /// Whether the host of `request` is allowed. A request without a host is allowed, too: it comes
    /// from a client of HTTP/1.0, which can't be a browser.
    pub(crate) fn allows(&self, request: &Request<'_>) -> bool {
        request.host().is_none_or(|host| self.hosts.allows(host))
    }

    /// Reports that `request` is refused. Returns the text of [`AllowedHosts::refusal_text`].
    #[cold]
    pub(crate) fn report_refusal(&self, request: &Request<'_>) -> String {
        let host = request.host().unwrap_or_default();
        if let Some(on_refused) = &self.on_refused {
            on_refused(printable_name(host));
        }
        self.hosts.refusal_text(host)
    }
}

impl fmt::Debug for HostCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostCheck").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// The name in a valid host, without its port and a final dot.
fn without_port(host: &[u8]) -> &[u8] {
    let name = match (host, host.iter().rposition(|byte| *byte == b':')) {
        // Colons in brackets are part of an IPv6 address.
        ([b'[', ..], _) => {
            &host[..host.iter().position(|byte| *byte == b']').map_or(0, |at| at + 1)]
        }
        (_, Some(colon)) => &host[..colon],
        (_, None) => host,
    };
    name.strip_suffix(b".").unwrap_or(name)
}

fn is_localhost(name: &[u8]) -> bool {
    const LOCALHOST: &[u8] = b"localhost";
    let Some(front) = name.len().checked_sub(LOCALHOST.len()) else { return false };
    let (front, back) = name.split_at(front);
    back.eq_ignore_ascii_case(LOCALHOST) && matches!(front, [] | [_, .., b'.'])
}

/// Whether the bytes are a name of ASCII letters, digits, hyphens, dots and underscores, none of
/// which is special in HTML, a shell or a terminal.
fn is_name(bytes: &[u8]) -> bool {
    let is_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=MAX_NAME_LEN).contains(&bytes.len()) && bytes.iter().all(is_byte)
}

/// The name in a valid host, if it is not empty and safe to show: see [`is_name`].
fn printable_name(host: &[u8]) -> Option<&str> {
    let name = without_port(host);
    if is_name(name) { str::from_utf8(name).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names_and_added_names_are_allowed() {
        let hosts = AllowedHosts::default().allow("Files.Example.:80").unwrap();
        let hosts = hosts.allow("xn--bcher-kva.example").unwrap();
        for (host, allowed) in [
            ("localhost", true),
            ("localhost:8000", true),
            ("LOCALHOST.", true),
            ("localhost.:80", true),
            ("app.localhost", true),
            ("a.b.localhost.:1", true),
            ("127.0.0.1", true),
            ("127.0.0.1:8000", true),
            ("192.168.1.7:8000", true),
            ("[::1]", true),
            ("[::1]:8000", true),
            ("[2001:db8::7]:80", true),
            // An address of a future version of IP can't be a name in DNS.
            ("[v1.x]:80", true),
            ("files.example", true),
            ("FILES.example.:8000", true),
            ("xn--bcher-kva.example", true),
            ("", false),
            ("example", false),
            ("a.files.example", false),
            ("files.example.evil.example", false),
            ("evil.example", false),
            ("evil.example:8000", false),
            ("localhost.evil.example", false),
            ("notlocalhost", false),
            (".localhost", false),
            ("localhost..", false),
            ("127.0.0.1.evil.example", false),
            ("127.0.0.1..", false),
            ("127.1", false),
            ("0x7f000001", false),
            ("2130706433", false),
            ("%6cocalhost", false),
        ] {
            assert!(chars::is_host(host.as_bytes()), "{host}");
            assert_eq!(hosts.allows(host.as_bytes()), allowed, "{host}");
        }
    }

    #[test]
    fn names_that_no_browser_sends_cannot_be_allowed() {
        let allow = |name: &str| AllowedHosts::default().allow(name);
        for good in ["a", "a.example", "a_b.example", "10.0.0.1", "[::1]", "a.example:8000"] {
            assert!(allow(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ":80",
            ".",
            "..",
            "a..",
            "*",
            "*.example",
            "b\u{fc}cher.example",
            "http://a",
            "a/b",
            "a b",
        ] {
            let error = allow(bad).unwrap_err().to_string();
            assert!(error.contains("such as www.example.org"), "{bad}: {error}");
        }
    }

    #[test]
    fn only_a_plain_name_is_repeated_to_the_client() {
        let hosts = AllowedHosts::default().hint("Ask the operator");
        let long = "a".repeat(MAX_NAME_LEN + 1);
        for (host, shown) in [
            ("evil.example:80", true),
            ("a-b_c.example.", true),
            ("evil'example", false),
            ("evil&amp;", false),
            ("$(reboot)", false),
            ("", false),
            (&long, false),
        ] {
            let text = hosts.refusal_text(host.as_bytes());
            assert!(text.ends_with(" not allowed here. Ask the operator"), "{text}");
            let name = host.split(':').next().unwrap().trim_end_matches('.');
            assert_eq!(text.contains(&format!("the host {name}, which")), shown, "{text}");
        }
        assert!(
            AllowedHosts::default()
                .refusal_text(b"a.b")
                .ends_with("a.b, which is not allowed here")
        );
    }
}
