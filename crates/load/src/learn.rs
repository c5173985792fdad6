//! Each request once, before the many: which address answers, and what does a response look
//! like?

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Instant;

use sockeye_engine::driver::Target;

use crate::common::Learned;
use crate::lesson::{Lesson, Models};
use crate::plan::{Ask, Plan, Until};
use crate::trouble::Trouble;
use crate::worker::{Share, Worker};

/// Why nothing could be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnError {
    /// What went wrong with the last address that was tried.
    pub what: String,
    /// Its kind.
    pub trouble: Trouble,
}

impl fmt::Display for LearnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for LearnError {}

/// Makes each request once, in turn, at the first of `targets` that can be connected to. Where the
/// plan's load is over after some time, so is this.
///
/// # Errors
///
/// When none can be, or when a request has no response, or none in time.
pub fn learn(plan: &Plan, targets: &[Target]) -> Result<Lesson, LearnError> {
    let begun = Instant::now();
    let what = "there is no address to connect to".into();
    let mut failure = LearnError { what, trouble: Trouble::Connect };
    for target in targets {
        match learn_at(plan, target, begun) {
            Ok(models) => {
                return Ok(Lesson { target: target.clone(), models, took: begun.elapsed() });
            }
            Err((trouble, what)) => failure = LearnError { what, trouble },
        }
        if failure.trouble != Trouble::Connect {
            break;
        }
    }
    Err(failure)
}

fn learn_at(plan: &Plan, target: &Target, begun: Instant) -> Result<Models, (Trouble, String)> {
    let most = plan.most();
    let mut known = vec![[None, None]; plan.asks.len()];
    if most > 1 {
        // In turn on one connection, as they will be asked.
        for (at, model) in ask_once(plan, target, &plan.asks, false, begun)? {
            known[at][0] = Some(*model);
        }
    }
    for (ask, [keep, end]) in plan.asks.iter().zip(&mut known) {
        let once = |last| ask_once(plan, target, std::slice::from_ref(ask), last, begun);
        // The server had closed the connection.
        if most > 1 && keep.is_none() {
            *keep = once(false)?.pop().map(|(_, model)| *model);
        }
        if most < u64::MAX {
            *end = once(true)?.pop().map(|(_, model)| *model);
        }
    }
    Ok(Models { known: known.into() })
}

/// Asks on one connection, and says what it learned: at least one response. `last`: each is the last
/// request of its connection. `begun`: when learning began, from which a load's time counts.
fn ask_once(
    plan: &Plan,
    target: &Target,
    asks: &[Ask],
    last: bool,
    begun: Instant,
) -> Result<Learned, (Trouble, String)> {
    let once = Plan {
        asks: asks.to_vec(),
        connections: NonZeroUsize::MIN,
        threads: NonZeroUsize::MIN,
        pipeline: NonZeroUsize::MIN,
        until: Until::Requests(asks.len() as u64),
        rate: None,
        per_connection: last.then_some(NonZeroU64::MIN),
        ..plan.clone()
    };
    let share = Share::all(&once);
    let failed =
        |error: std::io::Error| (Trouble::Socket, format!("the event loop failed: {error}"));
    let mut worker =
        Worker::with(Arc::new(once), Arc::new([]), target.clone(), share).map_err(failed)?;
    let length = match plan.until {
        Until::Time(length) => Some(length),
        Until::Requests(_) => None,
    };
    let wanted = asks.len() as u64;
    // One connection is enough: what is not learned on it is asked again on its own. Nobody waits for
    // the server to close it.
    let go_on = |replies, troubles| (troubles == 0 || replies > 0) && replies < wanted;
    let left = length.map(|length| length.saturating_sub(begun.elapsed()));
    worker.run(left, go_on).map_err(failed)?;
    let learned = worker.learned();
    if !learned.is_empty() {
        return Ok(learned);
    }
    let troubles = worker.troubles();
    if let Some((trouble, _, says)) = troubles.met().next() {
        return Err((trouble, says.to_owned()));
    }
    let what = match (length, worker.stop()) {
        (Some(length), Some(unfinished)) => {
            format!("no whole reply within the {length:?} that the load takes: {unfinished}")
        }
        _ => "the peer gave no reply".into(),
    };
    Err((Trouble::Silent, what))
}
