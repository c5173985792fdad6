//! DATA frames: the content of requests (RFC 9113, 6.1), and the windows that limit it (6.9).

use sockeye_proto::{Reason, Time, Turn};

use super::connection::{DataFrame, Expects, H2Connection};
use super::error::H2Error;
use super::limits::{CONNECTION_WINDOW, MAX_UNREAD_CONTENT, UNCHARGED, WINDOW_RECHECK};
use super::stream::State;
use crate::Handlers;
use crate::h2::frame::{self, FrameHeader, flags};
use crate::h2::trailers::OwnedTrailers;

impl<S: Handlers> H2Connection<S> {
    /// Reads the start of a DATA frame: `header`, and the padding length if there is one. `rest` is
    /// the input after the header. Returns false if the padding length has not arrived yet.
    pub(super) fn start_data<'a>(
        &mut self,
        header: FrameHeader,
        rest: &'a [u8],
        input: &mut &'a [u8],
        turn: &mut Turn<'_>,
    ) -> Result<bool, H2Error> {
        let FrameHeader { len, stream, .. } = header;
        let (padding, rest) = match (header.has(flags::PADDED), rest.split_first()) {
            (false, _) => (None, rest),
            (true, _) if len == 0 => {
                return Err(H2Error::frame_size("sent a padded frame without a padding length"));
            }
            (true, Some((padding, rest))) => (Some(usize::from(*padding)), rest),
            (true, None) => return Ok(false),
        };
        let padding_len = padding.map_or(0, |padding| padding + 1);
        let Some(content) = len.checked_sub(padding_len) else {
            return Err(H2Error::protocol("sent more padding than a frame has room for"));
        };
        if stream == 0 || stream > self.last_id || stream.is_multiple_of(2) {
            return Err(H2Error::protocol("sent content on a stream that it has not begun"));
        }
        if !self.receive_window.take(len) {
            return Err(H2Error::flow_control("sent more content than its window allows"));
        }
        self.received += len as u32;
        if content == 0 {
            self.budgets.on_control(turn.now())?;
        }
        self.check_stream(stream, len, turn)?;
        let ends_stream = header.has(flags::END_STREAM);
        let padding = padding.unwrap_or(0);
        if let Some(active) = self.streams.get_mut(stream) {
            active.receive.consume(padding_len);
            self.budgets.on_content(content);
        }
        self.expects = Expects::Data(DataFrame { stream, content, padding, ends_stream });
        *input = rest;
        if content + padding == 0 {
            self.end_data(stream, ends_stream, turn)?;
        }
        Ok(true)
    }

    /// Checks that the peer may send `len` bytes of payload on the stream, and takes them out of
    /// the stream's window. If the peer may not, a stream that is still in use is reset. For any
    /// other stream, an error is returned, which ends the connection. On a stream that this side
    /// has reset, the peer may send what was left of the window, since it may not know of the reset
    /// yet. What it sends on a stream that it opened after the last GOAWAY is not checked.
    fn check_stream(&mut self, id: u32, len: usize, turn: &mut Turn<'_>) -> Result<(), H2Error> {
        const TOO_MUCH: H2Error =
            H2Error::flow_control("sent more content than a stream's window allows");
        let Some(active) = self.streams.get_mut(id) else {
            if self.is_ignored(id) {
                return Ok(());
            }
            let Some(window) = self.streams.reset_window(id) else {
                return Err(H2Error::stream_closed("sent content on a stream that has ended"));
            };
            *window =
                u32::try_from(len).ok().and_then(|len| window.checked_sub(len)).ok_or(TOO_MUCH)?;
            return Ok(());
        };
        let checked = if active.receive.has_ended {
            Err(H2Error::stream_closed("sent content after the end of a request"))
        } else if active.receive.take_window(len) {
            Ok(())
        } else {
            Err(TOO_MUCH)
        };
        match checked {
            Ok(()) => Ok(()),
            Err(error) => self.fail_stream(id, error, turn),
        }
    }

    /// Reads what has arrived of the rest of a DATA frame: its content, then its padding.
    pub(super) fn read_data(
        &mut self,
        mut data: DataFrame,
        input: &mut &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        let (piece, rest) = input.split_at(input.len().min(data.content));
        let (padding, rest) = rest.split_at(rest.len().min(data.padding));
        *input = rest;
        data.content -= piece.len();
        data.padding -= padding.len();
        self.expects = Expects::Data(data);
        if !piece.is_empty()
            && let Some(active) = self.streams.get_mut(data.stream)
        {
            match active.on_content(piece, turn) {
                Ok(()) => self.update_stream(data.stream, turn),
                Err(error) => self.fail_stream(data.stream, error, turn)?,
            }
        }
        if data.content + data.padding == 0 {
            self.end_data(data.stream, data.ends_stream, turn)?;
        }
        self.enlarge_window(turn);
        Ok(())
    }

    /// Called when a DATA frame is complete. `ends`: whether the frame ends the request.
    fn end_data(&mut self, id: u32, ends: bool, turn: &mut Turn<'_>) -> Result<(), H2Error> {
        self.expects = Expects::Frame;
        if ends {
            self.end_request(id, OwnedTrailers::default(), turn)?;
        }
        Ok(())
    }

    /// Called when the peer has ended its side of a stream, which ends the request.
    pub(super) fn end_request(
        &mut self,
        id: u32,
        trailers: OwnedTrailers,
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        let Some(active) = self.streams.get_mut(id) else { return Ok(()) };
        match active.on_end(trailers, turn) {
            Ok(()) if matches!(active.state, State::Discarding { .. }) => self.drop_stream(id),
            Ok(()) => self.update_stream(id, turn),
            Err(error) => self.fail_stream(id, error, turn)?,
        }
        Ok(())
    }

    /// Resets a stream because of a fault of the peer.
    #[cold]
    pub(super) fn fail_stream(
        &mut self,
        id: u32,
        error: H2Error,
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        turn.report(error.fault());
        if let Some(active) = self.streams.get_mut(id) {
            active.abort(error.code, &Reason::Fault(error.fault()), turn);
        }
        self.reset(id, error.code, turn);
        self.count_reset(turn)
    }

    /// Counts a stream that was reset by the peer, or because of a fault of the peer. After many
    /// resets, reading from the connection pauses. After many pauses, an error ends the connection.
    pub(super) fn count_reset(&mut self, turn: &Turn<'_>) -> Result<(), H2Error> {
        if let Some(pause) = self.budgets.on_reset()? {
            self.timers.read_pause = turn.now() + pause;
        }
        Ok(())
    }

    /// Enlarges the window of the connection by the bytes received since the last time, if they are
    /// at least a quarter of the window. While too much content waits for handlers, the window is
    /// not enlarged, and [`Self::recheck_window`] tries again.
    pub(super) fn enlarge_window(&mut self, turn: &mut Turn<'_>) {
        if self.received < CONNECTION_WINDOW / 4 {
            return;
        }
        // Content up to `UNCHARGED` bytes doesn't count towards the memory budget, so it may wait
        // even if that is spent.
        if self.unread >= MAX_UNREAD_CONTENT || (turn.is_over_budget() && self.unread > UNCHARGED) {
            if self.timers.window == Time::NEVER {
                self.timers.window = turn.now() + WINDOW_RECHECK;
            }
            return;
        }
        self.timers.window = Time::NEVER;
        let increment = std::mem::take(&mut self.received);
        // The window can't get too large: the same number of bytes was taken out of it before.
        let _ = self.receive_window.add(increment);
        turn.out.write_with(|bytes| frame::write_window_update(0, increment, bytes));
    }

    /// The window of the connection was not enlarged for [`WINDOW_RECHECK`]: enlarges it if it can
    /// be enlarged now. If the client may have waited for that, it gets more time for the content
    /// of its requests.
    pub(super) fn recheck_window(&mut self, turn: &mut Turn<'_>) {
        self.timers.window = Time::NEVER;
        // Some clients send nothing if the window allows less than a whole frame.
        if self.receive_window.available() < frame::DEFAULT_MAX_LEN as u64 {
            let deadline = self.connection.content_deadline(turn.now());
            for active in self.streams.iter_mut() {
                if let State::InFlight(in_flight) = &mut active.state {
                    in_flight.exchange.content_deadline = deadline;
                }
            }
        }
        self.enlarge_window(turn);
    }
}
