//! The faults to inject, and their rates.

use std::time::Duration;

use crate::Rng;

/// The faults of the network and the system calls, and the sizes of buffers. Each `u16` is a
/// probability in thousandths: how likely the fault is in one call, delivery or connection. A
/// delivery moves bytes from one endpoint of a connection to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// A receive returns fewer bytes than have arrived.
    pub short_read: u16,
    /// A send takes fewer bytes than fit into the buffer.
    pub short_write: u16,
    /// A receive, send or accept returns `WouldBlock` though it could succeed. Readiness is
    /// reported later.
    pub would_block: u16,
    /// A send completes some time after the call, not during it.
    pub late_send: u16,
    /// A wait reports a connection as ready although it isn't.
    pub spurious: u16,
    /// A wait reports only some of the events, with the connections in a random order.
    pub partial_wait: u16,
    /// An event of the network happens between two system calls of one turn of an event loop.
    pub mid_turn_event: u16,
    /// A delivery contains only part of the bytes in flight.
    pub split: u16,
    /// The latency of the network is 0.1 ms plus a random time, which is shorter than this.
    pub delay: Duration,
    /// A delivery is delayed further, by up to [`Faults::max_stall`].
    pub stall: u16,
    /// Maximum delay of a delivery by `stall`.
    pub max_stall: Duration,
    /// An accept or connect fails because there is no descriptor or no memory.
    pub no_descriptor: u16,
    /// [`Driver::watch`](sockeye_engine::driver::Driver::watch) fails.
    pub watch_fails: u16,
    /// [`Driver::watch_listener`](sockeye_engine::driver::Driver::watch_listener) fails, except for
    /// the first time.
    pub watch_listener_fails: u16,
    /// A connection is reset before it is accepted.
    pub reset_before_accept: u16,
    /// A connection is reset within [`Faults::failure_delay`] after its start.
    pub reset: u16,
    /// Within [`Faults::failure_delay`] after its start, a connection stops delivering anything, in
    /// both directions. Neither endpoint is told.
    pub black_hole: u16,
    /// Maximum time between a connection's start and its `reset` or `black_hole`.
    pub failure_delay: Duration,
    /// A connection is refused though there is a listener.
    pub refuse: u16,
    /// A connection takes up to 20 s to be established.
    pub slow_connect: u16,
    /// A connection is never established.
    pub never_connect: u16,
    /// Size of a socket's send buffer, in bytes.
    pub send_buffer: usize,
    /// Size of a socket's receive buffer, in bytes.
    pub receive_buffer: usize,
    /// Maximum number of bytes of one receive.
    pub read_size: usize,
}

impl Faults {
    /// No faults, a latency of 0.1 ms, and large buffers.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            short_read: 0,
            short_write: 0,
            would_block: 0,
            late_send: 0,
            spurious: 0,
            partial_wait: 0,
            mid_turn_event: 0,
            split: 0,
            delay: Duration::ZERO,
            stall: 0,
            max_stall: Duration::ZERO,
            no_descriptor: 0,
            watch_fails: 0,
            watch_listener_fails: 0,
            reset_before_accept: 0,
            reset: 0,
            black_hole: 0,
            failure_delay: Duration::from_millis(100),
            refuse: 0,
            slow_connect: 0,
            never_connect: 0,
            send_buffer: 64 * 1024,
            receive_buffer: 64 * 1024,
            read_size: 64 * 1024,
        }
    }

    /// Random faults that lose no byte and end no established connection. A connect may fail for
    /// lack of descriptors or memory.
    #[must_use]
    pub fn lossless(rng: &mut Rng) -> Self {
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
            mid_turn_event: rng.pick(&AT_TIMES),
            split: rng.pick(&OFTEN),
            delay: Duration::from_millis(rng.pick(&[0, 1, 30])),
            stall: rng.pick(&[0, 0, 2]),
            max_stall: Duration::from_secs(2),
            no_descriptor: rng.pick(&[0, 0, 100]),
            send_buffer: rng.pick(&SIZES),
            receive_buffer: rng.pick(&SIZES),
            read_size: rng.pick(&SIZES[2..]),
            ..Self::none()
        }
    }

    /// Random faults: those of [`Faults::lossless`], and all that delay, prevent or end connections
    /// (but [`Faults::watch_listener_fails`] is 0).
    #[must_use]
    pub fn lossy(rng: &mut Rng) -> Self {
        Self {
            watch_fails: rng.pick(&[0, 0, 50]),
            reset_before_accept: rng.pick(&[0, 50]),
            reset: rng.pick(&[0, 100, 500]),
            black_hole: rng.pick(&[0, 0, 100]),
            failure_delay: Duration::from_millis(rng.pick(&[1, 30, 1000])),
            refuse: rng.pick(&[0, 50]),
            slow_connect: rng.pick(&[0, 50]),
            never_connect: rng.pick(&[0, 50]),
            ..Self::lossless(rng)
        }
    }
}
