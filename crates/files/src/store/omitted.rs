//! What a listing or an archive leaves out, counted by reason.

use std::fmt;

use super::absent::Absent;

/// Why an entry of a folder is left out of a listing or an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Omission {
    /// This process can't read it, it kept changing, or the file system failed.
    Unreadable,
    /// It is neither a file nor a folder: a pipe, a socket or a device.
    Special,
    /// A symbolic link that leads out of the folder that is served, and not into another folder
    /// that links may lead into.
    Outside,
    /// A symbolic link that leads nowhere or in circles, or may not be followed.
    Broken,
    /// Its path is too long for a request.
    TooLong,
    /// A symbolic link to a folder. Only archives leave it out, since it could lead in circles.
    FolderLink,
    /// The kernel makes the content when it is read, as in `/proc` and `/sys`, so the size is
    /// unknown before. Only archives leave such a file out, because they state a file's size before
    /// its content.
    UnknownSize,
}

impl Omission {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::Unreadable,
        Self::Special,
        Self::Outside,
        Self::Broken,
        Self::TooLong,
        Self::FolderLink,
        Self::UnknownSize,
    ];

    /// The reason why a name that can't be requested is left out. `None` if it is hidden.
    pub(crate) fn of_name(name: &[u8]) -> Option<Self> {
        (!name.starts_with(b".")).then_some(Self::TooLong)
    }

    /// The reason why a name that leads to `absent` is left out. `None` if the reason is not
    /// reported, because the name is hidden or gone.
    pub(crate) fn of(absent: Absent) -> Option<Self> {
        match absent {
            Absent::Missing | Absent::Hidden => None,
            Absent::Outside => Some(Self::Outside),
            Absent::LinkLoop | Absent::BrokenLink => Some(Self::Broken),
            Absent::NotRegular(_) => Some(Self::Special),
            _ => Some(Self::Unreadable),
        }
    }

    /// The stable name of this reason, for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Special => "special",
            Self::Outside => "outside",
            Self::Broken => "broken",
            Self::TooLong => "too_long",
            Self::FolderLink => "folder_link",
            Self::UnknownSize => "unsized",
        }
    }

    /// The words for this reason, for people: singular and plural.
    const fn words(self) -> [&'static str; 2] {
        match self {
            Self::Unreadable => ["unreadable", "unreadable"],
            Self::Special => ["pipe, socket or device", "pipes, sockets or devices"],
            Self::Outside => {
                ["link that leads out of the folder", "links that lead out of the folder"]
            }
            Self::Broken => ["broken link", "broken links"],
            Self::TooLong => ["name that is too long", "names that are too long"],
            Self::FolderLink => ["link to a folder", "links to folders"],
            Self::UnknownSize => ["file whose size is unknown", "files whose size is unknown"],
        }
    }
}

/// How many entries are left out, by reason. Hidden names, and links to them, are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Omitted {
    counts: [u64; Omission::ALL.len()],
}

impl Omitted {
    /// Counts one entry that is left out for `reason`. Counts nothing if `reason` is `None`.
    pub fn add(&mut self, reason: impl Into<Option<Omission>>) {
        if let Some(reason) = reason.into() {
            self.counts[reason as usize] += 1;
        }
    }

    /// Counts the entries of `other`, too.
    pub(crate) fn add_all(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }

    /// Whether an entry is left out for this reason.
    pub(crate) fn has(self, reason: Omission) -> bool {
        self.counts[reason as usize] > 0
    }

    /// The number of entries that are left out.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Each reason for which entries are left out, and their number.
    pub fn by_reason(&self) -> impl Iterator<Item = (Omission, u64)> + '_ {
        let counts = Omission::ALL.into_iter().zip(self.counts);
        counts.filter(|(_, count)| *count > 0)
    }

    /// The counts for programs, as the value of a header: `unreadable=1, outside=2` (RFC 8941,
    /// 3.2).
    pub(crate) fn list(&self) -> String {
        let item = |(reason, count): (Omission, u64)| format!("{}={count}", reason.code());
        self.by_reason().map(item).collect::<Vec<_>>().join(", ")
    }
}

/// The counts for people: `1 unreadable, 2 links that lead out of the folder`.
impl fmt::Display for Omitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (reason, count) in self.by_reason() {
            let [one, several] = reason.words();
            write!(f, "{between}{count} {}", if count == 1 { one } else { several })?;
            between = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_named() {
        let mut omitted = Omitted::default();
        assert_eq!((omitted.total(), omitted.to_string()), (0, String::new()));
        omitted.add(Omission::Outside);
        omitted.add(Omission::Unreadable);
        omitted.add_all(omitted);
        omitted.add(Omission::Special);
        assert_eq!(omitted.total(), 5);
        let expected =
            "2 unreadable, 1 pipe, socket or device, 2 links that lead out of the folder";
        assert_eq!(omitted.to_string(), expected);
        assert_eq!(omitted.list(), "unreadable=2, special=1, outside=2");
        for (index, reason) in Omission::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
