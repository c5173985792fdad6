//! Orders and authorizations, as the authority describes them (RFC 8555, 7.1.3 and 7.1.4).

use serde_json::Value;

use crate::challenge::{Challenge, ChallengeKind};
use crate::failure::{Failure, FailureKind};
use crate::jws::AccountKey;
use crate::problem::problem_text;
use crate::request::{is_base64url, url};

/// The state of an order or an authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Ready,
    Processing,
    Valid,
    /// Also `deactivated`, `expired` and `revoked`.
    Invalid,
}

impl Status {
    pub(crate) fn of(object: &Value) -> Result<Self, Failure> {
        Ok(match object["status"].as_str().unwrap_or_default() {
            "pending" => Self::Pending,
            "ready" => Self::Ready,
            "processing" => Self::Processing,
            "valid" => Self::Valid,
            "invalid" | "deactivated" | "expired" | "revoked" => Self::Invalid,
            other => {
                return Err(Failure::malformed(format!("a response has the status {other:?}")));
            }
        })
    }
}

/// The parts of an order that the client needs.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// The URL of the order.
    pub(crate) url: String,
    /// The URL for the request that finalizes the order.
    pub(crate) finalize: String,
    /// URLs of the authorizations that have not been requested yet, the next one last.
    pub(crate) authorizations: Vec<String>,
}

impl Order {
    /// Reads a new order for this number of names.
    pub(crate) fn of(object: &Value, location: String, names: usize) -> Result<Self, Failure> {
        let list = object["authorizations"].as_array().map_or(&[][..], Vec::as_slice);
        if list.is_empty() || list.len() > names {
            let text = format!("an order for {names} names has {} authorizations", list.len());
            return Err(Failure::malformed(text));
        }
        let authorizations = list
            .iter()
            .rev()
            .map(|item| crate::request::checked_url(item.as_str().unwrap_or_default()));
        Ok(Self {
            url: location,
            finalize: url(object, "finalize")?,
            authorizations: authorizations.collect::<Result<_, _>>()?,
        })
    }
}

/// The failure of an invalid order, with the authority's reason.
pub(crate) fn order_failure(object: &Value) -> Failure {
    let text = problem_text(&object["error"]).unwrap_or_else(|| "it gives no reason".into());
    Failure::new(FailureKind::Refused, format!("the CA refuses the order: {text}"))
}

/// Chooses a challenge of a pending authorization: among those that the authority offers, the one
/// whose kind comes first in `kinds`. Returns the challenge and its URL.
pub(crate) fn choose_challenge(
    authorization: &Value,
    kinds: &[ChallengeKind],
    names: &[String],
    key: &AccountKey,
) -> Result<(Challenge, String), Failure> {
    let name = authorized_name(authorization, names)?;
    let offered = authorization["challenges"].as_array().map_or(&[][..], Vec::as_slice);
    let find = |kind: &ChallengeKind| {
        let challenge = offered.iter().find(|challenge| challenge["type"] == kind.name())?;
        Some((*kind, challenge))
    };
    let Some((kind, challenge)) = kinds.iter().find_map(find) else {
        let offered: Vec<_> =
            offered.iter().take(10).filter_map(|challenge| challenge["type"].as_str()).collect();
        let wanted: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        let text = format!(
            "the CA offers no challenge for {name} that this server can answer ({}): it offers {}",
            wanted.join(", "),
            offered.join(", ")
        );
        return Err(Failure::new(FailureKind::Validation, text));
    };
    let token = challenge["token"].as_str().unwrap_or_default();
    if !is_base64url(token) {
        return Err(Failure::malformed(format!("a challenge has the token {token:?}")));
    }
    let key_authorization = format!("{token}.{}", key.thumbprint());
    let token = token.to_owned();
    Ok((Challenge { kind, name, token, key_authorization }, url(challenge, "url")?))
}

/// The name that an authorization is for. Fails if this name was not ordered.
fn authorized_name(authorization: &Value, names: &[String]) -> Result<String, Failure> {
    let name = authorization["identifier"]["value"].as_str().unwrap_or_default();
    match names.iter().find(|ordered| ordered.eq_ignore_ascii_case(name)) {
        Some(name) => Ok(name.clone()),
        None => Err(Failure::malformed(format!("an authorization is for {name:?}, not ordered"))),
    }
}

/// The failure of an invalid authorization, with the name, the kind of challenge and the
/// authority's reason. `challenge` is the one that was presented, if any. Its kind is named if the
/// authority doesn't say which challenge failed.
pub(crate) fn validation_failure(authorization: &Value, challenge: Option<&Challenge>) -> Failure {
    let name = authorization["identifier"]["value"].as_str().unwrap_or("a name");
    let mut challenges = authorization["challenges"].as_array().into_iter().flatten();
    let failed = challenges.rfind(|challenge| challenge["error"].is_object());
    let reason = failed.and_then(|challenge| problem_text(&challenge["error"]));
    let reason = reason.unwrap_or_else(|| "it gives no reason".into());
    let by = failed.and_then(|challenge| challenge["type"].as_str());
    let text = match by.or(challenge.map(|challenge| challenge.kind.name())) {
        Some(kind) => format!("the CA could not validate {name} by {kind}: {reason}"),
        None => format!("the CA could not validate {name}: {reason}"),
    };
    Failure::new(FailureKind::Validation, text)
}
