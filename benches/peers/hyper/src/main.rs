//! A small response and, at `/baseline`, the sums of the benchmark `mix`, with hyper on one thread.
//! Prints its address. With the argument `http2`, it speaks only HTTP/2; with a certificate and a
//! key as further arguments, it uses TLS.

#![forbid(unsafe_code)]

use std::{convert::Infallible, error::Error, sync::Arc};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{
    ServerConfig,
    crypto::ring::Ticketer,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

const SMALL: &[u8] = b"Hello, world.";

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (http2, files) = match &words[..] {
        [first, files @ ..] if first == "http2" => (true, files),
        files => (false, files),
    };
    let tls = match files {
        [certificate, key] => Some(acceptor(certificate, key, http2)?),
        _ => None,
    };
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        println!("{scheme}://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            match tls.clone() {
                None => tokio::spawn(serve(stream, http2)),
                Some(tls) => tokio::spawn(async move {
                    // A failed handshake only ends the connection.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, http2).await;
                    }
                }),
            };
        }
    })
}

/// TLS with rustls' defaults, except that clients resume sessions by tickets, as with other
/// servers. By default, rustls keeps the last 256 sessions in memory instead.
fn acceptor(certificate: &str, key: &str, http2: bool) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![if http2 { &b"h2"[..] } else { b"http/1.1" }.to_vec()];
    config.ticketer = Ticketer::new()?;
    Ok(Arc::new(config).into())
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, http2: bool) {
    // A reset only ends the connection.
    if http2 {
        let _ = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .await;
        return;
    }
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.uri().path() {
        "/baseline" => {
            let query = request.uri().query().unwrap_or_default();
            let values = query.split('&').filter_map(|pair| pair.split_once('='));
            let sum: u64 = values.filter_map(|(_, value)| value.parse::<u64>().ok()).sum();
            let body = request.into_body().collect().await.map(|body| body.to_bytes());
            let text = body.ok().and_then(|body| String::from_utf8(body.to_vec()).ok());
            let number: u64 = text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            (sum + number).to_string().into()
        }
        _ => Bytes::from_static(SMALL),
    };
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}
