//! One request of each kind, before the many: which address answers, and what does a reply look
//! like?

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use sockeye_engine::driver::Target;

use crate::common::Known;
use crate::plan::{Plan, Until};
use crate::talk::Model;
use crate::trouble::Trouble;
use crate::worker::{Share, Worker};

/// What the replies to a plan's requests look like.
#[derive(Clone, Debug)]
pub struct Models {
    pub(crate) known: Known,
}

impl Models {
    /// The requests that are answered with an error, by their places in the plan, and what it says.
    pub fn errors(&self) -> impl Iterator<Item = (usize, &str)> {
        self.known.iter().enumerate().filter_map(|(at, models)| {
            let model = models.iter().flatten().next()?;
            Some((at, model.error.as_deref()?))
        })
    }
}

/// What was found out.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// The address that answers.
    pub target: Target,
    /// What it answers.
    pub models: Models,
}

/// Why nothing could be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnError {
    /// What went wrong with the last address that was tried.
    pub what: String,
}

impl fmt::Display for LearnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for LearnError {}

/// Asks each kind of request once, one connection each, at the first of `targets` that can be
/// connected to.
///
/// # Errors
///
/// When none can be, or when a request has no reply.
pub fn learn(plan: &Plan, targets: &[Target]) -> Result<Lesson, LearnError> {
    let mut failure = LearnError { what: "there is no address to connect to".into() };
    for target in targets {
        match learn_at(plan, target) {
            Ok(models) => return Ok(Lesson { target: target.clone(), models }),
            Err((Trouble::Connect, what)) => failure = LearnError { what },
            Err((_, what)) => return Err(LearnError { what }),
        }
    }
    Err(failure)
}

fn learn_at(plan: &Plan, target: &Target) -> Result<Models, (Trouble, String)> {
    let most = plan.most();
    let mut known = Vec::new();
    for at in 0..plan.asks.len() {
        let keep = if most > 1 { Some(ask_once(plan, target, at, false)?) } else { None };
        let last = if most < u64::MAX { Some(ask_once(plan, target, at, true)?) } else { None };
        known.push([keep, last]);
    }
    Ok(Models { known: known.into() })
}

/// Makes one request.
fn ask_once(
    plan: &Plan,
    target: &Target,
    at: usize,
    last: bool,
) -> Result<Model, (Trouble, String)> {
    let once = Plan {
        asks: vec![plan.asks[at].clone()],
        connections: NonZeroUsize::MIN,
        threads: NonZeroUsize::MIN,
        pipeline: NonZeroUsize::MIN,
        until: Until::Requests(1),
        rate: None,
        per_connection: last.then_some(NonZeroU64::MIN),
        ..plan.clone()
    };
    let share = Share::all(&once);
    let failed =
        |error: std::io::Error| (Trouble::Socket, format!("the event loop failed: {error}"));
    let mut worker =
        Worker::with(Arc::new(once), Arc::new([]), target.clone(), share).map_err(failed)?;
    worker.run(None, |_, _| true).map_err(failed)?;
    match worker.learned() {
        Some(model) => Ok(model),
        None => {
            let troubles = worker.troubles();
            let met = troubles.met().next();
            Err(met.map_or(
                (Trouble::Closed, "the peer gave no reply".into()),
                |(trouble, _, says)| (trouble, says.to_owned()),
            ))
        }
    }
}
