//! Whether a file still has the same content, without reading it.
//!
//! A write changes a file's times, but the file system's clock ticks only every few milliseconds:
//! two writes within one tick leave the same stamp. So an identity is *settled* once the clock has
//! passed the file's last change. Until then, a later content may have the same identity. In-place
//! rewrites of equal length within the tick in which a response starts can't be detected.

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
    /// The number of its names (hard links).
    pub links: u64,
}

impl Identity {
    /// Whether any later change will change the identity. `now` was read before the identity.
    #[must_use]
    pub fn is_settled(&self, now: Stamp) -> bool {
        // A time without a fraction: the file system may store times in steps of two seconds.
        let tick = if self.changed.nanos == 0 { 2 } else { 0 };
        let Stamp { secs, nanos } = self.changed;
        Stamp { secs: secs.saturating_add(tick), nanos } < now
    }

    /// Whether the content is still the same, if `later` was read from the same open file.
    ///
    /// Renaming another file over this one changes its `links` and `changed`, but not its content.
    /// Sites are deployed in this way; responses with the old content continue.
    #[must_use]
    pub fn has_same_content(&self, later: &Self) -> bool {
        let same_file = (self.device, self.inode) == (later.device, later.inode);
        let same_content = (self.size, self.modified) == (later.size, later.modified);
        let same_change = self.changed == later.changed || self.links != later.links;
        same_file && same_content && same_change
    }

    /// An ETag, quotes included: the same for the same identity and `salt`, on every shard and
    /// after a restart. A salt distinguishes contents whose identity is not settled.
    #[must_use]
    pub fn etag(&self, salt: u64) -> String {
        let Self { device, inode, size, modified, changed, links: _ } = self;
        let mut hasher = XxHash3_128::new();
        for number in [*device, *inode, *size, salt] {
            hasher.write(&number.to_le_bytes());
        }
        for Stamp { secs, nanos } in [modified, changed] {
            hasher.write(&secs.to_le_bytes());
            hasher.write(&nanos.to_le_bytes());
        }
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
        Identity { device: 1, inode: 2, size: 3, modified: stamp, changed: stamp, links: 1 }
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
    fn every_part_of_the_identity_affects_content_and_etag() {
        let changes: [fn(&mut Identity); 5] = [
            |it| it.device += 1,
            |it| it.inode += 1,
            |it| it.size += 1,
            |it| it.modified.nanos += 1,
            |it| it.changed.nanos += 1,
        ];
        for change in changes {
            let mut later = file();
            change(&mut later);
            assert!(!file().has_same_content(&later), "{later:?}");
            assert_ne!(file().etag(0), later.etag(0), "{later:?}");
        }
        assert!(file().has_same_content(&file()));
        assert_eq!(file().etag(0), file().etag(0));
        assert_ne!(file().etag(0), file().etag(1));
    }

    #[test]
    fn unlinking_does_not_change_the_content() {
        let unlinked = Identity { changed: at(200, 0), links: 0, ..file() };
        assert!(file().has_same_content(&unlinked));
        let rewritten = Identity { modified: at(200, 0), ..unlinked };
        assert!(!file().has_same_content(&rewritten));
    }
}
