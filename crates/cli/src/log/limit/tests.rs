//! Written lines, and reports of suppressed lines.

use super::*;

fn line(call_site: &'static str, reason: &str, client: &str) -> Line {
    let kind = LineKind { call_site, reason: reason_kind(reason), ..LineKind::default() };
    let cause = Cause::Client(client_of(client.to_owned()));
    Line { kind, cause, level: Some(Level::INFO), message: "closed".into() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How many of `count` lines are written.
fn written(limits: &mut Limits, now: Instant, count: u64, line: impl Fn(u64) -> Line) -> usize {
    (0..count).filter(|n| limits.count(line(*n), now) == Decision::Write).count()
}

fn reported(limits: &mut Limits, now: Instant, all: bool) -> Vec<String> {
    let mut reported: Vec<_> = limits.take(now, all).iter().map(Suppressed::to_string).collect();
    reported.sort();
    reported
}

#[test]
fn the_first_lines_of_a_client_are_written_and_further_ones_counted() {
    let (mut limits, start) = (Limits::default(), Instant::now());
    // Each request has its own connection and port.
    let scan = |n| line("close", "the peer sent no colon", &format!("192.0.2.7:{}", 1000 + n));
    assert_eq!(written(&mut limits, start, 5000, scan), 10);
    // Other clients and other kinds have their own counts.
    let other = |_| line("close", "the peer sent no colon", "192.0.2.8:1");
    assert_eq!(written(&mut limits, start, 3, other), 3);
    let another = |_| line("close", "a file could not be read: EIO", "192.0.2.7:1");
    assert_eq!(written(&mut limits, start, 3, another), 3);
    let elsewhere = |_| line("accept", "the peer sent no colon", "192.0.2.7:1");
    assert_eq!(written(&mut limits, start, 3, elsewhere), 3);

    assert_eq!(limits.due(), Some(start + PERIOD));
    assert_eq!(reported(&mut limits, start + seconds(59), false), [""; 0]);
    // Lines between the end of the period and its report are part of that report.
    assert_eq!(written(&mut limits, start + PERIOD, 7, scan), 0);
    let now = start + PERIOD;
    assert_eq!(reported(&mut limits, now, false), ["closed: 4997 more from 192.0.2.7 in 60 s"]);
    assert_eq!((limits.due(), reported(&mut limits, now, false).len()), (None, 0));

    // A new period starts, and at the end everything is reported.
    assert_eq!(written(&mut limits, now, 11, scan), 10);
    assert_eq!(written(&mut limits, now, 12, other), 10);
    let reported = reported(&mut limits, now + seconds(12), true);
    assert_eq!(
        reported,
        ["closed: 1 more from 192.0.2.7 in 12 s", "closed: 2 more from 192.0.2.8 in 12 s",]
    );
}

#[test]
fn occasional_lines_are_all_written() {
    let (mut limits, start) = (Limits::default(), Instant::now());
    for minute in 0..10 {
        let now = start + minute * PERIOD;
        assert_eq!(written(&mut limits, now, 10, |_| line("close", "", "192.0.2.7:1")), 10);
    }
    assert_eq!(limits.due(), None);
}

#[test]
fn a_report_has_the_message_and_level_of_the_first_line_in_its_period() {
    let (mut limits, start) = (Limits::default(), Instant::now());
    limits.count(line("close", "", "192.0.2.7:1"), start);
    let later = |_| Line {
        level: Some(Level::ERROR),
        message: "failed".into(),
        ..line("close", "", "192.0.2.7:1")
    };
    assert_eq!(written(&mut limits, start + PERIOD, 12, later), 10);
    let reports = limits.take(start + PERIOD, true);
    assert_eq!(reports[0].to_string(), "failed: 2 more from 192.0.2.7 in 1 s");
    assert_eq!(reports[0].count.level, Some(Level::ERROR));
}

#[test]
fn clients_beyond_the_limit_share_a_count() {
    let (mut limits, start) = (Limits::default(), Instant::now());
    let client = |n: u64| format!("10.{}.{}.{}:1", n / 65536, n / 256 % 256, n % 256);
    let many = |n| line("close", "the peer sent no colon", &client(n % 5000));
    let all = 100_000;
    let first = written(&mut limits, start, all, many) as u64;
    assert!(first <= 10 * (MAX_COUNTS as u64 + 1), "{first}");
    assert_eq!(limits.counts.len(), MAX_COUNTS + 1);
    let suppressed: u64 =
        limits.take(start, true).iter().map(|lines| lines.count.suppressed()).sum();
    assert_eq!(first + suppressed, all);
    assert!(limits.counts.is_empty());

    // Also with many reasons.
    let reasons = |n: u64| {
        let word: String = (0..4).map(|at| char::from(b'a' + (n >> (4 * at) & 15) as u8)).collect();
        line("close", &word, &client(n))
    };
    let first = written(&mut limits, start, all, reasons) as u64;
    assert!(limits.counts.len() <= 2 * MAX_COUNTS + 1, "{}", limits.counts.len());
    let suppressed: u64 =
        limits.take(start, true).iter().map(|lines| lines.count.suppressed()).sum();
    assert_eq!(first + suppressed, all);

    // Counts whose period is over are removed.
    let late = start + PERIOD;
    assert_eq!(written(&mut limits, late, 20, |_| line("close", "", "192.0.2.7:1")), 10);
    let reported = reported(&mut limits, late, true);
    assert_eq!(reported, ["closed: 10 more from 192.0.2.7 in 1 s"]);
}

#[test]
fn the_report_of_lines_without_a_client_names_no_clients() {
    let (mut limits, start) = (Limits::default(), Instant::now());
    let client = |n: u64| line("close", "", &format!("10.0.{}.{}:1", n / 256, n % 256));
    assert_eq!(written(&mut limits, start, MAX_COUNTS as u64, client), MAX_COUNTS);
    let nobodys = |_| Line { cause: Cause::None, ..line("renew", "", "") };
    assert_eq!(written(&mut limits, start, 12, nobodys), 10);
    assert_eq!(reported(&mut limits, start, true), ["closed: 2 more in 1 s"]);

    // The lines of the count that all further kinds share may name clients or not.
    let kinds = |n: u64| {
        let word: String = (0..4).map(|at| char::from(b'a' + (n >> (4 * at) & 15) as u8)).collect();
        Line { cause: Cause::None, ..line("renew", &word, "") }
    };
    assert_eq!(written(&mut limits, start, MAX_COUNTS as u64, kinds), MAX_COUNTS);
    assert_eq!(written(&mut limits, start, 12, |_| line("accept", "", "192.0.2.7:1")), 10);
    assert_eq!(reported(&mut limits, start, true), ["various lines: 2 more in 1 s"]);
}

#[test]
fn a_kind_is_the_text_before_the_first_value_and_a_client_has_no_port() {
    for (reason, kind) in [
        ("the peer was silent for 60 s", "the peer was silent for"),
        ("the socket failed: timed out", "the socket failed"),
        ("the URL contains an invalid character (`x`)", "the URL contains an invalid character"),
        ("we don't know \"x\"", "we don't know"),
        ("", ""),
        ("\u{e9}", ""),
    ] {
        assert_eq!(reason_kind(reason), kind);
    }
    assert_eq!(reason_kind(&"a".repeat(500)).len(), MAX_TEXT);
    for (name, client) in [
        ("192.0.2.7:80", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:db8:1:2::3]:80", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("unix", "unix"),
    ] {
        assert_eq!(client_of(name.to_owned()), client);
    }
    assert_eq!(client_of("\u{e9}".repeat(500)).len(), MAX_TEXT);
}
