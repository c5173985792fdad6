//! A small response, and the sums of the row `mix`, with hyper on one thread, like hyper's
//! examples. Prints its address.

#![forbid(unsafe_code)]

use std::{convert::Infallible, error::Error};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

const SMALL: &[u8] = b"Hello, world.";

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve(stream));
        }
    })
}

async fn serve(stream: TcpStream) {
    // A reset only ends the connection.
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
