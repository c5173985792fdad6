//! Server-sent events: what anybody says is seen by everybody who listens.
//!
//! ```sh
//! cargo run --example http_events 127.0.0.1:8080      # and, if you like, seconds between signs of life
//! curl -N http://127.0.0.1:8080/events       # listens; a browser shows the same at /
//! curl -d 'Hello' http://127.0.0.1:8080/say
//! ```
//!
//! What is said goes into a log, and every listener reads on from its own place in it, as fast as its
//! client does. So a burst is lost for nobody, nobody waits for a slow listener, and one costs no more
//! than its output. The log keeps the last 256 events: a listener that falls farther behind misses
//! some, and gets a comment that says how many.

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

/// Bytes that can be said at once.
const LONGEST: u64 = 4096;

/// How often everybody hears that the line is alive. A client that has ended its side and still reads
/// keeps its stream by it: [`Limits::half_closed_timeout`](http::Limits) is longer.
pub(crate) const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Events that are kept for listeners that are behind.
const KEPT: usize = 256;

/// What was said, and everybody who listens.
#[derive(Default)]
struct Said(Mutex<State>);

#[derive(Default)]
struct State {
    log: VecDeque<Bytes>,
    /// How many events have left the log.
    dropped: u64,
    listeners: Vec<SourceWaker>,
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody.
    fn tell(&self, event: Event) {
        let mut state = self.lock();
        state.log.push_back(event.into());
        if state.log.len() > KEPT {
            state.log.pop_front();
            state.dropped += 1;
        }
        state.listeners.retain(|listener| !listener.is_gone());
        state.listeners.iter().for_each(SourceWaker::wake);
    }

    /// One who hears all that is said from now on.
    fn listen(self: Arc<Self>, wake: SourceWaker) -> Listener {
        let mut state = self.lock();
        state.listeners.push(wake);
        let cursor = state.dropped + state.log.len() as u64;
        drop(state);
        Listener { said: self, cursor }
    }
}

struct Listener {
    said: Arc<Said>,
    /// The number of the event that it hears next.
    cursor: u64,
}

impl BodySource for Listener {
    fn next(mut self: Box<Self>) -> SourceNext {
        let (dropped, event) = {
            let state = self.said.lock();
            let at = self.cursor.saturating_sub(state.dropped) as usize;
            (state.dropped, state.log.get(at).cloned())
        };
        if self.cursor < dropped {
            let missed = format!("{} events missed", dropped - self.cursor);
            self.cursor = dropped;
            return SourceNext::Piece(Event::comment(&missed).into(), self);
        }
        match event {
            None => SourceNext::Wait(self),
            Some(event) => {
                self.cursor += 1;
                SourceNext::Piece(event, self)
            }
        }
    }
}

fn answer(said: &Arc<Said>, request: Request<Body>) -> Reply {
    let said = Arc::clone(said);
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => {
            Response::builder().header("content-type", "text/html").body(PAGE).expect("good").into()
        }
        (&Method::GET, "/events") => Reply::follow_events(move |wake| said.listen(wake)),
        (&Method::POST, "/say") => request.into_body().collect(LONGEST, move |text| {
            said.tell(Event::new(&String::from_utf8_lossy(&text)));
            StatusCode::NO_CONTENT
        }),
        _ => StatusCode::NOT_FOUND.into(),
    }
}

/// Answers at `address`, until the returned value's handle says to stop. So often everybody hears
/// that the line is alive.
pub(crate) fn serve(address: ListenAddr, sign_of_life: Duration) -> Result<Serving, ServeError> {
    let said = Arc::<Said>::default();
    let everybody = Arc::downgrade(&said);
    thread::spawn(move || {
        loop {
            thread::sleep(sign_of_life);
            let Some(said) = everybody.upgrade() else { return };
            said.tell(Event::comment("still here"));
        }
    });
    http::serve(&[address], Options::default(), move |request: Request<Body>| {
        answer(&said, request)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let sign_of_life = match std::env::args().nth(2) {
        Some(seconds) => Duration::from_secs(seconds.parse()?),
        None => SIGN_OF_LIFE,
    };
    let serving = serve(address.parse()?, sign_of_life)?;
    println!("http://{}", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}
