//! Calls to the kernel, by strace.

use std::{fs, num::NonZeroUsize, sync::Arc, time::Duration};

use sockeye_engine::driver::Target;
use sockeye_load::{Share, Until, Worker};

use crate::{Result, rows::Row, servers::Setup};

/// The rows that are counted: those whose replies are sent at once.
pub(super) const ROWS: [&str; 8] =
    ["small", "pipelined", "mix", "churn", "1k", "16k", "echo", "message"];

/// The longer run and the shorter one, in requests.
const RUNS: [u64; 2] = [3_200, 800];

/// Counts the calls that a request costs, over one connection.
pub(super) fn count(setup: &Setup, row: &Row) -> Result<f64> {
    let [long, short] = RUNS;
    let calls = calls(setup, row, long)? as f64 - calls(setup, row, short)? as f64;
    Ok(calls / (long - short) as f64)
}

/// The calls of a whole run.
fn calls(setup: &Setup, row: &Row, requests: u64) -> Result<u64> {
    let out = setup.path("calls");
    let server = setup.start_traced(row.load, &out)?;
    let mut plan = row.plan()?;
    plan.connections = NonZeroUsize::MIN;
    plan.until = Until::Requests(requests);
    plan.timeout = Duration::from_secs(5);
    let lesson = sockeye_load::learn(&plan, &[Target::Ip(server.address)])?;
    let share = Share::all(&plan);
    let mut worker = Worker::new(Arc::new(plan), &lesson, share)?;
    worker.run(None, |_, troubles| troubles == 0)?;
    if worker.replies() != requests {
        return Err(format!("{} of {requests} replies", worker.replies()).into());
    }
    server.end()?;
    let text = fs::read_to_string(out)?;
    read(&text).ok_or_else(|| "strace has counted nothing".into())
}

/// Reads the last line of strace's table: `100.00 0.1 5 1234 7 total`.
fn read(text: &str) -> Option<u64> {
    let total = text.lines().find(|line| line.trim_end().ends_with("total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_with_errors_and_without() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     \x2050.00    0.000010           5         2           read\n\
                     100.00    0.000020           5      1234         7 total\n";
        assert_eq!(read(table), Some(1234));
        assert_eq!(read("100.00    0.000020           5      12           total\n"), Some(12));
        assert_eq!(read(""), None);
    }
}
