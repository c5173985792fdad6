//! Comparing and filtering names.

use std::borrow::Cow;
use std::cmp::Ordering;

/// Compares names in natural order: ignores the case of ASCII letters, and compares numbers by
/// value, so that `file9` comes before `File10`. Different names that are equal in this order are
/// compared by bytes.
pub(super) fn natural_order(a: &[u8], b: &[u8]) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        match (left, right) {
            ([], []) => return a.cmp(b),
            ([], _) => return Ordering::Less,
            (_, []) => return Ordering::Greater,
            ([x, ..], [y, ..]) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (number, other);
                (number, left) = split_number(left);
                (other, right) = split_number(right);
                let by_value = number.len().cmp(&other.len()).then_with(|| number.cmp(other));
                if by_value.is_ne() {
                    return by_value;
                }
            }
            ([x, rest @ ..], [y, others @ ..]) => {
                let by_letter = x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase());
                if by_letter.is_ne() {
                    return by_letter;
                }
                (left, right) = (rest, others);
            }
        }
    }
}

/// The digits at the start of `text` without leading zeros, and the text after them.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    (&digits[zeros..], rest)
}

/// Text that names must contain, in upper or lower case.
#[derive(Debug)]
pub(super) struct Filter {
    lower: Vec<u8>,
}

impl Filter {
    pub(super) fn new(part: &[u8]) -> Self {
        Self { lower: lowercase(part).into_owned() }
    }

    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let name = lowercase(name);
        self.lower.is_empty() || name.windows(self.lower.len()).any(|window| window == self.lower)
    }
}

/// Converts text to lower case; invalid UTF-8 stays unchanged. [`str::to_lowercase`] converts a
/// Greek `Σ` to `ς` at the end of a word, and to `σ` elsewhere. A filter may end within a word of a
/// name, so `ς` becomes `σ`, too.
fn lowercase(text: &[u8]) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        if text.iter().any(u8::is_ascii_uppercase) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    let mut lower = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        lower.extend_from_slice(chunk.valid().to_lowercase().replace('ς', "σ").as_bytes());
        lower.extend_from_slice(chunk.invalid());
    }
    Cow::Owned(lower)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_in_natural_order() {
        let sorted = [
            "", "!", "007", "7", "7a", "08", "10", "A", "a", "a.txt", "a0", "a00", "a1", "a01b",
            "a1c", "a2", "a10", "B", "b", "ä",
        ];
        for pair in sorted.windows(2) {
            let ordering = natural_order(pair[0].as_bytes(), pair[1].as_bytes());
            assert_eq!(ordering, Ordering::Less, "{pair:?}");
        }
    }

    #[test]
    fn filters_ignore_case() {
        for (part, name, found) in [
            ("", "anything", true),
            ("READ", "readme.md", true),
            ("me.", "ReadMe.md", true),
            ("é", "CAFÉ.txt", true),
            ("ΟΔΟΣ", "ΟΔΟΣΑ.txt", true),
            ("οδος", "ΟΔΟΣΑ.txt", true),
            ("ΟΔΟΣ", "οδος.txt", true),
            ("x", "readme.md", false),
            ("readme.md.", "readme.md", false),
        ] {
            assert_eq!(
                Filter::new(part.as_bytes()).matches(name.as_bytes()),
                found,
                "{part} {name}"
            );
        }
        assert!(Filter::new(b"\xe9X").matches(b"a\xe9x"));
    }

    proptest! {
        #[test]
        fn the_order_is_total(names in proptest::collection::vec("[a-bA-B0-1]{0,4}", 3)) {
            let [a, b, c] = [0, 1, 2].map(|at| names[at].as_bytes());
            prop_assert_eq!(natural_order(a, b), natural_order(b, a).reverse());
            prop_assert_eq!(natural_order(a, b) == Ordering::Equal, a == b);
            if natural_order(a, b).is_le() && natural_order(b, c).is_le() {
                prop_assert!(natural_order(a, c).is_le());
            }
        }
    }
}
