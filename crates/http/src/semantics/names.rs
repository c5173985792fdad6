//! The names of the fields that the server or its handlers read from nearly every request, and an
//! index of the positions of these fields.

use crate::semantics::span::{Range, Span, fields};

macro_rules! names {
    ($($len:literal: $($name:ident $text:literal),*;)*) => {
        /// The name of a common field, whose value
        /// [`Request::common_field`](crate::Request::common_field) returns without a search.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FieldName {
            $($(#[doc = concat!("`", $text, "`")] $name,)*)*
        }

        impl FieldName {
            /// Every name.
            pub const ALL: &[Self] = &[$($(Self::$name),*),*];

            /// The name in lower case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$name => $text,)*)* }
            }

            /// The field name that equals `name`, ignoring case. Compares only names of the same
            /// length.
            pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
                match name.len() {
                    $(
                        $len => {
                            let name: &[u8; $len] = name.try_into().ok()?;
                            $(
                                const { assert!($text.len() == $len) };
                                if is_same(name, $text.as_bytes()) {
                                    return Some(Self::$name);
                                }
                            )*
                            None
                        }
                    )*
                    _ => None,
                }
            }
        }
    };
}

names! {
    4: Host "host";
    5: Range "range";
    6: Accept "accept", Expect "expect", Origin "origin";
    7: Referer "referer", Upgrade "upgrade";
    8: IfMatch "if-match", IfRange "if-range";
    10: Connection "connection", UserAgent "user-agent";
    13: IfNoneMatch "if-none-match";
    14: ContentLength "content-length", SecFetchMode "sec-fetch-mode";
    15: AcceptEncoding "accept-encoding";
    17: IfModifiedSince "if-modified-since", TransferEncoding "transfer-encoding";
    19: IfUnmodifiedSince "if-unmodified-since";
}

/// Whether `token` equals `text`, ignoring case. `text` consists of lower-case letters and hyphens.
/// Setting the bit 0x20 makes letters lower-case and leaves hyphens unchanged. It turns no other
/// character of a token into a letter or a hyphen, so the comparison needs no branch per byte.
fn is_same<const N: usize>(token: &[u8; N], text: &[u8]) -> bool {
    let mut differences = 0;
    for (byte, expected) in token.iter().zip(text) {
        differences |= (byte | 0x20) ^ expected;
    }
    differences == 0
}

/// A set of [`FieldName`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldNames(u32);

impl FieldNames {
    /// The set of these names.
    #[must_use]
    pub const fn of(names: &[FieldName]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < names.len() {
            set |= 1 << names[at] as u32;
            at += 1;
        }
        Self(set)
    }

    /// Whether the name is in the set.
    #[must_use]
    pub const fn contains(self, name: FieldName) -> bool {
        self.0 & 1 << name as u32 != 0
    }

    /// Whether the sets have a name in common.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn insert(&mut self, name: FieldName) {
        self.0 |= 1 << name as u32;
    }
}

/// The positions of the values of a request's common fields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Index {
    pub(crate) present: FieldNames,
    pub(crate) repeated: FieldNames,
    /// The range of the first value of each name; arbitrary for an absent name.
    first: [Range; FieldName::ALL.len()],
}

impl Index {
    /// Indexes the fields at `spans` of `section`.
    pub(crate) fn fill(&mut self, section: &[u8], spans: &[Span]) {
        self.clear();
        for (span, (name, _)) in spans.iter().zip(fields(section, spans)) {
            let Some(name) = FieldName::from_name(name) else { continue };
            self.add(name, span.value);
        }
    }

    /// Removes all fields.
    pub(crate) fn clear(&mut self) {
        (self.present, self.repeated) = (FieldNames::default(), FieldNames::default());
    }

    /// Adds a field with this name and this value.
    #[inline]
    pub(crate) fn add(&mut self, name: FieldName, value: Range) {
        if self.present.contains(name) {
            self.repeated.insert(name);
        } else {
            self.present.insert(name);
            self.first[name as usize] = value;
        }
    }

    /// The range of the first value of that name.
    pub(crate) fn first(&self, name: FieldName) -> Option<Range> {
        self.present.contains(name).then(|| self.first[name as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::chars;

    #[test]
    fn names_are_found_in_any_case_and_other_names_are_not() {
        for name in FieldName::ALL {
            let text = name.as_str();
            assert_eq!(FieldName::from_name(text.as_bytes()), Some(*name));
            assert_eq!(FieldName::from_name(text.to_ascii_uppercase().as_bytes()), Some(*name));
            assert_eq!(FieldName::from_name(&text.as_bytes()[1..]), None);
            assert_eq!(FieldName::from_name(format!("{text}x").as_bytes()), None);
            // A token that differs in one byte is another name.
            for (at, byte) in (0..text.len()).flat_map(|at| (0..=u8::MAX).map(move |b| (at, b))) {
                let mut other = text.as_bytes().to_vec();
                other[at] = byte;
                let same = other.eq_ignore_ascii_case(text.as_bytes());
                if chars::is_token_byte(byte) && !same {
                    assert_ne!(FieldName::from_name(&other), Some(*name), "{other:?}");
                }
            }
        }
        assert!(FieldName::ALL.len() <= 32, "a set has a bit for each");
    }

    #[test]
    fn a_set_contains_the_names_that_it_was_made_of() {
        let set = FieldNames::of(&[FieldName::Host, FieldName::IfUnmodifiedSince]);
        let inside = FieldName::ALL.iter().filter(|name| set.contains(**name)).count();
        assert_eq!(inside, 2);
        assert!(set.intersects(FieldNames::of(&[FieldName::Range, FieldName::Host])));
        assert!(!set.intersects(FieldNames::of(&[FieldName::Range])));
        assert!(!set.intersects(FieldNames::default()));
    }
}
