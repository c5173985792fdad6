//! The baseline: the counts of one commit, and ceilings for later ones.
//!
//! Each commit may raise a figure of `counts.txt` a little, and many small increases would add up.
//! So the figures are also compared with `baseline.txt`, which people edit by hand: `counts
//! --write` changes only `counts.txt`. Lines of the baseline, for the requests `small` and `16k`
//! (with explanations that are not in the file):
//!
//! ```text
//! small.instructions = 1576.17, at most 1655     # fails above 1655
//! small.calls = 3                                # fails above 3 + NOISE, as do allocations
//! 16k.instructions = 1964.2                      # for comparison only
//! ```

use std::collections::BTreeMap;

use super::record::{Counts, NOISE};
use crate::Result;

/// Figures, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Baseline(BTreeMap<String, Entry>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    figure: f64,
    /// The ceiling that the line states (`at most`).
    at_most: Option<f64>,
}

impl Baseline {
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut baseline = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, rest) =
                line.split_once(" = ").ok_or_else(|| format!("no figure: {line}"))?;
            let (figure, at_most) = match rest.split_once(", at most ") {
                Some((figure, ceiling)) => (figure, Some(ceiling.parse()?)),
                None => (rest, None),
            };
            let entry = Entry { figure: figure.parse()?, at_most };
            if baseline.insert(name.to_owned(), entry).is_some() {
                return Err(format!("{name} is in the baseline twice").into());
            }
        }
        Ok(Self(baseline))
    }

    /// The figure of `name`.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).map(|entry| entry.figure)
    }

    /// The stated ceiling of `name`. If none is stated: for system calls and allocations, the
    /// figure plus [`NOISE`]; for everything else, `None`.
    fn ceiling(name: &str, entry: Entry) -> Option<f64> {
        let is_own_ceiling = name.ends_with(".calls") || name.ends_with(".allocations");
        entry.at_most.or(is_own_ceiling.then_some(entry.figure + NOISE))
    }

    /// Sentences about the ceilings that `counts` exceeds, and the figures that it lacks.
    pub(super) fn exceeded(&self, counts: &Counts) -> Vec<String> {
        let sentence = |(name, entry): (&String, &Entry)| {
            let Some(figure) = counts.get(name) else {
                return Some(format!("{name} is no longer counted"));
            };
            let ceiling = Self::ceiling(name, *entry)?;
            let limit = entry.at_most.unwrap_or(entry.figure);
            (figure > ceiling).then(|| format!("{name} is {figure}; the baseline allows {limit}"))
        };
        self.0.iter().filter_map(sentence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test has a copy of the ceilings, so that nobody changes one by accident.
    #[test]
    fn the_baseline_has_these_ceilings_and_this_number_of_other_figures() {
        let baseline = Baseline::read(include_str!("../../baseline.txt")).unwrap();
        let stated: Vec<_> = baseline
            .0
            .iter()
            .filter_map(|(name, entry)| Some((&**name, entry.figure, entry.at_most?)))
            .collect();
        assert_eq!(
            stated,
            [
                ("browser.instructions", 1763.79, 1852.0),
                ("pipelined.instructions", 973.4, 1022.0),
                ("small.instructions", 1576.17, 1655.0),
            ]
        );
        let others = baseline.0.iter().filter(|(name, _)| !name.ends_with(".instructions"));
        assert_eq!(
            others.count(),
            11 + 10 + 1,
            "allocations, calls, and the bytes of an idle connection"
        );
    }

    #[test]
    fn exceeded_and_missing_figures_are_reported() {
        let baseline = Baseline::read(
            "# A comment.\na.instructions = 100, at most 105\nb.instructions = 100\n\
             c.calls = 3\nd.allocations = 0\ne.calls = 3\nf.bytes = 300\ng.calls = 1\n",
        )
        .unwrap();
        assert_eq!(baseline.get("a.instructions"), Some(100.0));
        let counts = |text: &str| Counts::read(text).unwrap();
        let fine = "a.instructions = 105\nb.instructions = 900\nc.calls = 3.04\n\
                    d.allocations = 0\ne.calls = 2\nf.bytes = 900\ng.calls = 1\nnew.calls = 9\n";
        assert!(baseline.exceeded(&counts(fine)).is_empty());
        let worse = "a.instructions = 105.1\nb.instructions = 900\nc.calls = 3.06\n\
                     d.allocations = 1\ne.calls = 2\nf.bytes = 900\n";
        assert_eq!(
            baseline.exceeded(&counts(worse)),
            [
                "a.instructions is 105.1; the baseline allows 105",
                "c.calls is 3.06; the baseline allows 3",
                "d.allocations is 1; the baseline allows 0",
                "g.calls is no longer counted",
            ]
        );
    }

    #[test]
    fn a_line_that_cannot_be_read_is_an_error() {
        for text in ["a.calls", "a.calls = ", "a.calls = 1, at most x", "a.x = 1\na.x = 2"] {
            assert!(Baseline::read(text).is_err(), "{text}");
        }
    }
}
