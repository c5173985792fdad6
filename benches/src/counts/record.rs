//! The file `counts.txt`. Each line has one figure of one row of the benchmark, such as
//! `16k.calls = 3.01`.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::Result;

/// The first lines of the file.
const HEAD: &str = "\
# What a request costs, counted; written by `cargo run --release -p sockeye-benches -- counts --write`.
# CI fails when a figure grows by more than 5 %. A commit that changes this file says why.
";

/// Tolerance that is added to a recorded figure, for system calls and allocations that no request
/// causes.
pub(super) const NOISE: f64 = 0.05;

/// Figures, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts(BTreeMap<String, f64>);

impl Counts {
    /// Sets a figure, rounded to one hundredth.
    pub(super) fn set(&mut self, row: &str, what: &str, figure: f64) {
        self.0.insert(format!("{row}.{what}"), (figure * 100.0).round() / 100.0);
    }

    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, figure)| (name.as_str(), *figure))
    }

    /// The text of the file.
    pub(super) fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (name, figure) in self.all() {
            let _ = writeln!(text, "{name} = {figure}");
        }
        text
    }

    pub(super) fn read(text: &str) -> Result<Self> {
        let mut counts = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, figure) =
                line.split_once(" = ").ok_or_else(|| format!("no figure: {line}"))?;
            counts.0.insert(name.to_owned(), figure.parse()?);
        }
        Ok(counts)
    }

    /// One sentence for each figure that is not in `recorded`, or that has grown above its recorded
    /// value times `growth`, plus [`NOISE`].
    pub(super) fn grown(&self, recorded: &Self, growth: f64) -> Vec<String> {
        self.all()
            .filter_map(|(name, figure)| match recorded.get(name) {
                None => Some(format!("{name} is {figure}, and not recorded")),
                Some(old) if figure > old * growth + NOISE => {
                    Some(format!("{name} is {figure}, and was {old}"))
                }
                Some(_) => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_they_were_written() {
        let mut counts = Counts::default();
        counts.set("small", "calls", 3.001);
        counts.set("idle", "bytes", 417.25);
        assert_eq!(Counts::read(&counts.text()).unwrap(), counts);
        assert_eq!(counts.get("small.calls"), Some(3.0));
        assert!(Counts::read("small.calls").is_err());
    }

    #[test]
    fn growth_and_new_figures_are_reported() {
        let old = Counts::read("a.x = 100\nb.x = 100\nc.x = 0\nd.x = 3\n").unwrap();
        let new = Counts::read("a.x = 106\nb.x = 50\nc.x = 1\nd.x = 3.04\ne.x = 1\n").unwrap();
        let grown = new.grown(&old, 1.05);
        assert_eq!(
            grown,
            ["a.x is 106, and was 100", "c.x is 1, and was 0", "e.x is 1, and not recorded"]
        );
        assert!(new.grown(&new, 1.05).is_empty());
    }
}
