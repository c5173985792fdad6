//! The service of the Python server that the message protocol comes from. It looks values up in a
//! table.
//!
//! Where the Python server closes the connection without a response, this service sends an error.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::value::RawValue;
use sockeye_proto::{Peer, Ticket};

use super::header::is_integer;
use super::{
    Answer, Handler, LARGE_CONTENT, Message, Refusal, Responder, Settled, error_response, json,
};

/// The entries of the Python server.
const ENTRIES: [(&str, &str); 3] = [
    ("morpheus", "Follow the white rabbit. 🐰"),
    ("ring", "In the caves beneath the Misty Mountains. 💍"),
    ("🐶", "🐾 Playing ball! 🏐"),
];

/// The type of a response to content that is not JSON.
const BINARY: &str = "binary/custom-server-binary-type";

/// If content is not JSON, the response repeats at most this many of its bytes.
const MAX_REPEATED: usize = 10;

/// By default, Python refuses to convert integers with more digits than this.
const MAX_DIGITS: usize = 4300;

type Entries = HashMap<String, String>;

/// Answers as the Python server does. Clones share their entries, which can be replaced at any
/// time.
#[derive(Clone, Debug)]
pub struct Reference(Arc<RwLock<Arc<Entries>>>);

impl Default for Reference {
    /// A service with the three entries of the Python server.
    fn default() -> Self {
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self::new(ENTRIES.into_iter().map(own).collect())
    }
}

impl Reference {
    /// A service that searches in these entries.
    #[must_use]
    pub fn new(entries: HashMap<String, String>) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(entries))))
    }

    /// Replaces the entries.
    pub fn replace(&self, entries: HashMap<String, String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(entries);
    }

    /// The entry of `value`. An empty entry counts as not found, as in the Python server.
    fn search(&self, value: &str) -> Option<String> {
        let entries = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        entries.get(value).filter(|found| !found.is_empty()).cloned()
    }

    /// The response to `message`.
    ///
    /// # Errors
    ///
    /// If the content has the type of JSON, but is not JSON or not in the given encoding.
    pub fn answer(&self, message: &Message) -> Result<Message, Refusal> {
        if !message.is_json() {
            let repeated = &message.content[..message.content.len().min(MAX_REPEATED)];
            let content = [b"First 10 bytes of request: ", repeated].concat();
            return Ok(Message::binary(BINARY, content));
        }
        let text = message.to_text()?;
        let whole: &RawValue = serde_json::from_str(&text).map_err(Refusal::not_json)?;
        if !whole.get().starts_with('{') {
            let kind = kind(whole.get());
            let what = format!(
                "the content must be an object with an \"action\" and a \"value\", not {kind}"
            );
            return Ok(error_response("bad_request", &what));
        }
        let members = json::members(whole.get(), ["action", "value"]).map_err(Refusal::not_json)?;
        let [raw_action, raw_value] = members.values.map(|raw| raw.unwrap_or("null"));
        let Some(action) = python_text(raw_action).map_err(Refusal::not_json)? else {
            return Ok(refused_value("action", raw_action));
        };
        // The only valid action is the string "search".
        if action != "search" || !raw_action.starts_with('"') {
            return Ok(result(&format!("Error: invalid action '{action}'.")));
        }
        let Some(value) = python_text(raw_value).map_err(Refusal::not_json)? else {
            return Ok(refused_value("value", raw_value));
        };
        let is_text = raw_value.starts_with('"');
        let found = if is_text { self.search(&value) } else { None };
        Ok(result(&found.unwrap_or_else(|| format!("No match for '{value}'."))))
    }
}

/// The text that Python prints for a JSON value. `Ok(None)` for values that this service refuses:
/// lists, objects, fractions, exponents and integers that are too long.
fn python_text(raw: &str) -> Result<Option<Cow<'_, str>>, serde_json::Error> {
    Ok(Some(Cow::Borrowed(match raw {
        "null" => "None",
        "true" => "True",
        "false" => "False",
        "-0" => "0",
        _ if raw.starts_with('"') => return Ok(Some(Cow::Owned(serde_json::from_str(raw)?))),
        _ if is_integer(raw) && digits(raw) <= MAX_DIGITS => raw,
        _ => return Ok(None),
    })))
}

fn refused_value(key: &str, raw: &str) -> Message {
    let kind = kind(raw);
    let what = format!("the {key:?} must be a string, an integer, true, false or null, not {kind}");
    error_response("bad_request", &what)
}

/// The kind of a JSON value, for the text of an error.
fn kind(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ if is_integer(raw) && digits(raw) > MAX_DIGITS => "an integer of more than 4300 digits",
        _ if is_integer(raw) => "an integer",
        _ => "a number with a fraction or an exponent",
    }
}

/// The number of digits of an integer.
fn digits(raw: &str) -> usize {
    raw.trim_start_matches('-').len()
}

fn result(text: &str) -> Message {
    let mut content = b"{\"result\": ".to_vec();
    json::write_string(&mut content, text);
    content.push(b'}');
    Message::json_bytes(content)
}

impl Handler for Reference {
    fn on_message(
        &mut self,
        message: Message,
        _: &Peer,
        mut responder: Responder<'_, '_>,
    ) -> Answer {
        // Only JSON is parsed, on another thread if it is large. The response to other content
        // needs only its first bytes.
        if message.is_json() && message.content.len() > LARGE_CONTENT {
            let reference = self.clone();
            responder.run(move || reference.answer(&message));
            return responder.later();
        }
        send(self.answer(&message), responder)
    }

    fn on_settled(&mut self, _: Ticket, body: Settled, responder: Responder<'_, '_>) -> Answer {
        match body.ok().and_then(|body| body.downcast().ok()) {
            Some(result) => send(*result, responder),
            None => responder.fail("the content could not be read"),
        }
    }
}

fn send(result: Result<Message, Refusal>, responder: Responder<'_, '_>) -> Answer {
    match result {
        Ok(message) => responder.send(message),
        Err(refusal) => responder.refuse(refusal),
    }
}
