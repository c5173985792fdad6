//! The deadlines of a connection.

use sockeye_proto::Time;

/// The deadlines of a connection. [`Time::NEVER`]: none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    /// When the rest of the client's preface, of a header block or of a frame must have arrived.
    /// The payload of a DATA frame has no such deadline.
    pub(super) partial: Time,
    /// When the next request must have arrived, if there are no streams.
    pub(super) idle: Time,
    /// With streams: the earliest of their deadlines, or an earlier time, because this timer is not
    /// changed when a stream ends or its deadline moves later. Without streams: when the memory of
    /// ended streams is freed; after that, when the streams that this side has reset are forgotten.
    pub(super) streams: Time,
    /// While the window of the connection is not enlarged because too much content waits for
    /// handlers: when to check again whether it can be enlarged.
    pub(super) window: Time,
    /// The end of a pause in which nothing is read, because too many streams were reset.
    pub(super) read_pause: Time,
    /// While the server stops: when to send the last GOAWAY, if the PING that followed the first
    /// one is still unanswered.
    pub(super) goaway: Time,
    /// When to check next whether the peer is silent.
    pub(super) silence: Time,
}

impl Timers {
    pub(super) const NONE: Self = Self {
        partial: Time::NEVER,
        idle: Time::NEVER,
        streams: Time::NEVER,
        window: Time::NEVER,
        read_pause: Time::NEVER,
        goaway: Time::NEVER,
        silence: Time::NEVER,
    };

    pub(super) fn next(&self) -> Time {
        let Self { partial, idle, streams, window, read_pause, goaway, silence } = *self;
        partial.min(idle).min(streams).min(window).min(read_pause).min(goaway).min(silence)
    }
}

/// The state for checking whether a silent peer still answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pings {
    /// When input last arrived.
    pub(super) last_input: Time,
    /// A PING was sent, and nothing has arrived since.
    pub(super) is_unanswered: bool,
}
