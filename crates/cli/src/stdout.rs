//! Whether standard output is a terminal, and the terminal's width.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU16, Ordering};

/// The width in columns to assume if the terminal doesn't report one.
const DEFAULT_WIDTH: u16 = 80;

/// What standard output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdout {
    Terminal {
        /// Whether to colour text.
        color: bool,
    },
    /// A file or a pipe, or standard output is closed.
    Other,
}

impl Stdout {
    /// Finds out what standard output of this process is, and calls [`measure`].
    pub(crate) fn detect() -> Self {
        measure();
        let (no_color, term) = (env::var_os("NO_COLOR"), env::var_os("TERM"));
        Self::of(io::stdout().is_terminal(), no_color.as_deref(), term.as_deref())
    }

    /// Decides from the environment variables `NO_COLOR` (<https://no-color.org>) and `TERM`
    /// whether to colour text.
    fn of(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> Self {
        let color = no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|term| term != "dumb");
        if is_terminal { Self::Terminal { color } } else { Self::Other }
    }
}

/// The width in columns that [`measure`] has found.
static WIDTH: AtomicU16 = AtomicU16::new(DEFAULT_WIDTH);

/// Asks the terminal for its width, which changes when its window is resized, and stores it for
/// [`width`].
pub(crate) fn measure() {
    let width = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col);
    WIDTH.store(if width == 0 { DEFAULT_WIDTH } else { width }, Ordering::Relaxed);
}

/// The width of the terminal in columns, as [`measure`] last found it.
pub(crate) fn width() -> usize {
    WIDTH.load(Ordering::Relaxed).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_coloured_only_on_a_terminal_that_supports_it() {
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
