//! The load client: asks as fast as it is answered, and believes nothing.
//!
//! One thread, one epoll. Every reply must begin as expected and have exactly the expected length,
//! or the run is void: a fast wrong answer is no result. (A reply that is longer than expected
//! shows as the wrong beginning of the next one, or as bytes that nobody asked for.)

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
    },
    fd::OwnedFd,
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use crate::Result;

/// A server that is silent for so long has lost a request.
const SILENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// What is sent, and what must come back.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) request: Vec<u8>,
    pub(crate) expect: Expect,
    pub(crate) connections: usize,
    /// Requests that are sent at once.
    pub(crate) depth: usize,
    /// A connection for each request; the server closes it.
    pub(crate) churn: bool,
}

/// What every reply must look like.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    /// How it begins.
    pub(crate) start: Vec<u8>,
    /// How long it is in all.
    pub(crate) len: usize,
}

/// A client with its connections open.
#[derive(Debug)]
pub(crate) struct Load {
    target: SocketAddr,
    plan: Plan,
    /// The request as often as it is sent at once.
    batch: Vec<u8>,
    poll: OwnedFd,
    conns: Vec<Conn>,
    buffer: Vec<u8>,
    replies: u64,
}

#[derive(Debug)]
struct Conn {
    socket: TcpStream,
    progress: Progress,
}

/// Where a connection is in its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    /// Replies that are still to come.
    owed: usize,
    /// Bytes that the first of them has.
    at: usize,
}

impl Load {
    /// Connects, and sends the first requests.
    pub(crate) fn start(target: SocketAddr, plan: Plan) -> Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let batch = plan.request.repeat(plan.depth);
        let mut load = Self {
            target,
            batch,
            poll,
            conns: Vec::with_capacity(plan.connections),
            buffer: vec![0; 256 << 10],
            replies: 0,
            plan,
        };
        for index in 0..load.plan.connections {
            let conn = load.open(index)?;
            load.conns.push(conn);
        }
        for index in 0..load.conns.len() {
            load.ask(index)?;
        }
        Ok(load)
    }

    /// Runs for `length`, and says how many replies came.
    pub(crate) fn run(&mut self, length: Duration) -> Result<u64> {
        let before = self.replies;
        let end = Instant::now() + length;
        let mut events = Vec::with_capacity(256);
        while Instant::now() < end {
            match epoll::wait(&self.poll, spare_capacity(&mut events), Some(&SILENCE)) {
                Ok(0) => return Err("no reply for 5 s".into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..) {
                self.receive(event.data.u64() as usize)?;
            }
        }
        Ok(self.replies - before)
    }

    /// Sockets stay in blocking mode: on loopback a connect and so short a send never wait, and a
    /// receive says for itself that it must not.
    fn open(&self, index: usize) -> Result<Conn> {
        let socket = TcpStream::connect(self.target)?;
        epoll::add(&self.poll, &socket, EventData::new_u64(index as u64), EventFlags::IN)?;
        Ok(Conn { socket, progress: Progress { owed: 0, at: 0 } })
    }

    fn ask(&mut self, index: usize) -> Result<()> {
        let conn = &mut self.conns[index];
        let sent = send(&conn.socket, &self.batch, SendFlags::NOSIGNAL)?;
        if sent < self.batch.len() {
            return Err("the kernel took only a part of the requests".into());
        }
        conn.progress.owed = self.plan.depth;
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        let conn = &mut self.conns[index];
        let received = match recv(&conn.socket, &mut self.buffer[..], RecvFlags::DONTWAIT) {
            Ok((received, _)) => received,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(error) => return Err(format!("in the middle of a reply: {error}").into()),
        };
        if received > 0 {
            let bytes = &self.buffer[..received];
            self.replies += conn.progress.take(bytes, &self.plan.expect)?;
        }
        match (received, conn.progress.owed, self.plan.churn) {
            (0, 0, true) => {
                self.conns[index] = self.open(index)?;
                self.ask(index)
            }
            (0, owed, _) => Err(format!(
                "the server closed with {owed} replies owed, after {} of {} bytes of the first",
                conn.progress.at, self.plan.expect.len
            )
            .into()),
            (_, 0, false) => self.ask(index),
            _ => Ok(()),
        }
    }
}

impl Progress {
    /// Checks received bytes against what is owed, and says how many replies they complete.
    fn take(&mut self, mut bytes: &[u8], expect: &Expect) -> Result<u64> {
        let mut complete = 0;
        while !bytes.is_empty() {
            if self.owed == 0 {
                return Err(format!("{} bytes more than the replies have", bytes.len()).into());
            }
            let (now, later) = bytes.split_at(bytes.len().min(expect.len - self.at));
            let start = expect.start.get(self.at..).unwrap_or_default();
            let overlap = start.len().min(now.len());
            if start[..overlap] != now[..overlap] {
                let shown = now[..now.len().min(40)].escape_ascii();
                return Err(format!("a reply begins wrongly: {shown}").into());
            }
            self.at += now.len();
            if self.at == expect.len {
                *self = Self { owed: self.owed - 1, at: 0 };
                complete += 1;
            }
            bytes = later;
        }
        Ok(complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect() -> Expect {
        Expect { start: b"OK".to_vec(), len: 5 }
    }

    #[test]
    fn replies_are_counted_however_they_are_split() {
        let bytes = b"OK123OK456OK789";
        for first in 0..=bytes.len() {
            let mut progress = Progress { owed: 3, at: 0 };
            let (a, b) = bytes.split_at(first);
            let count = progress.take(a, &expect()).unwrap() + progress.take(b, &expect()).unwrap();
            assert_eq!(count, 3);
            assert_eq!(progress, Progress { owed: 0, at: 0 });
        }
    }

    #[test]
    fn a_reply_that_is_wrong_too_long_or_not_asked_for_voids_the_run() {
        for (owed, bytes, says) in [
            (1, &b"NO123"[..], "a reply begins wrongly: NO123"),
            (1, b"OK123x", "1 bytes more than the replies have"),
            (2, b"OK1234OK567", "a reply begins wrongly: 4OK56"),
            (0, b"OK123", "5 bytes more than the replies have"),
        ] {
            let error = Progress { owed, at: 0 }.take(bytes, &expect()).unwrap_err();
            assert_eq!(error.to_string(), says);
        }
    }
}
