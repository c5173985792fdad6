//! Responses of HTTP/1.1.

use sockeye_http::client::{self, BadResponse, Extent, Piece, ResponseReader, Shape};

use super::reply::{Asked, Content, Cut, Done, Garbage, Model, Step};

#[derive(Debug, Default)]
pub(crate) struct Http {
    replies: ResponseReader,
    status: u16,
    /// The length of the content, where the head says it.
    length: Option<u64>,
    interim: u32,
    content: Content,
    /// Of the response that is being read, where there is no model.
    shape: Option<Box<Shape>>,
}

impl Http {
    pub(super) fn read(
        &mut self,
        input: &[u8],
        asked: Asked<'_>,
    ) -> Result<(usize, Step), Garbage> {
        let known = asked.model.and_then(|model| model.shape.as_ref());
        let method =
            if asked.ask.head { client::RequestKind::Head } else { client::RequestKind::Get };
        let mut used = 0;
        loop {
            let (count, piece) = self.replies.read(&input[used..], method, known)?;
            used += count;
            let step = match piece {
                Piece::Short if used == 0 => Step::Short,
                Piece::Short => Step::Part,
                Piece::Head(head) => {
                    self.status = head.status;
                    self.length = head.length();
                    self.interim = head.interim;
                    let has_content = method == client::RequestKind::Get;
                    if has_content && self.length.is_some_and(|length| length > asked.most) {
                        return Err(Garbage::too_large(asked.most));
                    }
                    if asked.model.is_none() {
                        self.shape = Some(Box::new(Shape::of(&head)));
                    }
                    continue;
                }
                Piece::Content(bytes) => {
                    self.content.take(bytes, &asked)?;
                    continue;
                }
                Piece::End { persistent } => Step::Done(self.done(persistent, &asked)),
            };
            return Ok((used, step));
        }
    }

    pub(super) fn end_of_input(&mut self, asked: Asked<'_>) -> Option<Done> {
        let complete = matches!(self.replies.end_of_input(), Ok(true));
        complete.then(|| self.done(false, &asked))
    }

    pub(super) fn cut(&self) -> Cut {
        match self.replies.extent() {
            Extent::Nothing => match self.replies.interim() {
                0 => Cut::Before,
                interim => Cut::Interim(interim),
            },
            Extent::Head(bytes) => Cut::head(bytes),
            Extent::Content => Cut::content(self.content.at, self.length),
        }
    }

    fn done(&mut self, persistent: bool, asked: &Asked<'_>) -> Done {
        let (different, len, content) = self.content.end(asked);
        let status = self.status;
        let error = (status >= 400).then(|| format!("the reply's status is {status}"));
        let learned = self.shape.take().map(|shape| {
            let shape = Some(*shape);
            Box::new(Model { shape, content, len, error: error.clone(), ..Model::default() })
        });
        let interim = self.interim;
        Done { status, content: len, error, different, persistent, interim, learned }
    }
}

impl From<BadResponse> for Garbage {
    fn from(BadResponse(what): BadResponse) -> Self {
        Self(what.into())
    }
}
