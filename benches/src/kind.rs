//! The servers that are measured, and which rows of the results table each can serve.

use crate::{
    rows::{SMALL, Shape},
    tls::Handshakes,
};

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The bare server of [`limit`](crate::limit), which parses almost nothing.
    Limit,
    /// Sockeye: built from this tree, or the program of `--server`.
    Ours,
    /// Another build of Sockeye: `--before`.
    Before,
    Nginx,
    Lighttpd,
    H2o,
    Nghttpd,
    StaticWebServer,
    Axum,
    Hyper,
    May,
    Tokio,
    Tungstenite,
    NodeWs,
}

/// Where a server comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The workspace of this repository.
    Tree,
    /// A system package of this name.
    System { package: &'static str },
    /// `cargo install` of this version.
    Install { version: &'static str },
    /// A small server in `benches/peers` that uses this crate.
    Peers { library: &'static str },
    /// A script in `benches/peers` for Node.js that uses this version of the package `ws`.
    Node { version: &'static str },
}

impl Kind {
    /// All servers, in the order of the table.
    pub(crate) const ALL: [Self; 14] = [
        Self::Limit,
        Self::Ours,
        Self::Before,
        Self::Nginx,
        Self::Lighttpd,
        Self::H2o,
        Self::Nghttpd,
        Self::StaticWebServer,
        Self::Axum,
        Self::Hyper,
        Self::May,
        Self::Tokio,
        Self::Tungstenite,
        Self::NodeWs,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Ours => "Sockeye",
            Self::Before => "before",
            Self::Nginx => "nginx",
            Self::Lighttpd => "lighttpd",
            Self::H2o => "h2o",
            Self::Nghttpd => "nghttpd",
            Self::StaticWebServer => "static-web-server",
            Self::Axum => "axum",
            Self::Hyper => "hyper",
            Self::May => "may",
            Self::Tokio => "tokio",
            Self::Tungstenite => "tungstenite",
            Self::NodeWs => "node-ws",
        }
    }

    /// The name on the command line.
    pub(crate) fn cli_name(self) -> &'static str {
        if self == Self::Ours { "ours" } else { self.name() }
    }

    pub(crate) fn origin(self) -> Origin {
        match self {
            Self::Limit | Self::Ours | Self::Before => Origin::Tree,
            Self::Nginx => Origin::System { package: "nginx-light" },
            Self::Lighttpd => Origin::System { package: "lighttpd" },
            Self::H2o => Origin::System { package: "h2o" },
            Self::Nghttpd => Origin::System { package: "nghttp2-server" },
            Self::StaticWebServer => Origin::Install { version: "2.44.0" },
            Self::Axum => Origin::Peers { library: "axum" },
            Self::Hyper => Origin::Peers { library: "hyper" },
            Self::May => Origin::Peers { library: "may_minihttp" },
            Self::Tokio => Origin::Peers { library: "tokio" },
            Self::Tungstenite => Origin::Peers { library: "tungstenite" },
            Self::NodeWs => Origin::Node { version: "8.23.0" },
        }
    }

    /// Whether this server can serve the load.
    pub(crate) fn supports(self, load: Shape) -> bool {
        let logs = load == Shape::Logged;
        let small = load.file() == Some(SMALL) && !logs;
        if load.is_http2() {
            return match self {
                Self::Limit => load.tls().is_none(),
                Self::Ours | Self::Before | Self::Nginx | Self::H2o => true,
                // nghttpd can't serve precompressed files, and its TLS uses another key exchange
                // than the others.
                Self::Nghttpd => load.file().is_some() && load.tls().is_none(),
                Self::Hyper => small,
                _ => false,
            };
        }
        if load.is_websocket() {
            return match self {
                Self::Limit | Self::Ours | Self::Tungstenite | Self::NodeWs => true,
                // The handler of the row `ws-broadcast` is in this program, not in the build of
                // `sockeye` that `--before` names.
                Self::Before => load != Shape::Broadcast,
                _ => false,
            };
        }
        if let Some(handshakes) = load.tls() {
            // Not lighttpd: its module for TLS is in a package that isn't installed here.
            return match self {
                Self::Ours | Self::Before | Self::Nginx => true,
                // h2o sends too few session tickets to resume every connection.
                Self::H2o => handshakes == Handshakes::Full,
                Self::Hyper => small,
                _ => false,
            };
        }
        match self {
            Self::Limit | Self::Ours => true,
            // The handler of the row `mix` is in this program, not in the build of `sockeye`
            // that `--before` names.
            Self::Before => load != Shape::Mix,
            Self::Nginx | Self::H2o => load.file().is_some() || load == Shape::Pages,
            // lighttpd can't serve precompressed files.
            Self::Lighttpd => load.file().is_some(),
            // These two have no access log: their logs are for developers, without a line for each
            // request.
            Self::StaticWebServer | Self::Axum => {
                load.file().is_some() && !logs || load == Shape::Pages
            }
            Self::Hyper => small || load == Shape::Mix,
            // `may` ignores `Connection: close`. In rows with few requests per connection, the
            // client closes the connections.
            Self::May => small,
            Self::Tokio => load == Shape::Echo,
            // nghttpd serves only HTTP/2, and the other two only WebSockets.
            Self::Nghttpd | Self::Tungstenite | Self::NodeWs => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::ROWS;

    #[test]
    fn every_row_has_ours_and_one_to_compare_with_and_every_server_a_row() {
        for row in &ROWS {
            assert!(Kind::Ours.supports(row.load), "{}", row.name);
            let other = if row.load.tls().is_some() { Kind::Nginx } else { Kind::Limit };
            assert!(other.supports(row.load), "{}", row.name);
        }
        for kind in Kind::ALL {
            assert!(ROWS.iter().any(|row| kind.supports(row.load)), "{}", kind.name());
        }
    }
}
