//! The report as Markdown.
//!
//! A cost is a server's CPU time per request, in microseconds. The bare server, which parses
//! almost nothing, is [`Kind::Limit`]; Sockeye is [`Kind::Ours`].

use std::{
    fmt::Write as _,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    compare::{Report, RowResult, Run},
    kind::Kind,
    stats::{Estimate, Spread, estimate, spread},
};

/// Maximum number of servers besides Sockeye and the bare one in a table of costs. With more, there
/// is a second table, of ratios.
const OTHERS: usize = 2;
/// A ratio that is shown without its interval is marked with `≈` if an end of the interval differs
/// from the ratio by more than this fraction of it, or if there are too few rounds for an interval.
const ROUGH: f64 = 0.10;

/// Writes the tables and their explanations.
pub(crate) fn markdown(report: &Report) -> String {
    let mut text = String::new();
    let timed = report.rows.iter().filter(|row| !row.runs.is_empty());
    let (with_tls, timed): (Vec<_>, Vec<_>) = timed.partition(|row| row.row.load.tls().is_some());
    let (with_http2, others): (Vec<_>, Vec<_>) =
        timed.into_iter().partition(|row| row.row.load.is_http2());
    let (with_websocket, with_http1): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|row| row.row.load.is_websocket());
    for (title, rows) in [("", with_http1), ("HTTP/2", with_http2), ("WebSocket", with_websocket)] {
        if !rows.is_empty() {
            times_and_ratios(&mut text, title, &rows, &report.kinds);
        }
    }
    if !with_tls.is_empty() {
        tls_times(&mut text, &with_tls, &report.kinds);
    }
    for row in report.rows.iter().filter(|row| !row.memory.is_empty()) {
        header(&mut text, "", report.kinds.iter().map(|kind| kind.name().to_owned()));
        memory_rows(&mut text, report, row);
        text.push('\n');
    }
    text.push_str(&legend(report));
    text
}

fn header(text: &mut String, corner: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    let rule = "---|".repeat(cells.len() + 1);
    let _ = writeln!(text, "|{corner} | {} |\n|{rule}", cells.join(" | "));
}

/// The costs of the bare server and of Sockeye, and the ratios of all servers to the bare one: in
/// one table if there are at most [`OTHERS`] other servers, else in two.
fn times_and_ratios(text: &mut String, title: &str, rows: &[&RowResult], kinds: &[Kind]) {
    let kinds = serving(rows, kinds);
    let (own, others): (Vec<Kind>, Vec<Kind>) =
        kinds.iter().partition(|kind| matches!(kind, Kind::Limit | Kind::Ours));
    if others.len() <= OTHERS {
        times(text, title, rows, &kinds);
    } else {
        times(text, title, rows, &own);
        ratios(text, title, rows, &kinds);
    }
}

/// The servers that can serve at least one of the rows.
fn serving(rows: &[&RowResult], kinds: &[Kind]) -> Vec<Kind> {
    let kinds = kinds.iter().copied();
    kinds.filter(|kind| rows.iter().any(|row| kind.supports(row.row.load))).collect()
}

/// The costs of the bare server and of Sockeye, and the ratios of Sockeye and the other servers to
/// the bare one.
fn times(text: &mut String, title: &str, rows: &[&RowResult], kinds: &[Kind]) {
    let cells = kinds.iter().flat_map(|kind| match kind {
        Kind::Limit => vec!["limit".to_owned()],
        Kind::Ours => vec![kind.name().to_owned(), format!("{} ÷ limit", kind.name())],
        _ => vec![format!("{} ÷ limit", kind.name())],
    });
    header(text, title, cells);
    for row in rows {
        let _ = write!(text, "| {} ", row.row.title);
        for kind in kinds {
            let runs = row.of(*kind);
            if matches!(kind, Kind::Limit | Kind::Ours) {
                let cost = spread(runs.iter().map(|run| run.micros));
                let _ = match cost {
                    Some(cost) => write!(text, "| {}{} ", figures(cost, digits(cost)), rate(&runs)),
                    None => write!(text, "| – "),
                };
            }
            if *kind != Kind::Limit {
                let _ = match ratio(row, *kind) {
                    Some(ratio) => write!(text, "| {} ", interval(ratio)),
                    None => write!(text, "| – "),
                };
            }
        }
        text.push_str("|\n");
    }
    text.push('\n');
}

/// The costs in rows with TLS, and the ratios of the other servers to Sockeye: the bare server
/// can't serve these rows.
fn tls_times(text: &mut String, rows: &[&RowResult], kinds: &[Kind]) {
    let kinds = serving(rows, kinds);
    let cells = kinds.iter().map(|kind| match kind {
        Kind::Ours => kind.name().to_owned(),
        _ => format!("{}; ÷ Sockeye", kind.name()),
    });
    header(text, "TLS 1.3", cells);
    for row in rows {
        let _ = write!(text, "| {} ", row.row.title);
        for kind in &kinds {
            let runs = row.of(*kind);
            let _ = match (spread(runs.iter().map(|run| run.micros)), *kind) {
                (None, _) => write!(text, "| – "),
                (Some(cost), Kind::Ours) => {
                    write!(text, "| {}{} ", figures(cost, digits(cost)), rate(&runs))
                }
                (Some(cost), kind) => {
                    let ratio = ratio_to(row, kind, Kind::Ours);
                    let ratio = ratio.map_or_else(|| "–".to_owned(), interval);
                    write!(text, "| {}; {ratio} ", figures(cost, digits(cost)))
                }
            };
        }
        text.push_str("|\n");
    }
    text.push('\n');
}

/// The ratios of all servers to the bare one.
fn ratios(text: &mut String, title: &str, rows: &[&RowResult], kinds: &[Kind]) {
    let kinds: Vec<Kind> = kinds.iter().copied().filter(|kind| *kind != Kind::Limit).collect();
    header(text, &format!("{title} ÷ limit"), kinds.iter().map(|kind| kind.name().to_owned()));
    for row in rows {
        let cell = |kind: &Kind| ratio(row, *kind).map_or_else(|| "–".to_owned(), approximately);
        let cells: Vec<String> = kinds.iter().map(cell).collect();
        let _ = writeln!(text, "| {} | {} |", row.row.title, cells.join(" | "));
    }
    text.push('\n');
}

fn approximately(of: Estimate) -> String {
    let mark = if is_rough(of) { "≈ " } else { "" };
    format!("{mark}{:.*}", if of.median < 9.995 { 2 } else { 1 }, of.median)
}

fn is_rough(of: Estimate) -> bool {
    let far = (of.high - of.median).max(of.median - of.low);
    !of.confident || far > of.median * ROUGH
}

fn memory_rows(text: &mut String, report: &Report, row: &RowResult) {
    let of = |kind: &Kind| row.memory.iter().find(|(owner, _)| owner == kind).map(|(_, m)| *m);
    let mut line = |title: &str, cell: &dyn Fn(crate::memory::Memory) -> String| {
        let cells: Vec<String> =
            report.kinds.iter().map(|kind| of(kind).map_or_else(|| "–".to_owned(), cell)).collect();
        let _ = writeln!(text, "| {title} | {} |", cells.join(" | "));
    };
    let with = match (row.row.load.is_http2(), row.row.load.tls().is_some()) {
        (false, false) if row.row.load.is_websocket() => ", with WebSocket",
        (false, false) => "",
        (false, true) => ", with TLS",
        (true, false) => ", with HTTP/2",
        (true, true) => ", with HTTP/2 over TLS",
    };
    line(&format!("resident at start{with}"), &|memory| {
        format!("{:.1} MiB", memory.start as f64 / 1_048_576.0)
    });
    line(&format!("each of {} idle connections{with}", grouped(report.idle as f64)), &|memory| {
        format!("{} bytes", grouped(memory.per_connection))
    });
}

/// A server's cost divided by that of the bare server in the same round: the median over all
/// rounds.
pub(crate) fn ratio(row: &RowResult, kind: Kind) -> Option<Estimate> {
    ratio_to(row, kind, Kind::Limit)
}

/// A server's cost divided by that of another one in the same round: the median over all rounds.
fn ratio_to(row: &RowResult, kind: Kind, other: Kind) -> Option<Estimate> {
    let others = row.of(other);
    estimate(row.of(kind).into_iter().filter_map(|run| {
        let other = others.iter().find(|other| other.round == run.round)?;
        Some(run.micros / other.micros)
    }))
}

/// Requests per second. If the server was not saturated, a note says whether the client was.
fn rate(runs: &[&Run]) -> String {
    let Some(rate) = spread(runs.iter().map(|run| run.per_second())) else { return String::new() };
    let mark = match runs {
        runs if runs.iter().all(|run| run.saturated()) => "",
        runs if runs.iter().any(|run| run.limited_by_client()) => " (client full)",
        _ => " (neither full)",
    };
    let rate = match rate.median {
        median if median >= 1e6 => format!("{:.2} M/s", median / 1e6),
        median if median >= 1e4 => format!("{:.0} k/s", median / 1e3),
        median => format!("{:.1} k/s", median / 1e3),
    };
    format!("; {rate}{mark}")
}

fn interval(of: Estimate) -> String {
    let mark = if of.confident { "" } else { " ?" };
    format!("{:.2} ({:.2}–{:.2}{mark})", of.median, of.low, of.high)
}

fn figures(of: Spread, digits: usize) -> String {
    format!("{:.digits$} ({:.digits$}–{:.digits$})", of.median, of.min, of.max)
}

/// The number of decimal places to show. The runs are not precise enough for more.
fn digits(cost: Spread) -> usize {
    match cost.median {
        m if m < 2.0 => 2,
        m if m < 100.0 => 1,
        _ => 0,
    }
}

fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = if number < -0.5 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The date and the machine.
pub(crate) fn date_and_machine() -> String {
    let machine = machine();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{}, {}, Linux {}, loopback", date(now), machine.cpu, machine.kernel)
}

fn legend(report: &Report) -> String {
    let others = match &report.versions[..] {
        [] => String::new(),
        versions => format!(", {}", versions.join(", ")),
    };
    let mut text = format!(
        "{}{others}. Server CPU time per request in µs: median of {} of {} s (least–most); \
         requests per second, which show the server's maximum only if it is saturated. One worker \
         on one core, the client on {}. ÷ limit: divided by the cost of a bare server that parses \
         almost nothing and sends the same bytes, in the same round: the median over the rounds, and its 95 % \
         confidence interval (with a ? the range, because there are too few rounds). ≈ marks a ratio that is \
         shown without its interval, if an end of the interval is more than a tenth away, or unknown.\n",
        date_and_machine(),
        if report.rounds == 1 {
            "one round".to_owned()
        } else {
            format!("{} rounds", report.rounds)
        },
        report.length.as_secs_f64(),
        if report.same_core { "the same, because there is only one" } else { "another" },
    );
    let from = |kind, text: &str| report.kinds.contains(&kind).then(|| text.to_owned());
    let not_from_files = [
        from(Kind::Nginx, "nginx (its configuration has the text)"),
        from(Kind::Hyper, "hyper"),
        from(Kind::May, "may"),
    ];
    let not_from_files: Vec<String> = not_from_files.into_iter().flatten().collect();
    if !not_from_files.is_empty() {
        let _ = writeln!(
            text,
            "The small response comes from a file, except with the bare server, {}.",
            not_from_files.join(", ")
        );
    }
    if report.rows.iter().any(|row| row.row.load.is_page() && !row.runs.is_empty()) {
        text.push_str(
            "Each server sends a page's text in the encoding that it supports and prefers.\n",
        );
    }
    text.push_str(&log(report).unwrap_or_default());
    let runs = report.rows.iter().flat_map(|row| &row.runs);
    let disturbed = runs.clone().filter(|run| run.disturbed()).count();
    if disturbed > 0 {
        let _ = writeln!(
            text,
            "\nThe machine was not quiet: other work disturbed {disturbed} of {} runs, even after \
             repeating them. Such a run counts only where all runs of a server were \
             disturbed.",
            runs.count()
        );
    }
    text
}

/// The cost of an access log, if the rows `logged` and `small` were measured.
fn log(report: &Report) -> Option<String> {
    let find = |name| report.rows.iter().find(|row| row.row.name == name);
    let (with, without) = (find("logged")?, find("small")?);
    let added = |kind: &Kind| {
        let (with, without) = (ratio(with, *kind)?, ratio(without, *kind)?);
        let mark = if is_rough(with) || is_rough(without) { "≈ " } else { "" };
        Some(format!("{mark}{:.2} with {}", with.median - without.median, kind.name()))
    };
    // The bare server has no log.
    let kinds = report.kinds.iter().filter(|kind| **kind != Kind::Limit);
    let added: Vec<String> = kinds.filter_map(added).collect();
    let list = added.join(", ");
    (!added.is_empty()).then(|| {
        format!(
            "An access log adds to a small response, in multiples of the limit's cost: {list}.\n"
        )
    })
}

/// The machine that this program runs on.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) kernel: String,
}

pub(crate) fn machine() -> Machine {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(": "))
    };
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    let model = field("model name").unwrap_or("unknown processor");
    // Virtual machines often hide the name of the model, but not its numbers.
    let numbers = field("cpu family").zip(field("model\t"));
    let numbers = numbers.map_or(String::new(), |(f, m)| format!(" (family {f}, model {m})"));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine { cpu: format!("{count} × {model}{numbers}"), kernel: kernel.trim().to_owned() }
}

/// The date of a Unix time, in UTC.
pub(crate) fn date(seconds: u64) -> String {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut days) = (1970, seconds / 86_400);
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_798_761_599, "2026-12-31"),
        ] {
            assert_eq!(date(seconds), day);
        }
    }

    #[test]
    fn rough_ratios_are_marked() {
        let of = |median, low, high, confident| Estimate { median, low, high, confident };
        assert_eq!(approximately(of(1.05, 1.0, 1.1, true)), "1.05");
        assert_eq!(approximately(of(1.05, 0.9, 1.1, true)), "≈ 1.05");
        assert_eq!(approximately(of(1.05, 1.05, 1.05, false)), "≈ 1.05");
        assert_eq!(approximately(of(12.34, 12.0, 12.5, true)), "12.3");
    }

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [(0.2, "0"), (999.0, "999"), (10_000.0, "10,000"), (-24.0, "-24")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn figures_show_no_more_digits_than_they_have() {
        let of = |median| Spread { median, min: median, max: median };
        assert_eq!(figures(of(0.456), digits(of(0.456))), "0.46 (0.46–0.46)");
        assert_eq!(figures(of(7.04), digits(of(7.04))), "7.0 (7.0–7.0)");
        assert_eq!(figures(of(254.3), digits(of(254.3))), "254 (254–254)");
    }
}
