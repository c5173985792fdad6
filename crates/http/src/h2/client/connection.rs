//! One connection: reads frames, and turns them into events about requests.

use sockeye_proto::Output;

use super::encoder::Encoder;
use super::error::Error;
use super::head::{Head, HeadReader};
use super::limits::{MAX_CONTINUATIONS, MAX_HEAD, MAX_INTERIM, WINDOW};
use super::settings::ServerSettings;
use super::stream::{Expects, Stream, Streams, receive};
use crate::h2::frame::{
    self, DEFAULT_MAX_LEN, ErrorCode, FrameHeader, HeadersError, PREFACE, flags, kind,
};
use crate::h2::window::Window;

/// The client's side of one connection. `T` is the caller's data about a request.
#[derive(Debug)]
pub struct Connection<T> {
    next: NextInput,
    /// A header block that is incomplete.
    block: Option<Box<PartialBlock>>,
    heads: HeadReader,
    pub(super) encoder: Encoder,
    pub(super) settings: ServerSettings,
    pub(super) streams: Streams<T>,
    /// The number of the next stream.
    pub(super) next_id: u32,
    /// The connection's window for the content of requests.
    pub(super) send_window: Window,
    /// How many streams have content that is not sent yet.
    pub(super) unsent_contents: usize,
    /// Bytes of DATA frames received since the connection's window was last enlarged.
    received: u32,
    pub(super) going_away: Option<GoAway>,
    /// The number of frames received since the last one that had a part of a response or reset a
    /// stream.
    pub(super) other_frames: u32,
}

/// What happened to a request.
#[derive(Debug)]
pub enum Event<'a, T> {
    /// The head of the response has arrived.
    Head {
        /// The head.
        head: Head,
        /// The number of interim responses (RFC 9110, 15.2) before this head: at most 100.
        interim: u32,
        /// The caller's data about the request.
        data: &'a mut T,
    },
    /// A part of the response's content has arrived, at least one byte.
    Content {
        /// The bytes.
        bytes: &'a [u8],
        /// The caller's data about the request.
        data: &'a mut T,
    },
    /// The response is complete.
    End(T),
    /// The server has reset the stream before the response was complete, with this error code (see
    /// [`code_name`](super::code_name)).
    Reset(u32, T),
    /// The server has not processed the request, so it can be sent again (RFC 9113, 8.7). If the
    /// server is ending this connection, send it on another one. Otherwise the server has refused
    /// only the stream: send the request again later.
    Unprocessed(T),
}

/// The server's notice that it is ending the connection (RFC 9113, 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoAway {
    /// The highest stream that the server has processed or may process.
    pub(super) last_stream: u32,
    /// The error code: 0 if there is no error.
    pub code: u32,
}

/// What comes next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextInput {
    /// The server's first frame, SETTINGS.
    Settings,
    /// A frame.
    Frame,
    /// The rest of a DATA frame.
    Data(DataFrame),
    /// Nothing: the stream at this position of [`Streams`] has ended, and is to be removed.
    End(usize),
}

/// A DATA frame whose payload is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DataFrame {
    /// The position of its stream in [`Streams`].
    at: usize,
    /// Bytes of content that have not arrived yet.
    content: usize,
    /// Bytes of padding that have not arrived yet.
    padding: usize,
    ends_stream: bool,
}

/// A header block of which more is expected, in CONTINUATION frames.
#[derive(Debug)]
struct PartialBlock {
    stream: u32,
    ends_stream: bool,
    bytes: Vec<u8>,
    continuations: u8,
}

/// The result of reading a part of the input. An open stream is given by its position in
/// [`Streams`], content by its length.
pub(super) enum Step<T> {
    NeedMore,
    /// Nothing to report to the caller: continue to read.
    Continue,
    Head(usize, Head),
    Content(usize, usize),
    End(Stream<T>),
    Reset(u32, Stream<T>),
    Unprocessed(Stream<T>),
}

impl<T> Connection<T> {
    /// The client's side of a new connection. Writes the preface, and the settings of this side.
    pub fn new(out: &mut Output) -> Self {
        use frame::settings::{ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_HEADER_LIST_SIZE};
        let all = [
            (ENABLE_PUSH, 0),
            (INITIAL_WINDOW_SIZE, WINDOW),
            (MAX_HEADER_LIST_SIZE, MAX_HEAD as u32),
        ];
        out.write_with(|bytes| {
            bytes.extend_from_slice(PREFACE);
            frame::write_settings(&all, bytes);
            frame::write_window_update(0, WINDOW - 65_535, bytes);
        });
        Self {
            next: NextInput::Settings,
            block: None,
            heads: HeadReader::new(),
            encoder: Encoder::new(),
            settings: ServerSettings::new(),
            streams: Streams::default(),
            next_id: 1,
            send_window: Window::DEFAULT,
            unsent_contents: 0,
            received: 0,
            going_away: None,
            other_frames: 0,
        }
    }

    /// Whether another request may be sent now.
    #[must_use]
    pub fn can_send(&self) -> bool {
        !self.is_ending() && self.streams.len() < self.settings.max_streams as usize
    }

    /// Whether no further request can be sent on this connection: the server is ending it, or the
    /// numbers of streams are used up.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.going_away.is_some() || self.next_id > i32::MAX as u32
    }

    /// The server's last notice that it is ending the connection. `None` if there was none.
    #[must_use]
    pub fn going_away(&self) -> Option<GoAway> {
        self.going_away
    }

    /// How many requests are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.streams.len()
    }

    /// The requests in flight, the oldest first.
    pub fn pending(&self) -> impl Iterator<Item = &T> {
        self.streams.iter().map(|stream| &stream.data)
    }

    /// Takes the newest request in flight, if `is_taken` returns true for it. Call this after a
    /// connection has ended, to find the requests that were not sent.
    pub fn take_newest_if(&mut self, is_taken: impl FnOnce(&T) -> bool) -> Option<T> {
        Some(self.streams.pop_if(|stream| is_taken(&stream.data))?.data)
    }

    /// Whether a request's content waits for a larger window.
    #[must_use]
    pub fn is_sending_content(&self) -> bool {
        self.unsent_contents > 0
    }

    /// Tells the server that this side sends no more requests (RFC 9113, 6.8).
    pub fn go_away(&mut self, out: &mut Output) {
        out.write_with(|bytes| frame::write_goaway(0, ErrorCode::NoError, bytes));
    }

    /// Reads from the start of `input` up to the next event; `None` if more input is needed.
    ///
    /// # Errors
    ///
    /// If the input is not valid, or exceeds a limit. A GOAWAY frame with the error's code is in
    /// `out`. The connection must end: don't call this again.
    #[inline]
    pub fn read<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        out: &mut Output,
    ) -> Result<Option<Event<'a, T>>, Error> {
        loop {
            let before = *input;
            return Ok(Some(match self.step(input, out).map_err(|error| fail(error, out))? {
                Step::Continue => continue,
                Step::NeedMore => return Ok(None),
                Step::Head(at, head) => {
                    let Stream { interim, data, .. } = self.streams.at(at);
                    Event::Head { head, interim: *interim, data }
                }
                Step::Content(at, len) => {
                    Event::Content { bytes: &before[..len], data: &mut self.streams.at(at).data }
                }
                Step::End(stream) => Event::End(stream.data),
                Step::Reset(code, stream) => Event::Reset(code, stream.data),
                Step::Unprocessed(stream) => Event::Unprocessed(stream.data),
            }));
        }
    }

    #[inline]
    fn step(&mut self, input: &mut &[u8], out: &mut Output) -> Result<Step<T>, Error> {
        match self.next {
            NextInput::Frame => self.read_frame(input, out),
            NextInput::Data(data) => self.read_data(data, input, out),
            NextInput::End(at) => Ok(self.end_stream(at, out)),
            NextInput::Settings => {
                const HTTP1: &[u8] = b"HTTP/1.";
                if input.starts_with(HTTP1) {
                    return Err(Error::protocol("answered in HTTP/1"));
                }
                let Some(header) = FrameHeader::read(input) else { return Ok(Step::NeedMore) };
                if header.kind != kind::SETTINGS || header.has(flags::ACK) {
                    let what = "sent something else than the settings of HTTP/2";
                    return Err(Error::protocol(what));
                }
                if header.len <= DEFAULT_MAX_LEN && input.len() < FrameHeader::LEN + header.len {
                    return Ok(Step::NeedMore);
                }
                // The default for a frame without SETTINGS_MAX_CONCURRENT_STREAMS: no limit
                // (RFC 9113, 6.5.2).
                self.settings.max_streams = u32::MAX;
                self.next = NextInput::Frame;
                Ok(Step::Continue)
            }
        }
    }

    fn read_frame(&mut self, input: &mut &[u8], out: &mut Output) -> Result<Step<T>, Error> {
        if let Some(going_away) = self.going_away
            && let Some(stream) = self.streams.pop_if(|stream| stream.id > going_away.last_stream)
        {
            self.unsent_contents -= usize::from(!stream.unsent.is_empty());
            return Ok(Step::Unprocessed(stream));
        }
        let Some(header) = FrameHeader::read(input) else { return Ok(Step::NeedMore) };
        if header.len > DEFAULT_MAX_LEN {
            return Err(Error::frame_size("sent a frame that is longer than allowed"));
        }
        if self.block.is_some() && header.kind != kind::CONTINUATION {
            return Err(Error::protocol("sent another frame within a header block"));
        }
        let rest = &input[FrameHeader::LEN..];
        if header.kind == kind::DATA {
            return self.start_data(header, rest, input, out);
        }
        let Some((payload, rest)) = rest.split_at_checked(header.len) else {
            return Ok(Step::NeedMore);
        };
        *input = rest;
        match header.kind {
            kind::HEADERS => self.on_headers(header, payload),
            kind::CONTINUATION => self.on_continuation(header, payload),
            _ => self.on_other(header, payload, out),
        }
    }

    /// The position of the stream to which a DATA or HEADERS frame belongs.
    #[inline]
    fn open_stream(&self, id: u32) -> Result<usize, Error> {
        self.streams.find(id).ok_or_else(|| match self.has_begun(id) {
            true => Error::stream_closed("sent a response on a stream that has ended"),
            false => Error::protocol("sent a response without a request"),
        })
    }

    /// Whether this side has opened a stream with this number. The stream may have ended since.
    pub(super) fn has_begun(&self, id: u32) -> bool {
        !id.is_multiple_of(2) && id < self.next_id
    }

    /// Handles the start of a DATA frame (RFC 9113, 6.1). Content is reported as it arrives, before
    /// the frame is complete.
    fn start_data<'i>(
        &mut self,
        header: FrameHeader,
        rest: &'i [u8],
        input: &mut &'i [u8],
        out: &mut Output,
    ) -> Result<Step<T>, Error> {
        let (prefix, padding) = match rest {
            _ if !header.has(flags::PADDED) => (0, 0),
            _ if header.len == 0 => {
                return Err(Error::frame_size("sent a padded frame without a padding length"));
            }
            [padding, ..] => (1, usize::from(*padding)),
            [] => return Ok(Step::NeedMore),
        };
        let Some(content) = header.len.checked_sub(prefix + padding) else {
            return Err(Error::protocol("sent padding that is longer than its frame"));
        };
        *input = &rest[prefix..];
        self.other_frames = if content > 0 { 0 } else { self.other_frames + 1 };
        self.check_other_frames()?;
        let at = self.open_stream(header.stream)?;
        let stream = self.streams.at(at);
        let Expects::Content { remaining } = &mut stream.expects else {
            return Err(Error::protocol("sent content before a response's head"));
        };
        let ends_stream = header.has(flags::END_STREAM);
        if let Some(remaining) = remaining {
            match remaining.checked_sub(content as u64) {
                Some(left) if left == 0 || !ends_stream => *remaining = left,
                _ => return Err(WRONG_LENGTH),
            }
        }
        self.enlarge_windows(at, prefix, out)?;
        self.next = NextInput::Data(DataFrame { at, content, padding, ends_stream });
        Ok(Step::Continue)
    }

    /// Reads more of the payload of a DATA frame.
    #[inline]
    fn read_data(
        &mut self,
        data: DataFrame,
        input: &mut &[u8],
        out: &mut Output,
    ) -> Result<Step<T>, Error> {
        let DataFrame { at, content, padding, ends_stream } = data;
        let len = content.min(input.len());
        // Padding follows the content: while content is missing, `skipped` is 0.
        let skipped = padding.min(input.len() - len);
        self.enlarge_windows(at, len + skipped, out)?;
        *input = &input[len + skipped..];
        let (content, padding) = (content - len, padding - skipped);
        self.next = match content + padding {
            0 if ends_stream => NextInput::End(at),
            0 => NextInput::Frame,
            _ => NextInput::Data(DataFrame { at, content, padding, ends_stream }),
        };
        Ok(match len {
            0 if content + padding > 0 => Step::NeedMore,
            0 => Step::Continue,
            len => Step::Content(at, len),
        })
    }

    /// Counts bytes of a DATA frame, and enlarges each window of which half was used.
    #[inline]
    fn enlarge_windows(&mut self, at: usize, len: usize, out: &mut Output) -> Result<(), Error> {
        const BEYOND: Error = Error::flow_control("sent more content than its window allows");
        let stream = self.streams.at(at);
        let id = stream.id;
        let increments = [
            (id, receive(&mut stream.received, len).ok_or(BEYOND)?),
            (0, receive(&mut self.received, len).ok_or(BEYOND)?),
        ];
        for (id, increment) in increments {
            if increment > 0 {
                out.write_with(|bytes| frame::write_window_update(id, increment, bytes));
            }
        }
        Ok(())
    }

    /// Removes a stream whose response is complete. The rest of its request's content is not sent.
    fn end_stream(&mut self, at: usize, out: &mut Output) -> Step<T> {
        self.next = NextInput::Frame;
        if !self.streams.at(at).unsent.is_empty() {
            self.reset_content(at, out);
        }
        match self.streams.remove(at) {
            Some(stream) => Step::End(stream),
            None => Step::Continue,
        }
    }

    /// Handles HEADERS (RFC 9113, 6.2).
    fn on_headers(&mut self, header: FrameHeader, payload: &[u8]) -> Result<Step<T>, Error> {
        let block = frame::block_in_headers(header, payload).map_err(|error| match error {
            HeadersError::TooShort => Error::frame_size("sent a HEADERS frame that is too short"),
            HeadersError::TooMuchPadding => {
                Error::protocol("sent padding that is longer than its frame")
            }
        })?;
        let ends_stream = header.has(flags::END_STREAM);
        if header.has(flags::END_HEADERS) {
            return self.on_block(header.stream, ends_stream, block);
        }
        let (bytes, continuations) = (block.to_vec(), 0);
        let block = PartialBlock { stream: header.stream, ends_stream, bytes, continuations };
        self.block = Some(Box::new(block));
        Ok(Step::Continue)
    }

    /// Handles CONTINUATION (RFC 9113, 6.10).
    fn on_continuation(&mut self, header: FrameHeader, payload: &[u8]) -> Result<Step<T>, Error> {
        let Some(mut block) = self.block.take().filter(|block| block.stream == header.stream)
        else {
            return Err(Error::protocol("sent a CONTINUATION frame without HEADERS"));
        };
        block.bytes.extend_from_slice(payload);
        block.continuations += 1;
        if block.bytes.len() > MAX_HEAD {
            return Err(Error::excessive("sent a head or trailers of more than 64 KiB"));
        }
        if block.continuations > MAX_CONTINUATIONS {
            return Err(Error::excessive("sent too many CONTINUATION frames in a row"));
        }
        if header.has(flags::END_HEADERS) {
            return self.on_block(block.stream, block.ends_stream, &block.bytes);
        }
        self.block = Some(block);
        Ok(Step::Continue)
    }

    /// Handles a complete header block: of a head or of trailers.
    #[inline]
    fn on_block(&mut self, id: u32, ends_stream: bool, block: &[u8]) -> Result<Step<T>, Error> {
        self.other_frames = 0;
        let at = self.open_stream(id)?;
        let stream = self.streams.at(at);
        if let Expects::Content { remaining } = stream.expects {
            self.heads.read_trailers(block)?;
            if !ends_stream {
                return Err(Error::protocol("sent trailers that don't end their stream"));
            }
            if remaining.is_some_and(|remaining| remaining > 0) {
                return Err(WRONG_LENGTH);
            }
            self.next = NextInput::End(at);
            return Ok(Step::Continue);
        }
        let head = self.heads.read(block, stream.number)?;
        if head.status < 200 {
            stream.interim += 1;
            if ends_stream {
                return Err(Error::protocol("ended a stream with an interim response (1xx)"));
            }
            if stream.interim > MAX_INTERIM {
                return Err(Error::excessive(
                    "sent more than 100 interim responses (1xx) before a response",
                ));
            }
            return Ok(Step::Continue);
        }
        let has_no_content = stream.is_head || matches!(head.status, 204 | 304);
        let remaining = if has_no_content { Some(0) } else { head.length };
        if ends_stream {
            if remaining.is_some_and(|remaining| remaining > 0) {
                return Err(WRONG_LENGTH);
            }
            self.next = NextInput::End(at);
        }
        stream.expects = Expects::Content { remaining };
        Ok(Step::Head(at, head))
    }
}

/// Tells the server why the connection ends (RFC 9113, 5.4.1).
#[cold]
fn fail(error: Error, out: &mut Output) -> Error {
    out.write_with(|bytes| frame::write_goaway(0, error.code, bytes));
    error
}

const WRONG_LENGTH: Error =
    Error::protocol("sent content of another length than its Content-Length");
