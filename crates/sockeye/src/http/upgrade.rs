//! A request to switch to another protocol.

use std::fmt;
use std::sync::Arc;

use sockeye_http::{self as http_core, Content, FieldName, OwnedRequest, Version};

/// An item in the extensions of a request that asks to switch to another protocol: in HTTP/1.1 with
/// the field `Upgrade`, in HTTP/2 with CONNECT and `:protocol` (RFC 8441). To switch, use
/// [`ws`](super::ws) or [`Reply::upgrade`](super::Reply::upgrade), which support both versions.
///
/// The server ignores `Upgrade` in HTTP/1.0, without `Connection: upgrade` (RFC 9110, 7.8), and if
/// the request has a body. Then there is no such item.
///
/// ```
/// use sockeye::http::{Body, Request, Upgrade};
///
/// fn wants_a_websocket(request: &Request<Body>) -> bool {
///     request.extensions().get::<Upgrade>().is_some_and(|upgrade| upgrade.offers("websocket"))
/// }
/// ```
#[derive(Clone)]
pub struct Upgrade {
    request: Arc<OwnedRequest>,
    tls: bool,
}

impl Upgrade {
    /// `None` if the request doesn't ask to switch. `tls`: whether its connection has TLS.
    pub(super) fn of(request: &http_core::Request<'_>, tls: bool) -> Option<Self> {
        names(request)?;
        Some(Self { request: Arc::new(request.to_owned_request()), tls })
    }

    /// The names of the protocols that the client asks for, in the order in which it sent them.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        names(&self.request.view())
            .unwrap_or_default()
            .split(|byte| *byte == b',')
            .filter_map(|name| str::from_utf8(name.trim_ascii()).ok())
            .filter(|name| !name.is_empty())
    }

    /// Whether the client asks for the protocol `name`. Upper and lower case don't matter.
    #[must_use]
    pub fn offers(&self, name: &str) -> bool {
        self.protocols().any(|this| this.eq_ignore_ascii_case(name))
    }

    pub(super) fn request(&self) -> http_core::Request<'_> {
        self.request.view()
    }

    pub(super) fn has_tls(&self) -> bool {
        self.tls
    }
}

/// The protocols that the client asks for, separated by commas. `None` if the request doesn't ask,
/// or if the server ignores its field `Upgrade`: in HTTP/1.0, without `Connection: upgrade`, and in
/// a request with a body.
///
/// [`http_core::Request::upgrade`] is `None` also while a server of HTTP/1.1 is stopping, since it
/// can't switch then. This function returns the protocols nevertheless.
fn names<'a>(request: &http_core::Request<'a>) -> Option<&'a [u8]> {
    request.upgrade().or_else(|| {
        let names = request.common_field(FieldName::Upgrade)?;
        let options = request.fields_named(FieldName::Connection.as_str());
        let mut options = options.flat_map(|value| value.split(|byte| *byte == b','));
        let is_asked = request.version() == Version::Http11
            && names.split(|byte| *byte == b',').any(|name| !name.trim_ascii().is_empty())
            && request.content() == Content::None
            && options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
        is_asked.then_some(names)
    })
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.protocols()).finish()
    }
}
