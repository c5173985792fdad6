//! The report as JSON, with every run.

use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{compare::Report, table};

/// Returns an object with the date, the machine, the versions of the servers other than Sockeye,
/// and a list of runs. The list also has the measurements of memory.
pub(crate) fn write(report: &Report) -> String {
    let machine = table::machine();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut runs: Vec<String> = Vec::new();
    for row in &report.rows {
        for run in &row.runs {
            runs.push(format!(
                "{{\"row\": {}, \"server\": {}, \"round\": {}, \"responses\": {}, \"seconds\": {:.6}, \
                 \"cpu_us_per_request\": {:.4}, \"server_busy\": {:.4}, \"client_busy\": {:.4}, \
                 \"others_busy\": {:.4}}}",
                string(row.row.name),
                string(run.kind.name()),
                run.round,
                run.responses,
                run.seconds,
                run.micros,
                run.server,
                run.client,
                run.others,
            ));
        }
        for (kind, memory) in &row.memory {
            runs.push(format!(
                "{{\"row\": {}, \"server\": {}, \"resident_at_start\": {}, \"connections\": {}, \
                 \"bytes_per_connection\": {:.1}}}",
                string(row.row.name),
                string(kind.name()),
                memory.start,
                report.idle,
                memory.per_connection,
            ));
        }
    }
    format!(
        "{{\n  \"date\": {},\n  \"cpu\": {},\n  \"kernel\": {},\n  \"servers\": [{}],\n  \"runs\": [\n    \
         {}\n  ]\n}}\n",
        string(&table::date(now)),
        string(&machine.cpu),
        string(&machine.kernel),
        report.versions.iter().map(|version| string(version)).collect::<Vec<_>>().join(", "),
        runs.join(",\n    "),
    )
}

fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted() {
        assert_eq!(string("a \"b\" \\ \n µ"), r#""a \"b\" \\ \u000a µ""#);
    }
}
