//! The program as a user runs it: started, used over sockets, stopped by signals.

mod access_log;
mod connections;
mod content;
mod explain;
mod flags;
mod habits;
mod health;
mod hosts;
mod http2;
mod live;
mod load;
mod load_http2;
mod log;
mod messages;
mod send;
mod servers;
mod support;
mod terminal;
mod tls;
mod tls_clients;
mod tls_logs;
mod usage;
mod websocket;
