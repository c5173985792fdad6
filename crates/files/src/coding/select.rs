//! Selects the content coding of a response: of the available ones, the one that the client
//! prefers.

use crate::options::codings::Coding;
use crate::request::accept_encoding::Accepted;

/// Whether a file is available in a coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    None,
    /// The file is compressed on demand; its compressed length isn't known beforehand.
    OnDemand,
    /// A precompressed file with this length in bytes.
    Precompressed(u64),
}

/// Selects a coding; `None` is the uncompressed file. A client that accepts no available
/// representation gets the uncompressed file, too: a 406 would be no more useful.
///
/// Of codings with equal weights, precompressed files come first, because they are usually
/// compressed best. The shortest precompressed file comes before the others. Then come the codings
/// on demand, in the order of [`Coding::ALL`].
pub(crate) fn select(accepted: Accepted, offers: [Offer; Coding::ALL.len()]) -> Option<Coding> {
    // A weight of 0 is a refusal.
    let min_weight = accepted.identity().max(1);
    let mut best = None;
    for coding in Coding::ALL {
        let (weight, offer) = (accepted.weight(coding), offers[coding as usize]);
        // A coding with the same weight as `identity` is preferred: it saves bytes.
        if offer == Offer::None || weight < min_weight {
            continue;
        }
        let better = match best {
            None => true,
            Some((best_weight, _, _)) if weight != best_weight => weight > best_weight,
            Some((_, Offer::Precompressed(shortest), _)) => {
                matches!(offer, Offer::Precompressed(len) if len < shortest)
            }
            Some(_) => matches!(offer, Offer::Precompressed(_)),
        };
        if better {
            best = Some((weight, offer, coding));
        }
    }
    best.map(|(_, _, coding)| coding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Offer::*;
    use super::*;
    use crate::tests::accepted;

    const ALL: &str = "gzip, deflate, br, zstd";

    fn selected(value: &str, offers: [Offer; 3]) -> Option<&'static str> {
        select(accepted([value.as_bytes()]), offers).map(Coding::name)
    }

    #[test]
    fn weight_decides_then_precompression_then_length_then_preference() {
        for (value, [zstd, br, gzip], expected) in [
            (ALL, [None, None, None], Option::None),
            (ALL, [OnDemand, OnDemand, OnDemand], Some("zstd")),
            (ALL, [None, OnDemand, OnDemand], Some("br")),
            ("gzip, br", [OnDemand, OnDemand, OnDemand], Some("br")),
            ("gzip", [OnDemand, OnDemand, OnDemand], Some("gzip")),
            ("deflate", [OnDemand, OnDemand, OnDemand], Option::None),
            ("", [OnDemand, OnDemand, OnDemand], Option::None),
            // Weights outrank everything else.
            ("gzip;q=0.9, br;q=0.8, zstd;q=0.7", [OnDemand, OnDemand, OnDemand], Some("gzip")),
            ("gzip;q=0.1, br;q=0.2", [OnDemand, OnDemand, Precompressed(1)], Some("br")),
            ("*;q=0.5, gzip", [Precompressed(1), OnDemand, OnDemand], Some("gzip")),
            ("gzip;q=0.5, identity", [OnDemand, OnDemand, Precompressed(1)], Option::None),
            ("gzip;q=0.5, identity;q=0.5", [OnDemand, OnDemand, Precompressed(1)], Some("gzip")),
            ("gzip;q=0.001", [OnDemand, OnDemand, OnDemand], Some("gzip")),
            ("gzip;q=0", [OnDemand, OnDemand, OnDemand], Option::None),
            // Precompressed files, and the smallest of them.
            (ALL, [OnDemand, OnDemand, Precompressed(50)], Some("gzip")),
            (ALL, [OnDemand, Precompressed(40), Precompressed(50)], Some("br")),
            (ALL, [Precompressed(60), Precompressed(50), Precompressed(40)], Some("gzip")),
            (ALL, [Precompressed(40), Precompressed(40), Precompressed(40)], Some("zstd")),
            (ALL, [Precompressed(50), OnDemand, Precompressed(50)], Some("zstd")),
            // `identity` is refused. If no available coding is accepted, the file is sent
            // uncompressed.
            ("identity;q=0", [OnDemand, OnDemand, OnDemand], Option::None),
            ("*;q=0", [OnDemand, OnDemand, OnDemand], Option::None),
            ("identity;q=0, br", [Precompressed(9), None, OnDemand], Option::None),
            ("identity;q=0, br;q=0.1", [Precompressed(9), OnDemand, OnDemand], Some("br")),
        ] {
            assert_eq!(
                selected(value, [zstd, br, gzip]),
                expected,
                "{value} {zstd:?} {br:?} {gzip:?}"
            );
        }
    }

    fn offer() -> impl Strategy<Value = Offer> {
        prop_oneof![Just(None), Just(OnDemand), (0..4_u64).prop_map(Precompressed)]
    }

    proptest! {
        #[test]
        fn the_selected_coding_exists_and_is_accepted_with_the_highest_weight(
            weights in proptest::array::uniform4(0..5_u16),
            offers in proptest::array::uniform3(offer()),
        ) {
            let [zstd, br, gzip, identity] = weights;
            let value = format!(
                "zstd;q=0.{zstd}, br;q=0.{br}, gzip;q=0.{gzip}, identity;q=0.{identity}"
            );
            let accepted = accepted([value.as_bytes()]);
            let chosen = select(accepted, offers);
            let weight = |coding| accepted.weight(coding);
            if let Some(coding) = chosen {
                prop_assert!(weight(coding) > 0 && weight(coding) >= accepted.identity());
                prop_assert_ne!(offers[coding as usize], None);
            }
            for coding in Coding::ALL.into_iter().filter(|it| offers[*it as usize] != None) {
                match chosen {
                    Option::None => {
                        prop_assert!(weight(coding) == 0 || weight(coding) < accepted.identity());
                    }
                    Some(chosen) => prop_assert!(weight(coding) <= weight(chosen)),
                }
            }
        }
    }
}
