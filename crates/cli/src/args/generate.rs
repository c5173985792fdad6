//! The subcommands for whoever installs or packages the program: they write shell completions and
//! man pages.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  # For bash, with the package bash-completion.
  sockeye completions bash > ~/.local/share/bash-completion/completions/sockeye
  # For zsh: in a folder of $fpath.
  sockeye completions zsh > /usr/local/share/zsh/site-functions/_sockeye
  # For fish.
  sockeye completions fish > ~/.config/fish/completions/sockeye.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  # For one user, if man searches ~/.local/share/man (see manpath).
  sockeye man ~/.local/share/man/man1
  # For everyone.
  sockeye man /usr/local/share/man/man1";

/// Print the completions of a shell.
#[derive(Args, Debug)]
#[command(hide = true, after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct Completions {
    /// The shell: bash, zsh or fish.
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Write the man pages: sockeye.1, and one for each subcommand, such as sockeye-http.1.
#[derive(Args, Debug)]
#[command(hide = true, after_help = MAN_EXAMPLES)]
pub(crate) struct Man {
    /// The folder to write to. It must exist.
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}
