//! With `--live`, pages that can't reload themselves are named in the log, once for each problem.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

use tracing::warn;

use crate::limits::lock::lock;

/// Maximum size in bytes of a page into which the script that reloads it is inserted. Such a page
/// is read into memory for each request.
pub(crate) const MAX_LEN: usize = 4 * 1024 * 1024;

/// Maximum number of pages whose problems are remembered. Problems of further pages are not logged.
const MAX_PAGES: usize = 1024;

/// Why a page doesn't reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The page is in UTF-16, which isn't a superset of ASCII.
    Encoding,
    /// The file is stored compressed.
    Compressed,
    TooLarge,
    /// The URL in the page's `<base>` element has a host, so the script would be loaded from there.
    Base,
    /// The Content-Security-Policy in the response's header (`is_header`) or in a `<meta>` element
    /// of the page forbids the script. `change` says what to change in the policy, such as `add
    /// 'self' to script-src`.
    Policy {
        change: String,
        is_header: bool,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => f.write_str("it is in UTF-16; save it as UTF-8"),
            Self::Compressed => f.write_str("it is stored compressed"),
            Self::TooLarge => write!(f, "it is larger than {} MiB", MAX_LEN >> 20),
            Self::Base => {
                f.write_str("its <base> element names a server; while you edit, remove it")
            }
            Self::Policy { change, is_header } => {
                let of = if *is_header { "the header" } else { "the <meta> element" };
                write!(f, "{of} Content-Security-Policy forbids it; while you edit, {change}")
            }
        }
    }
}

/// The pages with problems.
#[derive(Debug, Default)]
pub(crate) struct Problems(Mutex<HashMap<String, Problem>>);

impl Problems {
    /// Logs the problem of a page, unless the previous call for this page had the same problem.
    /// `None`: the page has no problem.
    pub(crate) fn report(&self, page: &str, problem: Option<Problem>) {
        let mut known = lock(&self.0);
        let Some(problem) = problem else {
            known.remove(page);
            return;
        };
        if known.get(page) == Some(&problem)
            || known.len() >= MAX_PAGES && !known.contains_key(page)
        {
            return;
        }
        warn!(target: "sockeye", page, "--live: this page does not reload by itself: {problem}");
        known.insert(page.to_owned(), problem);
    }

    /// What was last logged about a page.
    #[cfg(test)]
    pub(crate) fn of(&self, page: &str) -> Option<Problem> {
        lock(&self.0).get(page).cloned()
    }
}
