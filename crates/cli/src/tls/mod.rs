//! TLS in servers: their certificates, and how they answer clients that speak plain HTTP.

mod certificates;
mod plain;
mod redirect;

pub(crate) use self::certificates::Certificates;
pub(crate) use self::plain::{WithReasons, WithRedirects};
pub(crate) use self::redirect::{RedirectRequest, Redirects};
