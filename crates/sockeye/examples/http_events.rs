//! A broadcast by server-sent events.
//!
//! ```sh
//! cargo run --example http_events 127.0.0.1:8080      # optional: seconds between comments
//! curl -N http://127.0.0.1:8080/events       # or open / in a browser
//! curl -d 'Hello' http://127.0.0.1:8080/say
//! ```
//!
//! All events go into a log, which each listener reads from its own position, at the speed of its
//! client. A slow listener delays nobody, and costs a position and its output buffer. The log keeps
//! the last 256 events. A listener that is further behind misses some, and gets a comment with
//! their number.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use sockeye::ListenAddr;
use sockeye::http::{
    self, Body, BodySource, Bytes, Event, Method, Options, Reply, Request, Response, ServeError,
    Serving, SourceNext, SourceWaker, StatusCode,
};

const PAGE: &str = "<!doctype html><meta charset=utf-8><title>Said</title><ul id=said></ul><script>
new EventSource('/events').onmessage = event => {
  const line = document.createElement('li');
  line.textContent = event.data;
  said.append(line);
};
</script>
";

/// Maximum size of an event, in bytes.
const MAX_EVENT: u64 = 4096;

/// Time between comments. It is shorter than [`Limits::half_closed_timeout`](http::Limits), so that
/// a client that has closed its sending side keeps its stream.
pub(crate) const COMMENT_INTERVAL: Duration = Duration::from_secs(10);

/// Number of events in the log.
const MAX_LOG: usize = 256;

/// A log and its listeners.
#[derive(Default)]
struct Channel(Mutex<State>);

#[derive(Default)]
struct State {
    log: VecDeque<Bytes>,
    /// Number of events that were removed from the log.
    dropped: u64,
    listeners: Vec<SourceWaker>,
}

impl Channel {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, event: Event) {
        let mut state = self.lock();
        state.log.push_back(event.into());
        if state.log.len() > MAX_LOG {
            state.log.pop_front();
            state.dropped += 1;
        }
        state.listeners.retain(|listener| !listener.is_gone());
        state.listeners.iter().for_each(SourceWaker::wake);
    }

    /// Adds a listener, which gets the events that follow.
    fn listen(self: Arc<Self>, waker: SourceWaker) -> Listener {
        let mut state = self.lock();
        state.listeners.push(waker);
        let position = state.dropped + state.log.len() as u64;
        drop(state);
        Listener { channel: self, position }
    }
}

struct Listener {
    channel: Arc<Channel>,
    /// The number of the next event.
    position: u64,
}

impl BodySource for Listener {
    fn next(mut self: Box<Self>) -> SourceNext {
        let (dropped, event) = {
            let state = self.channel.lock();
            let index = self.position.saturating_sub(state.dropped) as usize;
            (state.dropped, state.log.get(index).cloned())
        };
        if self.position < dropped {
            let missed = format!("{} events missed", dropped - self.position);
            self.position = dropped;
            return SourceNext::Piece(Event::comment(&missed).into(), self);
        }
        match event {
            None => SourceNext::Wait(self),
            Some(event) => {
                self.position += 1;
                SourceNext::Piece(event, self)
            }
        }
    }
}

fn answer(channel: &Arc<Channel>, request: Request<Body>) -> Reply {
    let channel = Arc::clone(channel);
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => Response::builder()
            .header("content-type", "text/html")
            .body(PAGE)
            .expect("the head is valid")
            .into(),
        (&Method::GET, "/events") => Reply::follow_events(move |waker| channel.listen(waker)),
        (&Method::POST, "/say") => request.into_body().collect(MAX_EVENT, move |text| {
            channel.publish(Event::new(&String::from_utf8_lossy(&text)));
            StatusCode::NO_CONTENT
        }),
        _ => StatusCode::NOT_FOUND.into(),
    }
}

/// Sends a comment to all listeners at every `interval`.
pub(crate) fn serve(address: ListenAddr, interval: Duration) -> Result<Serving, ServeError> {
    let channel = Arc::<Channel>::default();
    let weak = Arc::downgrade(&channel);
    thread::spawn(move || {
        loop {
            thread::sleep(interval);
            let Some(channel) = weak.upgrade() else { return };
            channel.publish(Event::comment("still here"));
        }
    });
    http::serve(&[address], Options::default(), move |request: Request<Body>| {
        answer(&channel, request)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let interval = match std::env::args().nth(2) {
        Some(seconds) => Duration::from_secs(seconds.parse()?),
        None => COMMENT_INTERVAL,
    };
    let serving = serve(address.parse()?, interval)?;
    println!("http://{}", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}
