//! How many lines one client can cause.
//!
//! The first [`FIRST`] lines of a kind and a client are written, and those that follow within
//! [`PERIOD`] are counted: one line says how many, when the period is over or the program ends. What a
//! kind is, [`Kind`] says. Lines below the level `info` are not limited: who asks for them wants all.

use std::collections::HashMap;
use std::fmt::{self, Debug, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sockeye::proto::{Address, Client};
use tracing::field::{Field, Visit, display};
use tracing::{Event, Level, error, info, warn};

/// So many lines of a kind and a client are written in a period.
const FIRST: u64 = 10;

/// How long lines are counted together.
pub(super) const PERIOD: Duration = Duration::from_secs(60);

/// Kinds and clients that are told apart at a time, at a few hundred bytes each. Further clients are
/// counted together, by kind.
const MOST: usize = 1024;

/// How often room is looked for where there is none: that takes a look at all.
const SWEEP: Duration = Duration::from_secs(1);

/// So much of a client's name and of a reason is kept, in bytes.
const LONGEST: usize = 96;

/// Events that say how many lines were left out: they are no subject to the limit.
pub(super) const TARGET: &str = "sockeye::left_out";

/// What lines are counted together, of one client or of all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    /// Where in the program they come from; empty for all that there is no room for.
    place: &'static str,
    /// The words of their reason in front of the first value (a number, or something in quotes or
    /// behind a colon), which may be different each time, and chosen by the client.
    reason: String,
}

/// Of whom the lines are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// Of a client: an address, or the /64 of an IPv6 address.
    Client(String),
    /// Of nobody in particular.
    Nobody,
    /// Of those that there is no room for.
    Others,
}

/// What the limit has to know of a line.
#[derive(Debug)]
pub(super) struct Line {
    kind: Kind,
    who: Who,
    /// `None` for what is said whatever the level is.
    level: Option<Level>,
    message: String,
}

impl Line {
    /// One that an event makes.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields { message, reason, client } = fields;
        let kind = Kind { place: event.metadata().name(), reason: words(&reason) };
        let who = if client.is_empty() { Who::Nobody } else { Who::Client(client_of(client)) };
        Self { kind, who, level: Some(*event.metadata().level()), message }
    }

    /// One that is said whatever the level is, from a place in the program.
    pub(super) fn said(place: &'static str, message: &str) -> Self {
        let kind = Kind { place, reason: String::new() };
        Self { kind, who: Who::Nobody, level: None, message: message.to_owned() }
    }
}

/// The fields of an event that matter here.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    reason: String,
    client: String,
}

impl Fields {
    fn note(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let to = match field.name() {
            "message" => &mut self.message,
            "reason" | "why" | "error" => &mut self.reason,
            "client" | "peer" => &mut self.client,
            _ => return,
        };
        to.clear();
        // A string takes what it is given.
        let _ = to.write_fmt(value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.note(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, format_args!("{value}"));
    }
}

/// The words in front of the first value.
fn words(reason: &str) -> String {
    let is_in_word = |c: char| c.is_ascii_alphabetic() || matches!(c, ' ' | ',' | '.' | '-' | '\'');
    let end = reason.find(|c| !is_in_word(c)).unwrap_or(reason.len());
    // They are ASCII.
    reason[..end.min(LONGEST)].trim_end().to_owned()
}

/// A client by what an event calls it, which may be an address with a port.
fn client_of(mut name: String) -> String {
    match name.parse::<SocketAddr>() {
        Ok(address) => Client::of(Address::Ip(address)).to_string(),
        Err(_) => {
            name.truncate(name.floor_char_boundary(LONGEST));
            name
        }
    }
}

/// Lines of one kind and client.
#[derive(Debug)]
struct Count {
    since: Instant,
    lines: u64,
    level: Option<Level>,
    message: String,
}

impl Count {
    fn left_out(&self) -> u64 {
        self.lines.saturating_sub(FIRST)
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= PERIOD
    }
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Write,
    /// It is the first that is left out: [`Limits::due`] has changed.
    LeaveOutFirst,
    LeaveOut,
}

/// All that is counted now.
#[derive(Debug, Default)]
pub(super) struct Limits {
    // At most `MOST` for clients, and as many for kinds.
    counts: HashMap<(Kind, Who), Count>,
    /// When it was last looked for those that are over.
    swept: Option<Instant>,
}

impl Limits {
    /// Counts a line.
    pub(super) fn count(&mut self, line: Line, now: Instant) -> Verdict {
        let Line { kind, who, level, message } = line;
        let key = self.key(kind, who, now);
        let new = || Count { since: now, lines: 0, level, message };
        let count = self.counts.entry(key).or_insert_with(new);
        // What was left out is told first, which takes the count away.
        if count.is_over(now) && count.left_out() == 0 {
            (count.since, count.lines) = (now, 0);
        }
        count.lines += 1;
        match count.left_out() {
            0 => Verdict::Write,
            1 => Verdict::LeaveOutFirst,
            _ => Verdict::LeaveOut,
        }
    }

    /// What a line is counted under: with others of its kind where there is no room.
    fn key(&mut self, kind: Kind, who: Who, now: Instant) -> (Kind, Who) {
        let key = (kind, who);
        if self.counts.len() < MOST || self.counts.contains_key(&key) {
            return key;
        }
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            self.counts.retain(|_, count| !count.is_over(now) || count.left_out() > 0);
        }
        if self.counts.len() < MOST {
            return key;
        }
        let others = (key.0, Who::Others);
        if self.counts.len() < 2 * MOST || self.counts.contains_key(&others) {
            return others;
        }
        (Kind { place: "", reason: String::new() }, Who::Others)
    }

    /// When there is something to tell; `None` where nothing was left out.
    pub(super) fn due(&self) -> Option<Instant> {
        let left_out = self.counts.values().filter(|count| count.left_out() > 0);
        left_out.map(|count| count.since + PERIOD).min()
    }

    /// Takes out what is due, or all that was left out.
    pub(super) fn take(&mut self, now: Instant, all: bool) -> Vec<LeftOut> {
        let is_due = |count: &Count| count.left_out() > 0 && (all || count.is_over(now));
        self.counts
            .extract_if(|_, count| is_due(count))
            .map(|((kind, who), count)| LeftOut { kind, who, count, now })
            .collect()
    }
}

/// Lines that were left out.
#[derive(Debug)]
pub(super) struct LeftOut {
    kind: Kind,
    who: Who,
    count: Count,
    now: Instant,
}

impl LeftOut {
    /// Has it logged as what was left out was; returns it where that was said whatever the level.
    pub(super) fn log(&self) -> Option<String> {
        let Self { kind: Kind { reason, .. }, count, .. } = self;
        let reason = (!reason.is_empty()).then(|| display(reason));
        match count.level {
            None => return Some(self.to_string()),
            Some(Level::ERROR) => error!(target: TARGET, reason, "{self}"),
            Some(Level::WARN) => warn!(target: TARGET, reason, "{self}"),
            Some(_) => info!(target: TARGET, reason, "{self}"),
        }
        None
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, who, count, now } = self;
        let message = if kind.place.is_empty() { "various lines" } else { &count.message };
        write!(f, "{message}: {} more", count.left_out())?;
        match who {
            Who::Client(client) => write!(f, " from {client}")?,
            Who::Others => f.write_str(" from other clients")?,
            Who::Nobody => {}
        }
        let time = now.saturating_duration_since(count.since);
        write!(f, " in {} s", time.as_secs().max(1))
    }
}

#[cfg(test)]
mod tests;
