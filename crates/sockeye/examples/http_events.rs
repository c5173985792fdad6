//! Server-sent events to many clients, which read one log, each at its own pace.
//!
//! ```console
//! $ cargo run --example http_events 127.0.0.1:8080 &
//! $ curl -N http://127.0.0.1:8080/events &              # or open / in a browser
//! $ curl -d 'Hello' http://127.0.0.1:8080/say
//! data: Hello
//! ```
//!
//! A slow client delays nobody. A client that is more than [`MAX_LOG`] events behind misses the
//! oldest ones. The server also sends comments, which clients ignore: see [`serve`]. A second
//! argument of the program sets the number of seconds between two comments.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sockeye::ListenAddr;
use sockeye::http::{
    self, Body, BodySource, Bytes, Event, Options, Reply, Request, Response, ServeError, Serving,
    SourceNext, SourceWaker, StatusCode,
};

const PAGE: &str = "<!doctype html><title>Said</title><ul id=said></ul><script>
new EventSource('/events').onmessage = event =>
  said.append(Object.assign(document.createElement('li'), { textContent: event.data }));
</script>";

const MAX_LOG: usize = 256; // events
const MAX_EVENT: u64 = 4096; // bytes

/// The latest events, which all clients share.
#[derive(Default)]
struct Log {
    events: VecDeque<Bytes>,
    /// Number of events that were removed.
    removed: usize,
    listeners: Vec<SourceWaker>,
}

impl Log {
    /// Adds an event, and wakes all listeners.
    fn publish(&mut self, event: Event) {
        self.events.push_back(event.into());
        if self.events.len() > MAX_LOG {
            self.events.pop_front();
            self.removed += 1;
        }
        self.listeners.retain(|listener| !listener.is_gone());
        self.listeners.iter().for_each(SourceWaker::wake);
    }

    /// Adds a listener. Returns the position from which it reads.
    fn listen(&mut self, waker: SourceWaker) -> usize {
        self.listeners.push(waker);
        self.removed + self.events.len()
    }
}

/// Reads the log. `position` is the index of the next event to send among all events since the
/// start, those that were removed included.
struct Listener {
    log: Arc<Mutex<Log>>,
    position: usize,
}

impl BodySource for Listener {
    // Runs on the event loop whenever there is room for more: don't block.
    fn next(mut self: Box<Self>) -> SourceNext {
        let log = self.log.lock().unwrap();
        let position = self.position.max(log.removed);
        let event = log.events.get(position - log.removed).cloned();
        drop(log);
        let Some(event) = event else { return SourceNext::Wait(self) };
        self.position = position + 1;
        SourceNext::Piece(event, self)
    }
}

fn answer(log: &Arc<Mutex<Log>>, request: Request<Body>) -> Reply {
    let log = Arc::clone(log);
    match (request.method().as_str(), request.uri().path()) {
        ("GET", "/") => Response::builder()
            .header("content-type", "text/html")
            .body(PAGE)
            .expect("the head is valid")
            .into(),
        ("GET", "/events") => Reply::follow_events(move |waker| {
            let position = log.lock().unwrap().listen(waker);
            Listener { log, position }
        }),
        ("POST", "/say") => request.into_body().collect(MAX_EVENT, move |text| {
            log.lock().unwrap().publish(Event::new(&String::from_utf8_lossy(&text)));
            StatusCode::NO_CONTENT
        }),
        _ => StatusCode::NOT_FOUND.into(),
    }
}

/// Starts the service. Sends a comment to all listeners once per `interval`. Otherwise, after
/// 15 s without an event (`Limits::half_closed_timeout`), the server would end the response to a
/// client that has closed its sending side.
pub(crate) fn serve(address: ListenAddr, interval: Duration) -> Result<Serving, ServeError> {
    let log = Arc::<Mutex<Log>>::default();
    let weak = Arc::downgrade(&log);
    thread::spawn(move || {
        loop {
            thread::sleep(interval);
            let Some(log) = weak.upgrade() else { return };
            log.lock().unwrap().publish(Event::comment("still here"));
        }
    });
    http::serve(&[address], Options::default(), move |request| answer(&log, request))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let interval = match std::env::args().nth(2) {
        Some(seconds) => seconds.parse().map_err(|_| "the interval is a number of seconds")?,
        None => 10, // Less than `Limits::half_closed_timeout`, which is 15 s.
    };
    let serving = serve(address.parse()?, Duration::from_secs(interval))?;
    let url = format!("http://{}", serving.addresses()[0]);
    println!("Listening at {url} - try: curl -N {url}/events, and: curl -d Hello {url}/say");
    serving.join()?;
    Ok(())
}
