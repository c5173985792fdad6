//! WebSockets that share a room: for each frame that one of them sends, all get a constant frame.
//! All frames of the clients have the same length, so that it is enough to count bytes.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::OwnedFd,
    rc::Rc,
};

use rustix::net::{RecvFlags, recv};

use super::{
    echo::send_some,
    response::RequestEnd,
    serve::{Connection, Next},
    websocket::Frames,
};

/// The WebSockets that are open, with a number for each.
#[derive(Debug)]
pub(super) struct Room {
    frame: Vec<u8>,
    members: RefCell<Vec<(u64, OwnedFd)>>,
    next_number: Cell<u64>,
}

impl Room {
    pub(super) fn new(frame: Vec<u8>) -> Rc<Self> {
        Rc::new(Self { frame, members: RefCell::default(), next_number: Cell::new(0) })
    }

    pub(super) fn member(self: &Rc<Self>, frame_len: usize) -> Member {
        Member { room: Rc::clone(self), number: None, end: RequestEnd::every(frame_len) }
    }

    /// Sends the frame to all members.
    fn send(&self) -> io::Result<()> {
        for (_, socket) in &*self.members.borrow() {
            // A failed member is removed when its own event is handled.
            let Ok(sent) = send_some(socket, &self.frame) else { continue };
            if sent < self.frame.len() {
                return Err(io::Error::other("a member is slow, and there is no queue"));
            }
        }
        Ok(())
    }
}

/// One WebSocket.
#[derive(Debug)]
pub(super) struct Member {
    room: Rc<Room>,
    /// Its number, if it is open.
    number: Option<u64>,
    end: RequestEnd,
}

impl Frames for Member {
    fn open(&mut self, socket: &OwnedFd) -> io::Result<()> {
        let number = self.room.next_number.get();
        self.room.next_number.set(number + 1);
        self.room.members.borrow_mut().push((number, socket.try_clone()?));
        self.number = Some(number);
        Ok(())
    }
}

impl Connection for Member {
    fn ready(&mut self, socket: &OwnedFd, scratch: &mut [u8]) -> io::Result<Next> {
        let (received, _) = recv(socket, &mut *scratch, RecvFlags::empty())?;
        if received == 0 {
            return Ok(Next::Close);
        }
        for _ in 0..self.end.count(&scratch[..received]) {
            self.room.send()?;
        }
        Ok(Next::Input)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(own) = self.number {
            self.room.members.borrow_mut().retain(|(number, _)| *number != own);
        }
    }
}
