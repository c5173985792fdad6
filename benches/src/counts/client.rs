//! A client of a [`scene`](super::scene) (an event loop and its clients in one thread), with TLS or
//! without. The client's reads and writes don't block, except in [`Client::receive_exact`], which
//! waits only for bytes that the server has already sent.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use rustls::ClientConnection;

use crate::Result;

/// One client, which has one connection.
#[derive(Debug)]
pub(super) struct Client {
    socket: TcpStream,
    tls: Option<ClientConnection>,
}

impl Client {
    /// Connects, and begins the handshake if the client uses TLS.
    pub(super) fn connect(address: SocketAddr, tls: Option<ClientConnection>) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nonblocking(true)?;
        let mut client = Self { socket, tls };
        client.flush()?;
        Ok(client)
    }

    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Sends bytes; with TLS, as one record.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.tls {
            None => self.socket.write_all(bytes)?,
            Some(tls) => tls.writer().write_all(bytes)?,
        }
        self.flush()
    }

    /// Reads the bytes that have arrived, at most 64 KiB. Returns their number, or `None` if
    /// there were none. With TLS, encrypted bytes are counted.
    pub(super) fn receive(&mut self) -> Result<Option<usize>> {
        let mut bytes = vec![0; 64 << 10];
        match self.socket.read(&mut bytes) {
            Ok(0) => Err("the server has closed the connection".into()),
            Ok(count) => self.take(&bytes[..count]).map(|()| Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for this number of bytes; with TLS, of encrypted bytes.
    pub(super) fn receive_exact(&mut self, count: usize) -> Result<()> {
        let mut bytes = vec![0; count];
        self.socket.set_nonblocking(false)?;
        self.socket.read_exact(&mut bytes)?;
        self.socket.set_nonblocking(true)?;
        self.take(&bytes)
    }

    /// With TLS, decrypts received bytes, discards the content, and sends what the handshake needs.
    /// Without TLS, discards the bytes.
    fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            let state = tls.process_new_packets()?;
            let plain = state.plaintext_bytes_to_read() as u64;
            io::copy(&mut tls.reader().take(plain), &mut io::sink())?;
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.socket)?;
            }
        }
        Ok(())
    }
}
