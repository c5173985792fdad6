//! The smallest WebSocket service: it sends each message back.
//!
//! ```console
//! $ cargo run --example websocket_echo 127.0.0.1:8080 &     # then open http://127.0.0.1:8080/
//! $ sockeye send ws://127.0.0.1:8080/echo hello
//! hello
//! …
//! ```

use std::error::Error;

use sockeye::ListenAddr;
use sockeye::http::{self, Options, Response, ServeError, Serving, StatusCode, ws};

const PAGE: &str =
    "<!doctype html><title>Echo</title><form><input autofocus></form><ul></ul><script>
const socket = new WebSocket('/echo'), form = document.querySelector('form');
const show = text => document.querySelector('ul').append(
  Object.assign(document.createElement('li'), { textContent: text }));
form.onsubmit = () => { socket.send(form[0].value); form.reset(); return false; };
socket.onmessage = event => show(event.data);
socket.onclose = event => show(`closed: ${event.code} ${event.reason}`);
</script>";

pub(crate) fn serve(address: ListenAddr) -> Result<Serving, ServeError> {
    http::serve(&[address], Options::default(), |request| match request.uri().path() {
        "/" => Response::builder().header("content-type", "text/html").body(PAGE).unwrap().into(),
        // Runs on the event loop: don't block. While the output to a peer is full, nothing is read
        // from that peer.
        "/echo" => ws::on_message(&request, |message, socket| socket.send(message)),
        _ => StatusCode::NOT_FOUND.into(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?)?;
    println!("Listening at http://{} - open it in a browser", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}
