//! WebSockets over HTTP/2 (RFC 8441), with the crate h2 as client.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use h2::ext::Protocol;
use sockeye::http::{Body, Method, Reply, Request, Response, StatusCode, Upgrade, Version, ws};

use crate::client::{serve, stop};
use crate::h2_client;

/// Asks for the protocol `name` with an extended CONNECT.
async fn connect(
    requests: &mut SendRequest<Bytes>,
    path: &str,
    name: &str,
    fields: &[(&'static str, &str)],
) -> (Response<RecvStream>, h2::SendStream<Bytes>) {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://localhost{path}"))
        .extension(Protocol::from(name));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (response, stream) = requests.send_request(request.body(()).unwrap(), false).unwrap();
    (response.await.unwrap(), stream)
}

/// Receives `count` bytes.
async fn receive(body: &mut RecvStream, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let piece = body.data().await.unwrap().unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend_from_slice(&piece);
    }
    bytes
}

fn answer(request: &Request<Body>) -> Reply {
    match request.uri().path() {
        "/page" => "a page\n".into(),
        "/none" => StatusCode::NO_CONTENT.into(),
        "/missing" => StatusCode::NOT_FOUND.into(),
        "/seen" => {
            let upgrade = request.extensions().get::<Upgrade>().unwrap();
            assert_eq!((request.method(), request.version()), (&Method::CONNECT, Version::HTTP_2));
            assert_eq!(upgrade.protocols().collect::<Vec<_>>(), ["websocket"]);
            assert!(upgrade.offers("WebSocket") && !upgrade.offers("web"));
            assert_eq!(request.uri().host(), Some("localhost"));
            StatusCode::IM_A_TEAPOT.into()
        }
        _ => ws::Options::default()
            .protocols(["v1"])
            .on_message(request, |message, socket| socket.send(message)),
    }
}

const VERSION: (&str, &str) = ("sec-websocket-version", "13");

#[test]
fn an_extended_connect_opens_a_websocket() {
    let (serving, address) = serve(|request: Request<Body>| answer(&request));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.unwrap().block_on(async {
        let mut requests = h2_client::connect(&address).await;
        let fields = [VERSION, ("sec-websocket-protocol", "v2, v1")];
        let (response, mut stream) = connect(&mut requests, "/", "websocket", &fields).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["sec-websocket-protocol"], "v1");
        assert!(!response.headers().contains_key("sec-websocket-accept"));
        let mut body = response.into_body();
        stream.send_data(Bytes::from_static(b"\x81\x85\0\0\0\0hello"), false).unwrap();
        assert_eq!(receive(&mut body, 7).await, b"\x81\x05hello");
        // Another one on the same connection, meanwhile.
        let (response, mut other) = connect(&mut requests, "/", "websocket", &[VERSION]).await;
        let mut other_body = response.into_body();
        other.send_data(Bytes::from_static(b"\x82\x81\0\0\0\0!"), false).unwrap();
        assert_eq!(receive(&mut other_body, 3).await, b"\x82\x01!");
        // The close handshake ends a stream, and not the connection.
        stream.send_data(Bytes::from_static(b"\x88\x82\0\0\0\0\x03\xe8"), false).unwrap();
        assert_eq!(receive(&mut body, 4).await, b"\x88\x02\x03\xe8");
        assert!(body.data().await.is_none(), "the stream ends");
        other.send_data(Bytes::from_static(b"\x82\x81\0\0\0\0?"), false).unwrap();
        assert_eq!(receive(&mut other_body, 3).await, b"\x82\x01?");
    });
    stop(serving);
}

#[test]
fn an_extended_connect_that_is_not_accepted_has_no_success() {
    let (serving, address) = serve(|request: Request<Body>| answer(&request));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.unwrap().block_on(async {
        let mut requests = h2_client::connect(&address).await;
        const EVIL: (&str, &str) = ("origin", "http://evil.example");
        for (path, name, fields, status) in [
            ("/page", "websocket", &[VERSION][..], 501),
            ("/none", "websocket", &[VERSION], 501),
            ("/missing", "websocket", &[VERSION], 404),
            ("/seen", "websocket", &[VERSION], 418),
            ("/", "connect-udp", &[VERSION], 400),
            ("/", "websocket", &[], 400),
            ("/", "websocket", &[VERSION, EVIL], 403),
        ] {
            let (response, _) = connect(&mut requests, path, name, fields).await;
            assert_eq!(response.status(), status, "{path} {name} {fields:?}");
        }
        let page = Request::builder().uri("http://localhost/page").body(()).unwrap();
        assert_eq!(h2_client::exchange(&mut requests, page).await.unwrap().text(), "a page\n");
    });
    stop(serving);
}
