//! The server's side of a connection as a [`Protocol`](crate::Protocol).

use std::fmt;
use std::rc::Rc;

use super::{Answer, Reply, Request, Shared};
use crate::{Abandoned, Message, Ticket};

/// Answers requests: one value per connection.
pub trait Handler {
    /// Answers a request, or says that the answer comes later. CONNECT and TRACE don't come here.
    fn on_request(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answer;

    /// Takes what a promise of this conversation brought, or a [`Remote`](crate::Remote) sent, and
    /// answers or waits on. Called only while an answer is owed.
    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        reply: Reply<'_, '_>,
    ) -> Answer;

    /// The methods that the handler knows, for the `Allow` field where the server refuses a method
    /// by itself.
    fn allow(&self) -> &'static str {
        "GET, HEAD"
    }
}

/// The server's side of one connection.
pub struct Server<H> {
    shared: Rc<Shared>,
    handler: H,
}

impl<H: Handler> Server<H> {
    /// A connection that `handler` answers.
    pub fn new(shared: Rc<Shared>, handler: H) -> Self {
        Self { shared, handler }
    }
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}
