//! What a TLS handshake has agreed on.

/// What a TLS handshake has agreed on: see [`Peer::tls`](crate::Peer::tls).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version: `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The cipher suite, by its name in IANA's registry, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: &'static str,
    /// The protocol that was chosen by ALPN (RFC 7301): `http/1.1`, say. `None` if the client or
    /// the server doesn't use ALPN.
    pub alpn: Option<Box<[u8]>>,
    /// The name of the server that the client asked for (SNI, RFC 6066, 3), in lower case.
    pub server_name: Option<Box<str>>,
    /// The handshake resumed an earlier session.
    pub resumed: bool,
    /// The client's own certificate in DER, which was verified: one, or none if the client sent
    /// none. The further certificates of its chain are left out, since nothing says which of them
    /// the verification used.
    pub client_certificates: Vec<Box<[u8]>>,
}
