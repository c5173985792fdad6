//! A chat room for browsers: axum's WebSockets on Sockeye's engine.
//!
//! ```console
//! $ cargo run -p sockeye-tower --example axum_websocket 127.0.0.1:8080 &
//! $ curl http://127.0.0.1:8080/
//! <!doctype html><title>Chat</title>…
//! …
//! ```

use std::error::Error;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::{Html, Response};
use axum::routing::{any, get};
use axum::{Router, extract::State};
use signal_hook::{consts::SIGINT, consts::SIGTERM, iterator::Signals};
use sockeye::ListenAddr;
use sockeye::http::{Options, ServeError, Serving};
use tokio::runtime::{Builder, Handle};
use tokio::sync::broadcast;

const PAGE: &str = r#"<!doctype html><title>Chat</title><input autofocus><pre></pre><script>
const [input, lines] = document.querySelectorAll("input, pre");
const socket = new WebSocket(location.href.replace(/^http/, "ws") + "chat");
socket.onmessage = event => lines.append(event.data + "\n");
input.onchange = () => { socket.send(input.value); input.value = ""; };
</script>"#;

/// The channel of a chat room. It is a weak handle, so that the room closes when `main` drops the
/// only `Sender`.
type Room = broadcast::WeakSender<String>;

/// Sends the lines of the room to one member, and the member's lines to the room.
async fn member(mut socket: WebSocket, room: Room) {
    let Some(mut lines) = room.upgrade().map(|room| room.subscribe()) else { return };
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Ok(line) = line else { break }; // The room closed, or the member is too slow.
                if socket.send(line.into()).await.is_err() { return }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(line))) => {
                    let _ = room.upgrade().map(|room| room.send(line.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
    let frame = CloseFrame { code: close_code::AWAY, reason: "bye".into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
    while let Some(Ok(_)) = socket.recv().await {} // Waits until the client has closed, too.
}

async fn chat(upgrade: WebSocketUpgrade, State(room): State<Room>) -> Response {
    upgrade.max_message_size(1024).on_upgrade(|socket| member(socket, room))
}

/// Serves the page and the chat room. The runtime of `tasks` has to outlive the service.
pub(crate) fn serve(at: ListenAddr, tasks: &Handle, room: Room) -> Result<Serving, ServeError> {
    let app = Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/chat", any(chat)) // GET over HTTP/1.1, CONNECT over HTTP/2.
        .with_state(room);
    sockeye_tower::serve(&[at], Options::default(), tasks, app)
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let room = broadcast::Sender::new(64);
    let serving = serve(address.parse()?, runtime.handle(), room.downgrade())?;
    println!("Open http://{} in two windows of a browser", serving.addresses()[0]);
    Signals::new([SIGINT, SIGTERM])?.forever().next();
    serving.handle().drain();
    drop(room); // Ends the members' tasks: else their sockets would live until the drain deadline.
    serving.join()?;
    Ok(())
}
