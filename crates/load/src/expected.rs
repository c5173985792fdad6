//! The responses that a load (one run of requests) expects. [`probe`](crate::probe) has received
//! them: before the load, it sends each request in the ways in which the load will send it (see
//! [`ExpectedResponses`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sockeye_engine::driver::Target;
use sockeye_http::client::HeadTemplate;

/// What a response must look like.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExpectedResponse {
    /// The head, for HTTP/1.1.
    pub(crate) template: Option<HeadTemplate>,
    /// For frames of the message protocol: the bytes before the content, which are the length of
    /// the message's header and that header.
    pub(crate) header: Bytes,
    /// The content, if the content of other responses is compared with it.
    pub(crate) content: Option<Bytes>,
    pub(crate) content_len: u64,
    /// For the message protocol: the server keeps the connection open after this response.
    pub(crate) keep_alive: bool,
    /// The text of the error, if the response is one.
    pub(crate) error: Option<String>,
    /// Where the response redirects to, for HTTP.
    pub(crate) location: Option<String>,
}

/// For each request of the load's [`Plan`](crate::Plan), two responses: at index 0 for a request
/// after which the connection stays open, at index 1 for the last request of a connection. `None`
/// if the plan never sends the request that way.
pub(crate) type ExpectedResponses = Arc<[[Option<ExpectedResponse>; 2]]>;

/// The result of [`probe`](crate::probe), which sends the plan's requests before the load. Their
/// responses are those that the load expects.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The address that answers.
    pub target: Target,
    /// How long the probe took.
    pub time: Duration,
    pub(crate) expected: ExpectedResponses,
}

impl Probe {
    /// The requests whose responses are errors: their indexes in the plan, and the texts of the
    /// errors.
    pub fn errors(&self) -> impl Iterator<Item = (usize, &str)> {
        self.expected.iter().enumerate().filter_map(|(at, expected)| {
            let expected = expected.iter().flatten().next()?;
            Some((at, expected.error.as_deref()?))
        })
    }

    /// Whether the response to the request at this index in the plan may come from a port that
    /// expects TLS: its status is 400, with which nginx and others respond to plain HTTP there.
    #[must_use]
    pub fn may_need_tls(&self, request: usize) -> bool {
        let expected =
            self.expected.get(request).and_then(|expected| expected.iter().flatten().next());
        let template = expected.and_then(|expected| expected.template.as_ref());
        template.is_some_and(|template| template.status() == 400)
    }

    /// The requests whose responses are redirects: their indexes in the plan, and the URLs as the
    /// server wrote them.
    pub fn redirects(&self) -> impl Iterator<Item = (usize, &str)> {
        self.expected.iter().enumerate().filter_map(|(at, expected)| {
            let expected = expected.iter().flatten().next()?;
            Some((at, expected.location.as_deref()?))
        })
    }
}
