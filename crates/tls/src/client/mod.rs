//! TLS for clients: whom they trust, and why a server's certificate was refused.

mod refusal;
mod roots;
mod settings;
mod verifier;

pub use refusal::{Refusal, RefusalKind};
pub use settings::{ClientError, ClientSettings, TlsClient, Trust};

#[cfg(test)]
mod tests;
