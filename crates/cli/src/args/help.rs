//! The texts and layout of the help: `--help` fits on a screen, `--help-all` shows every option
//! with its details.

use clap::{Arg, ArgAction, Command};

/// The usage of the program. Its second line shows that serving a folder needs no command.
pub(super) const USAGE: &str = "sockeye <COMMAND>\n       sockeye FOLDER [OPTIONS]";

/// The text at the end of the program's help.
pub(super) const EXAMPLES: &str = "\
Examples:
  # Serve the current folder at http://127.0.0.1:8000, to this machine only.
  sockeye .
  # Share a folder on the local network, with listings.
  sockeye ~/Shared --listen :8000 --listing
  # Show the options of a command.
  sockeye http --help

Exit codes:
  0              success, or a clean shutdown
  1              failure: address in use, no permission, no response, error response
  2              wrong command line or environment variable
  130, 131, 143  a second Ctrl-C, SIGQUIT or SIGTERM stopped the server at once

Environment variables set the options of servers: SOCKEYE_IDLE_TIMEOUT sets --idle-timeout.";

/// The arguments that `--help` of `http` and `explain` shows, in this order. It shows these texts,
/// which fit on one line, instead of the arguments' own.
pub(super) const FIRST: [(&str, &str); 14] = [
    ("folders", "Folder or file to serve; /docs=./docs serves one at /docs. Default: ."),
    ("listen", "HOST[:PORT], unix:PATH, PORT (all addresses). Default: 127.0.0.1:8000"),
    ("port", "Port, at the default host or at --listen HOST. 0 picks a free one"),
    ("acme", "Serve HTTPS for this name, with a certificate from Let's Encrypt"),
    ("tls", "Serve HTTPS with this certificate and key, as cert.pem,key.pem"),
    ("listing", "List folders that have no index.html"),
    ("spa", "For single-page apps: serve index.html in place of missing pages"),
    ("fresh", "While you edit: a change is visible at once"),
    ("live", "While you edit: pages reload in the browser when files change"),
    ("cors", "Let scripts of this origin read the files; * for every site"),
    ("header", "Send a header with every file, as 'X-Frame-Options: DENY'"),
    ("access_log", "Log each finished request to this file; - for standard error"),
    ("trusted_proxy", "A proxy in front: its address, its network (10.0.0.0/8), or unix"),
    ("log", "Lowest level: off, error, warn, info, debug or trace. Default: info"),
];

/// The arguments of [`FIRST`] that the `--help` of `explain` leaves out. They never change its
/// result.
const NOT_EXPLAINED: [&str; 2] = ["access_log", "log"];

/// The groups of options that `--help` of `echo` and `message` leaves out.
const HIDDEN_GROUPS: [&str; 2] = ["Limits", "Timeouts"];

/// The options that `--help` of clients leaves out.
const HIDDEN_IN_CLIENTS: [&str; 8] = [
    "http1",
    "requests_per_connection",
    "max_content",
    "connect_timeout",
    "chunked",
    "connect_to",
    "cert",
    "resume",
];

const HELP: &str = "help";
const HELP_ALL: &str = "help-all";

/// Adds the flags `--help` and `--help-all` in place of clap's `--help`.
pub(super) fn add_flags(command: Command) -> Command {
    let count = command.get_arguments().filter(|arg| arg.get_long().is_some()).count();
    let all = match command.get_name() {
        "http" | "explain" | "echo" | "message" | "send" | "load" => {
            format!("Print all {count} options, with details")
        }
        _ => "Print this help with details".into(),
    };
    let flag = |name, action| Arg::new(name).long(name).action(action).help_heading(None::<&str>);
    command
        .disable_help_flag(true)
        .arg(flag(HELP, ArgAction::HelpShort).short('h').help("Print this help"))
        .arg(flag(HELP_ALL, ArgAction::HelpLong).help(all))
}

/// Hides the options that `--help` leaves out, and shortens the texts of others. Not called if the
/// command line has `--help-all`.
pub(super) fn shorten(command: Command) -> Command {
    command.mut_subcommands(|command| match command.get_name() {
        "http" => command.mut_args(|arg| show_first(arg, &[])),
        "explain" => command.mut_args(|arg| show_first(arg, &NOT_EXPLAINED)),
        "send" | "load" => command.mut_args(|arg| {
            let is_seldom = HIDDEN_IN_CLIENTS.contains(&arg.get_id().as_str());
            arg.hide_short_help(is_seldom)
        }),
        _ => command.mut_args(|arg| {
            let is_seldom =
                arg.get_help_heading().is_some_and(|name| HIDDEN_GROUPS.contains(&name));
            arg.hide_short_help(is_seldom)
        }),
    })
}

/// Prepares an argument for `--help`: if it is in [`FIRST`] and not in `hidden`, it gets the text
/// from there and, if it is an option, the position. Every other option is hidden, except the two
/// help flags.
fn show_first(arg: Arg, hidden: &[&str]) -> Arg {
    let id = arg.get_id().as_str();
    match FIRST.iter().position(|(first, _)| *first == id && !hidden.contains(first)) {
        Some(at) if arg.is_positional() => arg.help(FIRST[at].1),
        Some(at) => arg.help(FIRST[at].1).help_heading(None::<&str>).display_order(at),
        None => {
            let is_kept = arg.is_positional() || [HELP, HELP_ALL].contains(&id);
            arg.hide_short_help(!is_kept)
        }
    }
}

/// Whether `arg` is `--help-all`.
pub(super) fn is_all(arg: &std::ffi::OsStr) -> bool {
    arg.to_str().and_then(|arg| arg.strip_prefix("--")) == Some(HELP_ALL)
}
