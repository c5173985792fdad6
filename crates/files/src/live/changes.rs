//! Which paths have changed lately, and who waits for the next change.
//!
//! Changes come in batches, which are numbered. Each page contains a token with the number of the
//! last batch before the page was made. A follower is the WebSocket of an open page. It knows the
//! number of the last batch that the page has seen, so there is no queue per follower. If batches
//! that a slow follower has not seen are no longer kept, it is told that everything may have
//! changed.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use sockeye_proto::Remote;

use super::problems::Problems;
use crate::limits::lock::lock;

/// How many batches are kept: for pages that are being loaded, and for slow followers.
const MAX_BATCHES: usize = 64;

/// Maximum length, in bytes, of all kept batches together: enough for about a thousand paths. So
/// the message to a page is bounded, too.
const MAX_TEXT: usize = 64 * 1024;

/// The root folder: pages are told that it has changed if the changed paths are unknown, or too
/// many to list.
const EVERYTHING: &str = "/";

/// Tells the pages that are open in browsers which published files have changed. See
/// [`Folder::with_live`](crate::Folder::with_live).
#[derive(Debug)]
pub struct Live {
    /// A random number in each token: the batch numbers of another process mean nothing to this
    /// one.
    instance: u64,
    state: Mutex<State>,
    pub(crate) problems: Problems,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the last batch. The first one has number 1; 0: there was none yet.
    number: u64,
    /// The last batches. Each is a set of paths, one path per line.
    batches: VecDeque<Box<str>>,
    followers: Vec<Remote>,
}

impl Live {
    /// Creates a value in which nothing has changed yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let instance = RandomState::new().hash_one(0);
        Arc::new(Self { instance, state: Mutex::default(), problems: Problems::default() })
    }

    /// Tells the open pages that files were changed, created or deleted. Never waits for a page.
    ///
    /// Each path is that of a file's URL, but not percent-encoded, such as `/docs/a b.html`. A path
    /// with a final slash is a folder, in which everything may have changed; `/` is everything.
    pub fn changed<'a>(&self, paths: impl IntoIterator<Item = &'a [u8]>) {
        let mut batch = BTreeSet::new();
        let mut len = 0;
        for path in paths {
            let path = canonical(path);
            len += path.len() + 1;
            if len > MAX_TEXT {
                batch = BTreeSet::from([EVERYTHING.to_owned()]);
                break;
            }
            batch.insert(path);
        }
        if batch.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        state.number += 1;
        state.batches.push_back(lines(&batch).into());
        let mut len: usize = state.batches.iter().map(|batch| batch.len()).sum();
        while state.batches.len() > MAX_BATCHES || len > MAX_TEXT {
            len -= state.batches.pop_front().map_or(len, |batch| batch.len());
        }
        state.followers.retain(|follower| !follower.is_gone());
        state.followers.iter().for_each(Remote::wake);
    }

    /// Wakes `follower` after each change from now on, until it is gone.
    pub(crate) fn follow(&self, follower: Remote) {
        let mut state = lock(&self.state);
        if state.followers.len() == state.followers.capacity() {
            state.followers.retain(|follower| !follower.is_gone());
        }
        state.followers.push(follower);
    }

    /// The token of a page that is made now. It says that the page has seen all changes so far.
    pub(crate) fn token(&self) -> String {
        self.token_of(lock(&self.state).number)
    }

    fn token_of(&self, number: u64) -> String {
        format!("{:x}.{number}", self.instance)
    }

    /// The number of the last batch that the page with this token has seen. `None` if that is
    /// unknown, for example because the server was restarted.
    pub(crate) fn seen_with(&self, token: &str) -> Option<u64> {
        let (instance, number) = token.split_once('.')?;
        let is_ours = u64::from_str_radix(instance, 16) == Ok(self.instance);
        number.parse().ok().filter(|_| is_ours)
    }

    /// Returns the number of the last batch, and the message for a page that has seen the batches
    /// up to number `seen`. The message has a line with a new token, and a line for each path that
    /// has changed: only `/` if `seen` is `None` or no batch has this number yet, or if the batches
    /// after `seen` are not all kept. Returns `None` if `seen` is the number of the last batch.
    pub(crate) fn message(&self, seen: Option<u64>) -> Option<(u64, String)> {
        let state = lock(&self.state);
        let (number, known) = (state.number, state.batches.len());
        let missed = seen.and_then(|seen| number.checked_sub(seen)?.try_into().ok());
        let paths = match missed {
            Some(0) => return None,
            Some(missed) if missed <= known => {
                let batches = state.batches.range(known - missed..);
                let paths: BTreeSet<_> = batches.flat_map(|batch| batch.lines()).collect();
                lines(&paths)
            }
            _ => EVERYTHING.to_owned(),
        };
        Some((number, format!("{}\n{paths}", self.token_of(number))))
    }
}

fn lines(paths: &BTreeSet<impl AsRef<str>>) -> String {
    paths.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\n")
}

/// The one form of a path in which paths are compared: everything but unreserved characters and
/// slashes is percent-encoded (RFC 3986, 2.3). The script in the pages converts the paths of URLs
/// into this form, too.
pub(crate) fn canonical(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                text.push(char::from(*byte));
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(live: &Live, paths: &[&str]) {
        live.changed(paths.iter().map(|path| path.as_bytes()));
    }

    /// The paths that changed since `token`, which is replaced with the new token.
    fn news(live: &Live, token: &mut String) -> Option<Vec<String>> {
        let (number, message) = live.message(live.seen_with(token))?;
        let mut lines = message.lines().map(str::to_owned);
        *token = lines.next().unwrap();
        assert_eq!(live.seen_with(token), Some(number));
        Some(lines.collect())
    }

    #[test]
    fn a_follower_gets_what_it_has_not_seen_and_each_path_once() {
        let live = Live::new();
        let mut token = live.token();
        assert_eq!(news(&live, &mut token), None);
        change(&live, &["/b.css", "/a b.html", "/b.css"]);
        change(&live, &["/b.css", "/docs/"]);
        let all = ["/a%20b.html", "/b.css", "/docs/"].map(str::to_owned);
        assert_eq!(news(&live, &mut token), Some(all.into()));
        assert_eq!(news(&live, &mut token), None);
        change(&live, &[]);
        assert_eq!(news(&live, &mut token), None);
        let mut later = live.token();
        change(&live, &["/c"]);
        assert_eq!(news(&live, &mut token), Some(vec!["/c".into()]));
        assert_eq!(news(&live, &mut later), Some(vec!["/c".into()]));
    }

    #[test]
    fn who_has_missed_too_much_reloads_everything() {
        let live = Live::new();
        let mut token = live.token();
        for _ in 0..=MAX_BATCHES {
            change(&live, &["/a"]);
        }
        assert_eq!(news(&live, &mut token), Some(vec!["/".into()]));
        for foreign in [Live::new().token(), String::new(), "x".into(), ".".into(), "1.2.3".into()]
        {
            assert_eq!(news(&live, &mut foreign.clone()), Some(vec!["/".into()]), "{foreign}");
        }
        let future = live.token() + "0";
        assert_eq!(news(&live, &mut future.clone()), Some(vec!["/".into()]));
    }

    #[test]
    fn the_text_of_all_batches_is_bounded() {
        let live = Live::new();
        let mut token = live.token();
        let path = "/x".repeat(1024);
        let many: Vec<String> =
            (0..MAX_TEXT / path.len() + 1).map(|n| format!("{path}{n}")).collect();
        change(&live, &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(news(&live, &mut token), Some(vec!["/".into()]));
        for _ in 0..2 * MAX_BATCHES {
            change(&live, &many[..4].iter().map(String::as_str).collect::<Vec<_>>());
        }
        let state = lock(&live.state);
        assert!(state.batches.iter().map(|batch| batch.len()).sum::<usize>() <= MAX_TEXT);
        assert!(!state.batches.is_empty());
    }

    #[test]
    fn paths_are_compared_in_one_form() {
        for (path, expected) in [
            (&b"/docs/A-z_0.~"[..], "/docs/A-z_0.~"),
            (b"/a b", "/a%20b"),
            (b"/100%", "/100%25"),
            ("/é'(!)".as_bytes(), "/%C3%A9%27%28%21%29"),
            (b"/\xff\n", "/%FF%0A"),
        ] {
            assert_eq!(canonical(path), expected);
        }
    }
}
