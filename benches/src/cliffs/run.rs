//! Measures the cliffs: conditions that must not make a request more expensive ([`cliffs`](super)).
//! In each round, a case of a cliff runs without its strain (plain), then with it (strained).

use std::{thread, time::Duration};

use super::{
    args::Args,
    cases,
    fixture::Fixture,
    scene::{Case, Figures, Sample, Side, count_calls, measure},
    trace::Calls,
    waiting, wire,
};
use crate::{Result, cpu, memory};

/// The pause before the second attempt. Before each further attempt, it is longer by this much.
const PAUSE: Duration = Duration::from_secs(1);
/// A run is disturbed if other processes, or the hypervisor, use more than this share of a core.
const DISTURBED: f64 = 0.10;
/// Number of file descriptors that the largest case needs: 10,000 idle connections, and some more.
const DESCRIPTORS: u64 = 10_500;

impl Sample {
    pub(super) fn is_disturbed(&self) -> bool {
        self.others > DISTURBED
    }
}

/// The results of all cliffs that were measured.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) rounds: usize,
    /// The length of a run.
    pub(super) length: Duration,
    pub(super) rows: Vec<Row>,
    /// The costs of connections that wait, such as idle ones.
    pub(super) waiting: Vec<waiting::WaitingRow>,
    /// How many slow readers stayed connected. `None` unless the cliff `readers` was requested.
    pub(super) connected_readers: Option<waiting::ConnectedReaders>,
    /// The system calls and segments of each kind of response. Empty unless the cliff `corking` was
    /// requested.
    pub(super) wire: Vec<wire::WireRow>,
    /// What failed. The other figures are valid.
    pub(super) failures: Vec<String>,
}

/// The results of one case.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) case: &'static Case,
    pub(super) samples: Vec<(Side, Sample)>,
    /// The system calls of the plain side, and those of the strained side. `None` if the case
    /// doesn't count them, or has failed.
    pub(super) calls: Option<[Calls; 2]>,
}

impl Row {
    /// The runs of one side.
    pub(super) fn of(&self, side: Side) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |(of, _)| *of == side).map(|(_, sample)| sample)
    }
}

/// Measures the requested cliffs.
pub(super) fn run(args: &Args) -> Result<Report> {
    if memory::raise_descriptors()? < DESCRIPTORS {
        return Err(format!("this needs {DESCRIPTORS} descriptors: see ulimit -n").into());
    }
    let mut fixture = Fixture::new(args.server.as_deref())?;
    cpu::pin(fixture.cores().client)?;
    let mut report = Report { rounds: args.rounds, length: args.length, ..Report::default() };
    for case in cases::all().filter(|case| args.cliffs.contains(&case.cliff)) {
        eprintln!("{}: {}", case.cliff, case.title);
        let mut row = Row { case, samples: Vec::new(), calls: None };
        if let Err(error) = measure_case(&mut fixture, args, &mut row) {
            report.failures.push(format!("{}: {error}", case.title));
        }
        report.rows.push(row);
    }
    report.waiting = waiting::run(&fixture, &args.cliffs)?;
    if args.cliffs.contains(&"readers") {
        report.connected_readers = Some(waiting::count_connected_readers(&fixture)?);
    }
    if args.cliffs.contains(&"corking") {
        report.wire = wire::run(&mut fixture)?;
    }
    Ok(report)
}

fn measure_case(fixture: &mut Fixture, args: &Args, row: &mut Row) -> Result<()> {
    let case = row.case;
    for round in 0..args.rounds {
        for side in [Side::Plain, Side::Strained] {
            let sample = once(fixture, args, case, side, round)?;
            row.samples.push((side, sample));
        }
    }
    if case.figures == Figures::CpuTimeAndSyscalls {
        let mut count = |side| count_calls(fixture, |fixture| (case.make)(fixture, side));
        row.calls = Some([count(Side::Plain)?, count(Side::Strained)?]);
    }
    Ok(())
}

/// Makes one run of one side. A disturbed run is repeated, up to `args.tries` attempts in all.
fn once(fixture: &Fixture, args: &Args, case: &Case, side: Side, round: usize) -> Result<Sample> {
    for attempt in 1.. {
        let sample = measure((case.make)(fixture, side)?, fixture.cores(), args.length, round)?;
        let again = sample.is_disturbed() && attempt < args.tries;
        eprintln!(
            "  {:>8}  {:8.2} µs  {:8.0}/s  others {:.0} %{}",
            if side == Side::Plain { "plain" } else { "strained" },
            sample.micros(),
            sample.per_second(),
            sample.others * 100.0,
            if again { ": disturbed, so repeated" } else { "" },
        );
        if !again {
            return Ok(sample);
        }
        thread::sleep(PAUSE * attempt);
    }
    Err("there was no attempt".into())
}
