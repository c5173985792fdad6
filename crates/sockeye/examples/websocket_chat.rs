//! A chat room for browsers. A slow member delays nobody: it misses messages. If the second
//! argument is `close`, the WebSocket of a slow member is closed instead, with the code 1013 (try
//! again later).
//!
//! ```console
//! $ cargo run --example websocket_chat 127.0.0.1:8080 &     # then open http://127.0.0.1:8080/
//! $ sockeye send ws://127.0.0.1:8080/chat hello bye
//! * guest 1 has joined
//! <guest 1> hello
//! …
//! ```

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use sockeye::ListenAddr;
use sockeye::http::ws::{self, Broadcast, CloseCode, Handler, Message, Missed, Socket};
use sockeye::http::{self, Options, Response, ServeError, Serving, StatusCode};

const PAGE: &str =
    "<!doctype html><title>Chat</title><form><input autofocus></form><ul></ul><script>
const socket = new WebSocket('/chat'), form = document.querySelector('form');
form.onsubmit = () => { socket.send(form[0].value); form.reset(); return false; };
socket.onmessage = event => document.querySelector('ul').prepend(
  Object.assign(document.createElement('li'), { textContent: event.data }));
socket.onclose = event => document.title = `closed: ${event.code} ${event.reason}`;
</script>";

/// One WebSocket. `news` is its subscription to the messages of the room, from the time when the
/// WebSocket opens.
struct Member {
    number: u64,
    room: Broadcast,
    news: Option<ws::Subscription>,
    close_if_slow: bool,
}

// Runs on the event loop: don't block.
impl Handler for Member {
    fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
        self.news = Some(self.room.subscribe(socket));
        self.room.send(format!("* guest {} has joined", self.number));
    }

    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        match message.text() {
            Some(text) => self.room.send(format!("<guest {}> {text}", self.number)),
            None => socket.close(CloseCode::UNSUPPORTED_DATA, "text only"),
        }
    }

    // Called when the room has new messages, or when the output has space for more of them.
    fn on_woken(&mut self, socket: &mut Socket<'_, '_>) {
        let Some(news) = &mut self.news else { return };
        if self.close_if_slow && news.missed() > 0 {
            return socket.close(CloseCode::TRY_AGAIN_LATER, "too slow");
        }
        while let Err(Missed(count)) = news.forward(socket) {
            socket.send(&format!("* you missed {count} messages"));
        }
    }

    fn on_close(&mut self, _: ws::Closed<'_>, _: &mut Socket<'_, '_>) {
        self.room.send(format!("* guest {} has left", self.number));
    }
}

pub(crate) fn serve(address: ListenAddr, close_if_slow: bool) -> Result<Serving, ServeError> {
    // The room keeps the newest messages, up to 1 MiB, for members that are slow.
    let (room, newest) = (Broadcast::new(1 << 20), AtomicU64::new(0));
    let options = ws::Options::default().limits(ws::Limits { message: 4096, ..Default::default() });
    http::serve(&[address], Options::default(), move |request| match request.uri().path() {
        "/" => Response::builder().header("content-type", "text/html").body(PAGE).unwrap().into(),
        "/chat" => {
            let (number, room) = (newest.fetch_add(1, Ordering::Relaxed) + 1, room.clone());
            options.upgrade(&request, Member { number, room, news: None, close_if_slow })
        }
        _ => StatusCode::NOT_FOUND.into(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?, std::env::args().nth(2).as_deref() == Some("close"))?;
    println!("Listening at http://{} - open it in two windows", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}
