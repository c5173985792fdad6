//! A cache of contents that were compressed on demand, shared by all workers (event loops).
//!
//! - The key is the folder, the ETag of the uncompressed content and the coding. If the ETag is a
//!   hash of the content, the compressed content stays valid after a `touch`, and after a
//!   deployment that changes nothing. Otherwise, the identity of the file belongs to the key, too.
//! - A budget limits the compressed contents of all folders together. A content counts until the
//!   cache and all responses have dropped it. When the budget is spent, contents that were not used
//!   lately and are not being sent are evicted. If that is not enough, the file is sent
//!   uncompressed.
//! - The memory of a compressor is charged to the client whose request starts it. One compressor
//!   may need more than a client's share, so a client may have one while the total allows it. The
//!   client gets further ones beyond its share only if the total then still has room for the
//!   largest compressor that another client may start. If a client never got more than its share,
//!   the first visitor of a site would get most files uncompressed, and an HTTP cache in between
//!   would store them so.
//! - A content that was compressed repeatedly in a short time is not compressed for a while: it was
//!   evicted in between, because more is requested than fits, and compressing it again for each
//!   request costs more than it saves.
//! - If two workers need the same content, the job of the second waits for the job of the first.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye_proto::{Budget, Client, Permit, Time};

use super::compress::max_compressed_len;
use crate::file::content::Compressed;
use crate::limits::clock_map::ClockMap;
use crate::limits::lock::lock;
use crate::limits::single_flight::SingleFlight;
use crate::options::codings::Coding;
use crate::store::identity::Identity;

/// Smaller files are sent uncompressed: with headers, they fit into one or two packets anyway.
pub(crate) const MIN_FILE_SIZE: u64 = 1024;

/// Larger files are sent uncompressed: compressing this much takes 0.1 to 0.3 s.
pub(crate) const MAX_FILE_SIZE: u64 = 8 * 1024 * 1024;

/// The most memory that one compressor takes, in bytes: the maximum of [`max_compressor_memory`].
const MAX_COMPRESSOR_MEMORY: u64 = 20 * 1024 * 1024;

/// The approximate memory of a cached content besides its bytes, in bytes.
const CONTENT_OVERHEAD: u64 = 256;

/// Maximum number of times that a content is compressed within [`REPEAT_PERIOD`]. After that, for
/// the rest of the period, the content is sent uncompressed unless it is cached.
const MAX_REPEATS: u32 = 2;

/// The time over which [`MAX_REPEATS`] is counted.
const REPEAT_PERIOD: Duration = Duration::from_secs(60);

/// The most contents whose [`History`] is kept.
const MAX_HISTORIES: usize = 8192;

/// The result of compressing a file.
#[derive(Clone, Debug)]
pub(crate) enum CompressionResult {
    Done(Arc<Compressed>),
    /// The compressed content would hardly be smaller than the file.
    NotSmaller,
    /// There is no memory to compress it now.
    Refused,
}

#[derive(Debug)]
pub(crate) struct CompressedCache {
    /// The budget for compressed contents.
    pub(crate) compressed: Arc<Budget>,
    /// The budget for the memory of compressors and decompressors at work.
    pub(crate) compressor_memory: Arc<Budget>,
    in_progress: SingleFlight<Key, CompressionResult>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the latest folder.
    folders: u32,
    contents: ClockMap<Key, Arc<Compressed>>,
    history: ClockMap<Key, History>,
}

/// Why nothing was compressed.
enum Failure {
    Io(io::Error),
    /// There is no memory. As this is a failure, requests that wait for the same content don't
    /// share it, but try again: their clients may have memory left.
    Refused,
}

/// What is known about compressing a content.
#[derive(Clone, Copy, Debug)]
struct History {
    /// How often the content was compressed since the time in `since`.
    times: u32,
    since: Time,
    /// Compressing it saves too little.
    not_smaller: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) folder: u32,
    pub(crate) etag: Box<str>,
    /// The identity of the file, if its ETag is not a hash of the content: then another file may
    /// have the same ETag.
    pub(crate) identity: Option<Identity>,
    pub(crate) coding: Coding,
}

impl CompressedCache {
    pub(crate) fn new(compressed: &Arc<Budget>, compressor_memory: &Arc<Budget>) -> Self {
        Self {
            compressed: Arc::clone(compressed),
            compressor_memory: Arc::clone(compressor_memory),
            in_progress: SingleFlight::default(),
            state: Mutex::default(),
        }
    }

    /// Returns the number of a new folder, for [`Key::folder`].
    pub(crate) fn add_folder(&self) -> u32 {
        let mut state = lock(&self.state);
        state.folders += 1;
        state.folders
    }

    /// Whether files of this length are compressed: compressing them must be worth it, and a result
    /// of this length must take at most a quarter of the budget.
    pub(crate) fn accepts(&self, len: u64) -> bool {
        (MIN_FILE_SIZE..=MAX_FILE_SIZE).contains(&len) && len <= self.compressed.total() / 4
    }

    /// Whether to call [`CompressedCache::get`] at `now`: not if the content was compressed too
    /// often lately. True in any case if the content is cached or being compressed, because then
    /// `get` need not compress it.
    pub(crate) fn may_compress(&self, key: &Key, now: Time) -> bool {
        if self.in_progress.contains(key) {
            return true;
        }
        let mut state = lock(&self.state);
        state.contents.peek(key).is_some() || state.history(key, now).times < MAX_REPEATS
    }

    /// Returns the cached content, or else calls `compress`. The closure compresses `len` bytes,
    /// and returns `None` if the result saves too little, because it is longer than
    /// [`max_compressed_len`]. `client` is charged while `compress` runs, and `now` is when its
    /// request arrived. Blocks.
    ///
    /// # Errors
    ///
    /// Those of `compress`. They are not cached.
    pub(crate) fn get(
        &self,
        key: &Key,
        len: usize,
        (client, now): (Client, Time),
        compress: impl FnOnce() -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<CompressionResult> {
        let result = self.in_progress.run(key, || {
            let mut state = lock(&self.state);
            if let Some(content) = state.contents.peek(key) {
                return Ok(CompressionResult::Done(Arc::clone(content)));
            }
            if state.history.get(key).is_some_and(|history| history.not_smaller) {
                return Ok(CompressionResult::NotSmaller);
            }
            drop(state);
            self.compress(key, len, (client, now), compress)
        });
        match result {
            Ok(result) => Ok(result),
            Err(Failure::Refused) => Ok(CompressionResult::Refused),
            Err(Failure::Io(error)) => Err(error),
        }
    }

    fn compress(
        &self,
        key: &Key,
        len: usize,
        (client, now): (Client, Time),
        compress: impl FnOnce() -> io::Result<Option<Vec<u8>>>,
    ) -> Result<CompressionResult, Failure> {
        let memory = max_compressor_memory(key.coding, len as u64);
        let spare = MAX_COMPRESSOR_MEMORY;
        let Some(_memory) = self.compressor_memory.take_sparing(client, memory, spare) else {
            return Err(Failure::Refused);
        };
        let Some(mut permit) = self.reserve(max_compressed_len(len) as u64 + CONTENT_OVERHEAD)
        else {
            return Err(Failure::Refused);
        };
        // If an allocation of the compressor failed, the process would abort.
        if !is_available(memory) {
            return Err(Failure::Refused);
        }
        let compressed = compress().map_err(Failure::Io)?;
        let mut state = lock(&self.state);
        let mut history = state.history(key, now);
        let result = match compressed {
            None => {
                history.not_smaller = true;
                CompressionResult::NotSmaller
            }
            Some(content) => {
                let is_less = permit.resize(content.len() as u64 + CONTENT_OVERHEAD);
                debug_assert!(is_less, "no content is longer than it may be");
                let content = Arc::new(Compressed::new(content, permit));
                state.contents.insert(key.clone(), Arc::clone(&content), 1);
                history.times += 1;
                CompressionResult::Done(content)
            }
        };
        state.history.insert_within(MAX_HISTORIES, key.clone(), history, 1);
        Ok(result)
    }

    /// Takes `amount` of the budget for compressed contents. If too little is left of it, evicts
    /// contents that are not being sent.
    fn reserve(&self, amount: u64) -> Option<Permit> {
        loop {
            if let Some(permit) = self.compressed.take_shared(amount) {
                return Some(permit);
            }
            // The content is dropped after the lock was released.
            let dropped = lock(&self.state).evict()?;
            drop(dropped);
        }
    }
}

impl State {
    /// The history of a content, or an empty one if there is none or its period is over. A history
    /// that says `not_smaller` is valid without limit.
    fn history(&mut self, key: &Key, now: Time) -> History {
        let is_valid =
            |history: &History| history.not_smaller || now.since(history.since) < REPEAT_PERIOD;
        let known = self.history.get(key).copied().filter(is_valid);
        known.unwrap_or(History { times: 0, since: now, not_smaller: false })
    }

    /// Removes a content that is not being sent, and was not sent since it was last considered for
    /// eviction.
    fn evict(&mut self) -> Option<Compressed> {
        for _ in 0..self.contents.len() {
            let is_evictable =
                |content: &Arc<Compressed>| !content.take_used() && content.is_unique();
            let (key, content) = self.contents.evict(is_evictable)?;
            // Nobody can find the content here any more, but a request that found it before may
            // just have started to send it. If so, the content goes back into the cache.
            let content = match Arc::try_unwrap(content) {
                Ok(content) if content.is_unique() => return Some(content),
                Ok(content) => Arc::new(content),
                Err(content) => content,
            };
            self.contents.insert(key, content, 1);
        }
        None
    }
}

/// The most memory that compressing `len` bytes takes besides its result, measured at the levels of
/// [`super::codec`] and rounded up.
pub(crate) fn max_compressor_memory(coding: Coding, len: u64) -> u64 {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match coding {
        Coding::Gzip => MIB,
        Coding::Zstd if len <= 128 * KIB => 2 * MIB,
        Coding::Zstd => 17 * MIB,
        Coding::Brotli => (8 * MIB + 8 * len).min(MAX_COMPRESSOR_MEMORY),
    }
}

/// Whether the process can allocate this much memory now.
fn is_available(bytes: u64) -> bool {
    usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok())
}

/// Takes from the budget the memory for comparing a precompressed file with its original: the
/// largest window of a decoder, and its other state.
pub(crate) fn hold_for_comparing(compressor_memory: &Arc<Budget>) -> Option<Permit> {
    const WINDOWS: u64 = 20 * 1024 * 1024;
    compressor_memory.take_shared(WINDOWS).filter(|_| is_available(WINDOWS))
}

#[cfg(test)]
mod tests;
