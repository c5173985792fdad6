//! The deadlines of a connection.

use sockeye_proto::Time;

/// The deadlines of a connection. [`Time::NEVER`]: none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    /// When the rest of the preface, of a header block or of a frame must have arrived.
    pub(super) partial: Time,
    /// When the next request must have arrived, if there are no streams.
    pub(super) idle: Time,
    /// The earliest deadline of a stream, or an earlier time. Without streams: when the memory of
    /// ended streams is freed.
    pub(super) streams: Time,
    /// The end of a pause in which nothing is read.
    pub(super) pause: Time,
    /// When the last GOAWAY is sent, if the client doesn't answer the PING before.
    pub(super) goaway: Time,
    /// When to check next whether the peer is silent.
    pub(super) silence: Time,
}

impl Timers {
    pub(super) const NONE: Self = Self {
        partial: Time::NEVER,
        idle: Time::NEVER,
        streams: Time::NEVER,
        pause: Time::NEVER,
        goaway: Time::NEVER,
        silence: Time::NEVER,
    };

    pub(super) fn next(&self) -> Time {
        let Self { partial, idle, streams, pause, goaway, silence } = *self;
        partial.min(idle).min(streams).min(pause).min(goaway).min(silence)
    }
}

/// The state of the checks whether a silent peer still answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pings {
    /// When input last arrived.
    pub(super) last_input: Time,
    /// A PING was sent, and nothing has arrived since.
    pub(super) is_unanswered: bool,
}
