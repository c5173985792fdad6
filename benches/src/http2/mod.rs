//! HTTP/2, for the rows of the benchmark that use it. A row is one kind of load.
//!
//! [`Requests`] has the bytes of the requests, [`Frames`] splits received bytes into frames,
//! [`Probe`] makes one request at a time, and [`Client`] is the load client.
//!
//! This client is not complete: it supports only what these rows need, and uses little CPU time, so
//! that the server is what limits a run. The client's windows are so large that flow control stops
//! no server.

mod client;
mod frames;
mod probe;
mod request;

pub(crate) use self::client::{Client, Load};
pub(crate) use self::frames::{FrameHeader, Frames, kind};
pub(crate) use self::probe::Probe;
pub(crate) use self::request::{ACKNOWLEDGED_SETTINGS, PREFACE, Requests, Sender};
