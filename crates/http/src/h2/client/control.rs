//! Frames that are not part of a response (RFC 9113, 6).

use sockeye_proto::Output;

use super::connection::{Connection, GoAway, Step};
use super::error::Error;
use super::limits::MAX_OTHER_FRAMES;
use super::settings::Change;
use super::stream::Expects;
use crate::h2::frame::{self, ErrorCode, FrameHeader, flags, kind};

const TOO_LARGE: Error = Error::flow_control("enlarged a window above 2^31-1");

impl<T> Connection<T> {
    /// Handles a frame that is not part of a response.
    pub(super) fn on_other(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        out: &mut Output,
    ) -> Result<Step<T>, Error> {
        self.other_frames += 1;
        self.check_other_frames()?;
        let is_of_connection = header.stream == 0;
        match header.kind {
            kind::SETTINGS | kind::PING | kind::GOAWAY if !is_of_connection => {
                return Err(Error::protocol("sent a frame about the connection on a stream"));
            }
            kind::RST_STREAM => return self.on_reset(header, payload),
            kind::SETTINGS => self.on_settings(header, payload, out)?,
            kind::PING if payload.len() != 8 => {
                return Err(Error::frame_size("sent a PING frame of a wrong length"));
            }
            kind::PING if header.has(flags::ACK) => {}
            kind::PING => {
                out.write_with(|bytes| frame::write(kind::PING, flags::ACK, 0, payload, bytes));
            }
            kind::GOAWAY => self.on_goaway(payload)?,
            kind::WINDOW_UPDATE => self.on_window_update(header, payload, out)?,
            kind::PUSH_PROMISE => {
                return Err(Error::protocol("sent a PUSH_PROMISE frame, which was turned off"));
            }
            kind::PRIORITY if is_of_connection => {
                return Err(Error::protocol("sent a PRIORITY frame without a stream"));
            }
            kind::PRIORITY if payload.len() != 5 => {
                return Err(Error::frame_size("sent a PRIORITY frame of a wrong length"));
            }
            kind::PRIORITY_UPDATE => {
                return Err(Error::protocol("sent a PRIORITY_UPDATE frame, which is the client's"));
            }
            // PRIORITY is deprecated (RFC 9113, 5.3.2), and unknown frames are ignored (4.1).
            _ => {}
        }
        Ok(Step::Continue)
    }

    /// Returns an error if too many consecutive frames had no part of a response.
    pub(super) fn check_other_frames(&self) -> Result<(), Error> {
        match self.other_frames {
            0..=MAX_OTHER_FRAMES => Ok(()),
            _ => Err(Error::excessive("sent 10,000 frames without a part of a response")),
        }
    }

    /// Handles SETTINGS (RFC 9113, 6.5).
    fn on_settings(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        out: &mut Output,
    ) -> Result<(), Error> {
        if header.has(flags::ACK) {
            return match payload {
                [] => Ok(()),
                _ => Err(Error::frame_size("acknowledged settings with a payload")),
            };
        }
        if !payload.len().is_multiple_of(6) {
            return Err(Error::frame_size("sent a SETTINGS frame of a wrong length"));
        }
        for (name, value) in frame::settings::read(payload) {
            match self.settings.set(name, value)? {
                Change::None => {}
                Change::TableSize(size) => self.encoder.limit_table_size(size),
                Change::Window(before, after) => {
                    for stream in self.streams.iter_mut() {
                        let adjusted = stream.send_window.adjust(before, after);
                        adjusted.map_err(|_| TOO_LARGE)?;
                    }
                }
            }
        }
        out.write_with(|bytes| frame::write(kind::SETTINGS, flags::ACK, 0, &[], bytes));
        if self.unsent_contents > 0 {
            self.send_contents(out);
        }
        Ok(())
    }

    /// Handles GOAWAY (RFC 9113, 6.8).
    fn on_goaway(&mut self, payload: &[u8]) -> Result<(), Error> {
        let Some((&[s0, s1, s2, s3, c0, c1, c2, c3], _)) = payload.split_first_chunk() else {
            return Err(Error::frame_size("sent a GOAWAY frame that is too short"));
        };
        let last_stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        // A second GOAWAY must not name a higher stream than the first. This isn't checked, because
        // a violation has no effect: the streams above that of the first GOAWAY have already been
        // returned as unprocessed, and no new ones are opened.
        self.going_away = Some(GoAway { last_stream, code: u32::from_be_bytes([c0, c1, c2, c3]) });
        Ok(())
    }

    /// Handles WINDOW_UPDATE (RFC 9113, 6.9).
    fn on_window_update(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        out: &mut Output,
    ) -> Result<(), Error> {
        let id = header.stream;
        let Some(increment) = frame::read_u31(payload) else {
            return Err(Error::frame_size("sent a WINDOW_UPDATE frame of a wrong length"));
        };
        if increment == 0 {
            return Err(Error::protocol("enlarged a window by 0"));
        }
        let window = if id == 0 {
            &mut self.send_window
        } else if let Some(at) = self.streams.find(id) {
            &mut self.streams.at(at).send_window
        } else {
            // If the stream has ended, the frame is ignored. If it has not begun, that is an error.
            return self.check_begun(id);
        };
        window.add(increment).map_err(|_| TOO_LARGE)?;
        if self.unsent_contents > 0 {
            self.send_contents(out);
        }
        Ok(())
    }

    /// Handles RST_STREAM (RFC 9113, 6.4).
    fn on_reset(&mut self, header: FrameHeader, payload: &[u8]) -> Result<Step<T>, Error> {
        let Ok(code) = payload.try_into().map(u32::from_be_bytes) else {
            return Err(Error::frame_size("sent a RST_STREAM frame of a wrong length"));
        };
        let Some(at) = self.streams.find(header.stream) else {
            self.check_begun(header.stream)?;
            return Ok(Step::Continue);
        };
        let Some(stream) = self.streams.remove(at) else { return Ok(Step::Continue) };
        self.other_frames = 0;
        self.unsent_contents -= usize::from(!stream.unsent.is_empty());
        let has_response = stream.interim > 0 || stream.expects != Expects::Head;
        Ok(match code == ErrorCode::RefusedStream as u32 && !has_response {
            true => Step::Unprocessed(stream),
            false => Step::Reset(code, stream),
        })
    }

    /// Returns an error for a frame about a stream that has not begun (RFC 9113, 5.1).
    fn check_begun(&self, id: u32) -> Result<(), Error> {
        match self.has_begun(id) {
            true => Ok(()),
            false => Err(Error::protocol("sent a frame about a stream that has not begun")),
        }
    }
}
