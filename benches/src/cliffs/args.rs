//! The command line of `cliffs`.

use std::time::Duration;

use crate::{
    Result,
    args::{at_least_one, length},
};

pub(super) const HELP: &str = "\
Measures conditions that should not make a request more expensive, in pairs of a plain and a strained server.

Usage: sockeye-benches cliffs [NAMES...] [OPTIONS]

  idle       9,900 idle connections
  readers    1,000 slow readers of 1 GiB
  uptime     after millions of requests and 100,000 connections
  folder     a folder of 100,000 files
  changing   a hot file that changes ten times per second
  cold       files that are not cached
  heads      a browser's long heads
  writes     responses that are written in many pieces
  corking    system calls, segments and stalls of every kind of response

  --rounds N        number of rounds; both servers run once per round [10]
  --seconds S       length of a run [1]
  --tries N         maximum number of attempts of a run that other work disturbs [3]
  --server FILE     the sockeye binary to measure [built from this tree]
  --help            this text
";

/// The names of the conditions, called cliffs.
const CLIFFS: [&str; 9] =
    ["idle", "readers", "uptime", "folder", "changing", "cold", "heads", "writes", "corking"];

/// The parsed command line.
#[derive(Debug)]
pub(super) struct Args {
    pub(super) cliffs: Vec<&'static str>,
    pub(super) rounds: usize,
    pub(super) length: Duration,
    /// Maximum number of attempts of a disturbed run.
    pub(super) tries: u32,
    pub(super) server: Option<String>,
}

/// Parses the command line. `None` is a request for help.
pub(super) fn parse(words: &[String]) -> Result<Option<Args>> {
    let mut args = Args {
        cliffs: Vec::new(),
        rounds: 10,
        length: Duration::from_secs(1),
        tries: 3,
        server: None,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--rounds" => args.rounds = at_least_one(word, value()?)?,
            "--seconds" => args.length = length(word, value()?)?,
            "--tries" => args.tries = at_least_one(word, value()?)?,
            "--server" => args.server = Some(value()?.clone()),
            name => {
                let known = CLIFFS.into_iter().find(|known| *known == name);
                let unknown = || format!("there is no cliff {name}; --help lists them");
                args.cliffs.push(known.ok_or_else(unknown)?);
            }
        }
    }
    if args.cliffs.is_empty() {
        args.cliffs = CLIFFS.to_vec();
    }
    Ok(Some(args))
}

#[cfg(test)]
mod tests {
    use super::super::cases;
    use super::*;

    fn parsed(line: &str) -> Result<Option<Args>> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn all_cliffs_are_measured_unless_some_are_named() {
        let all = parsed("--rounds 3").unwrap().unwrap();
        assert_eq!((all.cliffs.len(), all.rounds), (CLIFFS.len(), 3));
        let some = parsed("idle --seconds 2 corking").unwrap().unwrap();
        assert_eq!(
            (&some.cliffs[..], some.length),
            (&["idle", "corking"][..], Duration::from_secs(2))
        );
        assert!(parsed("idle --help").unwrap().is_none());
    }

    #[test]
    fn errors_name_the_wrong_argument() {
        for (line, message) in [
            ("niagara", "there is no cliff niagara; --help lists them"),
            ("--rounds", "--rounds needs a value"),
            ("--seconds long", "--seconds needs a number, not long"),
            ("--seconds 0", "--seconds needs 0.1 to 3600"),
            ("--rounds 0", "--rounds needs at least 1"),
            ("--tries 0", "--tries needs at least 1"),
        ] {
            assert_eq!(parsed(line).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn every_cliff_is_in_the_help_and_has_a_case() {
        for name in CLIFFS {
            assert!(HELP.contains(&format!("  {name} ")), "{name}");
            // `corking` has no cases: `wire` measures it.
            assert!(name == "corking" || cases::all().any(|case| case.cliff == name), "{name}");
        }
        for case in cases::all() {
            assert!(CLIFFS.contains(&case.cliff), "{}", case.cliff);
        }
    }
}
