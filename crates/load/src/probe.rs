//! Sends each request before a load (a run of requests that is measured), to find an address that
//! answers, and to learn which responses to expect.

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::slice;
use std::time::{Duration, Instant};

use sockeye_engine::driver::Target;

use crate::expected::{ExpectedResponse, ExpectedResponses, Probe};
use crate::failure::Failure;
use crate::plan::{Plan, PreparedRequest, Until};
use crate::worker::{Share, Worker};

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeError {
    /// A description of the failure at the last address that was tried.
    pub text: String,
    /// The kind of that failure.
    pub failure: Failure,
    /// The index in [`Plan::requests`] of the request that failed.
    pub request: usize,
    /// An answer has shown that the port doesn't expect TLS: an HTTP request that came back
    /// unchanged, as from an echo server, or a valid response, other than a redirect or one with
    /// status 400, to a request for a WebSocket. `false` only means that no such answer has
    /// arrived. Meaningless if the plan uses TLS.
    pub answered_without_tls: bool,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ProbeError {}

/// Sends each request, in order, to the first of `targets` that accepts a connection. The request
/// is sent in each of the ways in which the load will send it: on a connection that stays open, as
/// the last request of a connection, or both. With [`Until::Time`], the probe may take no more than
/// that time.
///
/// # Errors
///
/// When no target accepts a connection, a request gets no valid response in time, or the event loop
/// fails.
pub fn probe(plan: &Plan, targets: &[Target]) -> Result<Probe, ProbeError> {
    let started = Instant::now();
    let text = "there is no address to connect to".into();
    let failure = Failure::Connect;
    let mut error = ProbeError { text, failure, request: 0, answered_without_tls: false };
    for target in targets {
        match probe_target(plan, target, started) {
            Ok(expected) => {
                return Ok(Probe { target: target.clone(), time: started.elapsed(), expected });
            }
            Err(failed) => error = failed,
        }
        if error.failure != Failure::Connect {
            break;
        }
    }
    Err(error)
}

/// Sends the plan's requests to one target. Returns the responses to expect.
fn probe_target(
    plan: &Plan,
    target: &Target,
    started: Instant,
) -> Result<ExpectedResponses, ProbeError> {
    let max = plan.max_per_connection();
    // For each request, two responses: the one on a connection that stays open, and the one to the
    // last request of a connection.
    let mut expected = vec![[None, None]; plan.requests.len()];
    if max > 1 {
        // All requests in order on one connection, as in the load.
        for (at, response) in send_once(plan, target, &plan.requests, false, started)? {
            expected[at][0] = Some(response);
        }
    }
    for (at, (request, [keep_alive, last])) in plan.requests.iter().zip(&mut expected).enumerate() {
        let send = |last| {
            let learned = send_once(plan, target, slice::from_ref(request), last, started)
                .map_err(|error| ProbeError { request: at, ..error })?;
            Ok(learned.into_iter().next().map(|(_, response)| response))
        };
        // `keep_alive` is `None` if the server closed the connection before this request.
        if max > 1 && keep_alive.is_none() {
            *keep_alive = send(false)?;
        }
        if max < u64::MAX {
            *last = send(true)?;
        }
    }
    Ok(expected.into())
}

/// Sends requests, one connection at a time. Returns at least one response, and with each response
/// the index of its request in `requests`. `last`: each request is the last of its connection.
fn send_once(
    plan: &Plan,
    target: &Target,
    requests: &[PreparedRequest],
    last: bool,
    started: Instant,
) -> Result<Vec<(usize, ExpectedResponse)>, ProbeError> {
    let once = Plan {
        requests: requests.to_vec(),
        connections: NonZeroUsize::MIN,
        threads: NonZeroUsize::MIN,
        pipeline: NonZeroUsize::MIN,
        until: Until::Requests(requests.len() as u64),
        rate: None,
        per_connection: last.then_some(NonZeroU64::MIN),
        ..plan.clone()
    };
    let share = Share::all(&once);
    let unknown = Probe { target: target.clone(), time: Duration::ZERO, expected: [].into() };
    let socket_error = |error: std::io::Error| ProbeError {
        text: format!("the event loop failed: {error}"),
        failure: Failure::Socket,
        request: 0,
        answered_without_tls: false,
    };
    let mut worker = Worker::new(once.into(), &unknown, share).map_err(socket_error)?;
    let time = match plan.until {
        Until::Time(time) => Some(time),
        Until::Requests(_) => None,
    };
    let total = requests.len() as u64;
    // If the server closes the connection early, the worker opens another one, which starts with
    // the first request again. So later requests may get no response here: the caller sends each of
    // them again, on a connection of its own. After the last response, the run ends without waiting
    // until the server closes the connection.
    let keep_running = |responses, failures| (failures == 0 || responses > 0) && responses < total;
    let time_left = time.map(|time| time.saturating_sub(started.elapsed()));
    worker.run(time_left, keep_running).map_err(socket_error)?;
    let learned = worker.learned();
    if !learned.is_empty() {
        return Ok(learned);
    }
    if let Some((failure, _, text)) = worker.failures().iter().next() {
        let (text, answered_without_tls) = (text.to_owned(), worker.answered_without_tls());
        return Err(ProbeError { text, failure, request: 0, answered_without_tls });
    }
    let text = match (time, worker.stop()) {
        (Some(time), Some(unfinished)) => {
            format!("no complete response within {time:?}: {unfinished}")
        }
        _ => "the peer sent no response".into(),
    };
    let answered_without_tls = worker.answered_without_tls();
    Err(ProbeError { text, failure: Failure::Timeout, request: 0, answered_without_tls })
}
