//! The results as Markdown. A row of the first table shows a case: the server's figures without a
//! strain (plain), and with it (strained). A strain is, for example, many idle connections. See
//! [`cliffs`](super).

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    run::{Report, Row},
    scene::{Figures, Sample, Side},
    strain::Counts,
    trace::Calls,
    waiting, wire,
};
use crate::{
    stats::{estimate, spread},
    table::{date, machine},
};

/// Writes the tables that are not empty, and their explanations.
pub(super) fn markdown(report: &Report) -> String {
    let mut text = String::new();
    if !report.rows.is_empty() {
        text.push_str(
            "| | µs per request | strained ÷ plain | requests/s | calls | 99 % within | resident |\n\
             |---|---|---|---|---|---|---|\n",
        );
        report.rows.iter().for_each(|row| cost(&mut text, row));
        text.push('\n');
        report.rows.iter().for_each(|row| counts(&mut text, row));
        for row in &report.rows {
            if let Some([_, strained]) = &row.calls {
                list_calls(&mut text, row.case.title, strained);
            }
        }
    }
    if !report.waiting.is_empty() {
        waiting_rows(&mut text, &report.waiting);
    }
    if let Some(readers) = report.connected_readers {
        let _ = writeln!(
            text,
            "Still connected after three times a write timeout of {0}: {2} of {1} connections that \
             read nothing, {3} of {1} that read 16 KiB per second.\n",
            waiting::TIMEOUT,
            readers.opened,
            readers.reading_nothing,
            readers.reading_some
        );
    }
    if !report.wire.is_empty() {
        wire_rows(&mut text, &report.wire);
    }
    text.push_str(&legend(report));
    text
}

fn cost(text: &mut String, row: &Row) {
    let pair = |of: &dyn Fn(&Sample) -> f64, show: &dyn Fn(f64) -> String| {
        let side = |side| spread(row.of(side).map(of)).map_or("–".to_owned(), |s| show(s.median));
        format!("{} → {}", side(Side::Plain), side(Side::Strained))
    };
    let micros = pair(&Sample::micros, &|micros| match micros {
        m if m < 10.0 => format!("{m:.2}"),
        m if m < 100.0 => format!("{m:.1}"),
        m => format!("{m:.0}"),
    });
    let rate = pair(&Sample::per_second, &|rate| match rate {
        rate if rate < 1e4 => format!("{:.1} k", rate / 1e3),
        rate => format!("{:.0} k", rate / 1e3),
    });
    let latency =
        pair(&|sample| sample.latency.as_secs_f64(), &|latency| format!("{:.2} ms", latency * 1e3));
    let resident = pair(&|sample| sample.resident as f64, &mebibytes);
    let (micros, ratio) = match row.case.figures {
        Figures::Latency => ("–".to_owned(), "–".to_owned()),
        Figures::CpuTime | Figures::CpuTimeAndSyscalls => (micros, ratio(row)),
    };
    let _ = writeln!(
        text,
        "| {} | {micros} | {ratio} | {rate} | {} | {latency} | {resident} |",
        row.case.title,
        row.calls.as_ref().map_or("–".to_owned(), calls),
    );
}

/// The strained side's CPU time per request, divided by the plain side's in the same round: the
/// median over the rounds, and its interval.
fn ratio(row: &Row) -> String {
    let ratios = row.of(Side::Strained).filter_map(|strained| {
        let plain = row.of(Side::Plain).find(|plain| plain.round == strained.round)?;
        Some(strained.micros() / plain.micros())
    });
    let Some(of) = estimate(ratios) else { return "–".to_owned() };
    let mark = if of.confident { "" } else { " ?" };
    format!("{:.2} ({:.2}–{:.2}{mark})", of.median, of.low, of.high)
}

fn calls([plain, strained]: &[Calls; 2]) -> String {
    format!("{:.2} → {:.2}", plain.total(), strained.total())
}

/// Lists the system calls by name, if there are more than 5 per request: a small response needs
/// fewer. Omits names with fewer than 0.1 calls per request.
fn list_calls(text: &mut String, title: &str, calls: &Calls) {
    const FEW: f64 = 5.0;
    if calls.total() > FEW {
        let mut all: Vec<_> = calls.all().filter(|(_, count)| *count >= 0.1).collect();
        all.sort_by(|one, other| other.1.total_cmp(&one.1));
        let all: Vec<_> =
            all.iter().map(|(name, count)| format!("{name} {}", format_count(*count))).collect();
        let _ = writeln!(text, "- {title}: {}.", all.join(", "));
    }
}

/// Writes what the threads of the strains counted, such as responses that were cut, summed over all
/// rounds.
fn counts(text: &mut String, row: &Row) {
    for (side, name) in [(Side::Plain, "plain"), (Side::Strained, "strained")] {
        let mut sum = Counts::new();
        for (what, count) in row.of(side).flat_map(|sample| &sample.counts) {
            *sum.entry(what).or_default() += count;
        }
        if !sum.is_empty() {
            let parts: Vec<_> = sum.iter().map(|(what, count)| format!("{count} {what}")).collect();
            let _ = writeln!(text, "- {}, {name}: {}.", row.case.title, parts.join(", "));
        }
    }
}

fn waiting_rows(text: &mut String, rows: &[waiting::WaitingRow]) {
    text.push_str("\n| only waiting | of a core | bytes each | resident |\n|---|---|---|---|\n");
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {:.2} % | {:.0} | {} |",
            row.title,
            row.cpu_share * 100.0,
            row.bytes_per_connection,
            mebibytes(row.resident as f64),
        );
    }
    text.push('\n');
}

/// The system calls that have a column of their own. All others are summed in the column `others`.
const COLUMNS: [&[&str]; 5] = [
    &["epoll_wait", "epoll_pwait"],
    &["recvfrom"],
    &["sendmsg", "sendto"],
    &["sendfile"],
    &["setsockopt"],
];

fn wire_rows(text: &mut String, rows: &[wire::WireRow]) {
    text.push_str(
        "\n| response | bytes | wait | recv | sendmsg | sendfile | setsockopt | others | segments | \
         stalls |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let _ = write!(text, "| {} | {} ", row.title, row.bytes);
        for names in COLUMNS {
            let _ = write!(text, "| {} ", format_count(row.calls.of(names)));
        }
        let known: f64 = COLUMNS.iter().map(|names| row.calls.of(names)).sum();
        let segments = row.segments.map_or("–".to_owned(), format_count);
        let others = format_count(row.calls.total() - known);
        let _ = writeln!(text, "| {others} | {segments} | {} of {} |", row.stalled, wire::TIMED);
    }
    text.push('\n');
    rows.iter().for_each(|row| list_calls(text, row.title, &row.calls));
    text.push('\n');
}

/// Formats a count, without decimals if it is whole.
fn format_count(count: f64) -> String {
    let text = format!("{count:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

fn legend(report: &Report) -> String {
    let machine = machine();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(Duration::ZERO, |since| since);
    let mut text = format!(
        "{}, {}, Linux {}, loopback. Plain → strained, in turn on a fresh server each: medians of {} \
         rounds of {} s. µs: server CPU time per request, including the strain; ÷: in the same round, \
         the median over the rounds and its 95 % confidence interval (with a ? the range, because \
         there are too few rounds). Calls: system calls per request of one connection, by strace.\n",
        date(now.as_secs()),
        machine.cpu,
        machine.kernel,
        report.rounds,
        report.length.as_secs_f64(),
    );
    let samples = || report.rows.iter().flat_map(|row| &row.samples);
    let disturbed = samples().filter(|(_, sample)| sample.is_disturbed()).count();
    if disturbed > 0 {
        let _ = writeln!(
            text,
            "\nThe machine was not quiet: other work disturbed {disturbed} of {} runs, also when they \
             were repeated.",
            samples().count()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_counts_have_no_decimals() {
        for (count, text) in [(1.0, "1"), (0.0, "0"), (1.25, "1.25"), (10.0, "10"), (0.5, "0.5")] {
            assert_eq!(format_count(count), text);
        }
    }
}
