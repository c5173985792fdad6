//! TLS for clients: which servers they trust, and why they refused a server's certificate.

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
