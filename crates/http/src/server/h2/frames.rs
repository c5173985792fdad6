//! Received frames other than DATA (RFC 9113, 6). HEADERS and CONTINUATION are passed on to
//! `requests`.

use sockeye_proto::{Reason, Time, Turn};

use super::connection::H2Connection;
use super::error::H2Error;
use super::events::DRAIN_PING;
use super::limits::{MAX_EARLY_PRIORITIES, MAX_SETTINGS, SMALL};
use crate::Handlers;
use crate::h2::frame::{self, ErrorCode, FrameHeader, flags, kind, settings};
use crate::h2::priority::Priority;
use crate::h2::window::Window;

const TOO_LARGE: H2Error = H2Error::flow_control("enlarged a window above 2^31-1");

impl<S: Handlers> H2Connection<S> {
    /// Acts on a frame.
    #[inline]
    pub(super) fn on_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        match header.kind {
            kind::HEADERS => self.on_headers(header, payload, turn),
            kind::CONTINUATION => self.on_continuation(header, payload, turn),
            kind::WINDOW_UPDATE => self.on_window_update(header, payload, turn),
            kind::RST_STREAM => self.on_reset(header, payload, turn),
            _ => {
                self.budgets.on_control(turn.now())?;
                self.on_control(header, payload, turn)
            }
        }
    }

    fn on_control(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        let is_of_connection = header.stream == 0;
        match header.kind {
            kind::SETTINGS | kind::PING | kind::GOAWAY | kind::PRIORITY_UPDATE
                if !is_of_connection =>
            {
                Err(H2Error::protocol("sent a frame about the connection on a stream"))
            }
            kind::SETTINGS => self.on_settings(header, payload, turn),
            kind::PING => self.on_ping(header, payload, turn),
            kind::GOAWAY if payload.len() < 8 => {
                Err(H2Error::frame_size("sent a GOAWAY frame that is too short"))
            }
            // Requests on open streams are still answered.
            kind::GOAWAY => {
                self.has_client_sent_goaway = true;
                Ok(())
            }
            kind::PRIORITY_UPDATE => self.on_priority_update(payload),
            kind::PRIORITY if is_of_connection => {
                Err(H2Error::protocol("sent a PRIORITY frame without a stream"))
            }
            kind::PRIORITY if payload.len() != 5 => {
                let error = H2Error::frame_size("sent a PRIORITY frame of a wrong length");
                match self.streams.get_mut(header.stream) {
                    Some(_) => self.fail_stream(header.stream, error, turn),
                    None => Err(error),
                }
            }
            // The priorities in PRIORITY frames are deprecated (RFC 9113, 5.3.2), and ignored.
            kind::PRIORITY => Ok(()),
            kind::PUSH_PROMISE => Err(H2Error::protocol("sent a PUSH_PROMISE frame")),
            // Unknown frames are ignored (RFC 9113, 4.1).
            _ => Ok(()),
        }
    }

    /// SETTINGS (RFC 9113, 6.5).
    fn on_settings(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        if header.has(flags::ACK) {
            return match payload {
                [] => Ok(()),
                _ => Err(H2Error::frame_size("acknowledged settings with a payload")),
            };
        }
        if !payload.len().is_multiple_of(6) {
            return Err(H2Error::frame_size("sent a SETTINGS frame of a wrong length"));
        }
        if payload.len() / 6 > MAX_SETTINGS {
            return Err(H2Error::flood("http2_settings_flood", "sent too many settings at once"));
        }
        let before = self.sender.initial_window;
        for (name, value) in settings::read(payload) {
            self.on_setting(name, value)?;
        }
        if self.sender.initial_window != before {
            // Streams that waited for a larger window may be able to send now.
            self.update_streams(turn);
        }
        turn.out.write_with(|bytes| frame::write(kind::SETTINGS, flags::ACK, 0, &[], bytes));
        Ok(())
    }

    /// Sets the initial window of new streams, and changes the window of each open stream by the
    /// difference (RFC 9113, 6.9.2).
    fn set_initial_window(&mut self, after: Window) -> Result<(), H2Error> {
        let before = std::mem::replace(&mut self.sender.initial_window, after);
        if before == after {
            return Ok(());
        }
        for active in self.streams.iter_mut() {
            active.send_window.adjust(before, after).map_err(|_| TOO_LARGE)?;
        }
        Ok(())
    }

    fn on_setting(&mut self, name: u16, value: u32) -> Result<(), H2Error> {
        match name {
            settings::HEADER_TABLE_SIZE => {
                self.sender.limit_table_size(value);
                Ok(())
            }
            settings::ENABLE_PUSH if value > 1 => {
                Err(H2Error::protocol("sent a SETTINGS_ENABLE_PUSH other than 0 and 1"))
            }
            settings::INITIAL_WINDOW_SIZE => {
                self.set_initial_window(Window::new(value).map_err(|_| TOO_LARGE)?)
            }
            settings::MAX_FRAME_SIZE => {
                if !(0x4000..=0xff_ffff).contains(&value) {
                    return Err(H2Error::protocol("sent an invalid SETTINGS_MAX_FRAME_SIZE"));
                }
                self.sender.max_len = value as usize;
                Ok(())
            }
            // Values other than 0 and 1 are an error (RFC 9218, 2.1).
            settings::NO_RFC7540_PRIORITIES if value > 1 => {
                Err(H2Error::protocol("sent a SETTINGS_NO_RFC7540_PRIORITIES other than 0 and 1"))
            }
            // The other settings are unknown, advisory (SETTINGS_MAX_HEADER_LIST_SIZE), or about
            // features that this side doesn't use.
            _ => Ok(()),
        }
    }

    /// PING (RFC 9113, 6.7).
    fn on_ping(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        if payload.len() != 8 {
            return Err(H2Error::frame_size("sent a PING frame of a wrong length"));
        }
        if header.has(flags::ACK) {
            // This acknowledges the PING that followed the first GOAWAY: the client knows of the
            // drain, and the requests that it sent before it knew have arrived.
            if payload == DRAIN_PING && self.timers.goaway != Time::NEVER {
                self.send_last_goaway(turn);
            }
            return Ok(());
        }
        turn.out.write_with(|bytes| frame::write(kind::PING, flags::ACK, 0, payload, bytes));
        Ok(())
    }

    /// WINDOW_UPDATE (RFC 9113, 6.9).
    fn on_window_update(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        const ZERO: H2Error = H2Error::protocol("enlarged a window by 0");
        self.budgets.on_control(turn.now())?;
        let id = header.stream;
        let Some(increment) = frame::read_u31(payload) else {
            return Err(H2Error::frame_size("sent a WINDOW_UPDATE frame of a wrong length"));
        };
        if id == 0 {
            if increment == 0 {
                return Err(ZERO);
            }
            // Streams may have waited because this window was small: see `Sender::allowed`.
            let may_block = self.sender.window.available() < SMALL;
            self.sender.window.add(increment).map_err(|_| TOO_LARGE)?;
            if may_block {
                self.update_streams(turn);
            }
            return Ok(());
        }
        self.check_begun(id)?;
        let Some(active) = self.streams.get_mut(id) else { return Ok(()) };
        let error = match active.send_window.add(increment) {
            _ if increment == 0 => ZERO,
            Err(_) => TOO_LARGE,
            Ok(()) => {
                self.update_stream(id, turn);
                return Ok(());
            }
        };
        self.fail_stream(id, error, turn)
    }

    /// RST_STREAM (RFC 9113, 6.4).
    fn on_reset(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        let id = header.stream;
        if payload.len() != 4 {
            return Err(H2Error::frame_size("sent a RST_STREAM frame of a wrong length"));
        }
        self.check_begun(id)?;
        let Some(active) = self.streams.get_mut(id) else {
            return self.budgets.on_control(turn.now());
        };
        active.abort(ErrorCode::Cancel, &Reason::Reset, turn);
        self.drop_stream(id);
        // The stream's unread content was discarded. It may have been the reason why the
        // connection's window was not enlarged.
        self.enlarge_window(turn);
        self.count_reset(turn)
    }

    /// PRIORITY_UPDATE (RFC 9218, 7.1). A frame with an invalid priority changes nothing.
    fn on_priority_update(&mut self, payload: &[u8]) -> Result<(), H2Error> {
        let Some((id, value)) = payload.split_at_checked(4) else {
            return Err(H2Error::frame_size("sent a PRIORITY_UPDATE frame that is too short"));
        };
        let id = frame::read_u31(id).unwrap_or_default();
        if id.is_multiple_of(2) {
            return Err(H2Error::protocol("sent the priority of a stream that is not its own"));
        }
        let Some(priority) = Priority::of(value) else {
            return Ok(());
        };
        if let Some(active) = self.streams.get_mut(id) {
            active.priority = priority;
            if active.is_queued {
                self.scheduler.change(id, priority);
            }
        } else if id > self.last_id {
            let early = &mut self.early_priorities;
            if let Some(at) = early.iter().position(|(stream, _)| *stream == id) {
                early[at].1 = priority;
            } else if early.len() < MAX_EARLY_PRIORITIES {
                early.push((id, priority));
            }
        }
        Ok(())
    }

    /// Removes and returns the priority that the client sent for the new stream `id` before its
    /// HEADERS, if there is one.
    pub(super) fn take_early_priority(&mut self, id: u32) -> Option<Priority> {
        if self.early_priorities.is_empty() {
            return None;
        }
        let at = self.early_priorities.iter().position(|(stream, _)| *stream == id);
        let priority = at.map(|at| self.early_priorities.swap_remove(at).1);
        // Streams are opened in order, so lower numbers are not used any more.
        self.early_priorities.retain(|(stream, _)| *stream > id);
        if self.early_priorities.is_empty() {
            // Frees the memory: many connections are idle for long, and each would keep a buffer.
            self.early_priorities = Vec::new();
        }
        priority
    }

    /// Returns an error if the client has not opened the stream `id` (RFC 9113, 5.1). Stream 0 is
    /// the connection, and streams with even numbers would be the server's, which opens none.
    fn check_begun(&self, id: u32) -> Result<(), H2Error> {
        match id == 0 || id.is_multiple_of(2) || id > self.last_id {
            true => Err(H2Error::protocol("sent a frame about a stream that has not begun")),
            false => Ok(()),
        }
    }
}
