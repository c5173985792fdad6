//! Step 9: messages with a JSON header, as pure code. It has no socket, no thread and no clock.

use std::time::Duration;

use sockeye::{Consumed, End, Event, Fault, Protocol, Time, Turn};

use crate::answers::{answer, refusal};
use crate::message::{Header, Message};

/// How long a message may take, from its first byte to its last.
pub(crate) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may wait before the next message.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// One connection.
#[derive(Default)]
pub(crate) struct Messages {
    expects: Expects,
    deadline: Option<Time>,
}

/// Which part of a message comes next.
#[derive(Default)]
enum Expects {
    /// The first byte of a message.
    #[default]
    Message,
    /// The length of the header, in 2 bytes.
    Length,
    /// The header, of this length.
    Header(usize),
    /// The content that this header describes.
    Content(Header),
}

impl Messages {
    /// Takes the next part of a message, and returns its length. `None`: more bytes are needed.
    fn take(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Option<usize>, Fault> {
        let taken = match &self.expects {
            Expects::Message => {
                if input.is_empty() {
                    return Ok(None);
                }
                self.expects = Expects::Length;
                self.deadline = Some(turn.now() + MESSAGE_TIMEOUT);
                0
            }
            Expects::Length => {
                let Some(length) = input.first_chunk() else { return Ok(None) };
                self.expects = Expects::Header(u16::from_be_bytes(*length).into());
                length.len()
            }
            Expects::Header(length) => {
                let Some(header) = input.get(..*length) else { return Ok(None) };
                let parsed = Header::parse(header).map_err(|error| fault(&error, turn))?;
                self.expects = Expects::Content(parsed);
                header.len()
            }
            Expects::Content(header) => {
                let Some(content) = input.get(..header.length) else { return Ok(None) };
                let (kind, encoding) = (header.kind.clone(), header.encoding.clone());
                let message = Message { kind, encoding, content: content.to_vec() };
                turn.out.write(&answer(&message).to_frame());
                self.expects = Expects::Message;
                self.deadline = Some(turn.now() + IDLE_TIMEOUT);
                content.len()
            }
        };
        Ok(Some(taken))
    }
}

/// Tells the peer what is wrong. Returning the fault then ends the connection.
fn fault(error: &str, turn: &mut Turn<'_>) -> Fault {
    turn.out.write(&refusal(error).to_frame());
    Fault::peer("bad_message", format!("sent no valid message: {error}"))
}

impl Protocol for Messages {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut used = 0;
        while let Some(taken) = self.take(&input[used..], turn)? {
            used += taken;
        }
        Ok(Consumed::more(used))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let is_between_messages = matches!(self.expects, Expects::Message);
        match event {
            Event::Open(_) => self.deadline = Some(turn.now() + IDLE_TIMEOUT),
            // The client has not received all answers yet. Meanwhile, the engine may have stopped
            // reading: then the next message has perhaps arrived in time, and waits to be read.
            Event::Deadline if turn.unsent() > 0 => {
                self.deadline = Some(turn.now() + MESSAGE_TIMEOUT);
            }
            Event::Deadline if is_between_messages => return Err(Fault::idle(IDLE_TIMEOUT)),
            Event::Deadline => return Err(fault("the message took longer than 5 s", turn)),
            Event::Eof { .. } if is_between_messages => turn.end(End::Finish),
            Event::Eof { .. } => return Err(fault("ended within a frame", turn)),
            Event::Drain { .. } => turn.end(End::Linger),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }
}
