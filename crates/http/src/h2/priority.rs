//! The priority of a response (RFC 9218).

use std::convert::Infallible;

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser};

/// The priority of a response (RFC 9218, 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Priority {
    /// From 0, the most urgent, to 7.
    pub(crate) urgency: u8,
    /// Whether the client can use parts of the response as they arrive. If so, the response is sent
    /// alternately with other such responses of the same urgency.
    pub(crate) incremental: bool,
}

/// The priority without a valid signal from the client. Responses are sent alternately, although a
/// server should act as if the client had sent `i=?0` (RFC 9218, 4): such a client may be a proxy,
/// with requests of several users.
impl Default for Priority {
    fn default() -> Self {
        Self { urgency: 3, incremental: true }
    }
}

impl Priority {
    /// Reads the value of a `Priority` field, a dictionary of structured fields (RFC 9651, 3.2).
    /// Members that are unknown, out of range or of another type are ignored (RFC 9218, 4). `None`
    /// if the value is not a valid dictionary: then it is ignored as a whole (RFC 9651, 4.2).
    pub(crate) fn of(value: &[u8]) -> Option<Self> {
        Parser::new(value).parse_dictionary_with_visitor(Self::OF_AN_EMPTY_FIELD).ok()
    }

    const OF_AN_EMPTY_FIELD: Self = Self { urgency: 3, incremental: false };
}

impl<'a> DictionaryVisitor<'a> for Priority {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        // If a key occurs twice, only its last member counts (RFC 9651, 4.2.2). So each member
        // first resets what earlier ones have set.
        let Self { urgency, incremental } = Self::OF_AN_EMPTY_FIELD;
        let member = match key.as_str() {
            "u" => {
                self.urgency = urgency;
                Some(Member::Urgency(&mut self.urgency))
            }
            "i" => {
                self.incremental = incremental;
                Some(Member::Incremental(&mut self.incremental))
            }
            _ => None,
        };
        Ok(member)
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

/// The part of a [`Priority`] that a member of the dictionary sets.
enum Member<'p> {
    Urgency(&'p mut u8),
    Incremental(&'p mut bool),
}

impl<'a> EntryVisitor<'a> for Member<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        Ok(Ignored)
    }
}

impl<'a> ItemVisitor<'a> for Member<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        match (self, item) {
            (Self::Urgency(urgency), BareItemFromInput::Integer(value)) => {
                let value = u8::try_from(i64::from(value)).ok();
                *urgency = value.filter(|value| *value <= 7).unwrap_or(*urgency);
            }
            (Self::Incremental(incremental), BareItemFromInput::Boolean(value)) => {
                *incremental = value;
            }
            _ => {}
        }
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_an_urgency_and_may_be_incremental() {
        for (value, urgency, incremental) in [
            ("", 3, false),
            ("u=0", 0, false),
            ("u=7, i", 7, true),
            ("i=?1,u=5", 5, true),
            ("u=1;x=2, i;y", 1, true),
            ("i, i=?0", 3, false),
            ("u=1, u=2", 2, false),
            ("u=8", 3, false),
            ("u=-1, u=x, u", 3, false),
            ("u=10", 3, false),
            ("i=1, j, a=\"b\"", 3, false),
            ("u=1, u=x", 3, false),
            ("i, i=(1 2)", 3, false),
            ("a=\"u=1, i\", b=(i u);u=2", 3, false),
            ("  u=1\t,\t i  ", 1, true),
        ] {
            let expected = Priority { urgency, incremental };
            assert_eq!(Priority::of(value.as_bytes()), Some(expected), "{value}");
        }
    }

    #[test]
    fn a_value_that_is_no_dictionary_is_ignored_as_a_whole() {
        for value in ["u=1,", "u=1 i", "U=1, i", "u=", "u=1, a=\"b", "u=1;", "u=1, \u{e9}", "\tu=1"]
        {
            assert_eq!(Priority::of(value.as_bytes()), None, "{value}");
        }
    }
}
