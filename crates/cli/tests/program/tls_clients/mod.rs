//! `sockeye send`, `load` and `health` over TLS, against our servers and against peers that
//! misbehave.

pub(crate) mod peers;
mod refusals;
mod use_tls;
