//! What the metadata of a file say about its content, without reading it.
//!
//! A file with the same identity has the same content: a write changes its times. But the file
//! system's clock ticks only every few milliseconds, so two writes within one tick leave the same
//! time. An identity is *settled* once the clock has passed the file's last change. Until then, a
//! later content may have the same identity. In-place rewrites of equal length within the tick in
//! which a response starts can't be detected.
//!
//! A different identity can mean the same content: `chmod`, `touch`, a rename and a new link change
//! the identity and not the content, and a file that grows keeps the content that it had.
//! `Identity::is_kept_by` recognises a file that has grown by its inode, and otherwise, except
//! after `touch`, a kept content by size and modification time. That is less reliable, since
//! programs can set the time.

use twox_hash::XxHash3_128;

/// A time of the file system's clock, since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Whole seconds; negative before 1970.
    pub secs: i64,
    /// Nanoseconds.
    pub nanos: u32,
}

/// What identifies a file's content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The number of its device.
    pub device: u64,
    /// Its inode number.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its content was last modified; programs can set this.
    pub modified: Stamp,
    /// When its content or its metadata was last changed; programs can't set this.
    pub changed: Stamp,
}

impl Stamp {
    /// Whether the clock has passed this time, so that no later change can have it. `now` was read
    /// from the clock before this time was read from the file.
    fn is_past(self, now: Self) -> bool {
        // A time without a fraction may come from a file system that stores times in steps of two
        // seconds (FAT).
        let tick = if self.nanos == 0 { 2 } else { 0 };
        Self { secs: self.secs.saturating_add(tick), ..self } < now
    }
}

impl Identity {
    /// Whether every later change will change the identity. `now` was read before the identity was.
    #[must_use]
    pub fn is_settled(&self, now: Stamp) -> bool {
        self.changed.is_past(now)
    }

    /// Whether every later write will change the modification time, unless a program sets it. `now`
    /// was read before the identity.
    ///
    /// It is enough if the clock has passed the modification time, even if the permissions were
    /// changed just now. It is also enough if the clock has passed the time of the last change,
    /// even if a program has set the modification time to one in the future.
    pub(crate) fn is_modification_settled(&self, now: Stamp) -> bool {
        self.modified.is_past(now) || self.is_settled(now)
    }

    /// Whether `later` is an identity of the same file, with the same size or a larger one.
    pub(crate) fn may_have_grown_to(&self, later: &Self) -> bool {
        (self.device, self.inode) == (later.device, later.inode) && self.size <= later.size
    }

    /// Whether a file with the identity `later` begins with the content that a file with this
    /// identity had, going by size and modification time: either it is the same file and has grown,
    /// or it has the same size and modification time, and may be another file.
    pub(crate) fn is_kept_by(&self, later: &Self) -> bool {
        let has_grown = self.size < later.size && self.may_have_grown_to(later);
        has_grown || (self.size, self.modified) == (later.size, later.modified)
    }

    /// An ETag, quotes included, made of size and modification time. It is the same on every worker
    /// (event loop), after a restart, for a copy that keeps the time, and after a `chmod` or a
    /// rename. `salt` is 0 if the modification time is settled. Otherwise callers pass a new number
    /// each time, so that different contents get different ETags.
    #[must_use]
    pub fn etag(&self, salt: u64) -> String {
        let Self { size, modified: Stamp { secs, nanos }, .. } = self;
        let mut hasher = XxHash3_128::new();
        for number in [*size, salt] {
            hasher.write(&number.to_le_bytes());
        }
        hasher.write(&secs.to_le_bytes());
        hasher.write(&nanos.to_le_bytes());
        format!("\"{:032x}\"", hasher.finish_128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64, nanos: u32) -> Stamp {
        Stamp { secs, nanos }
    }

    fn file() -> Identity {
        let stamp = at(100, 5);
        Identity { device: 1, inode: 2, size: 3, modified: stamp, changed: stamp }
    }

    #[test]
    fn identities_settle_when_the_clock_advances() {
        assert!(!file().is_settled(at(100, 4)), "changed in the future");
        assert!(!file().is_settled(at(100, 5)), "changed in this tick");
        assert!(file().is_settled(at(100, 6)));
        let coarse = Identity { changed: at(100, 0), ..file() };
        assert!(!coarse.is_settled(at(102, 0)));
        assert!(coarse.is_settled(at(102, 1)));
    }

    #[test]
    fn a_modification_is_settled_whatever_else_is_changed_later() {
        let now = at(100, 6);
        for (modified, changed, is_settled) in [
            (at(100, 5), at(100, 5), true),
            (at(100, 6), at(100, 6), false),
            // Its permissions were changed just now.
            (at(50, 1), at(100, 6), true),
            (at(99, 0), at(100, 6), false),
            // Its time was set to one in the future, before now.
            (at(200, 1), at(100, 5), true),
            (at(200, 1), at(100, 6), false),
        ] {
            let identity = Identity { modified, changed, ..file() };
            assert_eq!(identity.is_modification_settled(now), is_settled, "{identity:?}");
        }
    }

    #[test]
    fn etags_are_made_of_size_and_modification_time() {
        type Change = fn(&mut Identity);
        let changes: [(Change, bool); 6] = [
            (|it| it.device += 1, false),
            (|it| it.inode += 1, false),
            (|it| it.size += 1, true),
            (|it| it.modified.secs += 1, true),
            (|it| it.modified.nanos += 1, true),
            (|it| it.changed.nanos += 1, false),
        ];
        for (change, differs) in changes {
            let mut later = file();
            change(&mut later);
            assert_eq!(file().etag(0) != later.etag(0), differs, "{later:?}");
        }
        assert_ne!(file().etag(0), file().etag(1));
    }

    #[test]
    fn a_file_keeps_its_content_if_it_grows_or_its_size_and_time_stay() {
        let (modified, changed) = (at(200, 0), at(200, 0));
        for (later, is_kept) in [
            (file(), true),
            (Identity { changed, ..file() }, true),
            (Identity { device: 7, inode: 7, changed, ..file() }, true),
            (Identity { size: 4, modified, changed, ..file() }, true),
            (Identity { size: 4, ..file() }, true),
            (Identity { inode: 7, size: 4, modified, changed, ..file() }, false),
            (Identity { device: 7, size: 4, modified, changed, ..file() }, false),
            (Identity { modified, changed, ..file() }, false),
            (Identity { size: 2, modified, changed, ..file() }, false),
            (Identity { size: 2, ..file() }, false),
        ] {
            assert_eq!(file().is_kept_by(&later), is_kept, "{later:?}");
        }
    }
}
