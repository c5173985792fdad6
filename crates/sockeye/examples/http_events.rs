//! Server-sent events: what anybody says is seen by everybody who listens.
//!
//! ```sh
//! cargo run --example http_events 127.0.0.1:8080      # and, if you like, seconds between signs of life
//! curl -N http://127.0.0.1:8080/events       # listens; a browser shows the same at /
//! curl -d 'Hello' http://127.0.0.1:8080/say
//! ```
//!
//! Nobody waits for a slow listener: one that has too much unread is let go, and comes back by
//! itself, as browsers do.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use sockeye::ListenAddr;
use sockeye::http::{
    self, Body, Bytes, Event, Method, Options, Reply, Request, Response, Sender, ServeError,
    Serving, StatusCode,
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

/// Everybody who listens.
#[derive(Default)]
struct Listeners(Mutex<Vec<Sender>>);

impl Listeners {
    fn add(&self, listener: Sender) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Tells everybody. Who has gone, or doesn't keep up, is forgotten.
    fn tell(&self, event: Event) {
        let event = Bytes::from(event);
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.try_send(event.clone()).is_ok());
    }
}

fn answer(listeners: &Arc<Listeners>, request: Request<Body>) -> Reply {
    let listeners = Arc::clone(listeners);
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => {
            Response::builder().header("content-type", "text/html").body(PAGE).expect("good").into()
        }
        (&Method::GET, "/events") => Reply::events(move |sender| listeners.add(sender)),
        (&Method::POST, "/say") => request.into_body().collect(LONGEST, move |said| {
            listeners.tell(Event::new(&String::from_utf8_lossy(&said)));
            StatusCode::NO_CONTENT
        }),
        _ => StatusCode::NOT_FOUND.into(),
    }
}

/// Answers at `address`, until the returned value's handle says to stop. So often everybody hears
/// that the line is alive.
pub(crate) fn serve(address: ListenAddr, sign_of_life: Duration) -> Result<Serving, ServeError> {
    let listeners = Arc::<Listeners>::default();
    let everybody = Arc::downgrade(&listeners);
    thread::spawn(move || {
        loop {
            thread::sleep(sign_of_life);
            let Some(listeners) = everybody.upgrade() else { return };
            listeners.tell(Event::comment("still here"));
        }
    });
    http::serve(&[address], Options::default(), move |request: Request<Body>| {
        answer(&listeners, request)
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
