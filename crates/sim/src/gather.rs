//! Takes bytes from the front of an output, including the bytes of its file ranges.

use std::collections::VecDeque;

use sockeye_engine::driver::SendStatus;
use sockeye_proto::{Output, Part};

/// Moves up to `limit` bytes from the front of `out` to `in_flight`. Returns their number. If the
/// next bytes can't be sent although the limit is not reached, also returns the reason.
pub(crate) fn gather(
    out: &mut Output,
    limit: usize,
    in_flight: &mut VecDeque<u8>,
) -> (u64, Option<SendStatus>) {
    let mut count = 0;
    while count < limit {
        match copy_front(out, limit - count) {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) => {
                out.advance(bytes.len() as u64);
                count += bytes.len();
                in_flight.extend(bytes);
            }
            Err(status) => return (count as u64, Some(status)),
        }
    }
    (count as u64, None)
}

/// Copies up to `most` bytes from the front of `out`. Returns no bytes if `out` is empty.
fn copy_front(out: &Output, most: usize) -> Result<Vec<u8>, SendStatus> {
    match out.part(most as u64) {
        Part::Nothing => Ok(Vec::new()),
        Part::Changed => Err(SendStatus::FileChanged),
        Part::NeedsRead(_) => Err(SendStatus::NeedsRead),
        Part::Memory(bytes) => Ok(bytes[..bytes.len().min(most)].to_vec()),
        Part::File(range) => {
            let mut buffer = vec![0; most.min(usize::try_from(range.len).unwrap_or(usize::MAX))];
            match range.source.read_at(range.offset, &mut buffer) {
                Ok(0) => Err(SendStatus::FileChanged),
                Ok(read) => {
                    buffer.truncate(read);
                    Ok(buffer)
                }
                Err(error) => Err(SendStatus::FileFailed(error)),
            }
        }
    }
}
