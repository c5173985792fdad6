//! A JSON API for notes in memory, with parameters in paths.
//!
//! ```sh
//! cargo run --example http_json 127.0.0.1:8080
//! curl -d '{"text": "buy fish"}' http://127.0.0.1:8080/notes
//! curl http://127.0.0.1:8080/notes/1
//! curl -X DELETE http://127.0.0.1:8080/notes/1
//! ```
//!
//! A `match` is enough to route these paths. For more, use a router crate such as `matchit`.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use sockeye::ListenAddr;
use sockeye::http::{
    self, Body, Options, Reply, Request, Response, ServeError, Serving, StatusCode, header,
};

/// Maximum size of a note, in bytes.
const MAX_NOTE: u64 = 64 * 1024;

/// Maximum number of notes.
const MAX_NOTES: usize = 10_000;

#[derive(Default)]
struct Notes {
    by_number: BTreeMap<u64, Value>,
    last: u64,
}

/// Why a note was refused.
struct Refusal(StatusCode, &'static str);

impl From<Refusal> for Reply {
    fn from(Refusal(status, why): Refusal) -> Self {
        json_response(status, &json!({ "error": why })).into()
    }
}

impl Notes {
    fn add(&mut self, text: &[u8]) -> Result<Response<String>, Refusal> {
        let note: Value = serde_json::from_slice(text)
            .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "the body is not JSON"))?;
        if !note["text"].is_string() {
            return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, "a note needs a text"));
        }
        if self.by_number.len() >= MAX_NOTES {
            return Err(Refusal(StatusCode::INSUFFICIENT_STORAGE, "there are too many notes"));
        }
        self.last += 1;
        let mut response = json_response(StatusCode::CREATED, &note);
        let location =
            format!("/notes/{}", self.last).parse().expect("a path of digits is a valid value");
        response.headers_mut().insert(header::LOCATION, location);
        self.by_number.insert(self.last, note);
        Ok(response)
    }
}

fn json_response(status: StatusCode, value: &Value) -> Response<String> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(format!("{value}\n")).expect("the head is valid")
}

/// The event loop may wait for this lock, because nothing that holds the lock blocks.
fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(notes: &Arc<Mutex<Notes>>, request: Request<Body>) -> Reply {
    let (head, body) = request.into_parts();
    let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    match (head.method.as_str(), &path[..]) {
        ("GET" | "HEAD", ["notes"]) => {
            json_response(StatusCode::OK, &json!(lock(notes).by_number)).into()
        }
        ("POST", ["notes"]) => {
            let notes = Arc::clone(notes);
            body.collect(MAX_NOTE, move |text| lock(&notes).add(&text))
        }
        ("GET" | "HEAD", ["notes", number]) => {
            let notes = lock(notes);
            let note = number.parse().ok().and_then(|number: u64| notes.by_number.get(&number));
            note.map(|note| json_response(StatusCode::OK, note)).ok_or(StatusCode::NOT_FOUND).into()
        }
        ("DELETE", ["notes", number]) => {
            let number = number.parse().ok();
            let gone = number.and_then(|number: u64| lock(notes).by_number.remove(&number));
            gone.map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT).into()
        }
        (_, ["notes"]) => not_allowed("GET, HEAD, POST"),
        (_, ["notes", _]) => not_allowed("GET, HEAD, DELETE"),
        _ => StatusCode::NOT_FOUND.into(),
    }
}

fn not_allowed(allow: &'static str) -> Reply {
    let response =
        Response::builder().status(StatusCode::METHOD_NOT_ALLOWED).header("allow", allow);
    response.body("").expect("the head is valid").into()
}

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
