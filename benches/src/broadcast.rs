//! The row `ws-broadcast` of the results: its client, and our server.
//!
//! ```text
//! sockeye-benches broadcast
//! ```

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use sockeye::http::{
    self, Options,
    ws::{self, Broadcast, Handler, Message, Socket, Subscription},
};

use crate::{
    Result, probe,
    websocket::{self, Echo},
};

/// Bytes of a message.
pub(crate) const SIZE: usize = 64;

/// Prints the server's URL, and sends each message to all WebSockets, until the process is killed.
pub(crate) fn run() -> Result<()> {
    let channel = Broadcast::default();
    let options = Options { workers: NonZeroUsize::MIN, ..Options::default() };
    let serving = http::serve(&["127.0.0.1:0".parse()?], options, move |request| {
        ws::upgrade(&request, Member { channel: channel.clone(), subscription: None })
    })?;
    println!("ws://{}", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}

struct Member {
    channel: Broadcast,
    subscription: Option<Subscription>,
}

impl Handler for Member {
    fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
        self.subscription = Some(self.channel.subscribe(socket));
    }

    fn on_message(&mut self, message: Message<'_>, _: &mut Socket<'_, '_>) {
        self.channel.send(message);
    }

    fn on_woken(&mut self, socket: &mut Socket<'_, '_>) {
        // The client sends a message only after all members have received the previous one, so no
        // member misses any. If one did, the client would fail.
        if let Some(subscription) = &mut self.subscription {
            let _ = subscription.forward(socket);
        }
    }
}

/// The WebSockets of the load client. The first one sends the messages.
#[derive(Debug)]
pub(crate) struct Client {
    members: Vec<TcpStream>,
    message: Echo,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn new(server: SocketAddr, members: usize) -> Result<Self> {
        let open = |_| {
            let mut socket = probe::connect(server)?;
            socket.set_nodelay(true)?;
            websocket::open(&mut socket)?;
            Ok(socket)
        };
        let members = (0..members).map(open).collect::<Result<_>>()?;
        let message = Echo::of(SIZE);
        Ok(Self { members, received: vec![0; message.response.len()], message })
    }

    /// Sends messages for `time`, each after all members have received the previous one. Returns
    /// the number of deliveries.
    pub(crate) fn run(&mut self, time: Duration) -> Result<u64> {
        let (begin, mut deliveries) = (Instant::now(), 0);
        while begin.elapsed() < time {
            self.deliver()?;
            deliveries += self.members.len() as u64;
        }
        Ok(deliveries)
    }

    fn deliver(&mut self) -> Result<()> {
        let Self { members, message, received } = self;
        let sender = members.first_mut().ok_or("there is no member")?;
        // The bytes of a message's frame.
        sender.write_all(message.request.keep_alive())?;
        // Reads from the last member first: once its message has arrived, most others have theirs,
        // if the server sends in order. So the server wakes this client once for each message, and
        // not once for each member.
        for member in members.iter_mut().rev() {
            member.read_exact(received)?;
            if *received != message.response {
                return Err("a member got something else than the message".into());
            }
        }
        Ok(())
    }
}
