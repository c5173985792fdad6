//! TLS for the client commands: the HTTP versions to offer, and what to tell the user when TLS
//! fails.

use std::borrow::Cow;

use sockeye::TlsConnector;
use sockeye::proto::{Consumed, Event, Fault, Protocol, Reason, Time, Turn};
use sockeye::tls::{RefusalKind, TlsClient};

use crate::target::Target;

/// The versions of HTTP that a client offers to a server by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpVersions {
    Any,
    Http1,
    Http2,
}

impl HttpVersions {
    /// The names of these versions for ALPN, the preferred one first.
    pub(crate) fn alpn(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::Any => &[b"h2", b"http/1.1"],
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }

    /// The end of the message "has TLS, and …", for a server that supports none of these versions.
    fn missing(self) -> &'static str {
        match self {
            Self::Any => "neither HTTP/2 nor HTTP/1.1",
            Self::Http1 => "no HTTP/1.1",
            Self::Http2 => "no HTTP/2",
        }
    }
}

/// TLS to the server at `target`.
#[derive(Clone, Debug)]
pub(crate) struct ClientTls {
    pub(crate) client: TlsClient,
    pub(crate) target: Target,
    /// The HTTP versions that this client offers, if the target uses HTTP or WebSocket.
    pub(crate) versions: HttpVersions,
    /// Whether this client has a certificate (`--cert`).
    pub(crate) has_certificate: bool,
}

impl ClientTls {
    pub(crate) fn connector(&self) -> &TlsConnector {
        self.client.connector()
    }

    /// Returns a fault that explains to the user why a connection ended and what to do. Returns
    /// `None` if there is nothing to add to `reason`.
    pub(crate) fn explain(&self, reason: &Reason) -> Option<Fault> {
        let Reason::Fault(fault) = reason else { return None };
        let what = match fault.code {
            "tls_bad_certificate" => self.refusal()?,
            "tls_alert" => self.alert(&fault.what)?,
            // The first byte of a response without TLS is not a valid type of a TLS record.
            "tls_malformed" if fault.what.contains("InvalidContentType") => {
                format!("answered without TLS: try {}", self.target.without_tls())
            }
            "tls_malformed" if fault.what.contains("got ClientHello") => {
                format!("sent our TLS handshake back: try {}", self.target.without_tls())
            }
            "tls_malformed" | "tls_cut" | "tls_timeout" => {
                format!("{}; if it has no TLS, write {}", fault.what, self.target.without_tls())
            }
            _ => return None,
        };
        Some(Fault { blame: fault.blame, code: fault.code, what: Cow::Owned(what) })
    }

    /// Why this client refused the server's certificate, and what to do.
    fn refusal(&self) -> Option<String> {
        let refusal = self.client.last_refusal()?;
        let advice = match refusal.kind {
            RefusalKind::UnknownIssuer => {
                "--ca FILE trusts an authority, or this certificate, from a PEM file; --insecure \
                 accepts every certificate"
            }
            RefusalKind::WrongName => {
                "use one of the certificate's names in the target (--connect-to HOST:PORT sets the \
                 address to connect to); --insecure accepts every certificate"
            }
            _ => "--insecure accepts every certificate",
        };
        Some(format!("{refusal}: {advice}"))
    }

    /// What the server's TLS alert means. `what` is the engine's text about the alert. Returns
    /// `None` if the meaning is unclear.
    fn alert(&self, what: &str) -> Option<String> {
        // The text ends with the alert's name.
        let name = what.rsplit(' ').next()?;
        let what = match name {
            "certificate_required" => "requires a certificate of ours: add --cert CERT,KEY".into(),
            "unrecognized_name" => {
                let host = self.target.tls_host().unwrap_or_default();
                format!("has no certificate for {host}")
            }
            "bad_certificate"
            | "unsupported_certificate"
            | "certificate_revoked"
            | "certificate_expired"
            | "certificate_unknown"
            | "unknown_ca"
            | "access_denied"
                if self.has_certificate =>
            {
                "refused the certificate of --cert".into()
            }
            // TLS 1.2 has no alert that says that a certificate is required.
            "handshake_failure" | "bad_certificate" if !self.has_certificate => {
                "refused the handshake: it may require a certificate (--cert CERT,KEY), or have no \
                 cipher suite in common with us"
                    .into()
            }
            "no_application_protocol" => format!("has TLS, and {}", self.versions.missing()),
            "protocol_version" => "has neither TLS 1.3 nor 1.2".into(),
            _ => return None,
        };
        Some(format!("{what} (TLS alert {name})"))
    }
}

/// Wraps a protocol, and passes all calls on to it. If TLS has failed, the protocol gets an
/// [`Event::Closed`] with the fault that [`ClientTls::explain`] returns.
#[derive(Debug)]
pub(crate) struct ExplainsTlsFailures<P> {
    pub(crate) protocol: P,
    pub(crate) tls: ClientTls,
}

impl<P: Protocol> Protocol for ExplainsTlsFailures<P> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.protocol.on_bytes(input, turn)
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Closed(reason) = event
            && let Some(fault) = self.tls.explain(reason)
        {
            return self.protocol.on_event(Event::Closed(&Reason::Fault(fault)), turn);
        }
        self.protocol.on_event(event, turn)
    }

    fn deadline(&self) -> Option<Time> {
        self.protocol.deadline()
    }

    fn idle_since(&self) -> Option<Time> {
        self.protocol.idle_since()
    }
}
