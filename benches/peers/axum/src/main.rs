//! Serves a folder with axum and tower-http's `ServeDir`, on one thread. Prints its address.

#![forbid(unsafe_code)]

use std::error::Error;

use axum::{Router, serve::ListenerExt};
use tokio::net::TcpListener;
use tower_http::services::ServeDir;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: bench-axum FOLDER")?;
    let files = ServeDir::new(folder).precompressed_br().precompressed_gzip();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        let listener = listener.tap_io(|stream| {
            // If this fails, the connection is slower, but works.
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, Router::new().fallback_service(files)).await?)
    })
}
