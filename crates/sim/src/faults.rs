//! Which faults happen, and how often: each number is a rate per thousand.

use std::time::Duration;

use crate::Rng;

/// Which faults the network and the system calls have, and how large the buffers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// A receive gives fewer bytes than there are.
    pub short_read: u16,
    /// A send takes fewer bytes than would fit.
    pub short_write: u16,
    /// A receive, send or accept says `WouldBlock` without need; readiness follows later.
    pub would_block: u16,
    /// A send is done later, outside of the call.
    pub late_send: u16,
    /// A wait reports a connection that has nothing new.
    pub spurious: u16,
    /// A wait reports only some of what is there, in another order.
    pub partial_wait: u16,
    /// Something arrives between two calls of one turn.
    pub jostle: u16,
    /// What arrives is only part of what is in flight.
    pub split: u16,
    /// How long anything takes on its way, at the most.
    pub delay: Duration,
    /// What is in flight is delayed for up to [`Faults::stall_time`].
    pub stall: u16,
    /// How long a stall lasts, at the most.
    pub stall_time: Duration,
    /// An accept or connect finds the descriptors used up.
    pub no_descriptor: u16,
    /// A connection can't be attached.
    pub no_room: u16,
    /// A connection is reset before it is accepted.
    pub aborted: u16,
    /// A connection is reset some time within [`Faults::trouble_time`].
    pub reset: u16,
    /// Nothing arrives any more, in both directions, from some time within
    /// [`Faults::trouble_time`] on.
    pub vanish: u16,
    /// When resets and vanishing come, at the latest after the connection came to stand.
    pub trouble_time: Duration,
    /// A connection is refused though somebody listens.
    pub refuse: u16,
    /// A connection takes up to 20 s to be established.
    pub slow_connect: u16,
    /// A connection is never established.
    pub never_connect: u16,
    /// Bytes that one side may have in flight.
    pub send_buffer: usize,
    /// Bytes that may lie unread at one side.
    pub receive_buffer: usize,
    /// Bytes that one receive gives at the most.
    pub scratch: usize,
}

impl Faults {
    /// Nothing goes wrong, everything takes a tenth of a millisecond, buffers are ample.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            short_read: 0,
            short_write: 0,
            would_block: 0,
            late_send: 0,
            spurious: 0,
            partial_wait: 0,
            jostle: 0,
            split: 0,
            delay: Duration::ZERO,
            stall: 0,
            stall_time: Duration::ZERO,
            no_descriptor: 0,
            no_room: 0,
            aborted: 0,
            reset: 0,
            vanish: 0,
            trouble_time: Duration::from_millis(100),
            refuse: 0,
            slow_connect: 0,
            never_connect: 0,
            send_buffer: 64 * 1024,
            receive_buffer: 64 * 1024,
            scratch: 64 * 1024,
        }
    }

    /// Everything that may happen without a byte or a connection being lost, as `rng` has it:
    /// whatever is said on such a network is heard.
    #[must_use]
    pub fn gentle(rng: &mut Rng) -> Self {
        const OFTEN: [u16; 4] = [0, 50, 300, 900];
        const AT_TIMES: [u16; 3] = [0, 20, 200];
        const SIZES: [usize; 5] = [1, 7, 256, 4096, 64 * 1024];
        Self {
            short_read: rng.pick(&OFTEN),
            short_write: rng.pick(&OFTEN),
            would_block: rng.pick(&AT_TIMES),
            late_send: rng.pick(&OFTEN),
            spurious: rng.pick(&AT_TIMES),
            partial_wait: rng.pick(&OFTEN),
            jostle: rng.pick(&AT_TIMES),
            split: rng.pick(&OFTEN),
            delay: Duration::from_millis(rng.pick(&[0, 1, 30])),
            stall: rng.pick(&[0, 0, 2]),
            stall_time: Duration::from_secs(2),
            no_descriptor: rng.pick(&[0, 0, 100]),
            send_buffer: rng.pick(&SIZES),
            receive_buffer: rng.pick(&SIZES),
            scratch: rng.pick(&SIZES[2..]),
            ..Self::none()
        }
    }

    /// As [`Faults::gentle`], and connections come to grief as well.
    #[must_use]
    pub fn harsh(rng: &mut Rng) -> Self {
        Self {
            no_room: rng.pick(&[0, 0, 50]),
            aborted: rng.pick(&[0, 50]),
            reset: rng.pick(&[0, 100, 500]),
            vanish: rng.pick(&[0, 0, 100]),
            trouble_time: Duration::from_millis(rng.pick(&[1, 30, 1000])),
            refuse: rng.pick(&[0, 50]),
            slow_connect: rng.pick(&[0, 50]),
            never_connect: rng.pick(&[0, 50]),
            ..Self::gentle(rng)
        }
    }
}
