//! Rounds: both sides of each cliff in turn.

use std::{thread, time::Duration};

use super::{
    args::Args,
    cases,
    ground::Ground,
    scene::{Case, Sample, Shows, Side, count_calls, measure},
    trace::Calls,
    waiting, wire,
};
use crate::{Result, cpu, memory};

/// Before the second try; before the third twice as long, and so on.
const PAUSE: Duration = Duration::from_secs(1);
/// More of a core than this, used by others or taken by the hypervisor, disturbs a stretch.
const DISTURBED: f64 = 0.10;
/// Descriptors that the largest of the cliffs needs.
const DESCRIPTORS: u64 = 10_500;

impl Sample {
    pub(super) fn is_disturbed(&self) -> bool {
        self.others > DISTURBED
    }
}

/// All that was found out.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) rounds: usize,
    pub(super) length: Duration,
    pub(super) rows: Vec<Row>,
    pub(super) waiting: Vec<waiting::Seen>,
    pub(super) left: Option<waiting::Left>,
    pub(super) wire: Vec<wire::Seen>,
    /// What went wrong; the other figures stand.
    pub(super) failures: Vec<String>,
}

/// What was seen of one case.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) case: &'static Case,
    pub(super) samples: Vec<(Side, Sample)>,
    pub(super) calls: Option<[Calls; 2]>,
}

impl Row {
    /// The stretches of one side.
    pub(super) fn of(&self, side: Side) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |(of, _)| *of == side).map(|(_, sample)| sample)
    }
}

/// Looks for everything that was asked for.
pub(super) fn run(args: &Args) -> Result<Report> {
    if memory::raise_descriptors()? < DESCRIPTORS {
        return Err(format!("this needs {DESCRIPTORS} descriptors: see ulimit -n").into());
    }
    let mut ground = Ground::new(args.server.as_deref())?;
    cpu::pin(ground.cores().client)?;
    let mut report = Report { rounds: args.rounds, length: args.length, ..Report::default() };
    for case in cases::all().filter(|case| args.cliffs.contains(&case.cliff)) {
        eprintln!("{}: {}", case.cliff, case.title);
        let mut row = Row { case, samples: Vec::new(), calls: None };
        if let Err(error) = look(&mut ground, args, &mut row) {
            report.failures.push(format!("{}: {error}", case.title));
        }
        report.rows.push(row);
    }
    report.waiting = waiting::run(&ground, &args.cliffs)?;
    if args.cliffs.contains(&"readers") {
        report.left = Some(waiting::deadline(&ground)?);
    }
    if args.cliffs.contains(&"corking") {
        report.wire = wire::run(&mut ground)?;
    }
    Ok(report)
}

fn look(ground: &mut Ground, args: &Args, row: &mut Row) -> Result<()> {
    let case = row.case;
    for round in 0..args.rounds {
        for side in [Side::Plain, Side::Strained] {
            let sample = once(ground, args, case, side, round)?;
            row.samples.push((side, sample));
        }
    }
    if case.shows == Shows::CostAndCalls {
        let mut count = |side| count_calls(ground, |ground| (case.make)(ground, side));
        row.calls = Some([count(Side::Plain)?, count(Side::Strained)?]);
    }
    Ok(())
}

/// One stretch, and another where others disturb it.
fn once(ground: &Ground, args: &Args, case: &Case, side: Side, round: usize) -> Result<Sample> {
    for attempt in 1.. {
        let sample = measure((case.make)(ground, side)?, ground.cores(), args.length, round)?;
        let again = sample.is_disturbed() && attempt < args.tries;
        eprintln!(
            "  {:>8}  {:8.2} µs  {:8.0}/s  others {:.0} %{}",
            if side == Side::Plain { "plain" } else { "strained" },
            sample.micros(),
            sample.per_second(),
            sample.others * 100.0,
            if again { ": once more" } else { "" },
        );
        if !again {
            return Ok(sample);
        }
        thread::sleep(PAUSE * attempt);
    }
    Err("no attempt was made".into())
}
