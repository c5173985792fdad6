//! Makes one request at a time, to learn a server's responses.

use std::io::{Read, Write};

use super::{
    frames::{Frames, check_no_failure, check_status, kind},
    request::{Requests, Sender},
};
use crate::{Result, probe::Response};

/// A connection with one request in flight.
#[derive(Debug)]
pub(crate) struct Probe<'a, S> {
    /// The socket, or TLS on it.
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

    /// Makes the next request, and reads its response. `head` of the returned response is its
    /// encoded header block.
    pub(crate) fn exchange(&mut self) -> Result<Response> {
        let (stream, _) = self.sender.write(&mut self.out);
        let mut response = Response { head: Vec::new(), body: Vec::new() };
        let mut is_whole = false;
        let mut buffer = vec![0; 16 << 10];
        // When the response is whole, acknowledgements of SETTINGS or PING may still be unsent.
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
                    _ => check_no_failure(frame),
                }
            })?;
        }
        Ok(response)
    }
}
