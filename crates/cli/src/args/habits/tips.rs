//! Better suggestions for errors of clap.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::commands;
use super::paths::exists;

/// Improves an error of clap about the command line `line`: suggests the command or folder that the
/// user probably meant, removes misleading suggestions, and shows the whole usage. `folder_tip`
/// comes from [`folder_named_like_command`](super::folder_named_like_command).
pub(in crate::args) fn with_tips(
    mut error: clap::Error,
    line: &[OsString],
    folder_tip: Option<String>,
    program: &Command,
) -> clap::Error {
    let mut tips = Vec::from_iter(folder_tip);
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(word) = line.get(1).and_then(|word| word.to_str())
    {
        let lower = word.to_lowercase();
        let meant = commands::synonym(&lower).map(str::to_owned);
        keep_close(&mut error, ContextKind::SuggestedSubcommand, word);
        if let Some(command) = meant.or_else(|| program.find_subcommand(&lower).map(|_| lower)) {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![command]));
        }
        // In `sockeye help WORD`, nobody meant a folder.
        if word != "help" {
            tips.push(format!(
                "there is no folder or file '{word}' here: sockeye FOLDER serves one, and sockeye . \
                 this folder"
            ));
        }
    }
    // For an unknown flag `-x`, clap suggests `-- -x`, which serves a file of that name.
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
    {
        let flag = flag.clone();
        if !exists(flag.as_ref()) {
            error.remove(ContextKind::Suggested);
        }
        keep_close(&mut error, ContextKind::SuggestedArg, flag.trim_start_matches('-'));
    }
    show_whole_usage(&mut error, line, program);
    if !tips.is_empty() && error.use_stderr() {
        let tips = tips.into_iter().map(Into::into).collect();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// Of clap's suggestions, keeps only the best one that is close to what was `typed`, if there is
/// one: see [`is_close`].
fn keep_close(error: &mut clap::Error, kind: ContextKind, typed: &str) {
    let names = match error.get(kind) {
        Some(ContextValue::String(name)) => std::slice::from_ref(name),
        Some(ContextValue::Strings(names)) => names,
        _ => return,
    };
    // clap puts its best suggestion last.
    let close = names.iter().rfind(|name| is_close(typed, name.trim_start_matches('-'))).cloned();
    let is_list = matches!(error.get(kind), Some(ContextValue::Strings(_)));
    match close {
        None => error.remove(kind),
        Some(name) if is_list => error.insert(kind, ContextValue::Strings(vec![name])),
        Some(_) => None,
    };
}

/// Whether the user probably meant `name`: a few characters of `typed` differ, or the last words
/// are missing, as in `trusted` for `trusted-proxy`. False for an opposite, such as `no-listing`
/// for `listing`.
fn is_close(typed: &str, name: &str) -> bool {
    const MIN_START: usize = 5;
    let differing = strsim::damerau_levenshtein(typed, name);
    let is_start = typed.len() >= MIN_START
        && name.strip_prefix(typed).is_some_and(|rest| rest.starts_with('-'));
    let is_opposite = [(typed, name), (name, typed)].iter().any(|(negated, other)| {
        negated
            .strip_prefix("no-")
            .is_some_and(|rest| strsim::damerau_levenshtein(rest, other) <= 1)
    });
    !is_opposite && (is_start || differing <= (typed.chars().count() / 3).max(1))
}

/// Replaces clap's usage, which has only the arguments in `line` and shows them as required, by the
/// usage with all arguments of the command.
fn show_whole_usage(error: &mut clap::Error, line: &[OsString], program: &Command) {
    let mut program = program.clone();
    program.build();
    let command = line.get(1).and_then(|name| program.find_subcommand_mut(name));
    if let Some(command) = command
        && error.get(ContextKind::Usage).is_some()
    {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    }
}
