//! What the server allows (RFC 9113, 6.5.2).

use super::error::Error;
use super::limits::STREAMS_BEFORE_SETTINGS;
use crate::h2::frame::{DEFAULT_MAX_LEN, settings};
use crate::h2::window::Window;

/// What the server allows.
#[derive(Debug)]
pub(super) struct ServerSettings {
    /// The maximum number of requests in flight.
    pub(super) max_streams: u32,
    /// The window of new streams.
    pub(super) initial_window: Window,
    /// The maximum payload of a frame.
    pub(super) max_frame_len: usize,
}

/// A change of a setting that the connection has to apply outside of [`ServerSettings`].
pub(super) enum Change {
    None,
    /// The initial window of streams has changed from the first to the second value.
    Window(Window, Window),
    /// The new maximum size of the server's dynamic table, in bytes.
    TableSize(u32),
}

impl ServerSettings {
    pub(super) fn new() -> Self {
        Self {
            max_streams: STREAMS_BEFORE_SETTINGS,
            initial_window: Window::DEFAULT,
            max_frame_len: DEFAULT_MAX_LEN,
        }
    }

    pub(super) fn set(&mut self, name: u16, value: u32) -> Result<Change, Error> {
        match name {
            settings::HEADER_TABLE_SIZE => return Ok(Change::TableSize(value)),
            settings::ENABLE_PUSH if value != 0 => {
                return Err(Error::protocol("sent a SETTINGS_ENABLE_PUSH other than 0"));
            }
            settings::MAX_CONCURRENT_STREAMS => self.max_streams = value,
            settings::INITIAL_WINDOW_SIZE => {
                const TOO_LARGE: Error =
                    Error::flow_control("sent a SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1");
                let after = Window::new(value).map_err(|_| TOO_LARGE)?;
                let before = std::mem::replace(&mut self.initial_window, after);
                return Ok(Change::Window(before, after));
            }
            settings::MAX_FRAME_SIZE => {
                if !(0x4000..=0xff_ffff).contains(&value) {
                    return Err(Error::protocol("sent an invalid SETTINGS_MAX_FRAME_SIZE"));
                }
                self.max_frame_len = value as usize;
            }
            // RFC 9218, 2.1.
            settings::NO_RFC7540_PRIORITIES if value > 1 => {
                const WRONG: Error =
                    Error::protocol("sent a SETTINGS_NO_RFC7540_PRIORITIES other than 0 and 1");
                return Err(WRONG);
            }
            // Other settings are unknown, or limit what this client doesn't use or reach, such as
            // the size of heads.
            _ => {}
        }
        Ok(Change::None)
    }
}
