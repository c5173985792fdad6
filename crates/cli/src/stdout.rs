//! What standard output is, and how wide.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU16, Ordering};

/// The width of a terminal that doesn't tell its own.
const DEFAULT_WIDTH: u16 = 80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdout {
    Terminal {
        /// Whether to colour text.
        color: bool,
    },
    /// A file, a pipe, or closed.
    Other,
}

impl Stdout {
    /// Standard output of this process. Measures a terminal.
    pub(crate) fn detect() -> Self {
        measure();
        let (no_color, term) = (env::var_os("NO_COLOR"), env::var_os("TERM"));
        Self::of(io::stdout().is_terminal(), no_color.as_deref(), term.as_deref())
    }

    /// `no_color` and `term` are the environment variables `NO_COLOR` (<https://no-color.org>) and
    /// `TERM`.
    fn of(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> Self {
        let color = no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|term| term != "dumb");
        if is_terminal { Self::Terminal { color } } else { Self::Other }
    }
}

/// The width that [`measure`] has found.
static WIDTH: AtomicU16 = AtomicU16::new(DEFAULT_WIDTH);

/// Asks the terminal for its width, which changes with its window.
pub(crate) fn measure() {
    let width = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col);
    WIDTH.store(if width == 0 { DEFAULT_WIDTH } else { width }, Ordering::Relaxed);
}

/// The width of the terminal in columns, when it was last measured.
pub(crate) fn width() -> usize {
    WIDTH.load(Ordering::Relaxed).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_that_can_is_coloured() {
        let of = |is_terminal, no_color: Option<&str>, term: Option<&str>| {
            Stdout::of(is_terminal, no_color.map(OsStr::new), term.map(OsStr::new))
        };
        for (no_color, term, color) in [
            (None, Some("xterm-256color"), true),
            (Some(""), Some("xterm"), true),
            (Some("1"), Some("xterm"), false),
            (None, Some("dumb"), false),
            (None, None, false),
        ] {
            let found = of(true, no_color, term);
            assert_eq!(found, Stdout::Terminal { color }, "{no_color:?} {term:?}");
        }
        assert_eq!(of(false, None, Some("xterm")), Stdout::Other);
    }
}
