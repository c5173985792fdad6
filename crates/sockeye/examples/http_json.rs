//! JSON in and out, and paths with parameters: notes that are kept in memory.
//!
//! ```sh
//! cargo run --example http_json 127.0.0.1:8080
//! curl -d '{"text": "buy fish"}' http://127.0.0.1:8080/notes
//! curl http://127.0.0.1:8080/notes/1
//! curl -X DELETE http://127.0.0.1:8080/notes/1
//! ```
//!
//! A `match` is router enough for this. One with more paths would look them up in a `matchit`
//! router, or the like, that holds a function for each.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use sockeye::ListenAddr;
use sockeye::http::{
    self, Body, Options, Reply, Request, Response, ServeError, Serving, StatusCode, header,
};

/// Bytes of a note.
const LONGEST: u64 = 64 * 1024;

/// Notes that are kept; a full house takes no more.
const MOST: usize = 10_000;

#[derive(Default)]
struct Notes {
    by_number: BTreeMap<u64, Value>,
    last: u64,
}

/// What a note's author hears when it can't be kept.
struct Refusal(StatusCode, &'static str);

impl From<Refusal> for Reply {
    fn from(Refusal(status, why): Refusal) -> Self {
        json_reply(status, &json!({ "error": why })).into()
    }
}

impl Notes {
    fn add(&mut self, text: &[u8]) -> Result<Response<String>, Refusal> {
        let note: Value = serde_json::from_slice(text)
            .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "the body is not JSON"))?;
        if !note["text"].is_string() {
            return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, "a note has a text"));
        }
        if self.by_number.len() >= MOST {
            return Err(Refusal(StatusCode::INSUFFICIENT_STORAGE, "there are too many notes"));
        }
        self.last += 1;
        let mut reply = json_reply(StatusCode::CREATED, &note);
        let location = format!("/notes/{}", self.last).parse().expect("digits are a field's value");
        reply.headers_mut().insert(header::LOCATION, location);
        self.by_number.insert(self.last, note);
        Ok(reply)
    }
}

fn json_reply(status: StatusCode, value: &Value) -> Response<String> {
    let reply = Response::builder().status(status).header("content-type", "application/json");
    reply.body(format!("{value}\n")).expect("a good head")
}

/// Nobody holds them for long: no lock of these is held across anything that blocks.
fn locked(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(notes: &Arc<Mutex<Notes>>, request: Request<Body>) -> Reply {
    let (head, body) = request.into_parts();
    let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    match (head.method.as_str(), &path[..]) {
        ("GET" | "HEAD", ["notes"]) => {
            json_reply(StatusCode::OK, &json!(locked(notes).by_number)).into()
        }
        ("POST", ["notes"]) => {
            let notes = Arc::clone(notes);
            body.collect(LONGEST, move |text| locked(&notes).add(&text))
        }
        ("GET" | "HEAD", ["notes", number]) => {
            let notes = locked(notes);
            let note = number.parse().ok().and_then(|number: u64| notes.by_number.get(&number));
            note.map(|note| json_reply(StatusCode::OK, note)).ok_or(StatusCode::NOT_FOUND).into()
        }
        ("DELETE", ["notes", number]) => {
            let number = number.parse().ok();
            let gone = number.and_then(|number: u64| locked(notes).by_number.remove(&number));
            gone.map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT).into()
        }
        (_, ["notes"]) => not_allowed("GET, HEAD, POST"),
        (_, ["notes", _]) => not_allowed("GET, HEAD, DELETE"),
        _ => StatusCode::NOT_FOUND.into(),
    }
}

fn not_allowed(allow: &'static str) -> Reply {
    let reply = Response::builder().status(StatusCode::METHOD_NOT_ALLOWED).header("allow", allow);
    reply.body("").expect("a good head").into()
}

/// Answers at `address`, until the returned value's handle says to stop.
pub(crate) fn serve(address: ListenAddr) -> Result<Serving, ServeError> {
    let notes = Arc::default();
    http::serve(&[address], Options::default(), move |request: Request<Body>| {
        answer(&notes, request)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?)?;
    println!("http://{}", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}
