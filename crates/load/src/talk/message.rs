//! Messages in frames. All requests carry the same id, so that all responses are alike.

use std::sync::LazyLock;

use bytes::Bytes;
use sockeye_message::{self as message, ErrorResponse, Header, Limits, Refusal, frame};

use super::reply::{Asked, Content, Cut, Done, Garbage, Model, Step};

static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);

/// Errors are short: a longer content is no error message.
const LONGEST_ERROR: u64 = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Message {
    /// Bytes of the header that is coming.
    header: usize,
    /// The response whose content is coming.
    part: Option<Part>,
    content: Content,
}

#[derive(Debug)]
struct Part {
    left: u64,
    /// Its header isn't the model's: it, and the content as far as it may be an error.
    other: Option<Box<Other>>,
}

#[derive(Debug)]
struct Other {
    header: Header,
    bytes: Bytes,
    content: Vec<u8>,
}

impl Message {
    pub(super) fn read(
        &mut self,
        input: &[u8],
        asked: Asked<'_>,
    ) -> Result<(usize, Step), Garbage> {
        let mut used = 0;
        let part = match &mut self.part {
            Some(part) => part,
            None => match begin(input, &asked)? {
                None => {
                    self.header = input.len();
                    return Ok((0, Step::Short));
                }
                Some((part, len)) => {
                    used = len;
                    self.part.insert(part)
                }
            },
        };
        let rest = &input[used..];
        let piece = usize::try_from(part.left).map_or(rest, |left| &rest[..left.min(rest.len())]);
        part.left -= piece.len() as u64;
        self.content.take(piece, &asked)?;
        if let Some(other) = &mut part.other
            && other.header.content_length <= LONGEST_ERROR
        {
            other.content.extend_from_slice(piece);
        }
        used += piece.len();
        let step = match (part.left, used) {
            (0, _) => Step::Done(self.done(&asked)),
            (_, 0) => Step::Short,
            _ => Step::Part,
        };
        Ok((used, step))
    }

    pub(super) fn cut(&self) -> Cut {
        match &self.part {
            Some(part) => Cut::content(self.content.at, Some(self.content.at + part.left)),
            None if self.header > 0 => Cut::head(self.header),
            None => Cut::Before,
        }
    }

    fn done(&mut self, asked: &Asked<'_>) -> Done {
        let other = self.part.take().and_then(|part| part.other);
        self.header = 0;
        let (different, len, content) = self.content.end(asked);
        let done = Done {
            status: 200,
            content: len,
            error: asked.model.and_then(|model| model.error.clone()),
            different,
            persistent: !asked.last && asked.model.is_some_and(|model| model.keeps),
            interim: 0,
            learned: None,
        };
        let Some(Other { header, bytes, content: said }) = other.map(|other| *other) else {
            return done;
        };
        let persistent = !asked.last && header.keep_alive;
        let reply = message::Message {
            content_type: header.content_type,
            content_encoding: header.content_encoding,
            content: said.into(),
        };
        let sent = asked.ask.wire(asked.last);
        let is_echo = sent.strip_prefix(&*bytes) == Some(&reply.content);
        let error = match ErrorResponse::of(&reply) {
            Some(error) => Some(error.text),
            None => is_echo.then(|| "the reply is the message itself: the server echoes".into()),
        };
        let keeps = header.keep_alive;
        let model =
            || Model { header: bytes, content, len, keeps, error: error.clone(), shape: None };
        let learned = asked.model.is_none().then(|| Box::new(model()));
        Done { error, persistent, learned, ..done }
    }
}

/// Reads a header: at a glance, where it is the model's.
fn begin(input: &[u8], asked: &Asked<'_>) -> Result<Option<(Part, usize)>, Garbage> {
    if let Some(model) = asked.model
        && input.starts_with(&model.header)
    {
        return Ok(Some((Part { left: model.len, other: None }, model.header.len())));
    }
    let read = frame::read(input, &LIMITS).map_err(|refusal| garbage(refusal, input))?;
    let Some((header, len)) = read else { return Ok(None) };
    let left = header.content_length;
    if left > asked.most {
        return Err(Garbage::too_large(asked.most));
    }
    let bytes = Bytes::copy_from_slice(&input[..len]);
    let other = Some(Box::new(Other { header, bytes, content: Vec::new() }));
    Ok(Some((Part { left, other }, len)))
}

fn garbage(refusal: Refusal, input: &[u8]) -> Garbage {
    let what = message::other_protocol(input).unwrap_or_else(|| refusal.reason.into_owned());
    Garbage(format!("sent what is no reply: {what}"))
}
