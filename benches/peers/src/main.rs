//! Small servers of other crates, each on one thread, as their own examples write them.
//!
//! ```text
//! sockeye-bench-peers hyper    # /small.txt, and the sums of the row `mix`
//! sockeye-bench-peers tokio    # an echo
//! ```

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
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const SMALL: &[u8] = b"Hello, world.";

fn main() -> Result<(), Box<dyn Error>> {
    let what = std::env::args().nth(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        match what.as_deref() {
            Some("hyper") => {
                println!("http://{address}");
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(serve(stream));
                }
            }
            Some("tokio") => {
                println!("tcp://{address}");
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(echo(stream));
                }
            }
            _ => Err("hyper or tokio".into()),
        }
    })
}

async fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}

async fn serve(stream: TcpStream) {
    // A peer that resets is gone, and no more than that.
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
