//! The effect of every flag of every command: the program runs without the flag, with the flag, and
//! with the flag's environment variable.
//!
//! To add a flag, add a row to [`rows`]. The tests fail while `--help-all` lists a flag without a
//! row.

mod clients;
mod rows;
mod servers;
mod tls;
mod websocket;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::{Folder, Running, run, sockeye, text};

/// The value of a flag that takes no value.
const SWITCH: &str = "";

/// A flag, and how to observe its effect. `{dir}` in a value is the run's folder.
struct Row {
    flag: &'static str,
    value: &'static str,
    /// More flags of all runs, separated by spaces.
    base: &'static str,
    /// Runs the program, and returns what was observed.
    probe: Probe,
    /// What is observed without the flag; `None` if that would take too long.
    without: Option<&'static str>,
    /// What is observed with the flag.
    with: &'static str,
}

type Probe = fn(&Run<'_>) -> String;

/// A flag that changes `without` to `with`.
const fn row(
    flag: &'static str,
    value: &'static str,
    probe: Probe,
    without: &'static str,
    with: &'static str,
) -> Row {
    Row { flag, value, base: "", probe, without: Some(without), with }
}

/// A flag whose default would take too long to observe. `with` must differ from the default.
const fn slow_default(
    flag: &'static str,
    value: &'static str,
    probe: Probe,
    with: &'static str,
) -> Row {
    Row { flag, value, base: "", probe, without: None, with }
}

impl Row {
    const fn base(mut self, base: &'static str) -> Self {
        self.base = base;
        self
    }

    fn variable(&self) -> String {
        format!("SOCKEYE_{}", self.flag[2..].to_uppercase().replace('-', "_"))
    }

    /// Fails unless the flag and its environment variable have the effect.
    fn check(&self, command: &'static str) {
        let observe = |by| {
            let run = Run { command, row: self, by, folder: servers::site() };
            (self.probe)(&run)
        };
        let name = format!("{command} {} {}", self.flag, self.value);
        if let Some(without) = self.without {
            let observed = observe(SetBy::Nothing);
            assert!(observed.contains(without), "without {name}: {without:?} is not in {observed}");
            assert!(
                !observed.contains(self.with),
                "without {name}: {:?} is in {observed}",
                self.with
            );
        }
        let with = self.with;
        let observed = observe(SetBy::Flag);
        assert!(observed.contains(with), "{name}: {with:?} is not in {observed}");
        if has_variables(command) {
            let (observed, variable) = (observe(SetBy::Environment), self.variable());
            assert!(observed.contains(with), "{name} by {variable}: {with:?} is not in {observed}");
        }
    }
}

fn has_variables(command: &str) -> bool {
    !matches!(command, "send" | "load" | "health")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SetBy {
    Nothing,
    Flag,
    Environment,
}

/// One run of a row's command.
struct Run<'a> {
    command: &'static str,
    row: &'a Row,
    by: SetBy,
    folder: Folder,
}

impl Run<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let expand = |text: &str| text.replace("{dir}", self.folder.text());
        let mut command = sockeye(&[&[self.command], args].concat());
        command.args(self.row.base.split_whitespace().map(expand));
        command.env("SOCKEYE_LISTEN", "127.0.0.1:0");
        let value = expand(self.row.value);
        match self.by {
            SetBy::Nothing => {}
            SetBy::Flag if value == SWITCH => drop(command.arg(self.row.flag)),
            SetBy::Flag => drop(command.args([self.row.flag, &value])),
            SetBy::Environment if value == SWITCH => drop(command.env(self.row.variable(), "true")),
            SetBy::Environment => drop(command.env(self.row.variable(), value)),
        }
        command
    }

    /// The same run without the flag, in a new folder.
    fn plain(&self) -> Self {
        Self { by: SetBy::Nothing, folder: servers::site(), ..*self }
    }

    /// Starts a server on a free port.
    fn start(&self) -> Running {
        Running::start_by(&mut self.server())
    }

    /// Starts a server at this address.
    fn start_at(&self, listen: &str) -> Running {
        Running::start_by(self.server().env("SOCKEYE_LISTEN", listen))
    }

    fn server(&self) -> Command {
        match self.command {
            "http" => self.command(&[self.folder.text()]),
            _ => self.command(&[]),
        }
    }

    /// Runs to the end. Returns the output and the exit code.
    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).stdin(Stdio::null()).output().unwrap();
        let code = output.status.code();
        format!("{}{}exit code {code:?}", text(&output.stdout), text(&output.stderr))
    }
}

/// Stops a server cleanly. Returns the rest of its log.
fn stop(mut server: Running) -> String {
    server.signal(Signal::TERM);
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0), "{stderr}");
    stderr
}

/// The long flags that the whole help of a command lists.
fn listed(command: &str) -> BTreeSet<String> {
    let help = text(&run(&[command, "--help-all"]).stdout);
    let flags = help.lines().filter_map(|line| {
        // Other lines start at the first column or after ten spaces.
        let is_flag = line.starts_with("      --") || line.starts_with("  -");
        let words = is_flag.then(|| line.split_whitespace())?;
        let mut flags = words.filter(|word| word.starts_with("--"));
        // A value that is optional: --flag[=<VALUE>].
        flags.next()?.split('[').next().map(str::to_owned)
    });
    flags.filter(|flag| !flag.starts_with("--help")).collect()
}

/// Checks all rows of a command, and that no flag lacks one.
fn check(command: &'static str, tables: &[&[Row]]) {
    let rows = || tables.iter().copied().flatten();
    let with_row: BTreeSet<String> = rows().map(|row| row.flag.to_owned()).collect();
    let listed = listed(command);
    assert!(listed.len() > 1, "{command} --help-all: {listed:?}");
    assert_eq!(listed, with_row, "flags of {command}: in its help, and in the table");
    rows().for_each(|row| row.check(command));
}

#[test]
fn every_flag_of_http_has_an_effect() {
    check("http", &[rows::SERVER, rows::HTTP]);
}

#[test]
fn every_flag_of_echo_has_an_effect() {
    check("echo", &[rows::SERVER, rows::ECHO]);
}

#[test]
fn every_flag_of_message_has_an_effect() {
    check("message", &[rows::SERVER, rows::MESSAGE]);
}

#[test]
fn every_flag_of_explain_is_accepted_and_content_flags_have_an_effect() {
    check("explain", &[rows::EXPLAIN]);
}

#[test]
fn every_flag_of_send_has_an_effect() {
    check("send", &[rows::SEND]);
}

#[test]
fn every_flag_of_load_has_an_effect() {
    check("load", &[rows::LOAD]);
}

#[test]
fn every_flag_of_health_has_an_effect() {
    check("health", &[rows::HEALTH]);
}
