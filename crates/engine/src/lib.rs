//! The engine: sockets, clocks, limits, deadlines, backpressure and draining, once for every
//! protocol.
//!
//! ```text
//!  Server ── one thread per core ──▶ Shard ── turn: wait → mailbox → accept → read → timers → flush
//!                                      │
//!                     ┌────────────────┼──────────────────┐
//!                  Driver            Conn               Service
//!            epoll, or simulated   a conversation     makes a Protocol
//!            (the kernel's side)   and its state      for each peer
//! ```
//!
//! [`Server`] binds addresses and runs a [`Shard`] on each core; [`run_client`] runs one for
//! connections that we open. Both hold connections that are [`Protocol`](sockeye_proto::Protocol)
//! values and know nothing of what they say. An echo server and a client of it:
//!
//! ```
//! use std::num::NonZeroUsize;
//! use sockeye_engine::{Config, Server, driver::Bound};
//! use sockeye_proto::echo::Echo;
//!
//! let server = Server::bind(&["127.0.0.1:0".parse()?], NonZeroUsize::MIN, Config::default())?;
//! let Bound::Ip(address) = server.addresses()[0] else { unreachable!() };
//! let running = server.serve(|_peer| Echo::default())?;
//!
//! # use std::io::{Read, Write};
//! let mut peer = std::net::TcpStream::connect(address)?;
//! peer.write_all(b"Hello World")?;
//! let mut reply = [0; 11];
//! peer.read_exact(&mut reply)?;
//! assert_eq!(&reply, b"Hello World");
//! drop(peer);
//!
//! running.handle().drain();
//! assert_eq!(running.join()?.accepted, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is absent: no protocol is named here, and nothing outside of [`driver`] makes a system call
//! for a connection or reads a clock, but for the [`Pool`], which counts how long jobs wait.

mod buffered;
mod client;
mod config;
mod conn;
mod connection_counts;
mod cores;
pub mod driver;
mod ended;
mod handle;
mod listen;
mod mailbox;
mod network;
mod outputs;
mod pool;
mod reads;
mod server;
mod service;
mod shard;
mod stats;
mod timers;

pub use client::run_client;
pub use config::{Config, Linger};
pub use connection_counts::ConnectionCounts;
pub use cores::{raise_descriptor_limit, usable_cores};
pub use ended::Stopped;
pub use handle::Handle;
pub use listen::{BadListenAddr, ListenAddr};
pub use mailbox::{Inbox, Mailbox};
pub use network::{BadNetwork, Network};
pub use pool::Pool;
pub use server::{Running, Server};
pub use service::Service;
pub use shard::{Footprint, Handover, Shard, ShardParts};
pub use stats::{Jobs, Stats};
