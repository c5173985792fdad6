//! The settings that the server has sent (RFC 9113, 6.5.2).

use super::error::Error;
use super::limits::STREAMS_BEFORE_SETTINGS;
use crate::h2::frame::{DEFAULT_MAX_LEN, settings};
use crate::h2::window::Window;

/// What the server allows: its settings so far, and defaults for those that it has not sent.
#[derive(Debug)]
pub(super) struct ServerSettings {
    /// The maximum number of requests in flight: [`STREAMS_BEFORE_SETTINGS`] until the server's
    /// first SETTINGS frame arrives. From then on what the server has sent, or no limit, which is
    /// the default of RFC 9113.
    pub(super) max_streams: u32,
    /// The flow-control window of new streams, for content that this client sends.
    pub(super) initial_window: Window,
    /// The maximum length of a frame's payload, in bytes.
    pub(super) max_frame_len: usize,
}

/// A change of a setting that the connection has to apply outside of [`ServerSettings`].
pub(super) enum Change {
    None,
    /// The initial window of streams has changed from the first to the second value.
    Window(Window, Window),
    /// The new maximum size, in bytes, of the dynamic table with which the server decodes the
    /// header blocks of requests.
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
            // The client ignores unknown settings, those of features that it doesn't use, and
            // SETTINGS_MAX_HEADER_LIST_SIZE, because its requests have short heads.
            _ => {}
        }
        Ok(Change::None)
    }
}
