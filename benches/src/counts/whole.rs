//! What a request costs the whole program, with one connection. The cost is computed from the
//! difference of a longer and a shorter run, so that start-up and shutdown don't count.

use std::{fs, num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use sockeye_engine::driver::Target;
use sockeye_load::{Share, Until, Worker};

use super::callgrind::{self, Costs};
use crate::{
    Result, http2,
    rows::Row,
    servers::{Server, Setup},
    tls::Certificate,
};

/// The rows of the benchmark whose system calls are counted. Their responses wait for no timer and
/// no other thread, so that each run makes the same calls.
pub(super) const ROWS: [&str; 13] = [
    "small",
    "pipelined",
    "logged",
    "browser",
    "mix",
    "churn",
    "1k",
    "16k",
    "echo",
    "message",
    "tls-small",
    "h2-small",
    "ws-echo",
];

/// Number of requests of the longer and of the shorter run.
const RUNS: [u64; 2] = [3_200, 800];

/// Counts a request's system calls with strace.
pub(super) fn calls(setup: &Setup, row: &Row) -> Result<f64> {
    let mut found = Vec::new();
    for requests in RUNS {
        let out = setup.path("calls");
        let text =
            run(setup.start_traced(row.load, &out)?, &setup.certificate, row, requests, &out)?;
        found.push(read(&text).ok_or("strace has counted nothing")? as f64);
    }
    Ok(per_request(&found))
}

/// Counts a request's instructions and allocations, in all threads.
pub(super) fn instructions(setup: &Setup, row: &Row) -> Result<Costs> {
    let (mut instructions, mut allocations) = (Vec::new(), Vec::new());
    for requests in RUNS {
        let out = setup.path("instructions");
        let text =
            run(setup.start_counted(row.load, &out)?, &setup.certificate, row, requests, &out)?;
        let (all, allocated) = callgrind::read(&text).ok_or("callgrind has counted nothing")?;
        instructions.push(all as f64);
        allocations.push(allocated as f64);
    }
    Ok(Costs { instructions: per_request(&instructions), allocations: per_request(&allocations) })
}

/// The cost of each additional request of the longer run. `found` is the total cost of each run, in
/// the order of [`RUNS`].
fn per_request(found: &[f64]) -> f64 {
    let [long, short] = RUNS;
    (found[0] - found[1]) / (long - short) as f64
}

/// Makes `requests` requests and ends the server. Returns the output of strace or callgrind.
fn run(
    server: Server,
    certificate: &Certificate,
    row: &Row,
    requests: u64,
    out: &Path,
) -> Result<String> {
    if row.load.is_http2() {
        run_http2(&server, row, requests)?;
    } else {
        run_http1(&server, certificate, row, requests)?;
    }
    server.end()?;
    Ok(fs::read_to_string(out)?)
}

/// Makes requests over HTTP/2 on one connection, without TLS.
fn run_http2(server: &Server, row: &Row, requests: u64) -> Result<()> {
    let file = row.load.file().ok_or("the row has several files")?;
    let prepared = row.load.http2_requests();
    let load = http2::Load {
        requests: &prepared,
        lengths: vec![u32::try_from(file.size)?],
        connections: 1,
        streams: row.load.depth(),
        max_requests: requests,
    };
    let responses = http2::Client::new(load, server.address, None)?.run(None)?;
    if responses != requests {
        return Err(format!("{responses} of {requests} responses").into());
    }
    Ok(())
}

fn run_http1(server: &Server, certificate: &Certificate, row: &Row, requests: u64) -> Result<()> {
    let mut plan = row.plan(certificate.client_for(row.load.tls(), false)?.as_ref())?;
    plan.connections = NonZeroUsize::MIN;
    plan.until = Until::Requests(requests);
    plan.timeout = Duration::from_secs(5);
    let probe = sockeye_load::probe(&plan, &[Target::Ip(server.address)])?;
    let share = Share::all(&plan);
    let mut worker = Worker::new(Arc::new(plan), &probe, share)?;
    // Runs without a time limit, and stops early if a request fails.
    worker.run(None, |_, failures| failures == 0)?;
    if worker.responses() != requests {
        return Err(format!("{} of {requests} responses", worker.responses()).into());
    }
    Ok(())
}

/// The number of system calls in the last line of strace's table: 1234 in
/// `100.00 0.1 5 1234 7 total`.
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
