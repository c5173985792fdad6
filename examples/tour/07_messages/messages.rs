//! Step 7: messages on a connection. Each begins with the length of its content, in 2 bytes,
//! big-endian.

use std::io::{self, ErrorKind, Read, Write};

/// Writes one message.
pub(crate) fn write_message(output: &mut impl Write, content: &[u8]) -> io::Result<()> {
    let Ok(length) = u16::try_from(content.len()) else {
        let error = format!("a message of {} bytes: the limit is {}", content.len(), u16::MAX);
        return Err(io::Error::new(ErrorKind::InvalidInput, error));
    };
    // Length and content are written in one call, so that a small message is one packet.
    output.write_all(&[&length.to_be_bytes(), content].concat())
}

/// Reads one message. `None`: the peer has closed its side, and its last message was complete.
pub(crate) fn read_message(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    match input.read_exact(&mut length[..1]) {
        // The input has ended before the first byte of a message.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        first => first?,
    }
    input.read_exact(&mut length[1..]).map_err(cut)?;
    let mut content = vec![0; u16::from_be_bytes(length).into()];
    input.read_exact(&mut content).map_err(cut)?;
    Ok(Some(content))
}

/// If the input ended within a message, replaces the error by one that says so. Returns any other
/// error as it is.
fn cut(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "ended within a message"),
        _ => error,
    }
}
