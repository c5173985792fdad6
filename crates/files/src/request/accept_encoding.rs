//! `Accept-Encoding` (RFC 9110, 12.5.3): which codings a client accepts, with weights.
//!
//! The field is parsed in one pass, without an allocation. Invalid members are ignored. If a coding
//! is named twice, the lower weight counts: a response that the client can't decode is worse than a
//! longer one.

use crate::options::codings::Coding;

/// The weight `q=1`, in thousandths.
const MAX_WEIGHT: u16 = 1000;
/// The lowest weight that is not a refusal. It is the default of `identity`, so that every coding
/// that the client accepts is preferred.
const MIN_WEIGHT: u16 = 1;

/// The weight of each coding, in thousandths; 0 is a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    codings: [u16; Coding::ALL.len()],
    identity: u16,
}

impl Accepted {
    /// The weight of a coding.
    pub(crate) fn weight(self, coding: Coding) -> u16 {
        self.codings[coding as usize]
    }

    /// The weight of `identity`: content without a coding.
    pub(crate) fn identity(self) -> u16 {
        self.identity
    }
}

/// The weights of the members that were parsed so far. A repeated member has its lowest weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AcceptEncoding {
    /// Whether the request has the field.
    is_present: bool,
    codings: [Option<u16>; Coding::ALL.len()],
    identity: Option<u16>,
    /// `*`: all codings that are not named.
    wildcard: Option<u16>,
}

impl AcceptEncoding {
    /// Adds the value of an `Accept-Encoding` field. Several such fields are one list (RFC 9110,
    /// 5.3).
    pub(crate) fn push(&mut self, value: &[u8]) {
        self.is_present = true;
        value.split(|byte| *byte == b',').for_each(|member| self.add(member));
    }

    fn add(&mut self, member: &[u8]) {
        let Some((name, weight)) = split_weight(member) else { return };
        let place = if let Some(coding) = Coding::from_name(name) {
            &mut self.codings[coding as usize]
        } else if name == b"*" {
            &mut self.wildcard
        } else if name.eq_ignore_ascii_case(b"identity") {
            &mut self.identity
        } else {
            return;
        };
        *place = Some(place.map_or(weight, |before| before.min(weight)));
    }

    /// The weights, once the whole list was added.
    pub(crate) fn finish(self) -> Accepted {
        if !self.is_present {
            // Without the field, any coding is allowed (RFC 9110, 12.5.3). But a client that
            // doesn't send it can rarely decode one.
            return Accepted { codings: [0; Coding::ALL.len()], identity: MAX_WEIGHT };
        }
        let identity = match (self.identity, self.wildcard) {
            (Some(weight), _) => weight,
            // `*` can refuse `identity`, but doesn't raise its weight.
            (None, Some(0)) => 0,
            (None, _) => MIN_WEIGHT,
        };
        let wildcard = self.wildcard.unwrap_or(0);
        Accepted { codings: self.codings.map(|weight| weight.unwrap_or(wildcard)), identity }
    }
}

/// Splits `name;q=weight`; `None` if it is invalid.
fn split_weight(member: &[u8]) -> Option<(&[u8], u16)> {
    let Some(at) = member.iter().position(|byte| *byte == b';') else {
        return Some((trim(member), MAX_WEIGHT));
    };
    let (name, parameter) = (trim(&member[..at]), trim(&member[at + 1..]));
    let [b'q' | b'Q', b'=', weight @ ..] = parameter else { return None };
    Some((name, thousandths(weight)?))
}

/// A weight (RFC 9110, 12.4.2): `0` or `1`, with up to three decimals.
pub(crate) fn thousandths(weight: &[u8]) -> Option<u16> {
    let (whole, decimals) = match weight {
        [whole] => (*whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (*whole, decimals),
        _ => return None,
    };
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => MAX_WEIGHT,
        _ => return None,
    };
    for (digit, worth) in decimals.iter().zip([100, 10, 1]) {
        thousandths += u16::from(digit.is_ascii_digit().then(|| digit - b'0')?) * worth;
    }
    (thousandths <= MAX_WEIGHT).then_some(thousandths)
}

/// Removes spaces and tabs at both ends (RFC 9110, 5.6.3).
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::accepted;

    /// Weights of zstd, br, gzip and of no coding.
    fn weights(values: &[&str]) -> (u16, u16, u16, u16) {
        let accepted = accepted(values.iter().map(|value| value.as_bytes()));
        let [zstd, br, gzip] = Coding::ALL.map(|coding| accepted.weight(coding));
        (zstd, br, gzip, accepted.identity())
    }

    #[test]
    fn lists_and_their_weights() {
        for (value, expected) in [
            // Values that browsers, curl and libraries send.
            ("gzip, deflate, br, zstd", (1000, 1000, 1000, 1)),
            ("gzip, deflate, br", (0, 1000, 1000, 1)),
            ("deflate, gzip, br, zstd", (1000, 1000, 1000, 1)),
            ("gzip,deflate", (0, 0, 1000, 1)),
            ("gzip", (0, 0, 1000, 1)),
            ("identity", (0, 0, 0, 1000)),
            ("deflate", (0, 0, 0, 1)),
            // RFC 9110's own examples.
            ("compress, gzip", (0, 0, 1000, 1)),
            ("", (0, 0, 0, 1)),
            ("*", (1000, 1000, 1000, 1)),
            ("compress;q=0.5, gzip;q=1.0", (0, 0, 1000, 1)),
            ("gzip;q=1.0, identity; q=0.5, *;q=0", (0, 0, 1000, 500)),
            // Weights.
            ("gzip;q=0.5, br;q=0.75, zstd;q=0.125", (125, 750, 500, 1)),
            ("gzip;q=1, br;q=1., zstd;q=1.000", (1000, 1000, 1000, 1)),
            ("gzip;q=0, br;q=0., zstd;q=0.000", (0, 0, 0, 1)),
            ("gzip;q=0.001", (0, 0, 1, 1)),
            ("br;Q=0.5", (0, 500, 0, 1)),
            ("br ;\tq=0.5 , gzip", (0, 500, 1000, 1)),
            ("BR, GZip, X-GZIP, ZSTD", (1000, 1000, 1000, 1)),
            ("x-gzip", (0, 0, 1000, 1)),
            // `identity` and `*`.
            ("identity;q=0", (0, 0, 0, 0)),
            ("identity;q=0, gzip", (0, 0, 1000, 0)),
            ("*;q=0", (0, 0, 0, 0)),
            ("*;q=0, identity", (0, 0, 0, 1000)),
            ("*;q=0, br", (0, 1000, 0, 0)),
            ("*;q=0.3, br;q=0", (300, 0, 300, 1)),
            ("identity;q=0.2, *;q=0.4", (400, 400, 400, 200)),
            // A repeat counts with the lower weight.
            ("gzip, gzip;q=0", (0, 0, 0, 1)),
            ("gzip;q=0, gzip", (0, 0, 0, 1)),
            ("gzip;q=0.2, x-gzip;q=0.4", (0, 0, 200, 1)),
            // Invalid members are ignored; the others count.
            ("gzip;q=1.001, br", (0, 1000, 0, 1)),
            ("gzip;q=2, br", (0, 1000, 0, 1)),
            ("gzip;q=-1, br", (0, 1000, 0, 1)),
            ("gzip;q=0.1234, br", (0, 1000, 0, 1)),
            ("gzip;q=, br", (0, 1000, 0, 1)),
            ("gzip;q, br", (0, 1000, 0, 1)),
            ("gzip;, br", (0, 1000, 0, 1)),
            ("gzip;q=.5, br", (0, 1000, 0, 1)),
            ("gzip;q= 1, br", (0, 1000, 0, 1)),
            ("gzip;q =1, br", (0, 1000, 0, 1)),
            ("gzip;level=9, br", (0, 1000, 0, 1)),
            ("gzip;q=1;x=2, br", (0, 1000, 0, 1)),
            ("gzip br", (0, 0, 0, 1)),
            ("gzip\0, br", (0, 1000, 0, 1)),
            ("\"gzip\", br", (0, 1000, 0, 1)),
            ("identity;q=00, br", (0, 1000, 0, 1)),
            (",, ,br,,", (0, 1000, 0, 1)),
            (";q=1", (0, 0, 0, 1)),
        ] {
            assert_eq!(weights(&[value]), expected, "{value:?}");
        }
    }

    #[test]
    fn several_fields_are_one_list_and_without_one_only_identity_is_accepted() {
        assert_eq!(weights(&["gzip;q=0.5", "br"]), (0, 1000, 500, 1));
        assert_eq!(weights(&["*;q=0", "", "br"]), (0, 1000, 0, 0));
        assert_eq!(weights(&[]), (0, 0, 0, 1000));
    }

    proptest! {
        /// Neither spaces, nor members for other codings, nor the division into fields change the
        /// weight of a coding. If the coding is repeated, its lowest weight counts.
        #[test]
        fn every_member_counts_in_any_position(
            members in proptest::collection::vec(
                (
                    prop_oneof![
                        Just("gzip"), Just("br"), Just("zstd"), Just("identity"), Just("deflate"),
                    ],
                    0..=1000_u16,
                ),
                0..8,
            ),
            space in prop_oneof![Just(""), Just(" "), Just("\t ")],
            cut in any::<prop::sample::Index>(),
        ) {
            let texts: Vec<String> = members
                .iter()
                .map(|(name, weight)| {
                    format!("{space}{name}{space};{space}q={}.{:03}", weight / 1000, weight % 1000)
                })
                .collect();
            let cut = cut.index(texts.len() + 1);
            let (first, second) = (texts[..cut].join(","), texts[cut..].join(","));
            let lowest = |name| {
                members.iter().filter(|(this, _)| *this == name).map(|(_, weight)| *weight).min()
            };
            let expected = (
                lowest("zstd").unwrap_or(0),
                lowest("br").unwrap_or(0),
                lowest("gzip").unwrap_or(0),
                lowest("identity").unwrap_or(MIN_WEIGHT),
            );
            prop_assert_eq!(weights(&[&texts.join(",")]), expected);
            prop_assert_eq!(weights(&[&first, &second]), expected);
        }

        #[test]
        fn any_bytes_are_parsed_to_weights_within_range(
            value in proptest::collection::vec(
                prop_oneof![
                    any::<u8>(),
                    proptest::sample::select(&b"gzipbrstdq=01.,;* \t"[..]),
                ],
                0..48,
            ),
        ) {
            let accepted = accepted([&value[..]]);
            for coding in Coding::ALL {
                prop_assert!(accepted.weight(coding) <= MAX_WEIGHT);
            }
            prop_assert!(accepted.identity() <= MAX_WEIGHT);
        }
    }

    #[test]
    fn parsing_a_list_allocates_nothing() {
        let measured = allocation_counter::measure(|| {
            let values = [&b"gzip, deflate, br, zstd"[..], b"identity;q=0.5, *;q=0"];
            assert_eq!(accepted(values).identity(), 500);
        });
        assert_eq!(measured.count_total, 0);
    }
}
