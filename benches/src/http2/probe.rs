//! Makes one request at a time, to learn a server's responses.

use std::io::{Read, Write};

use super::{
    frames::{Frame, Frames, kind},
    request::{Requests, Sender},
};
use crate::{Result, probe::Response};

/// A connection with one request in flight.
#[derive(Debug)]
pub(crate) struct Probe<'a, S> {
    pub(crate) stream: S,
    sender: Sender<'a>,
    frames: Frames,
    /// Bytes to send.
    out: Vec<u8>,
}

impl<'a, S: Read + Write> Probe<'a, S> {
    pub(crate) fn new(stream: S, requests: &'a Requests) -> Self {
        let mut out = Vec::new();
        let sender = Sender::open(requests, &mut out);
        Self { stream, sender, frames: Frames::default(), out }
    }

    /// Makes the next request. `head` of the returned response is its encoded header block.
    pub(crate) fn exchange(&mut self) -> Result<Response> {
        let (stream, _) = self.sender.write(&mut self.out);
        let mut response = Response { head: Vec::new(), body: Vec::new() };
        let mut is_whole = false;
        let mut buffer = vec![0; 16 << 10];
        while !is_whole || !self.out.is_empty() {
            self.stream.write_all(&self.out)?;
            self.out.clear();
            if is_whole {
                break;
            }
            let count = self.stream.read(&mut buffer)?;
            if count == 0 {
                return Err("the server has closed the connection".into());
            }
            self.frames.read(&buffer[..count], |frame| {
                frame.acknowledge(&mut self.out);
                match frame.header.kind {
                    kind::HEADERS | kind::DATA if frame.header.stream != stream => {
                        Err("a frame of a stream that has ended".into())
                    }
                    kind::HEADERS => {
                        check_status(frame.payload)?;
                        response.head = frame.payload.to_vec();
                        is_whole = frame.ends_stream();
                        Ok(())
                    }
                    kind::DATA => {
                        response.body.extend_from_slice(frame.payload);
                        is_whole = frame.ends_stream();
                        Ok(())
                    }
                    _ => check(frame),
                }
            })?;
        }
        Ok(response)
    }
}

/// Checks that a header block starts with `:status: 200`, in the encoding that all measured servers
/// use. An update of the dynamic table's size may precede this field.
pub(super) fn check_status(block: &[u8]) -> Result<()> {
    const STATUS_200: u8 = 0x88;
    let status = block.iter().find(|octet| *octet & 0xe0 != 0x20);
    if status != Some(&STATUS_200) {
        return Err("the response is not 200".into());
    }
    Ok(())
}

/// Checks a frame that is not a part of a response.
pub(super) fn check(frame: Frame<'_>) -> Result<()> {
    match frame.header.kind {
        kind::RST_STREAM => Err("the server has reset a stream".into()),
        kind::GOAWAY => {
            let payload = String::from_utf8_lossy(frame.payload);
            Err(format!("the server has sent GOAWAY: {payload:?}").into())
        }
        _ => Ok(()),
    }
}
