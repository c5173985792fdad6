//! What was typed to look for cliffs.

use std::time::Duration;

use crate::{Result, args::number};

pub(super) const HELP: &str = "\
Looks for what makes a request dearer that shouldn't: each thing in a pair of states of our server.

Usage: sockeye-benches cliffs [NAMES...] [OPTIONS]

  idle       9,900 connections that do nothing
  readers    1,000 connections that ask for 1 GiB and hardly read
  uptime     millions of requests, and 100,000 connections that came and went
  folder     100,000 files in it
  changing   a hot file that changes ten times a second
  cold       files that nobody has asked for before
  heads      a browser's long heads
  writes     replies that are written in many pieces
  corking    every kind of reply: its calls to the kernel, its segments, its stalls

  --rounds N        rounds in which both states have their turn [10]
  --seconds S       length of one measured stretch [1]
  --tries N         how often a stretch is measured that other work disturbs [3]
  --server FILE     the sockeye binary to measure [built from this tree]
  --help            this text
";

const CLIFFS: [&str; 9] =
    ["idle", "readers", "uptime", "folder", "changing", "cold", "heads", "writes", "corking"];

/// What was typed.
#[derive(Debug)]
pub(super) struct Args {
    pub(super) cliffs: Vec<&'static str>,
    pub(super) rounds: usize,
    pub(super) length: Duration,
    /// How often a stretch is measured that other work disturbs.
    pub(super) tries: u32,
    pub(super) server: Option<String>,
}

/// Reads the command line; `None` when help was asked for.
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
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--rounds" => args.rounds = number::<usize>(word, value()?)?.max(1),
            "--seconds" => {
                let seconds: f64 = number(word, value()?)?;
                args.length = Duration::try_from_secs_f64(seconds.max(0.1))?;
            }
            "--tries" => args.tries = number::<u32>(word, value()?)?.max(1),
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
    fn all_are_looked_for_unless_some_are_named() {
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
    fn what_is_wrong_is_named() {
        for (line, says) in [
            ("niagara", "there is no cliff niagara; --help lists them"),
            ("--rounds", "--rounds wants a value"),
            ("--seconds long", "--seconds wants a number, not long"),
        ] {
            assert_eq!(parsed(line).unwrap_err().to_string(), says);
        }
    }

    #[test]
    fn every_cliff_is_in_the_help_and_has_something_to_look_at() {
        for name in CLIFFS {
            assert!(HELP.contains(&format!("  {name} ")), "{name}");
            assert!(name == "corking" || cases::all().any(|case| case.cliff == name), "{name}");
        }
        for case in cases::all() {
            assert!(CLIFFS.contains(&case.cliff), "{}", case.cliff);
        }
    }
}
