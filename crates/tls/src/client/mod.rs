//! TLS for clients: whom they trust, and why a server's certificate was refused.

mod error;
mod refusal;
mod roots;
mod settings;
mod verifier;

pub use error::ClientError;
pub use refusal::{Refusal, RefusalKind};
pub use settings::{ClientSettings, TlsClient, Trust};

#[cfg(test)]
mod tests;
