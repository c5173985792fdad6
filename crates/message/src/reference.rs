//! The reference service: what the Python server answers, over a dictionary that can be changed.
//!
//! Where the Python server would close without a word, there is an error response.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::value::RawValue;
use sockeye_proto::{Abandoned, Peer, Ticket};

use super::header::is_integer;
use super::{Answer, ContentError, Handler, LARGE, Message, Responder, error_reply, json};

/// The entries that the Python server has.
const ENTRIES: [(&str, &str); 3] = [
    ("morpheus", "Follow the white rabbit. 🐰"),
    ("ring", "In the caves beneath the Misty Mountains. 💍"),
    ("🐶", "🐾 Playing ball! 🏐"),
];

/// The type of a response to content that is not JSON.
const BINARY: &str = "binary/custom-server-binary-type";

/// How much of such content the response repeats.
const REPEATED: usize = 10;

/// Python turns no more digits into a number.
const MAX_DIGITS: usize = 4300;

type Entries = HashMap<String, String>;

/// What a search finds: shared by all connections, and can be replaced while they run.
#[derive(Clone, Debug)]
pub struct Dictionary(Arc<RwLock<Arc<Entries>>>);

impl Dictionary {
    /// With these entries.
    #[must_use]
    pub fn new(entries: HashMap<String, String>) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(entries))))
    }

    /// Puts other entries in the place of these.
    pub fn replace(&self, entries: HashMap<String, String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(entries);
    }

    /// Reads entries from JSON: an object whose values are strings.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn parse(json: &str) -> Result<HashMap<String, String>, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// What is found. An empty text counts as nothing found, as it does in Python.
    fn search(&self, value: &str) -> Option<String> {
        let entries = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        entries.get(value).filter(|found| !found.is_empty()).cloned()
    }
}

impl Default for Dictionary {
    /// With the three entries that the Python server has.
    fn default() -> Self {
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self::new(ENTRIES.into_iter().map(own).collect())
    }
}

/// Answers as the Python server does.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    dictionary: Dictionary,
}

impl Reference {
    /// Over this dictionary.
    #[must_use]
    pub fn new(dictionary: Dictionary) -> Self {
        Self { dictionary }
    }

    /// What is answered to `message`. JSON that it has no answer to gets an error response.
    ///
    /// # Errors
    ///
    /// [`ContentError`] when the content is not what its type and encoding say.
    pub fn answer(&self, message: &Message) -> Result<Message, ContentError> {
        if !message.is_json() {
            let repeated = &message.content[..message.content.len().min(REPEATED)];
            let content = [b"First 10 bytes of request: ", repeated].concat();
            return Ok(Message::binary(BINARY, content));
        }
        let text = message.to_text()?;
        let bad = |error: serde_json::Error| ContentError::Json(error.to_string());
        let whole: &RawValue = serde_json::from_str(&text).map_err(bad)?;
        if !whole.get().starts_with('{') {
            let kind = kind(whole.get());
            let what = format!(
                "the content is to be an object with an \"action\" and a \"value\", not {kind}"
            );
            return Ok(error_reply("bad_request", &what));
        }
        // What stands behind other keys is not looked at.
        let members = json::members(whole.get(), ["action", "value"]).map_err(bad)?;
        let [raw_action, raw_value] = members.map(|raw| raw.map(RawValue::get));
        let action = raw_action.map_or(Ok(Printed::NONE), Printed::of).map_err(bad)?;
        let Some(action) = action.0 else {
            return Ok(unprintable("action", raw_action));
        };
        // The string, not something that is printed so.
        if action != "search" || !raw_action.is_some_and(|raw| raw.starts_with('"')) {
            return Ok(result(&format!("Error: invalid action '{action}'.")));
        }
        let value = raw_value.map_or(Ok(Printed::NONE), Printed::of).map_err(bad)?;
        let Some(value) = value.0 else {
            return Ok(unprintable("value", raw_value));
        };
        let is_text = raw_value.is_some_and(|raw| raw.starts_with('"'));
        let found = if is_text { self.dictionary.search(&value) } else { None };
        Ok(result(&found.unwrap_or_else(|| format!("No match for '{value}'."))))
    }
}

/// What Python prints for a JSON value; `None` for what is refused here.
struct Printed<'a>(Option<Cow<'a, str>>);

impl<'a> Printed<'a> {
    const NONE: Self = Self(Some(Cow::Borrowed("None")));

    fn of(raw: &'a str) -> Result<Self, serde_json::Error> {
        let text = match raw {
            "null" => return Ok(Self::NONE),
            "true" => "True",
            "false" => "False",
            "-0" => "0",
            _ if raw.starts_with('"') => {
                return Ok(Self(Some(Cow::Owned(serde_json::from_str(raw)?))));
            }
            _ if is_integer(raw) && raw.len() <= MAX_DIGITS => raw,
            _ => return Ok(Self(None)),
        };
        Ok(Self(Some(Cow::Borrowed(text))))
    }
}

fn unprintable(key: &str, raw: Option<&str>) -> Message {
    let kind = kind(raw.unwrap_or_default());
    let what =
        format!("the {key:?} is to be a string, an integer, true, false or null, not {kind}");
    error_reply("bad_request", &what)
}

/// What a JSON text is.
fn kind(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ if is_integer(raw) => "an integer of that size",
        _ => "a number with a fraction or an exponent",
    }
}

fn result(text: &str) -> Message {
    let mut content = b"{\"result\": ".to_vec();
    json::write_string(&mut content, text);
    content.push(b'}');
    Message::json_bytes(content)
}

impl Handler for Reference {
    fn on_message(&mut self, message: Message, _: &Peer, mut reply: Responder<'_, '_>) -> Answer {
        // Of other content only the beginning is read.
        if message.is_json() && message.content.len() > LARGE {
            let reference = self.clone();
            reply.run(move || reference.answer(&message));
            return reply.later();
        }
        send(self.answer(&message), reply)
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        match body.ok().and_then(|body| body.downcast::<Answered>().ok()) {
            Some(answered) => send(*answered, reply),
            None => reply.fail("the content could not be read"),
        }
    }
}

type Answered = Result<Message, ContentError>;

fn send(answered: Answered, reply: Responder<'_, '_>) -> Answer {
    match answered {
        Ok(answer) => reply.send(answer),
        Err(error) => reply.refuse(error),
    }
}
