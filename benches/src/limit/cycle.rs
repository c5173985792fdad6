//! Sends a fixed sequence of responses again and again. The server knows the lengths of the
//! requests, and counts received bytes to tell when the next response is due.

use std::{io, os::fd::OwnedFd};

use rustix::net::{RecvFlags, recv};

use super::{
    echo::send_some,
    response::QUANTUM,
    serve::{Connection, Next},
};

/// The length of each request of the sequence, and its response.
#[derive(Debug)]
pub(super) struct Cycle {
    steps: Vec<(usize, Vec<u8>)>,
}

impl Cycle {
    /// A length of zero counts as one, because each request has at least one byte.
    pub(super) fn new(lengths: &[usize], responses: Vec<Vec<u8>>) -> Self {
        let lengths = lengths.iter().map(|length| (*length).max(1));
        Self { steps: lengths.zip(responses).collect() }
    }

    pub(super) fn connection(&self) -> CycleConnection<'_> {
        CycleConnection { cycle: self, at: 0, received: 0, sent: None }
    }
}

/// One connection. A client must not send a request before it has the previous response.
#[derive(Debug)]
pub(super) struct CycleConnection<'a> {
    cycle: &'a Cycle,
    /// The index of the current request.
    at: usize,
    /// Number of bytes of the current request that have arrived.
    received: usize,
    /// Number of bytes of the current response that were sent. `None` between responses.
    sent: Option<usize>,
}

impl CycleConnection<'_> {
    /// Sends the next part of the current response. After the last part, goes on to the next
    /// request of the sequence.
    fn send_rest(&mut self, socket: &OwnedFd) -> io::Result<Next> {
        let (_, response) = &self.cycle.steps[self.at];
        let sent = self.sent.unwrap_or(0);
        let piece = &response[sent..response.len().min(sent + QUANTUM)];
        let sent = sent + send_some(socket, piece)?;
        if sent < response.len() {
            self.sent = Some(sent);
            return Ok(Next::Room);
        }
        self.sent = None;
        self.at = (self.at + 1) % self.cycle.steps.len();
        Ok(Next::Input)
    }
}

impl Connection for CycleConnection<'_> {
    fn ready(&mut self, socket: &OwnedFd, scratch: &mut [u8]) -> io::Result<Next> {
        if self.sent.is_some() {
            return self.send_rest(socket);
        }
        let (count, _) = recv(socket, &mut *scratch, RecvFlags::empty())?;
        if count == 0 {
            return Ok(Next::Close);
        }
        self.received += count;
        let (length, _) = self.cycle.steps[self.at];
        if self.received < length {
            return Ok(Next::Input);
        }
        self.received -= length;
        self.send_rest(socket)
    }
}
