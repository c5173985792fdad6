//! One handler for messages over plain TCP (in frames: a length, a JSON header and the content),
//! over HTTP and over WebSocket, on one port.
//!
//! ```console
//! $ cargo run --example messages 127.0.0.1:8080 &     # then open http://127.0.0.1:8080/
//! $ curl -H 'content-type: application/json' -d '{"name": "Ada"}' http://127.0.0.1:8080/
//! {"hello": "Ada"}
//! $ sockeye send message://127.0.0.1:8080 '{"name": "Ada"}'
//! {"hello": "Ada"}
//! …
//! $ sockeye send ws://127.0.0.1:8080/ '{"name": "Ada"}'
//! {"hello": "Ada"}
//! …
//! ```

use serde_json::json;
use sockeye::ListenAddr;
use sockeye::message::{self, Error, Message, Options, Request, ServeError, Serving};

// Runs on the event loop: don't block. Blocking work: `Reply::run`.
fn answer(request: Request) -> Result<Message, Error> {
    let value = request.message.to_json()?; // Content that is not JSON gets an error.
    Ok(Message::json(&json!({ "hello": value["name"] }))?)
}

pub(crate) fn serve(address: ListenAddr) -> Result<Serving, ServeError> {
    message::serve(&[address], Options::default(), answer)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?)?;
    println!("Listening at http://{} - open it in a browser", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}
