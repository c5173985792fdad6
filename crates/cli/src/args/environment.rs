//! The environment variables that set the flags of server commands: for example,
//! `SOCKEYE_IDLE_TIMEOUT` sets `--idle-timeout`.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::habits::{self, Answer};

const PREFIX: &str = "SOCKEYE_";

/// A warning about an unknown variable suggests a known one if their names have at least this Jaro
/// similarity (1 for equal names).
const MIN_SIMILARITY: f64 = 0.8;

/// Lets the environment variable of a flag set it, unless the variable comes from Kubernetes.
pub(super) fn read(arg: Arg) -> Arg {
    let Some(flag) = arg.get_long() else { return arg };
    let name = variable(flag);
    if env::var_os(&name).is_some_and(|value| is_from_kubernetes(&name, &value)) {
        return arg;
    }
    let arg = arg.env(name).hide_env(true);
    // `SOCKEYE_SPA=no` leaves the flag off.
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    if is_switch { arg.value_parser(switch) } else { arg }
}

/// Parses the value of the variable of a switch, which is a flag without a value.
fn switch(text: &str) -> Result<bool, String> {
    match &*text.to_lowercase() {
        "yes" | "y" | "on" | "true" | "t" | "1" => Ok(true),
        "no" | "n" | "off" | "false" | "f" | "0" => Ok(false),
        _ => Err("write yes or no, on or off, true or false, 1 or 0".into()),
    }
}

/// The name of the variable that sets `flag`. `flag` has no leading dashes: `idle-timeout`.
fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_uppercase().replace('-', "_"))
}

/// Whether Kubernetes has set this variable. For a service that is called `sockeye` or
/// `sockeye-web`, Kubernetes sets variables such as `SOCKEYE_SERVICE_HOST` in all containers.
fn is_from_kubernetes(name: &str, value: &OsStr) -> bool {
    let is_of_service = ["_SERVICE_HOST", "_SERVICE_PORT"].iter().any(|part| name.contains(part));
    let is_url = name.ends_with("_PORT") && value.to_string_lossy().contains("://");
    // For example SOCKEYE_PORT_8000_TCP_ADDR.
    let is_of_port = name.rsplit_once("_PORT_").is_some_and(|(_, rest)| {
        let mut parts = rest.split('_');
        let is_number =
            parts.next().is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        is_number && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    });
    is_of_service || is_url || is_of_port || name.starts_with("SOCKEYE_SERVICE_")
}

/// Returns a warning for each of `variables` that begins with [`PREFIX`] and sets no flag of any
/// command. Variables that Kubernetes sets get no warning. `command` is the subcommand, such as
/// `http`; `program` is the definition of the command line.
///
/// # Errors
///
/// If a variable asks for something that `command` can't do, or that is set in another way.
pub(super) fn warnings(
    variables: impl Iterator<Item = (OsString, OsString)>,
    command: &str,
    program: &Command,
) -> Result<Vec<String>, String> {
    let flags = program.get_subcommands().flat_map(Command::get_arguments);
    let known: Vec<&str> = flags.filter_map(|arg| arg.get_env()?.to_str()).collect();
    let warning = |(name, value): (OsString, OsString)| {
        let name = name.to_str().filter(|name| name.starts_with(PREFIX))?;
        if known.contains(&name) || is_from_kubernetes(name, &value) {
            return None;
        }
        let flag = format!("--{}", name[PREFIX.len()..].to_lowercase().replace('_', "-"));
        let value = value.to_string_lossy();
        let asks_for_nothing = ["", "no", "off", "false", "0"].contains(&&*value.to_lowercase());
        // `habits` knows the settings of other programs; `own` is the flag for the same thing here.
        match habits::answer_to_variable(command, &flag, &value) {
            Some(Answer::Refuse(text)) if !asks_for_nothing => {
                return Some(Err(format!("{name} sets no flag: {text}")));
            }
            Some(Answer::Refuse(_)) => {}
            Some(Answer::Warn(text)) => {
                return Some(Ok(format!("warning: {name} sets no flag: {text}")));
            }
            Some(Answer::Flag(own)) => {
                let own = variable(own.trim_start_matches('-'));
                return Some(Ok(format!("warning: {name} sets no flag; did you mean {own}?")));
            }
            None => {}
        }
        let similarity = |known: &&str| strsim::jaro(&known[PREFIX.len()..], &name[PREFIX.len()..]);
        let nearest = known.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
        Some(Ok(match nearest.filter(|known| similarity(known) >= MIN_SIMILARITY) {
            Some(known) => format!("warning: {name} sets no flag; did you mean {known}?"),
            None => format!("warning: {name} sets no flag; --help-all lists the flags"),
        }))
    };
    let mut warnings: Vec<String> = variables.filter_map(warning).collect::<Result<_, _>>()?;
    warnings.sort();
    Ok(warnings)
}

/// In an error about a flag's value, replaces the flag's name by the name of its environment
/// variable, if the value comes from the variable and `line` doesn't have the flag. `line` is the
/// command line.
pub(super) fn name_variable(
    mut error: clap::Error,
    line: &[OsString],
    program: &Command,
) -> clap::Error {
    let command = line.get(1).and_then(|name| program.find_subcommand(name));
    let flag = match error.get(ContextKind::InvalidArg) {
        // The error has the flag as `--idle-timeout <TIME>` or `--hsts[=<TIME>]`.
        Some(ContextValue::String(flag)) => {
            flag.split([' ', '[']).next().unwrap_or_default().to_owned()
        }
        _ => return error,
    };
    let has_name = |arg: &&Arg| arg.get_long() == flag.strip_prefix("--");
    let arg = command.and_then(|command| command.get_arguments().find(has_name));
    let short = arg.and_then(Arg::get_short).map(|short| format!("-{short}"));
    let is_typed = line.iter().skip(2).any(|typed| {
        let typed = typed.to_string_lossy();
        typed.split('=').next() == Some(&*flag)
            || short.as_ref().is_some_and(|short| typed.starts_with(short))
    });
    let variable = arg.and_then(Arg::get_env).filter(|name| env::var_os(name).is_some());
    if let Some(variable) = variable.filter(|_| !is_typed) {
        let name = variable.to_string_lossy().into_owned();
        error.insert(ContextKind::InvalidArg, ContextValue::String(name));
    }
    error
}

/// The environment variables that have set flags of the command.
#[derive(Debug, Default)]
pub(crate) struct Variables(Vec<Variable>);

#[derive(Debug)]
struct Variable {
    flag: String,
    name: String,
    value: String,
}

impl Variables {
    pub(super) fn of(command: &Command, matches: &ArgMatches) -> Self {
        let is_set = |arg: &&Arg| {
            matches.value_source(arg.get_id().as_str()) == Some(ValueSource::EnvVariable)
        };
        let variable = |arg: &Arg| {
            let name = arg.get_env()?;
            Some(Variable {
                flag: format!("--{}", arg.get_long()?),
                name: name.to_str()?.to_owned(),
                value: env::var_os(name)?.to_string_lossy().into_owned(),
            })
        };
        Self(command.get_arguments().filter(is_set).filter_map(variable).collect())
    }

    /// If `error` names a flag or a listen address that a variable has set, appends the variable's
    /// name.
    pub(crate) fn explain(&self, error: &str) -> String {
        let words = error.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let is_about = |variable: &&Variable| {
            let Variable { flag, value, .. } = variable;
            // Errors about an address contain the address, which is the value of `--listen`, and
            // not the name of the flag.
            words.clone().any(|word| word == flag) || flag == "--listen" && error.contains(&**value)
        };
        let names: Vec<&str> =
            self.0.iter().filter(is_about).map(|variable| &*variable.name).collect();
        if names.is_empty() {
            return error.to_owned();
        }
        format!("{error} (set by {})", names.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_set_no_flag_are_named_with_the_nearest_that_does() {
        let program = crate::args::CommandLine::definition();
        for (name, value, expected) in [
            (
                "SOCKEYE_LISTN",
                "x",
                Some("SOCKEYE_LISTN sets no flag; did you mean SOCKEYE_LISTEN?"),
            ),
            ("SOCKEYE_TRUSTED_PROXIES", "x", Some("did you mean SOCKEYE_TRUSTED_PROXY?")),
            ("SOCKEYE_ACCESSLOG", "x", Some("did you mean SOCKEYE_ACCESS_LOG?")),
            ("SOCKEYE_BIND", "x", Some("did you mean SOCKEYE_LISTEN?")),
            ("SOCKEYE_LOG_LEVEL", "x", Some("did you mean SOCKEYE_LOG?")),
            ("SOCKEYE_HTTP2", "yes", Some("HTTP2 sets no flag: HTTP/2 is on by default")),
            ("SOCKEYE_METRICS", "yes", Some("there are no metrics")),
            // The next two ask for nothing, so they are not refused.
            ("SOCKEYE_PASSWORD", "", Some("SOCKEYE_PASSWORD sets no flag; --help-all lists")),
            ("SOCKEYE_UPLOAD", "off", Some("SOCKEYE_UPLOAD sets no flag")),
            ("SOCKEYE_VERSION", "1", Some("SOCKEYE_VERSION sets no flag; --help-all lists")),
            ("SOCKEYE_HELP", "x", Some("SOCKEYE_HELP sets no flag")),
            ("SOCKEYE_COLOR", "x", Some("SOCKEYE_COLOR sets no flag; --help-all lists the flags")),
            ("SOCKEYE_", "", Some("SOCKEYE_ sets no flag")),
            ("SOCKEYE_LISTEN", "x", None),
            ("SOCKEYE_ORIGIN", "x", None),
            ("SOCKEYE_PORT", "80", None),
            ("HOME", "x", None),
            ("SOCKEYES", "x", None),
            // Set by Kubernetes, except the last one, whose value is no URL.
            ("SOCKEYE_SERVICE_HOST", "10.0.0.7", None),
            ("SOCKEYE_SERVICE_PORT_HTTP", "80", None),
            ("SOCKEYE_PORT", "tcp://10.0.0.7:80", None),
            ("SOCKEYE_PORT_80_TCP", "tcp://10.0.0.7:80", None),
            ("SOCKEYE_PORT_80_TCP_ADDR", "10.0.0.7", None),
            ("SOCKEYE_PORT_53_UDP_PROTO", "udp", None),
            ("SOCKEYE_WEB_SERVICE_HOST", "10.0.0.7", None),
            ("SOCKEYE_WEB_PORT", "tcp://10.0.0.7:80", None),
            ("SOCKEYE_WEB_PORT", "80", Some("SOCKEYE_WEB_PORT sets no flag")),
        ] {
            let found = warnings([(name.into(), value.into())].into_iter(), "http", &program);
            let found = found.unwrap();
            assert_eq!(found.len(), usize::from(expected.is_some()), "{name}={value}: {found:?}");
            assert!(found.iter().all(|text| text.contains(expected.unwrap())), "{found:?}");
        }
    }

    #[test]
    fn variables_that_ask_for_what_no_server_does_are_refused() {
        let program = crate::args::CommandLine::definition();
        for (name, command, expected) in [
            ("SOCKEYE_PASSWORD", "http", Some("SOCKEYE_PASSWORD sets no flag: there are no users")),
            ("SOCKEYE_CONFIG", "message", Some("there is no configuration file")),
            ("SOCKEYE_FOLDER", "explain", Some("as an argument: sockeye http '/a b'")),
            ("SOCKEYE_SSL_KEY", "http", Some("write SOCKEYE_TLS=cert.pem,key.pem")),
            ("SOCKEYE_PASSWORD", "echo", None),
            ("SOCKEYE_FOLDER", "message", None),
        ] {
            let found = warnings([(name.into(), "/a b".into())].into_iter(), command, &program);
            assert_eq!(found.is_err(), expected.is_some(), "{name}: {found:?}");
            assert!(expected.is_none_or(|text| found.unwrap_err().contains(text)), "{name}");
        }
    }
}
