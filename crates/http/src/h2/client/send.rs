//! Sends requests: their heads and contents as frames.

use std::mem;

use bytes::Bytes;
use sockeye_proto::Output;

use super::connection::Connection;
use super::encoder::RequestHeads;
use super::stream::{Expects, Stream};
use crate::h2::frame::{self, ErrorCode, FrameHeader, flags, kind};

/// A part of content of at least this many bytes is shared with the output, not copied into it.
const LARGE: usize = 4 * 1024;

impl<T> Connection<T> {
    /// Sends a request with the head for which [`RequestHeads::add`] returned `number`. The events
    /// about the response contain `data`.
    ///
    /// Pass the same `heads` for all requests of a connection, because the connection remembers
    /// which of their fields are in its dynamic table. Call this only while
    /// [`Connection::can_send`] is true.
    pub fn request(
        &mut self,
        heads: &RequestHeads,
        number: usize,
        content: Option<&Bytes>,
        data: T,
        out: &mut Output,
    ) {
        let id = self.next_id;
        self.next_id += 2;
        let unsent = content.filter(|content| !content.is_empty()).cloned().unwrap_or_default();
        let end = if unsent.is_empty() { flags::END_STREAM } else { flags::NONE };
        let Self { encoder, settings, .. } = self;
        out.write_with(|bytes| {
            let start = bytes.len();
            bytes.extend_from_slice(&[0; FrameHeader::LEN]);
            encoder.encode(heads, number, bytes);
            let len = bytes.len() - start - FrameHeader::LEN;
            if len > settings.max_frame_len {
                return split_block(bytes, start, (id, end), settings.max_frame_len);
            }
            let flags = end | flags::END_HEADERS;
            let header = FrameHeader { len, kind: kind::HEADERS, flags, stream: id };
            bytes[start..start + FrameHeader::LEN].copy_from_slice(&header.bytes());
        });
        let has_content = !unsent.is_empty();
        self.streams.push(Stream {
            id,
            number,
            is_head: heads.get(number).is_head,
            expects: Expects::Head,
            interim: 0,
            received: 0,
            unsent,
            send_window: settings.initial_window,
            data,
        });
        if has_content {
            self.unsent_contents += 1;
            self.send_contents(out);
        }
    }

    /// Sends content of requests, as far as the windows allow.
    pub(super) fn send_contents(&mut self, out: &mut Output) {
        let Self { streams, settings, send_window, unsent_contents, .. } = self;
        for stream in streams.iter_mut().filter(|stream| !stream.unsent.is_empty()) {
            while !stream.unsent.is_empty() {
                let allowed = stream.send_window.available().min(send_window.available());
                let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
                let len = stream.unsent.len().min(allowed).min(settings.max_frame_len);
                if len == 0 {
                    break;
                }
                stream.send_window.take(len);
                send_window.take(len);
                let part = stream.unsent.split_to(len);
                let ends = stream.unsent.is_empty();
                let flags = if ends { flags::END_STREAM } else { flags::NONE };
                let header = FrameHeader { len, kind: kind::DATA, flags, stream: stream.id };
                out.write_with(|bytes| header.write(bytes));
                if len < LARGE {
                    out.write(&part);
                } else {
                    out.write_shared(part);
                }
                *unsent_contents -= usize::from(ends);
            }
        }
    }

    /// Drops the rest of a request's content, because the response is complete, and resets the
    /// stream. `at` is the stream's position in `streams`.
    #[cold]
    pub(super) fn reset_content(&mut self, at: usize, out: &mut Output) {
        let stream = self.streams.at(at);
        drop(mem::take(&mut stream.unsent));
        let id = stream.id;
        self.unsent_contents -= 1;
        out.write_with(|bytes| frame::write_reset(id, ErrorCode::Cancel, bytes));
    }
}

/// Divides a header block into a HEADERS frame and CONTINUATION frames. `bytes` has, from `start`
/// on, space for the header of one frame, and then the block.
#[cold]
fn split_block(bytes: &mut Vec<u8>, start: usize, (id, end): (u32, u8), max_len: usize) {
    let block = bytes.split_off(start + FrameHeader::LEN);
    bytes.truncate(start);
    let count = block.len().div_ceil(max_len);
    for (at, part) in block.chunks(max_len).enumerate() {
        let (kind, end) = if at == 0 { (kind::HEADERS, end) } else { (kind::CONTINUATION, 0) };
        let last = if at + 1 == count { flags::END_HEADERS } else { flags::NONE };
        frame::write(kind, end | last, id, part, bytes);
    }
}
