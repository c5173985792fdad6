//! What is known before the load begins: which address answers, and what.

use std::time::Duration;

use sockeye_engine::driver::Target;

use crate::common::Known;

/// What the responses to a plan's requests look like.
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
    /// How long it took to find out.
    pub took: Duration,
}
