//! When something is due on a connection.

use sockeye_proto::Time;

/// When something is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    /// The rest of the preface, of a header block or of a frame.
    pub(super) partial: Time,
    /// The next request, if there are no streams.
    pub(super) idle: Time,
    /// The earliest deadline of a stream, or an earlier time. Without streams, when their memory is
    /// freed.
    pub(super) streams: Time,
    /// The end of a pause in which nothing is read.
    pub(super) pause: Time,
    /// The last GOAWAY.
    pub(super) goaway: Time,
    /// Another look at how long the peer has been silent.
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

/// Whether the peer is there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pings {
    /// When input last came.
    pub(super) last_input: Time,
    /// A PING was sent, and nothing has come since.
    pub(super) is_unanswered: bool,
}
