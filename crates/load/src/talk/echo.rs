//! Bytes that come back: as many as were sent.

use super::reply::{Asked, Content, Cut, Done, Model, Step};

#[derive(Debug, Default)]
pub(crate) struct Echo {
    at: usize,
    content: Content,
}

impl Echo {
    pub(super) fn read(&mut self, input: &[u8], asked: Asked<'_>) -> (usize, Step) {
        let sent = asked.ask.wire(asked.last);
        let piece = &input[..input.len().min(sent.len() - self.at)];
        if piece.is_empty() {
            return (0, Step::Short);
        }
        // Held against what was sent at least once, to know that the server echoes at all.
        if asked.verify || asked.model.is_none() {
            self.content.compare(piece, sent);
        }
        self.content.at += piece.len() as u64;
        self.at += piece.len();
        if self.at < sent.len() {
            return (piece.len(), Step::Part);
        }
        self.at = 0;
        let different = std::mem::take(&mut self.content).different;
        let (error, learned) = match asked.model {
            Some(model) => (model.error.clone(), None),
            None => {
                let error = different.then(|| "what comes back isn't what was sent".to_owned());
                (error.clone(), Some(Box::new(Model { error, ..Model::default() })))
            }
        };
        let done = Done {
            status: 200,
            content: sent.len() as u64,
            error,
            different,
            persistent: true,
            interim: 0,
            learned,
        };
        (piece.len(), Step::Done(done))
    }

    pub(super) fn cut(&self, asked: Asked<'_>) -> Cut {
        match self.at {
            0 => Cut::Before,
            at => Cut::content(at as u64, Some(asked.ask.wire(asked.last).len() as u64)),
        }
    }
}
