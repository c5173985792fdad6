//! The bare echo server: it makes one `recv` and one `send` per piece of input.

use std::{io, os::fd::OwnedFd};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use super::serve::{Connection, Next};

/// An echo connection. It reads nothing while it holds bytes that the kernel didn't accept.
#[derive(Debug, Default)]
pub(super) struct Echo {
    unsent: Vec<u8>,
}

impl Connection for Echo {
    fn ready(&mut self, socket: &OwnedFd, scratch: &mut [u8]) -> io::Result<Next> {
        if !self.unsent.is_empty() {
            let sent = send_some(socket, &self.unsent)?;
            self.unsent.drain(..sent);
            return Ok(if self.unsent.is_empty() { Next::Input } else { Next::Room });
        }
        let (received, _) = recv(socket, &mut *scratch, RecvFlags::empty())?;
        if received == 0 {
            return Ok(Next::Close);
        }
        let sent = send_some(socket, &scratch[..received])?;
        self.unsent.extend_from_slice(&scratch[sent..received]);
        Ok(if self.unsent.is_empty() { Next::Input } else { Next::Room })
    }
}

/// Sends what the kernel accepts now, possibly nothing.
pub(super) fn send_some(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    match send(socket, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => Ok(sent),
        Err(Errno::AGAIN) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
