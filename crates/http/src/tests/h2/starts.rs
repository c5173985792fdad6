//! Which version a connection with TLS has: that of ALPN (RFC 9113, 3.2 and 3.3).

use std::sync::Arc;

use sockeye_proto::{Address, TlsInfo};

use super::*;
use crate::h2::frame::{PREFACE, kind};

/// A client with TLS, whose handshake has chosen this protocol.
fn connect(alpn: Option<&[u8]>) -> Client {
    let mut tls = TlsInfo::default();
    tls.alpn = alpn.map(Into::into);
    let mut peer = Peer::new(Address::Unix, 0);
    peer.tls = Some(Arc::new(tls));
    let site = |_: &Peer| Site { shared: Rc::default(), path: Vec::new(), content: 0 };
    let server = Server::new(Rc::default(), site);
    Client::before_preface(Harness::with_peer(server, peer))
}

#[test]
fn a_preface_over_tls_is_http1_unless_alpn_has_chosen_http2() {
    for alpn in [None, Some(&b"http/1.1"[..]), Some(b"other")] {
        let mut client = connect(alpn);
        assert_eq!(client.harness.output(), b"", "{alpn:?}");
        client.input(&[PREFACE, &raw(kind::SETTINGS, 0, 0, b"")].concat());
        let output = client.harness.output();
        assert!(output.starts_with(b"HTTP/1.1 505 "), "{alpn:?}: {}", output.escape_ascii());
    }
    let mut client = connect(Some(b"h2"));
    assert!(client.read()[0].starts_with("SETTINGS "), "it comes first");
    client.input(PREFACE);
    client.settings(&[]);
    client.get(1, "/x");
    assert_eq!(client.read(), ["SETTINGS ACK", "1 HEADERS 200", "1 DATA 2 END"]);
}

/// RFC 9113, 10.2.
#[test]
fn a_request_of_http1_is_no_preface_if_alpn_has_chosen_http2() {
    let mut client = connect(Some(b"h2"));
    client.read();
    client.input(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read(), ["GOAWAY 0 PROTOCOL_ERROR"]);
    assert_eq!(client.harness.fault().unwrap().code, "http2_protocol_error");
}
