//! Step 8: reads frames from a connection.

use std::io::{self, ErrorKind, Read};

use crate::message::{Header, Message};

/// Reads one frame: the length of the header, the header, and the content. `None`: the peer has
/// closed its side, and its last frame was complete.
pub(crate) fn read(input: &mut impl Read) -> io::Result<Option<Message>> {
    let mut length = [0; 2];
    match input.read_exact(&mut length[..1]) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        first => first?,
    }
    input.read_exact(&mut length[1..]).map_err(cut)?;
    let mut header = vec![0; u16::from_be_bytes(length).into()];
    input.read_exact(&mut header).map_err(cut)?;
    let Header { kind, encoding, length } =
        Header::parse(&header).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;

    // The memory grows with the bytes that arrive, not with the length in the header.
    let mut content = Vec::new();
    input.take(length as u64).read_to_end(&mut content)?;
    if content.len() < length {
        return Err(cut(ErrorKind::UnexpectedEof.into()));
    }
    Ok(Some(Message { kind, encoding, content }))
}

/// If `error` is the end of the input, returns an error that says that the input ended within a
/// frame. Other errors stay as they are.
fn cut(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "ended within a frame"),
        _ => error,
    }
}
