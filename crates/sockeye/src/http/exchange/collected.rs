//! Memory for collected bodies, which the budget for them limits.

use sockeye_proto::Permit;

/// Maximum initial capacity for a collected body of known length, in bytes. Only memory beyond it
/// is charged to the budget. HTTP/2 uses 0 instead, because a connection can have many bodies at a
/// time.
pub(super) const UNCHARGED: u64 = 64 * 1024;

/// Makes room in `collected` for `more` bytes, and charges its capacity above `uncharged` to
/// `permit`. Returns false if the budget doesn't allow that. Capacity at least doubles when it
/// grows, so that the budget is charged a few times per body and not for each piece.
pub(super) fn reserve(
    collected: &mut Vec<u8>,
    permit: &mut Permit,
    more: usize,
    uncharged: u64,
) -> bool {
    let needed = collected.len() + more;
    if needed <= collected.capacity() {
        return true;
    }
    let capacity = needed.max(2 * collected.capacity());
    let charge = (capacity as u64).saturating_sub(uncharged);
    if charge > 0 && !permit.resize(charge) {
        return false;
    }
    collected.reserve_exact(capacity - collected.len());
    true
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::rc::Rc;

    use sockeye_http::{Clients, Request, Server, ServerConfig};
    use sockeye_proto::harness::Harness;
    use sockeye_proto::{Budget, Client, Peer};

    use crate::http::{Body, HttpService};

    /// The field `Client` names the client, as a proxy might.
    #[derive(Debug)]
    struct ClientField;

    impl Clients for ClientField {
        fn client(&self, _: &Peer, request: &Request<'_>) -> Client {
            Client::V4([192, 0, 2, request.field("client").unwrap()[0]])
        }
    }

    #[test]
    fn a_collected_body_is_charged_to_the_client_that_a_proxy_names() {
        // A client's share is 256 KiB.
        let collected = Budget::new("bytes of collected bodies", 1 << 20);
        let answer = |request: http::Request<Body>| request.into_body().collect(1 << 20, |_| "ok");
        let service = HttpService::with_budget(answer, collected.clone());
        let config = Rc::new(ServerConfig::default().clients(Rc::new(ClientField)));
        let proxy = Peer::new(SocketAddr::from(([198, 51, 100, 1], 9)).into(), 0);
        let upload = |client: &str| {
            let server = Server::new(Rc::clone(&config), service.handlers());
            let mut connection = Harness::with_peer(server, proxy.clone());
            let head = format!(
                "POST / HTTP/1.1\r\nHost: localhost\r\nClient: {client}\r\nContent-Length: 200000\r\n\r\n"
            );
            connection.input(&[head.as_bytes(), &[b'x'; 199_999]].concat());
            connection
        };
        let (mut first, mut second) = (upload("a"), upload("b"));
        assert!(first.output().is_empty() && second.output().is_empty());
        assert!(upload("a").output().starts_with(b"HTTP/1.1 503 "), "this client has its share");
        drop((first, second));
        assert_eq!(collected.used(), 0);
    }
}
