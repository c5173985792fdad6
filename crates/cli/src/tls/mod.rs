//! TLS in servers: certificates, redirects of plain HTTP, and validation of names by a CA (ACME).

mod certificates;
mod plain;
mod redirect;

pub(crate) use self::certificates::Certificates;
// `WithReasons` is an access log, which adds reasons to the lines of refused requests.
pub(crate) use self::plain::{WithReasons, WithRedirects};
pub(crate) use self::redirect::{RedirectRequest, Redirects};
