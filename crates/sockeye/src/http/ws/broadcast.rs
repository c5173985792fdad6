//! Sends the same messages to many WebSockets.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_http::ws::{SharedMessage, Socket};
use sockeye_proto::Remote;

/// Sends messages to all WebSockets that subscribe, from any thread and without waiting.
///
/// A log of limited size keeps the newest messages. Each WebSocket reads the log at its own pace,
/// as far as its output has room: a slow peer costs a full output and a position in the log, and
/// delays nobody. If messages leave the log before a subscriber has sent them, its handler chooses
/// whether to skip them or to close the WebSocket.
///
/// ```
/// use sockeye::http::ws::{Broadcast, Handler, Message, Missed, Socket, Subscription};
///
/// struct Member { room: Broadcast, news: Option<Subscription> }
///
/// impl Handler for Member {
///     fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
///         self.news = Some(self.room.subscribe(socket));
///     }
///
///     fn on_message(&mut self, message: Message<'_>, _: &mut Socket<'_, '_>) {
///         self.room.send(message);
///     }
///
///     fn on_woken(&mut self, socket: &mut Socket<'_, '_>) {
///         let Some(news) = &mut self.news else { return };
///         // To close the WebSocket instead of skipping messages:
///         // if news.missed() > 0 {
///         //     return socket.close(CloseCode::TRY_AGAIN_LATER, "too slow");
///         // }
///         while let Err(Missed(count)) = news.forward(socket) {
///             socket.send(&format!("You missed {count} messages."));
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Broadcast(Arc<Mutex<Log>>);

/// The latest messages, and the WebSockets that read them.
struct Log {
    messages: VecDeque<SharedMessage>,
    /// The number of the next message.
    end: u64,
    /// The cost of all `messages`: the bytes of their payloads, and [`MESSAGE_COST`] for each.
    cost: usize,
    max_cost: usize,
    /// By number: handles that wake the connections of the subscribers.
    subscribers: BTreeMap<u64, Remote>,
    /// The number of the next subscriber.
    next_subscriber: u64,
}

/// Added to the cost of each message, in bytes: about the memory that the log needs for it besides
/// its payload.
const MESSAGE_COST: usize = 64;

fn cost(message: &SharedMessage) -> usize {
    MESSAGE_COST + message.bytes().len()
}

impl Log {
    /// The number of the oldest message.
    fn start(&self) -> u64 {
        self.end - self.messages.len() as u64
    }
}

impl Default for Broadcast {
    /// A broadcast that keeps messages of up to 1 MiB in total: see [`Broadcast::new`].
    fn default() -> Self {
        Self::new(1024 * 1024)
    }
}

impl Broadcast {
    /// A broadcast that keeps messages of up to `max_bytes` in total. Each message counts as its
    /// length plus 64 bytes. The newest message is always kept, even if it is larger.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Log {
            messages: VecDeque::new(),
            end: 0,
            cost: 0,
            max_cost: max_bytes,
            subscribers: BTreeMap::new(),
            next_subscriber: 0,
        })))
    }

    /// A broadcast that keeps only the newest message: for a state that changes, such as a counter.
    /// Subscribers may then ignore [`Missed`], and only call [`Subscription::forward`] until it
    /// returns `Ok`.
    #[must_use]
    pub fn latest() -> Self {
        Self::new(0)
    }

    /// Sends a message to all subscribers.
    pub fn send(&self, message: impl Into<SharedMessage>) {
        let message = message.into();
        let mut log = self.log();
        log.cost += cost(&message);
        log.messages.push_back(message);
        log.end += 1;
        while log.cost > log.max_cost && log.messages.len() > 1 {
            log.cost -= log.messages.pop_front().as_ref().map_or(0, cost);
        }
        log.subscribers.values().for_each(Remote::wake);
    }

    /// Subscribes to the messages that are sent from now on. [`Subscription::forward`] passes them
    /// to the socket: call it in [`Handler::on_woken`](super::Handler::on_woken).
    #[must_use = "dropping the subscription ends it"]
    pub fn subscribe(&self, socket: &mut Socket<'_, '_>) -> Subscription {
        let remote = socket.remote();
        let mut log = self.log();
        let number = log.next_subscriber;
        log.next_subscriber += 1;
        log.subscribers.insert(number, remote);
        Subscription { broadcast: self.clone(), number, position: log.end }
    }

    /// How many subscribers there are.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.log().subscribers.len()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").field("subscribers", &self.subscribers()).finish()
    }
}

/// One WebSocket's subscription to a [`Broadcast`]. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    broadcast: Broadcast,
    number: u64,
    /// The number of the next message to send.
    position: u64,
}

/// How many messages were dropped from the log before a slow subscriber could send them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed(pub u64);

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages were missed", self.0)
    }
}

impl std::error::Error for Missed {}

impl Subscription {
    /// Sends the messages that were not sent yet, while the output of `socket` has room. If not all
    /// of them fit, asks for [`Handler::on_room`](super::Handler::on_room), whose default calls
    /// [`Handler::on_woken`](super::Handler::on_woken).
    ///
    /// # Errors
    ///
    /// [`Missed`] if messages were dropped from the log before they could be sent. It is returned
    /// only while the output has room, so that the handler can tell the peer. The next call
    /// continues with the oldest message in the log.
    pub fn forward(&mut self, socket: &mut Socket<'_, '_>) -> Result<(), Missed> {
        while !socket.is_closing() {
            let log = self.broadcast.log();
            if self.position == log.end {
                break;
            }
            if socket.is_full() {
                socket.want_room();
                break;
            }
            let start = log.start();
            if self.position < start {
                let missed = Missed(start - self.position);
                self.position = start;
                return Err(missed);
            }
            let message = log.messages[(self.position - start) as usize].clone();
            self.position += 1;
            let is_last = self.position == log.end;
            // Sending may compress, and other threads must not wait for that.
            drop(log);
            socket.send_shared(&message);
            if is_last {
                // A later message wakes the WebSocket again.
                break;
            }
        }
        Ok(())
    }

    /// How many messages were dropped from the log before this subscriber could send them, not
    /// counting those that [`Subscription::forward`] has reported.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.broadcast.log().start().saturating_sub(self.position)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.broadcast.log().subscribers.remove(&self.number);
    }
}
