//! Taking bytes from the front of an output, files included.

use std::collections::VecDeque;
use std::io::IoSlice;

use sockeye_engine::driver::SendStatus;
use sockeye_proto::{Output, Part};

/// Moves up to `limit` bytes from the front of `out` to `wire`. Returns how many, and what keeps
/// more from being sent, other than the limit.
pub(crate) fn gather(
    out: &mut Output,
    limit: usize,
    wire: &mut VecDeque<u8>,
) -> (u64, Option<SendStatus>) {
    let mut count = 0;
    while count < limit {
        match take(out, limit - count) {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) => {
                out.advance(bytes.len() as u64);
                count += bytes.len();
                wire.extend(bytes);
            }
            Err(status) => return (count as u64, Some(status)),
        }
    }
    (count as u64, None)
}

/// Up to `most` bytes of what is at the front; empty at the end of the output.
fn take(out: &Output, most: usize) -> Result<Vec<u8>, SendStatus> {
    match out.part(most as u64) {
        Part::Nothing => Ok(Vec::new()),
        Part::Changed => Err(SendStatus::FileChanged),
        Part::Unread(_) => Err(SendStatus::NeedsRead),
        Part::Memory => {
            let mut slices = [IoSlice::new(&[])];
            let (filled, _) = out.slices(&mut slices);
            let front = slices[..filled].first().map_or(&[][..], |slice| &slice[..]);
            Ok(front[..front.len().min(most)].to_vec())
        }
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
