//! The command line of the comparison of servers, which is the default command. A row is one
//! workload.

use std::{path::PathBuf, str::FromStr, time::Duration};

use crate::{Result, kind::Kind, rows};

pub(crate) const HELP: &str = "\
Compares Sockeye, other servers and a bare one (`limit`), which parses almost nothing, in one run.

Usage: sockeye-benches [OPTIONS]
       sockeye-benches counts [--check | --write]   exact costs, against benches/counts.txt
       sockeye-benches counts profile ROW           a row's instructions per function
       sockeye-benches cliffs [--help]              what might make a request more expensive

  --rows A,B        only these rows: small, pipelined, many, logged, browser, mix, pages, ten, churn,
                    1k, 16k, 100k, 1m, 10m, echo, message, message-deep, message-churn, idle,
                    tls-small, tls-16k, tls-1m, tls-full, tls-resumed, tls-idle, h2-small, h2-small-1,
                    h2-page, h2-1m, h2-idle, h2-tls-small, h2-tls-small-1, h2-tls-page, h2-tls-1m,
                    h2-tls-idle, ws-echo, ws-many, ws-1k, ws-64k, ws-broadcast, ws-idle [all]
  --servers A,B     only these servers: limit, ours, before, nginx, lighttpd, h2o, nghttpd,
                    static-web-server, axum, hyper, may, tokio, tungstenite, node-ws
                    [all that are available]
  --rounds N        number of rounds; every server runs once per round [20]
  --seconds S       length of a run [1]
  --idle N          idle connections of the rows whose names end in `idle` [10000]
  --server FILE     the sockeye binary to measure [built from this tree]
  --before FILE     another build of sockeye, measured beside it
  --json FILE       write every run to FILE
  --svg FILE        write the ratios to FILE as a chart
  --install         install missing servers and compression programs, with apt-get, cargo and
                    npm; static-web-server takes some minutes
  --quick           one short round, to check that everything works; servers that would have to be
                    built or installed first are left out
  --help            this text
";

/// The range of `--seconds`. A shorter run would mostly measure how connections are opened.
const MIN_SECONDS: f64 = 0.1;
const MAX_SECONDS: f64 = 3600.0;

/// The values of the options in [`HELP`].
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) rows: Vec<&'static str>,
    pub(crate) servers: Vec<Kind>,
    pub(crate) rounds: usize,
    /// The length of a run: `--seconds`.
    pub(crate) length: Duration,
    /// Number of connections in rows with idle connections, which measure memory.
    pub(crate) idle: usize,
    pub(crate) server: Option<PathBuf>,
    pub(crate) before: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
    pub(crate) install: bool,
    pub(crate) quick: bool,
}

/// Parses the command line. Returns `None` for `--help`.
pub(crate) fn parse(words: &[String]) -> Result<Option<Args>> {
    let mut args = Args {
        rows: rows::names().collect(),
        servers: Kind::ALL.to_vec(),
        rounds: 20,
        length: Duration::from_secs(1),
        idle: 10_000,
        server: None,
        before: None,
        json: None,
        svg: None,
        install: false,
        quick: false,
    };
    let mut words = words.iter();
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--help" | "-h" => return Ok(None),
            "--quick" => {
                args.quick = true;
                args.rounds = 1;
                args.length = Duration::from_millis(200);
                args.idle = 200;
            }
            "--rows" => args.rows = value()?.split(',').map(row).collect::<Result<_>>()?,
            "--servers" => args.servers = value()?.split(',').map(server).collect::<Result<_>>()?,
            "--rounds" => args.rounds = at_least_one(flag, value()?)?,
            "--seconds" => args.length = length(flag, value()?)?,
            "--idle" => args.idle = at_least_one(flag, value()?)?,
            "--server" => args.server = Some(value()?.into()),
            "--before" => args.before = Some(value()?.into()),
            "--svg" => args.svg = Some(value()?.into()),
            "--install" => args.install = true,
            "--json" => args.json = Some(value()?.into()),
            _ => return Err(format!("unknown option {flag}; --help lists the options").into()),
        }
    }
    // `--servers` names `before`: a comparison that silently left it out would be misread.
    if args.before.is_none()
        && args.servers.len() < Kind::ALL.len()
        && args.servers.contains(&Kind::Before)
    {
        return Err("the server `before` needs --before FILE".into());
    }
    Ok(Some(args))
}

fn row(name: &str) -> Result<&'static str> {
    let found = rows::names().find(|known| *known == name);
    found.ok_or_else(|| format!("there is no row {name}; --help lists them").into())
}

fn server(name: &str) -> Result<Kind> {
    let found = Kind::ALL.into_iter().find(|kind| kind.cli_name() == name);
    found.ok_or_else(|| format!("there is no server {name}; --help lists them").into())
}

pub(crate) fn at_least_one<T: FromStr + Default + PartialEq>(flag: &str, word: &str) -> Result<T> {
    let number = number(flag, word)?;
    // The default of a number is 0.
    if number == T::default() {
        return Err(format!("{flag} needs at least 1").into());
    }
    Ok(number)
}

/// Parses the length of a run, in seconds.
pub(crate) fn length(flag: &str, word: &str) -> Result<Duration> {
    let seconds: f64 = number(flag, word)?;
    if !(MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
        return Err(format!("{flag} needs {MIN_SECONDS} to {MAX_SECONDS}").into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Parses the value of a flag.
fn number<T: FromStr>(flag: &str, word: &str) -> Result<T> {
    word.parse().map_err(|_| format!("{flag} needs a number, not {word}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_override_the_defaults_also_after_quick() {
        let args = parse(&words("--quick --rounds 3 --rows 1k,echo --servers limit --before old"))
            .unwrap();
        let args = args.unwrap();
        assert_eq!(args.rounds, 3);
        assert_eq!(args.rows, ["1k", "echo"]);
        assert_eq!(args.servers, [Kind::Limit]);
        assert_eq!(args.before, Some("old".into()));
        assert_eq!(args.length, Duration::from_millis(200));
    }

    #[test]
    fn errors_name_the_wrong_argument() {
        for (line, message) in [
            ("--rounds", "--rounds needs a value"),
            ("--rounds many", "--rounds needs a number, not many"),
            ("--rounds 0", "--rounds needs at least 1"),
            ("--idle 0", "--idle needs at least 1"),
            ("--seconds 0", "--seconds needs 0.1 to 3600"),
            ("--seconds NaN", "--seconds needs 0.1 to 3600"),
            ("--rows 3k", "there is no row 3k; --help lists them"),
            ("--servers ours,before", "the server `before` needs --before FILE"),
            ("--servers apache", "there is no server apache; --help lists them"),
            ("--fast", "unknown option --fast; --help lists the options"),
        ] {
            assert_eq!(parse(&words(line)).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn help_names_every_row() {
        for name in rows::names().chain(Kind::ALL.map(Kind::cli_name)) {
            assert!(HELP.contains(name), "{name}");
        }
    }
}
