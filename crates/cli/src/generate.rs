//! `sockeye completions` and `sockeye man`: shell completions and man pages, made from clap's
//! definition of the command line.

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Arg, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::{self, CommandLine};
use crate::error::Error;

/// Prints the completions for a shell.
pub(crate) fn completions(flags: &args::Completions) -> ExitCode {
    let shell = match flags.shell {
        args::Shell::Bash => Shell::Bash,
        args::Shell::Zsh => Shell::Zsh,
        args::Shell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::definition(), "sockeye", &mut script);
    // The program that reads the output may stop early (`| head`), so write errors are ignored.
    let _ = io::stdout().lock().write_all(&script);
    ExitCode::SUCCESS
}

/// Writes a man page for the program, and one for each subcommand that `--help` lists.
pub(crate) fn man(flags: &args::Man) -> Result<ExitCode, Error> {
    let folder = &flags.folder;
    let shown = folder.display();
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(Error::usage(format!("{shown} is not a folder"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text =
                format!("the folder {shown} does not exist: create it with mkdir -p {shown}");
            return Err(Error::usage(text));
        }
        Err(error) => return Err(Error::of_path(error, format!("cannot use {shown}"))),
    }
    for (name, text) in pages(CommandLine::definition()) {
        let file = folder.join(format!("{name}.1"));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All pages, each as its name and its text.
fn pages(program: Command) -> Vec<(String, Vec<u8>)> {
    // `sockeye help` has no page.
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut commands: Vec<_> =
        program.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    commands.sort_by_key(|command| command.get_display_order());
    commands.insert(0, &program);
    let names: Vec<_> = commands.iter().map(|command| page_name(command)).collect();
    let texts = commands.iter().map(|command| page(command, &program, &names));
    names.iter().cloned().zip(texts).collect()
}

/// The name of a command's page: `sockeye-http` for `sockeye http`.
fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).to_owned()
}

/// The text of the page of `command`. It ends with references to the other pages of `names`.
fn page(command: &Command, program: &Command, names: &[String]) -> Vec<u8> {
    let name = page_name(command);
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    let command = command.clone().override_usage(usage).mut_args(complete_help);
    let mut sections = sections(&command);
    if !sections.iter().any(|section| section.title == EXIT_STATUS) {
        sections.extend(self::sections(program).into_iter().filter(|s| s.title == EXIT_STATUS));
    }
    if command.get_arguments().any(|arg| arg.get_env().is_some()) {
        sections.retain(|section| section.title != ENVIRONMENT);
        sections.push(Section { title: ENVIRONMENT.into(), lines: vec![VARIABLES.into()] });
    }
    // man-pages(7) puts EXIT STATUS and ENVIRONMENT before the other sections that follow OPTIONS.
    sections.sort_by_key(|section| {
        let order = [EXIT_STATUS, ENVIRONMENT];
        order.iter().position(|title| section.title == *title).unwrap_or(order.len())
    });
    let is_program = name == page_name(program);
    let version = program.get_version().unwrap_or_default();
    let man = Man::new(command)
        .source(format!("sockeye {version}"))
        // With an empty date, the footer would show the source in the date's place.
        .date(" ")
        .manual("Sockeye Manual");

    let mut roff = Roff::default();
    // Turn off hyphenation, which would break names of flags, and justification, which would add
    // spaces. groff turns hyphenation on again after each heading, unless the register HY is 0.
    roff.control("nr", ["HY", "0"]).control("nh", []).control("ad", ["l"]);
    let mut text = Vec::new();
    let mut write = || {
        man.render_title(&mut text)?;
        roff.to_writer(&mut text)?;
        man.render_name_section(&mut text)?;
        man.render_synopsis_section(&mut text)?;
        man.render_description_section(&mut text)?;
        if is_program {
            man.render_subcommands_section(&mut text)?;
        }
        man.render_options_section(&mut text)?;
        let mut roff = Roff::default();
        for section in &sections {
            section.render(&mut roff);
        }
        see_also(&mut roff, names.iter().filter(|other| **other != name));
        roff.to_writer(&mut text)
    };
    write().expect("memory can be written to");
    text
}

/// Shows the arguments that the short help leaves out, and lists positional arguments under a
/// heading of their own.
fn complete_help(arg: Arg) -> Arg {
    let arg = arg.hide_short_help(false).hide_long_help(false);
    if arg.is_positional() { arg.help_heading("Arguments") } else { arg }
}

const EXIT_STATUS: &str = "EXIT STATUS";
const ENVIRONMENT: &str = "ENVIRONMENT";
const VARIABLES: &str = "\
Each option has an environment variable that sets it: SOCKEYE_IDLE_TIMEOUT sets --idle-timeout. The variable \
of an option without a value is true or false. The command line takes precedence.";

/// A section of the page, made from a part of the text at the end of a command's help.
struct Section {
    title: String,
    /// Lines of paragraphs are not indented. Examples and lists are indented, as in the help.
    lines: Vec<String>,
}

/// Splits the text at the end of a command's help into sections. An unindented line that ends with
/// a colon is a section's title. `Exit codes: TEXT` is a section with one paragraph. Any other
/// unindented line belongs to the section about environment variables if it begins with
/// `Environment`, otherwise to the notes.
fn sections(command: &Command) -> Vec<Section> {
    let text = command.get_after_long_help().or(command.get_after_help());
    let text = text.map(ToString::to_string).unwrap_or_default();
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if line.starts_with(' ') {
            if let Some(section) = sections.last_mut() {
                section.lines.push(line.to_owned());
            }
            continue;
        }
        let (title, rest) = match line.split_once(':') {
            Some(("Exit codes", rest)) => (EXIT_STATUS, rest.trim()),
            Some((title, "")) => (title, ""),
            _ if line.starts_with("Environment") => (ENVIRONMENT, line),
            _ => ("Notes", line),
        };
        let title = title.to_uppercase();
        let lines = if rest.is_empty() { Vec::new() } else { vec![rest.to_owned()] };
        match sections.last_mut() {
            Some(last) if last.title == title => last.lines.extend(lines),
            _ => sections.push(Section { title, lines }),
        }
    }
    sections
}

impl Section {
    /// Writes the section. A comment (`# …`) becomes a paragraph. In examples, all other indented
    /// lines are commands. Elsewhere, an indented line `TERM  TEXT` is an entry of a list.
    fn render(&self, roff: &mut Roff) {
        roff.control("SH", [self.title.as_str()]);
        for line in &self.lines {
            let indented = line.trim_start();
            let margin = line.len() - indented.len();
            if let Some(comment) = indented.strip_prefix("# ") {
                roff.control("PP", []);
                roff.text([roman(comment)]);
            } else if margin == 0 {
                roff.text([roman(indented)]);
            } else if self.title == "EXAMPLES" {
                roff.control("RS", ["4"]);
                roff.control("EX", []);
                roff.text([bold(indented)]);
                roff.control("EE", []);
                roff.control("RE", []);
            } else if let Some((term, text)) = indented.split_once("  ").filter(|_| margin == 2) {
                roff.control("TP", ["6"]);
                roff.text([bold(term)]);
                roff.text([roman(text.trim_start())]);
            } else {
                roff.text([roman(indented)]);
            }
        }
    }
}

/// Writes the section with the names of other pages.
fn see_also<'a>(roff: &mut Roff, names: impl Iterator<Item = &'a String>) {
    let mut line = Vec::new();
    for name in names {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(name), roman("(1)")]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages_of(program: Command) -> Vec<(String, String)> {
        let text = |(name, text)| {
            (name, String::from_utf8(text).unwrap().replace('\\', "").replace("*(Aq", "'"))
        };
        pages(program).into_iter().map(text).collect()
    }

    #[test]
    fn a_page_has_the_help_of_every_flag_with_its_default() {
        let hide = |command: Command| command.mut_args(|arg| arg.hide_short_help(true));
        let program = CommandLine::definition().mut_subcommands(hide);
        let pages = pages_of(program.clone());
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..2], ["sockeye", "sockeye-http"], "{names:?}");
        for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = format!("sockeye-{}", command.get_name());
            let (_, page) = pages.iter().find(|page| page.0 == name).expect(&name);
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let help = arg.get_long_help().or(arg.get_help()).unwrap().to_string();
                let help = help.replace('\\', "");
                for line in help.lines() {
                    assert!(page.contains(line), "{name}: {line:?} is missing");
                }
                let Some(long) = arg.get_long() else { continue };
                assert!(page.contains(&format!("--{long}")), "{name}: --{long}");
            }
            for title in ["EXAMPLES", "EXIT STATUS", "SEE ALSO"] {
                assert!(page.contains(title), "{name}: {title}");
            }
        }
    }

    #[test]
    fn a_section_has_its_title_and_lines() {
        let text = "Exit codes: 0 served.\n\nExamples:\n  # One.\n  sockeye one\n\nA note.";
        let sections = sections(&Command::new("sockeye").after_help(text));
        let found: Vec<_> = sections.iter().map(|s| (s.title.as_str(), s.lines.len())).collect();
        assert_eq!(found, [("EXIT STATUS", 1), ("EXAMPLES", 2), ("NOTES", 1)]);
    }
}
