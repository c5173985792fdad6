//! Certificates from ACME authorities (RFC 8555), such as Let's Encrypt.
//!
//! | type | what |
//! |---|---|
//! | [`Issuance`] | one certificate, from directory to download: a state machine without I/O |
//! | [`RenewalInfo`] | when the authority wants a certificate renewed (RFC 9773): a state machine |
//! | [`StateFolder`] | the account's key, certificates and their keys, and a lock |
//! | [`Challenges`] | what listeners answer to the authority while it validates a name |
//! | [`Renewer`] | decides what is due, and runs the state machines with a [`Runtime`] |
//! | [`Client`] | a blocking HTTPS client, for the `Runtime` of a program |
//!
//! A program implements [`Runtime`] with a clock and a [`Client`], and calls [`Renewer::turn`] in a
//! loop on a thread of its own. Its listeners look into [`Challenges`] before they answer a client:
//! for plain HTTP, the program calls [`Challenges::http`]; for TLS, it sets
//! [`sockeye_tls::Settings::challenges`].
//!
//! [`Client`] limits the time and the memory that an authority can use.

#![forbid(unsafe_code)]

mod backoff;
mod challenge;
mod client;
mod directory;
mod entry;
mod failure;
mod issuance;
mod issued;
mod jws;
mod names;
mod order;
mod problem;
mod renewal;
mod renewer;
mod request;
mod state;

pub use challenge::{Challenge, ChallengeKind, Challenges};
pub use client::Client;
pub use directory::Directory;
pub use failure::{Failure, FailureKind};
pub use issuance::{Issuance, Step, Wanted};
pub use issued::{Issued, KeyPem};
pub use jws::AccountKey;
pub use names::{BadName, parse_name};
pub use renewal::{RenewalInfo, RenewalStep, Window};
pub use renewer::{Renewer, Report, Runtime, Settings};
pub use request::{Method, Request, Response};
pub use state::{Lock, StateFolder, Stored, Version};

#[cfg(test)]
mod tests;
