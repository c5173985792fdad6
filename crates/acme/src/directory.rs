//! The directory of a certificate authority: the URLs of its resources.

use serde_json::Value;

use crate::failure::Failure;
use crate::request::{Response, checked_url, url};

/// The directory of an authority (RFC 8555, 7.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    pub(crate) new_nonce: String,
    pub(crate) new_account: String,
    pub(crate) new_order: String,
    /// The URL at which the authority says when to renew a certificate (RFC 9773, 3).
    pub(crate) renewal_info: Option<String>,
    /// The URL of the authority's terms of service, cut at 200 characters and without
    /// control characters, since it is logged.
    pub(crate) terms: Option<String>,
    pub(crate) needs_external_account: bool,
}

impl Directory {
    pub(crate) fn of(response: &Response) -> Result<Self, Failure> {
        let object = response.json()?;
        let no_directory = |failure: Failure| {
            Failure::malformed(format!("the URL of the CA has no ACME directory: {failure}"))
        };
        let meta = &object["meta"];
        let terms = meta["termsOfService"].as_str();
        Ok(Self {
            new_nonce: url(&object, "newNonce").map_err(no_directory)?,
            new_account: url(&object, "newAccount").map_err(no_directory)?,
            new_order: url(&object, "newOrder").map_err(no_directory)?,
            renewal_info: object["renewalInfo"].as_str().and_then(|url| checked_url(url).ok()),
            terms: terms.map(|url| url.chars().take(200).filter(|c| !c.is_control()).collect()),
            needs_external_account: meta["externalAccountRequired"] == Value::Bool(true),
        })
    }
}
