//! A turn of a worker: the order of its steps, and how it handles events, the mailbox and timers.

use std::io;
use std::sync::Arc;

use sockeye_proto::driver::{Envelope, drop_caught};
use sockeye_proto::{Client, Job, JobKind, Reason, Time};
use tracing::error;

use super::state::{Active, Phase, Worker, find};
use crate::conn::{SendState, Stage, WorkerResources, catch_panic};
use crate::driver::{Driver, IoEvent, trim_heaps};
use crate::mailbox::{Command, EventLoopGuard};
use crate::stats::Stats;

impl<D: Driver> Worker<D> {
    /// Runs one turn: waits until there is something to do, and does it.
    ///
    /// # Errors
    ///
    /// If the driver's poller fails. The worker ends then.
    pub fn turn(&mut self) -> io::Result<()> {
        self.turn_until(Time::NEVER)
    }

    /// As [`Worker::turn`], but waits no longer than until `time` on the driver's clock: for
    /// callers that have other work to do then.
    ///
    /// # Errors
    ///
    /// As for [`Worker::turn`].
    pub fn turn_until(&mut self, time: Time) -> io::Result<()> {
        let mut events = std::mem::take(&mut self.events);
        self.wait(time, &mut events)?;
        self.turns += 1;
        let _guard = EventLoopGuard::begin();
        for event in events.drain(..) {
            self.handle_event(event);
        }
        self.events = events;
        // This comes after the events, because a command to drain reads the input that they have
        // announced, before it notifies the protocols.
        self.read_mailbox();
        self.accept();
        self.queue_accepted();
        self.read_ready();
        // Work that connections have requested in the steps above, and that only the worker can do.
        self.do_chores();
        self.run_timers();
        self.flush_dirty();
        self.watch_accepted();
        self.advance_phase();
        // Faults of single streams, which protocols have reported.
        if self.resources.handles.has_reported() {
            self.log_failed_streams();
        }
        self.update_service_deadline();
        if self.resources.output_budget.take_due_trim(self.resources.now) {
            self.trim();
        }
        Ok(())
    }

    /// Runs turns until the worker has ended. Returns its counters.
    pub(crate) fn run(mut self) -> io::Result<Stats> {
        let mut result = Ok(());
        while result.is_ok() && !self.is_done() {
            result = self.turn();
        }
        let stats = self.stats().clone();
        // If the driver failed, some connections may still be open.
        let mut is_dropped = true;
        for conn in self.conns.drain() {
            is_dropped &= drop_caught(conn);
        }
        is_dropped &= drop_caught(self);
        if !is_dropped {
            error!(target: "sockeye", "a destructor panicked at the end of a worker");
        }
        result.map(|()| stats)
    }

    /// Waits for something to do, and reads the clocks. The time between two waits is the length of
    /// a turn, which is reported if it is too long.
    #[inline(always)] // It has only one caller.
    fn wait(&mut self, time: Time, events: &mut Vec<IoEvent>) -> io::Result<()> {
        let until = match self.wait_until() {
            None if time == Time::NEVER => None,
            until => Some(until.unwrap_or(Time::NEVER).min(time)),
        };
        if until == Some(Time::ZERO) {
            // Nothing is waited for, so one reading of the clock is the end of the last turn and
            // the beginning of this one.
            self.driver.wait(Time::ZERO, until, events)?;
            self.resources.now = self.driver.now();
            self.slow_turns.end(self.resources.now);
        } else {
            let now = self.driver.now();
            self.slow_turns.end(now);
            self.driver.wait(now, until, events)?;
            self.resources.now = self.driver.now();
        }
        self.slow_turns.begin(self.resources.now);
        self.resources.wall = self.driver.wall();
        let WorkerResources { handshakes, hellos, .. } = &mut self.resources;
        handshakes.begin_turn();
        hellos.begin_turn(handshakes);
        Ok(())
    }

    /// Until when the driver may wait. `None`: without a limit; [`Time::ZERO`]: not at all.
    fn wait_until(&self) -> Option<Time> {
        let resources = &self.resources;
        // A client hello that the pool has refused is tried again in the next turn.
        let at_once = !resources.ready.is_empty()
            || !resources.dirty.is_empty()
            || !self.unwatched.is_empty()
            || resources.hellos.is_any_refused();
        if at_once || self.may_accept() {
            return Some(Time::ZERO);
        }
        let phase = match self.phase {
            Phase::Serving => None,
            Phase::Draining { accepts_until, .. } if !self.listeners.is_empty() => {
                Some(accepts_until)
            }
            // The worker waits only for the driver to return the outputs of closed connections.
            Phase::Draining { .. } if self.conns.is_empty() => None,
            Phase::LameDuck { until } | Phase::Draining { until, .. } => Some(until),
        };
        let pause = self.accept_pause.as_ref().map(|pause| pause.until);
        let service = Some(self.service_deadline.next).filter(|next| *next != Time::NEVER);
        [resources.timers.next(), pause, phase, service].into_iter().flatten().min()
    }

    /// Opens the connections that other workers have accepted for this one, and handles what other
    /// threads have sent.
    fn read_mailbox(&mut self) {
        if let Some(handover) = &self.handover {
            let inboxes = Arc::clone(&handover.inboxes);
            for accepted in inboxes[handover.own].take() {
                self.open(accepted);
            }
        }
        let Some(contents) = self.mailbox.take() else { return };
        for envelope in contents.envelopes {
            self.deliver(envelope);
        }
        for read in contents.reads {
            self.handle_read(read);
        }
        for hello in contents.hellos {
            self.handle_hello(hello);
        }
        for command in contents.commands {
            match command {
                Command::Drain => self.drain(),
                Command::Stop => self.stop(),
                Command::Evict(asker) => self.evict_for(asker),
                Command::Evicted => self.handle_eviction_answer(true),
                Command::NothingToEvict => self.handle_eviction_answer(false),
            }
        }
    }

    fn deliver(&mut self, envelope: Envelope) {
        let (to, mut envelope) = (envelope.to, Some(envelope));
        self.serve(to, |active| {
            if let Some(envelope) = envelope.take() {
                active.conn.session.deliver(envelope, active.resources);
            }
            Ok(())
        });
        // If the envelope was not taken, the connection has closed. The message's destructor may
        // panic.
        if envelope.is_some() && !drop_caught(envelope) {
            error!(target: "sockeye", "the destructor of a message panicked");
        }
    }

    fn handle_event(&mut self, event: IoEvent) {
        match event {
            IoEvent::ListenerReady(id) => {
                if let Some(state) = self.listeners.get_mut(id as usize) {
                    state.ready = true;
                }
            }
            IoEvent::Sent { key, sent } => self.handle_sent(key, sent),
            IoEvent::Ready { key, readable, writable, ended, failed } => {
                let Some(conn) = find(&mut self.conns, key) else { return };
                conn.readable |= readable;
                conn.failed |= failed;
                if ended {
                    conn.session.half_close();
                }
                if writable && conn.send == SendState::Blocked {
                    conn.send = SendState::Ready;
                    conn.mark_dirty(&mut self.resources);
                }
                if conn.wants_input(&self.resources.config) {
                    conn.queue_read(&mut self.resources);
                } else if matches!(conn.stage, Stage::Connecting { .. }) {
                    self.check_connecting(key);
                } else if failed || ended {
                    self.check_disconnect(key);
                }
            }
        }
    }

    /// Asks the service for its deadline, before the first turn and at the end of each. A deadline
    /// for which the service was already called is ignored.
    pub(super) fn update_service_deadline(&mut self) {
        let service = &self.service;
        let next = catch_panic(|| service.deadline()).flatten().unwrap_or(Time::NEVER);
        let is_new = next != self.service_deadline.last;
        self.service_deadline.next = if is_new { next } else { Time::NEVER };
    }

    /// Returns freed memory to the kernel, on a thread of the pool. Each job needs a client, and
    /// this one belongs to none: it is scheduled like jobs of clients at Unix sockets.
    #[cold]
    fn trim(&self) {
        let job = Job::new(JobKind::Other, Client::Unix, trim_heaps);
        // `reads` has the pool. Skipped if too many jobs wait.
        drop(self.resources.reads.spawn(job));
    }

    #[cold]
    fn run_service_deadline(&mut self) {
        self.service_deadline.last = self.service_deadline.next;
        let (service, now) = (&mut self.service, self.resources.now);
        if catch_panic(|| service.on_deadline(now)).is_none() {
            error!(target: "sockeye", "the service panicked at its deadline");
        }
    }

    fn run_timers(&mut self) {
        if self.service_deadline.next <= self.resources.now {
            self.run_service_deadline();
        }
        while let Some((time, slot)) = self.resources.timers.pop_due(self.resources.now) {
            let timer = &mut self.slots[slot as usize].timer;
            if *timer != time {
                // The slot's timer was armed for an earlier time after this entry was made.
                continue;
            }
            *timer = Time::NEVER;
            let Some(conn) = self.conns.get(slot as usize) else { continue };
            // Since the timer was armed, the connection's deadline may have moved later. Then
            // `serve` only arms the timer again.
            let is_due = conn.next_deadline() <= self.resources.now;
            self.serve(conn.session.key(), |active| match is_due {
                true => active.expire(),
                false => Ok(()),
            });
        }
    }
}

impl<D: Driver> Active<'_, D> {
    /// Handles a passed deadline of the connection.
    fn expire(&mut self) -> Result<(), Reason> {
        match self.conn.stage {
            Stage::Connecting { .. } => Err(Reason::ConnectTimedOut),
            Stage::Handshaking { .. } | Stage::AnsweringHello(_) => {
                Err(self.conn.handshake_expired())
            }
            Stage::Lingering(_) => Err(self.conn.session.orderly_reason()),
            _ if self.conn.write_deadline <= self.resources.now => match self.conn.send {
                SendState::Reading => Err(Reason::FileTimedOut),
                _ => self.check_stalled(),
            },
            _ => {
                // The kernel is asked, because after the peer has closed its sending side, there
                // may be no receive that would report a reset.
                if self.conn.session.is_half_closed() {
                    self.check_failed()?;
                }
                self.conn.session.expire(self.resources);
                Ok(())
            }
        }
    }
}
