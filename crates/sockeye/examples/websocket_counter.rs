//! A counter that web pages follow. A slow page misses numbers, but never the last one.
//!
//! ```console
//! $ cargo run --example websocket_counter 127.0.0.1:8080 &     # then open http://127.0.0.1:8080/
//! $ sockeye send ws://127.0.0.1:8080/count reset reset
//! ```
//!
//! `send` receives as many messages as it sends: here the number when it connects, and the next
//! one, usually 0.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sockeye::ListenAddr;
use sockeye::http::ws::{self, Broadcast, Handler, Message, Socket, Subscription};
use sockeye::http::{self, Options, Response, ServeError, Serving, StatusCode};

const PAGE: &str =
    "<!doctype html><title>Counter</title><h1></h1><button>Back to 0</button><script>
const socket = new WebSocket('/count');
socket.onmessage = event => document.querySelector('h1').textContent = event.data;
socket.onclose = () => setTimeout(() => location.reload(), 1000);
document.querySelector('button').onclick = () => socket.send('reset');
</script>";

struct Counter {
    value: Mutex<u64>,
    news: Broadcast,
}

impl Counter {
    /// Changes the value, and sends the new one to all followers.
    fn change(&self, change: impl FnOnce(u64) -> u64) {
        let mut value = self.value.lock().unwrap();
        *value = change(*value);
        self.news.send(value.to_string());
    }
}

/// The handler of one WebSocket. The subscription begins when the WebSocket opens.
struct Follower(Arc<Counter>, Option<Subscription>);

// Runs on the event loop: don't block.
impl Handler for Follower {
    fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
        self.1 = Some(self.0.news.subscribe(socket));
        socket.send(&self.0.value.lock().unwrap().to_string());
    }

    // Any message resets the counter.
    fn on_message(&mut self, _: Message<'_>, _: &mut Socket<'_, '_>) {
        self.0.change(|_| 0);
    }

    fn on_woken(&mut self, socket: &mut Socket<'_, '_>) {
        let Some(news) = &mut self.1 else { return };
        while news.forward(socket).is_err() {} // Missed numbers don't matter: newer ones follow.
    }
}

/// Serves a counter. A thread increments it every `interval`.
pub(crate) fn serve(address: ListenAddr, interval: Duration) -> Result<Serving, ServeError> {
    let counter = Arc::new(Counter { value: Mutex::new(0), news: Broadcast::latest() });
    let weak = Arc::downgrade(&counter);
    thread::spawn(move || {
        // The thread ends when the server has dropped the counter.
        while let Some(counter) = weak.upgrade() {
            counter.change(|value| value + 1);
            drop(counter);
            thread::sleep(interval);
        }
    });
    http::serve(&[address], Options::default(), move |request| match request.uri().path() {
        "/" => Response::builder().header("content-type", "text/html").body(PAGE).unwrap().into(),
        "/count" => ws::upgrade(&request, Follower(counter.clone(), None)),
        _ => StatusCode::NOT_FOUND.into(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?, Duration::from_secs(1))?;
    println!("Listening at http://{} - open it in a browser", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}
