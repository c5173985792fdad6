//! TLS in servers: the certificates, and how plain HTTP is answered.

mod certificates;
mod plain;
mod redirect;

pub(crate) use self::certificates::Certificates;
pub(crate) use self::plain::{WithReasons, WithRedirects};
pub(crate) use self::redirect::{RedirectRequest, Redirects};
