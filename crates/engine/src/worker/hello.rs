//! Answering client hellos on threads of the pool, because signatures take long.
//!
//! A thread gets the TLS state of a connection with the client hello, and returns it through the
//! mailbox. Meanwhile nothing is received or sent on the connection. If the connection closes, at
//! the deadline of its handshake for example, the state that the thread returns is dropped.
//!
//! The event loop itself answers at most one hello per turn (a pass of the event loop): if no
//! connection waits to be flushed and the key is not likely to be RSA, or if too many hellos wait
//! for threads. In the latter case, it receives no further ones in the same turn.

use sockeye_proto::Reason;

use super::state::Worker;
use crate::conn::{AnsweringHello, Conn, Stage, WorkerResources};
use crate::driver::Driver;
use crate::mailbox::HelloDone;
use crate::tls::{Hello, HelloRead};

impl<D: Driver> Worker<D> {
    /// Continues with a connection whose client hello was read and answered, usually by a thread.
    pub(super) fn handle_hello(&mut self, HelloDone { key, read }: HelloDone) {
        self.serve(key, |active| active.conn.take_back(read, active.resources));
    }
}

impl<S> Conn<S> {
    /// Whether to receive from this connection in this turn. After its handshake, it may always
    /// receive. A server's connection that awaits a client hello may receive unless too many hellos
    /// wait for threads. Any other handshake may receive unless the handshakes of this turn have
    /// together done the maximum number of steps; a step is a read after which there is an answer
    /// to send. If a limit is reached, this queues the connection for the next turn.
    #[cold]
    pub(super) fn may_receive(&mut self, resources: &mut WorkerResources) -> bool {
        let (Stage::Handshaking { .. }, Some(secure)) = (&self.stage, &self.secure) else {
            return true;
        };
        let may = match secure.tls.awaits_hello() {
            // A HelloRetryRequest is sent before the next hello is read. The flush that sends it
            // queues the connection for reading.
            true if !secure.is_flushed() => return false,
            true => !resources.hellos.is_full(),
            false => resources.handshakes.may_step(),
        };
        if !may {
            self.queue_read(resources);
        }
        may
    }

    /// Passes `input`, which completes the client hello, to a thread, with the TLS state of the
    /// connection. No records are left to send: see [`Conn::may_receive`].
    #[cold]
    pub(super) fn pass_hello(&mut self, input: &[u8], resources: &mut WorkerResources) {
        let Stage::Handshaking { until } = self.stage else { return };
        let Some(secure) = self.secure.take() else { return };
        let hello = Hello { secure, input: input.to_vec(), now: resources.wall };
        let (key, client) = (self.session.key(), self.client());
        let WorkerResources { hellos, handshakes, .. } = resources;
        let waiter = hellos.start(key, client, hello, handshakes);
        self.stage = Stage::AnsweringHello(Box::new(AnsweringHello { until, _waiter: waiter }));
    }

    /// Takes the TLS state back after the hello was read, with the answer to send.
    fn take_back(
        &mut self,
        read: Option<HelloRead>,
        resources: &mut WorkerResources,
    ) -> Result<(), Reason> {
        let Stage::AnsweringHello(answering) = &self.stage else { return Ok(()) };
        // `None`: the job that read the hello has panicked.
        let Some(HelloRead { mut secure, records, result }) = read else {
            return Err(Reason::Panicked);
        };
        self.stage = Stage::Handshaking { until: answering.until };
        let has_records = !records.is_empty();
        if has_records {
            let mut out = resources.outputs.lend();
            out.write_with(|all| all.extend_from_slice(&records));
            secure.out = Some(out);
        }
        self.secure = Some(secure);
        self.handle_tls_result(result, has_records, resources);
        self.queue_if_readable(resources);
        Ok(())
    }
}
