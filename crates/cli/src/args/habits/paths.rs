//! Paths typed in a way that probably doesn't mean what the user meant, and what to type instead.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Command;

use crate::text;

/// If an unquoted path has more spaces than this, it is not recognized.
const MAX_BLANKS: usize = 16;

pub(super) fn exists(path: &OsStr) -> bool {
    !path.is_empty() && Path::new(path).symlink_metadata().is_ok()
}

/// The error for an existing path with spaces that was typed without quotes, so that the shell has
/// split the path into several arguments.
pub(super) fn unquoted_blanks(typed: &[OsString]) -> Option<String> {
    let is_flag = |word: &&OsString| word.as_bytes().starts_with(b"-");
    let (first, rest) = typed.split_first().filter(|(first, _)| !is_flag(first))?;
    if exists(first) {
        return None;
    }
    let mut path = first.clone();
    for word in rest.iter().take(MAX_BLANKS).take_while(|word| !is_flag(word)) {
        path.push(" ");
        path.push(word);
        if exists(&path) {
            let quoted = text::shell_word(Path::new(&path));
            return Some(format!("a path with spaces needs quotes: write sockeye {quoted}"));
        }
    }
    None
}

/// The error if the arguments are several files, for example because the shell has expanded
/// `*.jpg`. It says how to serve them.
pub(super) fn several_files(paths: &[&Path]) -> Option<String> {
    let [first, second, ..] = *paths else { return None };
    if !paths.iter().all(|path| path.is_file()) {
        return None;
    }
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent != Path::new("") => text::shell_word(parent),
        _ => ".".into(),
    };
    let at = |path: &Path| {
        let name = path.file_name().unwrap_or_default().display();
        text::shell_word(Path::new(&format!("/{name}={}", path.display())))
    };
    Some(format!(
        "{} files can't all be served at /: serve their folder with sockeye http {} --listing, \
             or each at a path of its own with sockeye http {} {}",
        paths.len(),
        parent(first),
        at(first),
        at(second),
    ))
}

/// A tip if the line is only a command, and a folder of the same name exists, which may have been
/// meant.
pub(in crate::args) fn folder_named_like_command(
    line: &[OsString],
    program: &Command,
) -> Option<String> {
    let [_, name] = line else { return None };
    let name = name.to_str().filter(|name| program.find_subcommand(name).is_some())?;
    Path::new(name).is_dir().then(|| format!("to serve the folder {name}, write sockeye ./{name}"))
}
