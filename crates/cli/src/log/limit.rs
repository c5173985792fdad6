//! Limits the number of log lines about one client.
//!
//! For each kind of lines ([`LineKind`]) and each client, the first [`MAX_LINES`] lines are
//! written. Further lines within [`PERIOD`] are suppressed, and their number is logged in one line
//! when the period is over or the program ends. Lines that name no client are counted together if
//! they are of one kind and have the same message. Lines of the levels `debug` and `trace` are not
//! limited.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{self, Debug, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sockeye::proto::{Address, Client};
use tracing::field::{Field, Visit, display};
use tracing::{Event, Level, error, info, warn};

/// How many lines of one kind about one client are written in a period.
const MAX_LINES: u64 = 10;

/// The length of a period, which begins with its first line.
pub(super) const PERIOD: Duration = Duration::from_secs(60);

/// While there are fewer counts than this, each kind of lines about each client gets a count of its
/// own. From then on, lines without such a count share one count per kind. When there are twice as
/// many counts, lines of kinds without a shared count share one for all these kinds. A count takes
/// a few hundred bytes.
const MAX_COUNTS: usize = 1024;

/// The minimum time between two sweeps. A sweep removes the counts whose period is over, if they
/// have no suppressed lines to report. It visits all counts, which takes time.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum length of a client's name and of a reason, in bytes. Longer ones are truncated.
const MAX_TEXT: usize = 96;

/// The target of the events that report suppressed lines. These events are not limited.
pub(super) const TARGET: &str = "sockeye::suppressed";

/// A kind of lines. Lines of one kind about one client are counted together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct LineKind {
    /// The place in the program that logs the lines. Empty for the one count that further kinds
    /// share: see [`MAX_COUNTS`].
    call_site: &'static str,
    /// The value of the field `code`. Empty for most lines.
    code: String,
    /// The reason, up to the first character that isn't an ASCII letter, a space or one of `,.-'`.
    /// This leaves out most values, such as numbers and quoted text: they differ from line to line,
    /// and clients may choose them.
    reason: String,
    /// The message, if the line names no client: such messages contain names of flags or of
    /// certificates, and no text from clients. Empty for a line that names a client.
    message: String,
}

/// The client that caused a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Cause {
    /// The client's IPv4 address, the /64 of its IPv6 address, or its name: see [`client_of`].
    Client(String),
    /// The line names no client. Also for the one count that further kinds share.
    None,
    /// One of the clients that share a count: see [`MAX_COUNTS`].
    Others,
}

/// A line to count.
#[derive(Debug)]
pub(super) struct Line {
    kind: LineKind,
    cause: Cause,
    /// `None` for a line without a level, which is written at every log level.
    level: Option<Level>,
    message: String,
}

impl Line {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields { message, code, reason, client } = fields;
        let (cause, kind_message) = match client.is_empty() {
            true => (Cause::None, message.clone()),
            false => (Cause::Client(client_of(client)), String::new()),
        };
        let (call_site, reason) = (event.metadata().name(), reason_kind(&reason));
        let kind = LineKind { call_site, code, reason, message: kind_message };
        Self { kind, cause, level: Some(*event.metadata().level()), message }
    }

    /// A line that is written at every log level.
    pub(super) fn of_text(call_site: &'static str, message: &str) -> Self {
        let kind = LineKind { call_site, ..LineKind::default() };
        Self { kind, cause: Cause::None, level: None, message: message.to_owned() }
    }
}

/// The fields of an event that determine its kind, client and message.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    code: String,
    reason: String,
    client: String,
}

impl Fields {
    fn record(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let to = match field.name() {
            "message" => &mut self.message,
            "code" => &mut self.code,
            "reason" | "error" => &mut self.reason,
            "client" | "peer" => &mut self.client,
            _ => return,
        };
        to.clear();
        // Writing to a string doesn't fail.
        let _ = to.write_fmt(value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, format_args!("{value}"));
    }
}

/// The start of a reason, without most values: see [`LineKind::reason`].
fn reason_kind(reason: &str) -> String {
    let is_in_word = |c: char| c.is_ascii_alphabetic() || matches!(c, ' ' | ',' | '.' | '-' | '\'');
    let end = reason.find(|c| !is_in_word(c)).unwrap_or(reason.len());
    // The text before `end` is ASCII.
    reason[..end.min(MAX_TEXT)].trim_end().to_owned()
}

/// The client that an event's field names: its IPv4 address, or the /64 of its IPv6 address. If the
/// field isn't an address with a port, its text is returned, truncated.
fn client_of(mut name: String) -> String {
    match name.parse::<SocketAddr>() {
        Ok(address) => Client::of(Address::Ip(address)).to_string(),
        Err(_) => {
            name.truncate(name.floor_char_boundary(MAX_TEXT));
            name
        }
    }
}

/// The number of lines of one kind about one client in a period.
#[derive(Debug)]
struct Count {
    /// When the period began.
    since: Instant,
    /// All lines in the period, also the suppressed ones.
    lines: u64,
    /// The level and message of the first line in the period.
    level: Option<Level>,
    message: String,
}

impl Count {
    fn suppressed(&self) -> u64 {
        self.lines.saturating_sub(MAX_LINES)
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= PERIOD
    }
}

/// Whether to write a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Write,
    /// Suppress the line, which is the first one to be suppressed in its period. So [`Limits::due`]
    /// may have changed.
    SuppressFirst,
    Suppress,
}

#[derive(Debug, Default)]
pub(super) struct Limits {
    /// At most `2 * MAX_COUNTS + 1` counts: see [`MAX_COUNTS`].
    counts: HashMap<(LineKind, Cause), Count>,
    /// The time of the last sweep: see [`SWEEP_INTERVAL`].
    swept: Option<Instant>,
}

impl Limits {
    /// Counts a line, and decides whether to write it.
    pub(super) fn count(&mut self, line: Line, now: Instant) -> Decision {
        let Line { kind, cause, level, message } = line;
        let key = self.key(kind, cause, now);
        let new = Count { since: now, lines: 0, level, message };
        let count = match self.counts.entry(key) {
            Entry::Vacant(entry) => entry.insert(new),
            Entry::Occupied(entry) => {
                let count = entry.into_mut();
                // If lines were suppressed, the period continues until `take` reports and removes
                // the count.
                if count.is_over(now) && count.suppressed() == 0 {
                    *count = new;
                }
                count
            }
        };
        count.lines += 1;
        match count.suppressed() {
            0 => Decision::Write,
            1 => Decision::SuppressFirst,
            _ => Decision::Suppress,
        }
    }

    /// The key of the count for a line. If there are too many counts, the line is added to a shared
    /// one.
    fn key(&mut self, kind: LineKind, cause: Cause, now: Instant) -> (LineKind, Cause) {
        let key = (kind, cause);
        if self.counts.len() < MAX_COUNTS || self.counts.contains_key(&key) {
            return key;
        }
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_INTERVAL) {
            self.swept = Some(now);
            self.counts.retain(|_, count| !count.is_over(now) || count.suppressed() > 0);
        }
        if self.counts.len() < MAX_COUNTS {
            return key;
        }
        let shared = match key {
            (kind, Cause::None) => (kind, Cause::None),
            (kind, _) => (kind, Cause::Others),
        };
        if self.counts.len() < 2 * MAX_COUNTS || self.counts.contains_key(&shared) {
            return shared;
        }
        (LineKind::default(), Cause::None)
    }

    /// When suppressed lines must be reported next. `None` if no line is suppressed.
    pub(super) fn due(&self) -> Option<Instant> {
        let suppressed = self.counts.values().filter(|count| count.suppressed() > 0);
        suppressed.map(|count| count.since + PERIOD).min()
    }

    /// Removes and returns the counts that have suppressed lines and whose period is over. If
    /// `all`, also those whose period is not over.
    pub(super) fn take(&mut self, now: Instant, all: bool) -> Vec<Suppressed> {
        let is_due = |count: &Count| count.suppressed() > 0 && (all || count.is_over(now));
        self.counts
            .extract_if(|_, count| is_due(count))
            .map(|((kind, cause), count)| Suppressed { kind, cause, count, now })
            .collect()
    }
}

/// The report of suppressed lines.
#[derive(Debug)]
pub(super) struct Suppressed {
    kind: LineKind,
    cause: Cause,
    count: Count,
    now: Instant,
}

impl Suppressed {
    /// Logs how many lines were suppressed, at the level of the first counted line. If it has no
    /// level, returns the text for the caller to print.
    pub(super) fn log(&self) -> Option<String> {
        let Self { kind: LineKind { code, reason, .. }, count, .. } = self;
        let [code, reason] = [code, reason].map(|text| (!text.is_empty()).then(|| display(text)));
        match count.level {
            None => return Some(self.to_string()),
            Some(Level::ERROR) => error!(target: TARGET, code, reason, "{self}"),
            Some(Level::WARN) => warn!(target: TARGET, code, reason, "{self}"),
            Some(_) => info!(target: TARGET, code, reason, "{self}"),
        }
        None
    }
}

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, cause, count, now } = self;
        let message = if kind.call_site.is_empty() { "various lines" } else { &count.message };
        write!(f, "{message}: {} more", count.suppressed())?;
        match cause {
            Cause::Client(client) => write!(f, " from {client}")?,
            Cause::Others => f.write_str(" from other clients")?,
            Cause::None => {}
        }
        let time = now.saturating_duration_since(count.since);
        write!(f, " in {} s", time.as_secs().max(1))
    }
}

#[cfg(test)]
mod tests;
