//! The engine runs protocols on sockets, with limits, deadlines, backpressure and draining.
//!
//! ```text
//!  Server ── one thread per core ─▶ Worker ── turn: wait → mailbox → accept → read → timers → flush
//!                                     │
//!                     ┌───────────────┼──────────────────┐
//!                  Driver           Conn               Service
//!            epoll, or simulated  socket and         makes a Protocol
//!            (system calls)       Protocol           for each peer
//! ```
//!
//! [`Server`] binds addresses and runs as many [`Worker`]s as the caller asks for, usually one per
//! core. [`run_client`] runs a single worker for connections that we open. The engine depends on no
//! particular [`Protocol`](sockeye_proto::Protocol). An echo server, and a client:
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
//! let mut echo = [0; 11];
//! peer.read_exact(&mut echo)?;
//! assert_eq!(&echo, b"Hello World");
//! drop(peer);
//!
//! running.handle().drain();
//! assert_eq!(running.join()?.accepted, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Only [`driver`] makes system calls for connections. Only [`driver`] and the [`Pool`], which
//! measures how long jobs wait, read clocks.

mod client;
mod config;
mod conn;
mod connection_counts;
mod cores;
pub mod driver;
mod handle;
mod hellos;
mod listen;
mod mailbox;
mod network;
mod output_budget;
mod outputs;
mod pool;
mod reads;
mod server;
mod service;
mod stats;
mod stopped;
mod timers;
mod tls;
mod worker;

pub use client::{run_client, run_client_tls};
pub use config::{Config, Linger};
pub use connection_counts::ConnectionCounts;
pub use cores::{raise_descriptor_limit, usable_cores};
pub use handle::Handle;
pub use listen::{BadListenAddr, ListenAddr};
pub use mailbox::{Inbox, Mailbox};
pub use network::{BadNetwork, Network};
pub use pool::Pool;
pub use server::{Running, Server};
pub use service::{Closed, Service};
pub use stats::{HandshakeStats, JobStats, Stats};
pub use stopped::Stopped;
#[cfg(feature = "harness")]
pub use tls::TlsHarness;
pub use tls::{TlsAcceptor, TlsConnector};
pub use worker::{Footprint, Handover, Worker, WorkerParts};

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
