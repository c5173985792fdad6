//! The flags of other clients: ab, wrk, hey, curl, wget, h2load, oha and others.

use super::types::Meaning::{Advice, Flag};
use super::types::Table;

/// For `sockeye load`: flags of ab, wrk, hey, h2load and curl.
pub(super) const LOAD: Table = &[
    (&["-c"], Flag("--connections")),
    (&["-n"], Flag("--requests")),
    (&["-t"], Flag("--threads")),
    (&["-d", "-z"], Flag("--duration")),
    (&["-m", "--max-concurrent-streams"], Flag("--streams")),
    (&["--http2-prior-knowledge", "--h2c"], Flag("--http2")),
    (&["--http1.1", "--h1"], Flag("--http1")),
    (&["--http3", "--h3", "--quic"], Advice("there is no HTTP/3; --http2 sends HTTP/2")),
];

/// For `load`, `send` and `health`: the TLS flags of curl, wget, h2load, oha and others.
pub(super) const CLIENT_TLS: Table = &[
    (
        &["-k", "--no-check-certificate", "--no-verify", "--skip-verify", "--tls-skip-verify"],
        Flag("--insecure"),
    ),
    (&["--cacert", "--ca-certificate", "--cafile", "--ca-file", "-CAfile"], Flag("--ca")),
    (&["-E", "--certificate", "--client-cert"], Flag("--cert")),
    (&["--key", "--private-key"], Advice("write both files in one flag: --cert cert.pem,key.pem")),
    (
        &["--sni", "--servername", "-servername", "--resolve", "--tls-name", "--server-name"],
        Advice("write the server's name in the target, and the address in --connect-to HOST:PORT"),
    ),
    (
        &["--tls", "--ssl", "--https", "--secure"],
        Advice("write the target with https://, tls:// or message+tls://"),
    ),
];

/// For `sockeye send`, which has no target with https://.
pub(super) const SEND: Table = &[(
    &["--tls", "--ssl", "--https", "--secure"],
    Advice("write the target with tls:// or message+tls://"),
)];

/// For `sockeye health`.
pub(super) const HEALTH: Table = &[(
    &["-p", "--port", "-l", "--listen", "--host", "--url", "-u", "--address"],
    Advice("write the URL without a flag: sockeye health http://127.0.0.1:8000/"),
)];
