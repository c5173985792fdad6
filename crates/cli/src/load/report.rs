//! The report of `sockeye load`, as text and as JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sockeye::TlsInfo;
use sockeye_load::{Outcome, Plan, Progress, Stats, Times, Until};

use crate::target::Target;
use crate::text;

/// The percentiles in the report. The second number is how many durations must have been measured:
/// with fewer, the percentile would be the maximum.
const PERCENTILES: [(f64, u64); 6] =
    [(50.0, 2), (75.0, 4), (90.0, 10), (99.0, 100), (99.9, 1_000), (99.99, 10_000)];

/// Formats the progress of a running load as one line.
pub(super) fn progress(progress: &Progress) -> String {
    let rate = per_second(progress.responses, progress.time);
    let mut line = format!(
        "{}: {}, {} per second",
        text::time(progress.time),
        text::count(progress.responses, "response"),
        grouped(rate)
    );
    if progress.failures > 0 {
        let _ = write!(line, ", {}", text::count(progress.failures, "error"));
    }
    line
}

pub(super) struct Report<'a> {
    pub(super) plan: &'a Plan,
    pub(super) targets: &'a [Target],
    pub(super) outcome: &'a Outcome,
}

impl Report<'_> {
    /// Whether there were responses and no errors.
    pub(super) fn is_success(&self) -> bool {
        self.outcome.stats.responses > 0 && self.outcome.stats.failures.total() == 0
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<12}{value}");
        };
        let Outcome { stats, time, stopped } = self.outcome;
        match self.targets {
            [] => {}
            [target] => row("target", target.to_string()),
            [first, others @ ..] => row("target", format!("{first} and {} more", others.len())),
        }
        if let Some(protocol) = stats.protocol {
            row("protocol", protocol.into());
        }
        row("load", self.load());
        row("time", text::time(*time) + if *stopped { ", stopped early" } else { "" });
        let rate = per_second(stats.responses, *time);
        let responses =
            format!("{}, {} per second", grouped(stats.responses as f64), grouped(rate));
        let errors = match self.error_responses() {
            0 => String::new(),
            errors => format!("; {} of them errors", grouped(errors as f64)),
        };
        row("responses", responses + &errors);
        let rate = text::bytes(per_second(stats.received, *time) as u64);
        row("received", format!("{}, {rate} per second", text::bytes(stats.received)));
        row("sent", text::bytes(stats.sent));
        if stats.connected > self.plan.connections.get() as u64 {
            row("connections", grouped(stats.connected as f64));
        }
        if let Some(tls) = &stats.tls {
            let full = text::count(stats.connected - stats.resumed, "full handshake");
            let resumed = grouped(stats.resumed as f64);
            let TlsInfo { version, cipher_suite, .. } = &**tls;
            row("tls", format!("{version}, {cipher_suite}; {full}, {resumed} resumed"));
            row("connect", min_mean_max(stats.connect_times.min_mean_max()));
        }
        if stats.latencies.count() > 0 {
            let times = min_mean_max(stats.latencies.min_mean_max());
            let left_out = if errors.is_empty() { "" } else { "; without errors" };
            row("latency", format!("{times}{left_out}"));
            for (percent, latency) in percentiles(&stats.latencies) {
                row(&format!("  {percent} %"), text::time(latency));
            }
        } else if stats.responses > 0 {
            row("latency", "every response was an error".into());
        }
        if stats.unanswered > 0 {
            let requests = text::count(stats.unanswered, "request");
            row("unanswered", format!("{requests}: sent, no complete response at the end"));
        }
        if stats.unsent > 0 {
            let requests = text::count(stats.unsent, "request");
            row("not sent", format!("{requests}: due, but {}", self.why_not_sent()));
        }
        if stats.failures.total() == 0 {
            row("errors", "none".into());
        }
        for (at, (failure, count, first)) in stats.failures.iter().enumerate() {
            let name = if at == 0 { "errors" } else { "" };
            let first = text::escape_controls(first);
            row(name, format!("{count} × {}: {first}", failure.code().replace('_', " ")));
        }
        text
    }

    /// The number of responses that are errors. Their latencies are not in the statistics.
    fn error_responses(&self) -> u64 {
        self.outcome.stats.responses - self.outcome.stats.latencies.count()
    }

    /// Why requests that were due were not sent.
    fn why_not_sent(&self) -> String {
        let Stats { unsent, unsent_unconnected, .. } = self.outcome.stats;
        match unsent_unconnected {
            0 => "every connection was waiting for a response".into(),
            all if all == unsent => "no connection was established".into(),
            some => format!(
                "{} had no established connection, and the connections of the others were waiting \
                 for a response",
                grouped(some as f64)
            ),
        }
    }

    fn is_http2(&self) -> bool {
        self.outcome.stats.protocol == Some("HTTP/2")
    }

    /// The value of the row `load`, which describes the load.
    fn load(&self) -> String {
        let plan = self.plan;
        let mut load = text::count(plan.connections.get() as u64, "connection");
        if plan.threads.get() > 1 {
            let _ = write!(load, ", {}", text::count(plan.threads.get() as u64, "thread"));
        }
        if plan.pipeline.get() > 1 {
            let what = if self.is_http2() { "streams" } else { "requests in flight" };
            let _ = write!(load, ", {} {what} on each", plan.pipeline);
        }
        if let Some(most) = plan.per_connection {
            let requests = text::count(most.get(), "request");
            let _ = write!(load, ", {requests} per connection");
        }
        let _ = match plan.rate {
            Some(rate) => write!(load, ", {} requests per second", grouped(rate)),
            None => write!(load, ", as fast as the server responds"),
        };
        load
    }

    /// The report for programs. Latencies and times to connect are in microseconds.
    pub(super) fn json(&self) -> String {
        let Outcome { stats, time, stopped } = self.outcome;
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        let times = |times: &Times| {
            let mut map = Map::new();
            if times.count() > 0 {
                let (min, mean, max) = times.min_mean_max();
                map.insert("count".into(), json!(times.count()));
                map.insert("min".into(), json!(micros(min)));
                map.insert("mean".into(), json!(micros(mean)));
                for (percent, value) in percentiles(times) {
                    map.insert(format!("p{percent}"), json!(micros(value)));
                }
                map.insert("max".into(), json!(micros(max)));
            }
            map
        };
        let tls = stats.tls.as_ref().map(|tls| {
            json!({
                "version": tls.version,
                "cipher_suite": tls.cipher_suite,
                "resumed": stats.resumed,
            })
        });
        let failures: Map<String, Value> = stats
            .failures
            .iter()
            .map(|(failure, count, first)| {
                (failure.code().to_owned(), json!({ "count": count, "first": first }))
            })
            .collect();
        let statuses: Map<String, Value> = (1..=5)
            .filter(|class| stats.statuses[*class] > 0)
            .map(|class| (format!("{class}xx"), json!(stats.statuses[class])))
            .collect();
        let until = match self.plan.until {
            Until::Time(time) => json!({ "seconds": time.as_secs_f64() }),
            Until::Requests(count) => json!({ "requests": count }),
        };
        // The maximum number of requests in flight per connection is `streams` for HTTP/2, and
        // `pipeline` for every other protocol. The key that doesn't apply is `null`.
        let in_flight = |applies: bool| applies.then_some(self.plan.pipeline);
        let report = json!({
            "targets": self.targets.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "load": {
                "connections": self.plan.connections,
                "threads": self.plan.threads,
                "pipeline": in_flight(!self.is_http2()),
                "streams": in_flight(self.is_http2()),
                "requests_per_connection": self.plan.per_connection,
                "rate": self.plan.rate,
                "until": until,
            },
            "protocol": stats.protocol,
            "seconds": time.as_secs_f64(),
            "stopped": stopped,
            "responses": stats.responses,
            "error_responses": self.error_responses(),
            "responses_per_second": per_second(stats.responses, *time),
            "content_bytes": stats.content,
            "received_bytes": stats.received,
            "sent_bytes": stats.sent,
            "connected": stats.connected,
            "unanswered": stats.unanswered,
            "unsent": stats.unsent,
            "unsent_unconnected": stats.unsent_unconnected,
            "statuses": statuses,
            "tls": tls,
            "connect_us": times(&stats.connect_times),
            "latency_us": times(&stats.latencies),
            "errors": failures,
        });
        format!("{report:#}\n")
    }
}

/// The percentiles for which there are enough measured durations.
fn percentiles(times: &Times) -> impl Iterator<Item = (f64, Duration)> {
    let has_enough = move |(_, min_count): &(f64, u64)| times.count() >= *min_count;
    let of = move |(percent, _)| (percent, times.percentile(percent));
    PERCENTILES.into_iter().filter(has_enough).map(of)
}

fn min_mean_max((min, mean, max): (Duration, Duration, Duration)) -> String {
    let [min, mean, max] = [min, mean, max].map(text::time);
    format!("min {min}, mean {mean}, max {max}")
}

fn per_second(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// Formats a number with commas: `1,234,567`. A number below ten has one decimal, unless it is a
/// whole number.
fn grouped(number: f64) -> String {
    if number < 10.0 && number.fract() != 0.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_for_people() {
        for (number, text) in
            [(0.0, "0"), (0.53, "0.5"), (999.4, "999"), (1_234_567.0, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn requests_that_were_not_sent_say_why() {
        let plan = Plan::new(
            sockeye_load::LoadKind::Echo,
            vec![sockeye_load::PreparedRequest::bytes("x".into())],
        );
        for (unsent, unsent_unconnected, expected_text) in [
            (5, 0, "5 requests: due, but every connection was waiting for a response"),
            (5, 5, "5 requests: due, but no connection was established"),
            (1, 1, "1 request: due, but no connection was established"),
            (5, 2, "5 requests: due, but 2 had no established connection, and"),
        ] {
            let mut stats = Stats::default();
            (stats.unsent, stats.unsent_unconnected, stats.unanswered) =
                (unsent, unsent_unconnected, 3);
            let outcome = Outcome { stats, time: Duration::from_secs(1), stopped: false };
            let report = Report { plan: &plan, targets: &[], outcome: &outcome };
            let text = report.text();
            assert!(text.contains(&format!("not sent    {expected_text}")), "{text}");
            assert!(text.contains("unanswered  3 requests: sent, no complete response"), "{text}");
            assert!(!text.contains("latency"), "{text}");
            let json: Value = serde_json::from_str(&report.json()).unwrap();
            assert_eq!((&json["unsent"], &json["unanswered"]), (&unsent.into(), &3.into()));
            assert_eq!(json["unsent_unconnected"], unsent_unconnected);
        }
    }

    #[test]
    fn progress_is_one_line() {
        let two_seconds = Progress { time: Duration::from_secs(2), responses: 5000, failures: 1 };
        assert_eq!(progress(&two_seconds), "2.0 s: 5000 responses, 2,500 per second, 1 error");
    }
}
