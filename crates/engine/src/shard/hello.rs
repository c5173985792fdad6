//! Answering client hellos on threads of the pool, because signatures take long.
//!
//! A thread gets what a connection has for TLS, with the client hello, and gives it back through
//! the mailbox. Meanwhile nothing is received or sent on the connection. If it closes, at the
//! deadline of its handshake for example, what the thread gives back is dropped.
//!
//! If too many hellos wait for threads, the event loop answers one in a turn, and receives no
//! others before the next.

use sockeye_proto::Reason;

use super::state::Shard;
use crate::conn::{Conn, ShardResources, Signing, Stage};
use crate::driver::Driver;
use crate::mailbox::HelloDone;
use crate::tls::{Hello, HelloRead};

impl<D: Driver> Shard<D> {
    /// Goes on with a connection whose client hello was read, by a thread as a rule.
    pub(super) fn handle_hello(&mut self, HelloDone { key, read }: HelloDone) {
        self.serve(key, |active| active.conn.take_back(read, active.resources));
    }
}

impl<S> Conn<S> {
    /// Whether to receive from this connection in this turn. If it is shaking hands, and this turn
    /// has done enough steps of handshakes, it is read in the next turn. A client hello can go to a
    /// thread, so it is read in this turn unless too many hellos wait for threads.
    #[cold]
    pub(super) fn may_take_step(&mut self, resources: &mut ShardResources) -> bool {
        let (Stage::Handshaking { .. }, Some(secure)) = (&self.stage, &self.secure) else {
            return true;
        };
        let may = match secure.tls.awaits_hello() {
            // A request for another hello is sent first. The next is read after that.
            true if !secure.is_flushed() => return false,
            true => !resources.hellos.is_full(),
            false => resources.handshakes.may_step(),
        };
        if !may {
            self.queue_read(resources);
        }
        may
    }

    /// Passes `input`, which completes the client hello, to a thread, with all that the connection
    /// has for TLS. There is nothing to send: see [`Conn::may_take_step`].
    #[cold]
    pub(super) fn pass_hello(&mut self, input: &[u8], resources: &mut ShardResources) {
        let Stage::Handshaking { until } = self.stage else { return };
        let Some(secure) = self.secure.take() else { return };
        let hello = Hello { secure, input: input.to_vec(), now: resources.wall };
        let (key, client) = (self.session.key(), self.client());
        let ShardResources { hellos, handshakes, .. } = resources;
        let waiter = hellos.start(key, client, hello, handshakes);
        self.stage = Stage::Signing(Box::new(Signing { until, _waiter: waiter }));
    }

    fn take_back(
        &mut self,
        read: Option<HelloRead>,
        resources: &mut ShardResources,
    ) -> Result<(), Reason> {
        let Stage::Signing(signing) = &self.stage else { return Ok(()) };
        let Some(HelloRead { mut secure, records, result }) = read else {
            return Err(Reason::Panicked);
        };
        self.stage = Stage::Handshaking { until: signing.until };
        let is_more = !records.is_empty();
        if is_more {
            let mut out = resources.outputs.lend();
            out.write_with(|all| all.extend_from_slice(&records));
            secure.out = Some(out);
        }
        self.secure = Some(secure);
        self.handle_decrypted(result, is_more, resources);
        self.queue_if_readable(resources);
        Ok(())
    }
}
