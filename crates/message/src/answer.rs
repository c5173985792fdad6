//! What a handler returns.

use sockeye_proto::Fault;

use super::{Message, Refusal, error_response};

/// What a handler returns: a response, or a marker that the response follows later. The handler
/// gets it from a method of [`Responder`](super::Responder).
#[derive(Debug)]
#[must_use = "a handler returns it"]
pub struct Answer(Option<Response>);

/// A response, and the fault that it reports, if any.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) message: Message,
    /// On a connection without HTTP, the fault of the last response ends the connection. Over HTTP,
    /// the fault decides the status. WebSockets ignore it.
    pub(super) fault: Option<Fault>,
}

impl Answer {
    pub(super) const LATER: Self = Self(None);

    pub(super) fn now(message: Message) -> Self {
        Self(Some(Response { message, fault: None }))
    }

    /// An error response to a refused request. The peer gets the blame, even for `busy`: its
    /// content exceeds its share of the memory, or the memory that is left for all clients. A fault
    /// of ours would be logged as an error, and TLS would end as if the response were incomplete.
    pub(super) fn refusal(refusal: Refusal) -> Self {
        Self(Some(Response {
            message: error_response(refusal.code, &refusal.reason),
            fault: Some(refusal.fault()),
        }))
    }

    /// An error response with the code `internal`: the fault is ours.
    pub(super) fn failure(text: &str) -> Self {
        let fault = Fault::ours("internal", format!("could not answer: {text}"));
        Self(Some(Response { message: error_response("internal", text), fault: Some(fault) }))
    }

    /// The response; `None` if it follows later. `may_follow`: whether the request has an open
    /// promise (of a result), or more content to come. If neither, an answer that is to follow
    /// later never could, so an error is returned instead.
    pub(super) fn into_response(self, may_follow: bool) -> Option<Response> {
        match self.0 {
            None if !may_follow => {
                Self::failure("the handler answers later, but has made no promise").0
            }
            response => response,
        }
    }
}
