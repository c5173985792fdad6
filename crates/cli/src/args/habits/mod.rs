//! Translates command lines in the style of other programs, or says what to type instead.
//!
//! [`translate`] gets the arguments before clap does. It changes or refuses only arguments that
//! clap would refuse or misread. All other errors are reported by clap; [`with_tips`] improves
//! clap's suggestions. [`flags`] has the flags of other programs, and [`commands`] their commands.

mod commands;
mod flags;
mod paths;
#[cfg(test)]
mod tests;
mod texts;
mod tips;
mod tls;
mod variables;

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::{Arg, Command};

use self::commands::advice;
use self::flags::{Meaning, meaning};
pub(super) use self::paths::folder_named_like_command;
use self::paths::{exists, several_files, unquoted_blanks};
pub(super) use self::tips::with_tips;
use self::tls::TlsParts;
pub(super) use self::variables::{Answer, answer_to_variable};
use crate::quantity::Span;
use crate::text;

/// An error in place of clap's.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The command whose usage is printed with the error. Empty: the usage of the program.
    pub(super) command: String,
    pub(super) text: String,
}

/// The flags that the program accepts in place of a command.
const PROGRAM_FLAGS: [&str; 5] = ["-h", "--help", "--help-all", "-V", "--version"];

/// Translates a command line into one for clap. `program` is clap's definition of the commands and
/// their flags.
///
/// # Errors
///
/// The line is wrong, and this module has a better error than clap.
pub(super) fn translate(
    mut line: Vec<OsString>,
    program: &Command,
) -> Result<Vec<OsString>, Refusal> {
    let Some(first) = line.get(1) else { return Ok(line) };
    let find = |name: &OsStr| program.find_subcommand(name).map(Command::get_name);
    match first.to_str() {
        Some("version") if line.len() == 2 => {
            line[1] = "--version".into();
            return Ok(line);
        }
        Some("help") => {
            let name = line.get(2).and_then(|name| find(name));
            if name.is_some() || line.len() == 2 {
                let name = name.map(OsString::from);
                line = line.drain(..1).chain(name).chain([OsString::from("--help")]).collect();
            }
            return Ok(line);
        }
        Some(flag) if PROGRAM_FLAGS.contains(&flag) => return Ok(line),
        _ => {}
    }
    if find(first).is_none() {
        refuse_unquoted_blanks(&line[1..])?;
        let is_flag = first.as_bytes().starts_with(b"-");
        if !is_flag && !is_served(first) {
            return match advice(first) {
                Some(text) => Err(Refusal { command: String::new(), text }),
                None => Ok(line),
            };
        }
        line.insert(1, "http".into());
        if is_flag && let Some(at) = late_command(&line, program) {
            line[1] = line.remove(at);
        }
    }
    let words = words(&line, program)?;
    let typed = line.split_off(2);
    let name = line[1].to_string_lossy().into_owned();
    // The number of positional arguments that stay as typed. The first one of `explain` is a URL.
    let unchanged = match &*name {
        "http" | "echo" | "message" | "health" => 0,
        "explain" => 1,
        _ => usize::MAX,
    };
    if name == "http" {
        refuse_unquoted_blanks(&typed)?;
    }
    refuse_several_files(&name, &words)?;
    let mut seen = 0;
    for word in words {
        match word {
            Word::Positional(argument) => {
                seen += 1;
                let arguments = match seen <= unchanged {
                    true => vec![argument],
                    false => positional(&name, argument)?,
                };
                line.extend(arguments);
            }
            Word::Flag(text) | Word::Value(text) | Word::Literal(text) => line.push(text),
        }
    }
    Ok(line)
}

/// The index of the command in a line that begins with flags, as in `sockeye -p 80 echo`. `None` if
/// the first positional argument is no command.
fn late_command(line: &[OsString], program: &Command) -> Option<usize> {
    let first = words(line, program).ok()?.into_iter().find_map(|word| match word {
        Word::Positional(argument) => Some(argument),
        _ => None,
    })?;
    program.find_subcommand(&first)?;
    // The last argument with this text: an earlier one may be the value of a flag.
    line.iter().rposition(|arg| *arg == first)
}

/// An argument and its role.
#[derive(Debug)]
enum Word {
    Flag(OsString),
    Value(OsString),
    Positional(OsString),
    /// `--`, or what follows it.
    Literal(OsString),
}

/// Classifies the arguments after the command as flags, values and positional arguments, and
/// translates flags of other programs.
fn words(line: &[OsString], program: &Command) -> Result<Vec<Word>, Refusal> {
    let name = line[1].to_string_lossy();
    let Some(command) = program.find_subcommand(&*name) else { return Ok(Vec::new()) };
    let refusal = |text: String| Refusal { command: name.to_string(), text };
    let mut words = Vec::new();
    let mut tls = TlsParts::default();
    let mut args = line[2..].iter().cloned();
    while let Some(arg) = args.next() {
        if arg == "--" {
            words.extend([arg].into_iter().chain(args).map(Word::Literal));
            break;
        }
        let Some(mut flag) = Flag::of(&arg, &name, command) else {
            words.push(Word::Positional(arg));
            continue;
        };
        let typed = flag.name.clone();
        let mut known = flag.find(command);
        if known.is_none() {
            match meaning(&name, &flag.name) {
                Some(Meaning::Flag(own)) => flag.name = own.to_owned(),
                Some(Meaning::Folder) => {
                    let folder = flag.value.map(OsString::from).or_else(|| args.next());
                    let folder = folder.filter(|folder| !folder.as_bytes().starts_with(b"-"));
                    let folder = folder.ok_or_else(|| {
                        let help = "a folder is written without a flag, as sockeye http ./site; \
                                    to list folders, write --listing";
                        refusal(format!("'{}' needs a folder: {help}", flag.name))
                    });
                    words.push(Word::Positional(folder?));
                    continue;
                }
                Some(Meaning::TlsPart(part)) => {
                    let file = flag.value.map(OsString::from).or_else(|| args.next());
                    tls.set(part, &flag.name, file).map_err(refusal)?;
                    continue;
                }
                Some(Meaning::Advice(text)) => {
                    let flag = flag.name;
                    let text = format!("'{flag}' is not a flag of sockeye {name}: {text}");
                    return Err(refusal(text));
                }
                // clap reports the unknown flag.
                None => {}
            }
            known = flag.find(command);
        }
        // clap takes an optional value only from the same argument, as in `--hsts=1d`. So
        // `--hsts 1d` is joined into one argument.
        if known.is_some_and(Arg::is_require_equals_set)
            && flag.value.is_none()
            && let Some(next) = args.clone().next()
            && is_optional_value(&flag.name, &next)
        {
            args.next();
            flag.value = Some(next.to_string_lossy().into_owned());
            words.push(Word::Flag(flag.text()));
            continue;
        }
        let takes_value = known
            .is_some_and(|arg| arg.get_action().takes_values() && !arg.is_require_equals_set());
        let value = match flag.value.clone() {
            Some(value) => Some(OsString::from(value)),
            None if takes_value => args.clone().next(),
            None => None,
        };
        if let Some(value) = value.as_deref().filter(|_| flag.name == "--tls") {
            tls.note(value);
        }
        if let Some(text) = known.and_then(|arg| wrong_value(arg, value.as_deref())) {
            return Err(refusal(text));
        }
        // The second condition is for `-listen`, which was parsed as `--listen`.
        let is_renamed = flag.name != typed || !arg.as_bytes().starts_with(flag.name.as_bytes());
        words.push(Word::Flag(if known.is_some() && is_renamed { flag.text() } else { arg }));
        if takes_value && flag.value.is_none() {
            words.extend(args.next().map(Word::Value));
        }
    }
    if let Some(value) = tls.value().map_err(refusal)? {
        words.extend([Word::Flag("--tls".into()), Word::Value(value)]);
    }
    Ok(words)
}

/// Whether `next`, the argument after `flag`, is the flag's optional value.
fn is_optional_value(flag: &str, next: &OsStr) -> bool {
    let Some(text) = next.to_str().filter(|_| !exists(next)) else { return false };
    match flag {
        "--hsts" => text == "0" || text.parse::<Span>().is_ok(),
        "--https-redirect" => flag_for(text).is_some(),
        _ => false,
    }
}

/// A flag, and its value if the same argument contains it.
#[derive(Debug)]
struct Flag {
    /// `--listen` or `-l`.
    name: String,
    value: Option<String>,
}

impl Flag {
    /// Parses `arg`, if it is a flag. A long flag may have a single dash, as in Go programs.
    fn of(arg: &OsStr, command_name: &str, command: &Command) -> Option<Self> {
        let text = arg.to_str().filter(|text| text.len() > 1)?;
        let dashed = text.strip_prefix('-')?;
        let long = |text: &str| {
            let (name, value) = text.split_once('=').map_or((text, None), |(n, v)| (n, Some(v)));
            Self { name: format!("--{name}"), value: value.map(str::to_owned) }
        };
        if let Some(name) = dashed.strip_prefix('-') {
            return Some(long(name));
        }
        let flag = long(dashed);
        let is_long = flag.name.len() > "--x".len();
        if is_long && (flag.find(command).is_some() || meaning(command_name, &flag.name).is_some())
        {
            return Some(flag);
        }
        let (name, value) = dashed.split_at(dashed.chars().next()?.len_utf8());
        let value = value.strip_prefix('=').unwrap_or(value);
        let value = (!value.is_empty()).then(|| value.to_owned());
        Some(Self { name: format!("-{name}"), value })
    }

    /// The command's definition of this flag.
    fn find<'a>(&self, command: &'a Command) -> Option<&'a Arg> {
        let is_this = |arg: &&Arg| match self.name.strip_prefix("--") {
            Some(name) => arg.get_long() == Some(name),
            None => arg.get_short() == self.name.chars().nth(1),
        };
        command.get_arguments().find(is_this)
    }

    /// The flag and its value as one argument.
    fn text(&self) -> OsString {
        match &self.value {
            Some(value) => format!("{}={value}", self.name).into(),
            None => self.name.clone().into(),
        }
    }
}

/// The error for a flag of Sockeye whose value is missing, or looks like the value that a flag of
/// this name has in other programs.
fn wrong_value(arg: &Arg, value: Option<&OsStr>) -> Option<String> {
    match arg.get_long()? {
        "cors" if value.is_none_or(|value| value.as_bytes().starts_with(b"-") || exists(value)) => {
            Some(
                "--cors needs an origin: write --cors '*' for every site (with the quotes), or \
                  --cors https://example.org for one"
                    .into(),
            )
        }
        "tls" => {
            let folder = value.filter(|value| Path::new(value).is_dir());
            let problem = match folder {
                Some(folder) => format!("{} is a folder", text::shell_word(Path::new(folder))),
                None if value.is_none_or(|value| value.as_bytes().starts_with(b"-")) => {
                    "it needs a certificate and its key".into()
                }
                None => return None,
            };
            Some(format!(
                "--tls: {problem}: write --tls cert.pem,key.pem, or --tls self-signed for a \
                 certificate for development"
            ))
        }
        "log" => {
            let value = value?.to_str().filter(|value| value.contains(['.', '/']))?;
            Some(format!(
                "--log sets the lowest level to log: requests are logged with --access-log {value}"
            ))
        }
        "host" => {
            let value = value?.to_str()?;
            let ip = value.trim_start_matches('[').trim_end_matches(']');
            let is_address = ip.parse::<IpAddr>().is_ok() || value == "localhost";
            is_address.then(|| {
                format!(
                    "--host takes a name that requests may have, not an address to listen on: \
                     write --listen {value}"
                )
            })
        }
        _ => None,
    }
}

/// Whether a first argument that is no command is for `sockeye http`: an existing path (also in
/// `PREFIX=PATH`), a text with a slash or a dot, a port, or an address.
fn is_served(argument: &OsStr) -> bool {
    let looks_like_path = argument.as_bytes().iter().any(|byte| b"/.".contains(byte));
    let is_mount = |text: &str| text.split_once('=').is_some_and(|(_, path)| exists(path.as_ref()));
    looks_like_path
        || exists(argument)
        || argument.to_str().is_some_and(is_mount)
        || argument.to_str().is_some_and(|it| flag_for(it).is_some())
}

/// The flag for an argument without a flag: `--port` for a port (`8080`), `--listen` for an address
/// (`:8080`, `0.0.0.0`).
fn flag_for(argument: &str) -> Option<&'static str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let is_port = |start: &str| argument.strip_prefix(start).is_some_and(is_number);
    if is_number(argument) {
        return Some("--port");
    }
    let is_address = is_port(":")
        || is_port("localhost:")
        || argument.parse::<SocketAddr>().is_ok()
        || argument.parse::<IpAddr>().is_ok();
    is_address.then_some("--listen")
}

/// Translates a positional argument of the command `name`: `http`, `echo`, `message`, `explain` or
/// `health`.
fn positional(name: &str, argument: OsString) -> Result<Vec<OsString>, Refusal> {
    let Some(text) = argument.to_str().filter(|_| !exists(&argument)) else {
        return Ok(vec![argument]);
    };
    match (flag_for(text), name) {
        (Some(flag), "health") => {
            let server = match text.parse::<Ipv6Addr>() {
                Ok(_) => format!("[{text}]"),
                Err(_) if flag == "--port" => format!("127.0.0.1:{text}"),
                Err(_) if text.starts_with(':') => format!("127.0.0.1{text}"),
                Err(_) => text.to_owned(),
            };
            return Ok(vec![format!("http://{server}/").into()]);
        }
        (Some(flag), "http" | "echo" | "message") => return Ok(vec![flag.into(), argument]),
        _ => {}
    }
    if text == "help" {
        return Ok(vec!["--help".into()]);
    }
    if !matches!(name, "http" | "explain") {
        return Ok(vec![argument]);
    }
    if text.contains("://") && !text.starts_with('/') {
        return Err(Refusal {
            command: name.to_owned(),
            text: format!(
                "'{text}' is a URL, not a folder: sockeye health checks a server at a URL, and \
                 sockeye explain says how a folder answers one"
            ),
        });
    }
    match text.split_once('=') {
        // `docs=./docs` becomes `/docs=./docs`. But `./a=b` and `~/a=b` are paths that contain a
        // `=`.
        Some((prefix, _)) if !prefix.is_empty() && !prefix.starts_with(['/', '.', '~']) => {
            Ok(vec![format!("/{text}").into()])
        }
        _ => Ok(vec![argument]),
    }
}

fn refuse_unquoted_blanks(typed: &[OsString]) -> Result<(), Refusal> {
    let refusal = |text| Refusal { command: "http".into(), text };
    unquoted_blanks(typed).map_or(Ok(()), |text| Err(refusal(text)))
}

fn refuse_several_files(name: &str, words: &[Word]) -> Result<(), Refusal> {
    let paths = words.iter().filter_map(|word| match word {
        Word::Positional(path) => Some(Path::new(path)),
        _ => None,
    });
    let paths: Vec<&Path> = paths.collect();
    let refusal = |text| Refusal { command: name.to_owned(), text };
    several_files(&paths).filter(|_| name == "http").map_or(Ok(()), |text| Err(refusal(text)))
}
