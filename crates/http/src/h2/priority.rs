//! The priority of a response (RFC 9218).

/// The priority of a response (RFC 9218, 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Priority {
    /// From 0, the most urgent, to 7.
    pub(crate) urgency: u8,
    /// Whether the client can use parts of the response as they arrive. Then it is sent alternately
    /// with other such responses of the same urgency.
    pub(crate) incremental: bool,
}

/// Without a signal from the client, responses are sent alternately. RFC 9218, 10, leaves that to
/// the server: such a client may be a proxy, with requests of several users.
impl Default for Priority {
    fn default() -> Self {
        Self { urgency: 3, incremental: true }
    }
}

impl Priority {
    /// Reads the value of a `Priority` field, a dictionary of structured fields (RFC 9651, 3.2).
    /// Members that are unknown, out of range or of another type are ignored (RFC 9218, 4). The
    /// others are used even if the value as a whole is not a valid dictionary, since a priority is
    /// only a hint.
    pub(crate) fn of(value: &[u8]) -> Self {
        let mut priority = Self { urgency: 3, incremental: false };
        for member in value.split(|byte| *byte == b',') {
            let member = member.trim_ascii();
            // A member's own parameters follow a semicolon.
            let end = memchr::memchr(b';', member).unwrap_or(member.len());
            match member[..end].trim_ascii_end() {
                [b'u', b'=', digit @ b'0'..=b'7'] => priority.urgency = digit - b'0',
                b"i" | b"i=?1" => priority.incremental = true,
                b"i=?0" => priority.incremental = false,
                _ => {}
            }
        }
        priority
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
            ("u=-1, u=x, u, U=1", 3, false),
            ("u=10", 3, false),
            ("i=1, j, a=\"b\"", 3, false),
        ] {
            let expected = Priority { urgency, incremental };
            assert_eq!(Priority::of(value.as_bytes()), expected, "{value}");
        }
    }
}
