//! A JSON API with state that all requests share, and parameters in paths.
//!
//! ```console
//! $ cargo run --example json_api 127.0.0.1:8080 &
//! $ curl -d '{"text": "buy fish"}' http://127.0.0.1:8080/notes
//! {"number":1}
//! $ curl http://127.0.0.1:8080/notes/1
//! {"text":"buy fish"}
//! $ curl -X DELETE http://127.0.0.1:8080/notes/1
//! {"text":"buy fish"}
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sockeye::ListenAddr;
use sockeye::http::{self, Body, Options, Reply, Request, Serving, StatusCode};

const MAX_NOTE: u64 = 64 * 1024; // bytes
const MAX_NOTES: usize = 10_000;

/// All workers (threads) share the notes. The lock is never held during blocking work, so handlers
/// may wait for it.
type Notes = Arc<Mutex<BTreeMap<u64, Value>>>;

fn error(status: StatusCode, text: &str) -> Reply {
    Reply::json(status, &json!({ "error": text }))
}

fn add(notes: &Notes, body: &[u8]) -> Reply {
    let Ok(note) = serde_json::from_slice::<Value>(body) else {
        return error(StatusCode::BAD_REQUEST, "the body is not JSON");
    };
    if !note["text"].is_string() {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "a note needs a text");
    }
    let mut notes = notes.lock().unwrap();
    if notes.len() >= MAX_NOTES {
        return error(StatusCode::INSUFFICIENT_STORAGE, "there are too many notes");
    }
    let number = notes.keys().next_back().map_or(1, |last| last + 1);
    notes.insert(number, note);
    Reply::json(StatusCode::CREATED, &json!({ "number": number }))
}

fn answer(notes: &Notes, request: Request<Body>) -> Reply {
    let (head, body) = request.into_parts();
    let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    match (head.method.as_str(), &path[..]) {
        ("GET" | "HEAD", ["notes"]) => Reply::json(StatusCode::OK, &json!(*notes.lock().unwrap())),
        ("POST", ["notes"]) => {
            let notes = Arc::clone(notes);
            body.collect(MAX_NOTE, move |body| add(&notes, &body))
        }
        (method @ ("GET" | "HEAD" | "DELETE"), ["notes", number]) => {
            let (mut notes, number) = (notes.lock().unwrap(), number.parse().unwrap_or(0));
            match (method, notes.get(&number)) {
                (_, None) => error(StatusCode::NOT_FOUND, "there is no such note"),
                ("DELETE", _) => Reply::json(StatusCode::OK, &json!(notes.remove(&number))),
                (_, Some(note)) => Reply::json(StatusCode::OK, note),
            }
        }
        (_, ["notes"] | ["notes", _]) => StatusCode::METHOD_NOT_ALLOWED.into(),
        _ => error(StatusCode::NOT_FOUND, "notes are at /notes and /notes/NUMBER"),
    }
}

pub(crate) fn serve(address: ListenAddr) -> Result<Serving, http::ServeError> {
    let notes = Notes::default();
    // The closure is shared by all workers, so it must be `Fn`, `Send` and `Sync`.
    http::serve(&[address], Options::default(), move |request| answer(&notes, request))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?)?;
    let url = format!("http://{}/notes", serving.addresses()[0]);
    println!("Listening at {url} - try: curl -d '{{\"text\": \"buy fish\"}}' {url}; curl {url}/1");
    serving.join()?;
    Ok(())
}
