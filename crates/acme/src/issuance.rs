//! Gets one certificate, from the request for the CA's directory (its list of URLs) to the download
//! of the certificate: a state machine without I/O.

use std::mem;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::{Value, json};

use crate::challenge::{Challenge, ChallengeKind};
use crate::directory::Directory;
use crate::failure::{Failure, FailureKind};
use crate::issued::{Issued, KeyPem};
use crate::jws::{AccountKey, base64url};
use crate::order::{Order, Status, choose_challenge, order_failure, validation_failure};
use crate::problem;
use crate::request::{Method, Request, Response, checked_nonce, checked_url, url};

/// What to order.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The names of the certificate.
    pub names: Vec<String>,
    /// The kinds of challenges that listeners can answer, the preferred one first.
    pub kinds: Vec<ChallengeKind>,
    /// The e-mail addresses of the account.
    pub emails: Vec<String>,
    /// The identifier (RFC 9773, 4.1) of the certificate that the new one replaces. It is sent only
    /// if the authority has renewal information. If the authority refuses the order, the order is
    /// repeated once without the identifier, unless the reason is temporary or a person has to act.
    pub replaces: Option<String>,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this request, and give the response to [`Issuance::receive`].
    Send(Request),
    /// Make listeners answer this challenge from now on, instead of the previous one.
    Present(Challenge),
    /// Store this private key before the next call of [`Issuance::step`], since one of the next
    /// steps requests the certificate for this key. The key replaces that of an earlier `Store`, if
    /// there was one.
    Store(KeyPem),
    /// Wait before the next step.
    Wait(Duration),
    /// The certificate was issued.
    Done(Issued),
}

/// Maximum number of refused nonces in a row. After a restart, an authority refuses one nonce; the
/// test server pebble refuses some on purpose.
const MAX_BAD_NONCES: u32 = 10;

/// Maximum sum of the waits between polls for one validation, or for the certificate.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// Maximum number of polls for one validation, or for the certificate.
const MAX_POLLS: u32 = 60;

/// The shortest and the longest wait between two polls, whatever the authority says.
const POLL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Gets one certificate, by a state machine without I/O. Call [`step`](Issuance::step) until it
/// returns [`Step::Done`] or a failure. After a failure, this value is of no more use: begin a new
/// issuance.
#[derive(Debug)]
pub struct Issuance<'a> {
    directory_url: &'a str,
    key: &'a AccountKey,
    wanted: Wanted,
    directory: Option<Directory>,
    /// The URL of the account, once the authority has sent it.
    account: Option<String>,
    order: Order,
    /// The challenge that was chosen last, for [`Step::Present`] and for the text of a failure.
    challenge: Option<Challenge>,
    /// The key of the certificate, made before the order is finalized.
    certificate_key: Option<KeyPair>,
    /// The nonce for the next signed request, from the last response that had one.
    nonce: Option<String>,
    bad_nonces: u32,
    /// Sum of the waits between polls for the current validation, or for the certificate.
    waited: Duration,
    /// Number of polls for the current validation, or for the certificate.
    polls: u32,
    /// The wait before the next request.
    pause: Option<Duration>,
    stage: Stage,
}

/// The resource that the next response is expected to contain. Exceptions: `Present` and `Done`.
#[derive(Debug)]
enum Stage {
    /// The directory.
    Directory,
    /// A nonce. The stage in the box comes next, and its request needs the nonce.
    Nonce(Box<Stage>),
    /// The account.
    Account,
    /// The account, after its contact was replaced.
    Contact,
    /// The order, after it was made.
    NewOrder,
    /// The authorization at this URL (RFC 8555, 7.1.4), which lists the challenges of one name.
    Authorization(String),
    /// No response: the caller has to present the challenge first.
    Present { authorization: String, challenge: String },
    /// The challenge, after a request that allows the authority to validate it now.
    Challenge { authorization: String, challenge: String },
    /// The authorization at this URL, with the result of the validation.
    Validation(String),
    /// The order, as the response to a poll.
    Order,
    /// The order, as the response to the request that finalizes it (RFC 8555, 7.4).
    Finalize,
    /// The certificate at this URL.
    Download(String),
    /// No response: the certificate was issued.
    Done(Issued),
}

impl<'a> Issuance<'a> {
    /// Begins an order at the authority with this directory.
    #[must_use]
    pub fn new(directory_url: &'a str, key: &'a AccountKey, wanted: Wanted) -> Self {
        Self {
            directory_url,
            key,
            wanted,
            directory: None,
            account: None,
            order: Order::default(),
            challenge: None,
            certificate_key: None,
            nonce: None,
            bad_nonces: 0,
            waited: Duration::ZERO,
            polls: 0,
            pause: None,
            stage: Stage::Directory,
        }
    }

    /// The URL of the authority's terms of service. `None` until the directory has arrived, or if
    /// it has no such URL.
    #[must_use]
    pub fn terms(&self) -> Option<&str> {
        self.directory.as_ref()?.terms.as_deref()
    }

    /// Whether the last request was an order with `replaces`, or belongs to one.
    pub(crate) fn is_replacing(&self) -> bool {
        let is_sent = !self.order.url.is_empty() || matches!(self.stage, Stage::NewOrder);
        is_sent && self.wanted.replaces.is_some()
    }

    /// Returns what to do next.
    ///
    /// # Errors
    ///
    /// If a key can't be generated, or a request can't be signed.
    pub fn step(&mut self) -> Result<Step, Failure> {
        if let Some(pause) = self.pause.take() {
            return Ok(Step::Wait(pause));
        }
        match mem::replace(&mut self.stage, Stage::Directory) {
            Stage::Directory => Ok(Step::Send(Request {
                method: Method::Get,
                url: self.directory_url.to_owned(),
                content: String::new(),
            })),
            Stage::Present { authorization, challenge } => {
                self.stage = Stage::Challenge { authorization, challenge };
                let challenge = self.challenge.clone();
                challenge.map(Step::Present).ok_or_else(|| Failure::malformed("no challenge"))
            }
            Stage::Finalize if self.certificate_key.is_none() => {
                let key = KeyPair::generate().map_err(|error| unsignable(&error))?;
                let pem = KeyPem(key.serialize_pem());
                (self.stage, self.certificate_key) = (Stage::Finalize, Some(key));
                Ok(Step::Store(pem))
            }
            Stage::Done(issued) => {
                self.stage = Stage::Done(issued.clone());
                Ok(Step::Done(issued))
            }
            stage => {
                let Some(nonce) = self.nonce.take() else {
                    self.stage = match stage {
                        Stage::Nonce(_) => stage,
                        stage => Stage::Nonce(Box::new(stage)),
                    };
                    let url = self.directory()?.new_nonce.clone();
                    return Ok(Step::Send(Request {
                        method: Method::Head,
                        url,
                        content: String::new(),
                    }));
                };
                self.stage = stage;
                self.signed(&nonce)
            }
        }
    }

    /// The signed request whose response the current stage expects.
    fn signed(&self, nonce: &str) -> Result<Step, Failure> {
        let (url, payload) = match &self.stage {
            Stage::Account => (self.directory()?.new_account.clone(), self.account_payload()),
            Stage::Contact => {
                let url = self.account.clone().unwrap_or_default();
                (url, json!({ "contact": self.contact() }).to_string())
            }
            Stage::NewOrder => (self.directory()?.new_order.clone(), self.order_payload()),
            Stage::Challenge { challenge, .. } => (challenge.clone(), "{}".into()),
            Stage::Finalize => (self.order.finalize.clone(), self.finalize_payload()?),
            // POST-as-GET (RFC 8555, 6.3).
            Stage::Authorization(url) | Stage::Validation(url) | Stage::Download(url) => {
                (url.clone(), String::new())
            }
            _ => (self.order.url.clone(), String::new()),
        };
        let content = self.key.sign(&url, nonce, self.account.as_deref(), &payload);
        let content = content.map_err(|error| {
            Failure::new(FailureKind::State, format!("cannot sign a request: {error}"))
        })?;
        Ok(Step::Send(Request { method: Method::Post, url, content }))
    }

    fn directory(&self) -> Result<&Directory, Failure> {
        self.directory.as_ref().ok_or_else(|| Failure::malformed("there is no directory"))
    }

    /// The payload that requests an account. If the key has an account already, the authority
    /// returns that account (RFC 8555, 7.3.1).
    fn account_payload(&self) -> String {
        let mut payload = json!({ "termsOfServiceAgreed": true });
        if !self.wanted.emails.is_empty() {
            payload["contact"] = self.contact();
        }
        payload.to_string()
    }

    fn contact(&self) -> Value {
        self.wanted.emails.iter().map(|email| format!("mailto:{email}")).collect()
    }

    fn order_payload(&self) -> String {
        let identifier = |name: &String| json!({ "type": "dns", "value": name });
        let identifiers: Vec<_> = self.wanted.names.iter().map(identifier).collect();
        let mut payload = json!({ "identifiers": identifiers });
        if let Some(replaced) = &self.wanted.replaces {
            payload["replaces"] = replaced.as_str().into();
        }
        payload.to_string()
    }

    fn finalize_payload(&self) -> Result<String, Failure> {
        let key = self.certificate_key.as_ref().ok_or_else(|| Failure::malformed("no key"))?;
        let made = || {
            let mut params = CertificateParams::new(self.wanted.names.clone())?;
            params.distinguished_name = DistinguishedName::new();
            params.serialize_request(key)
        };
        let request = made().map_err(|error| unsignable(&error))?;
        Ok(json!({ "csr": base64url(request.der()) }).to_string())
    }

    /// Handles the response to the request of the last step.
    ///
    /// # Errors
    ///
    /// The reason why the authority issues no certificate.
    pub fn receive(&mut self, response: &Response, now: SystemTime) -> Result<(), Failure> {
        if let Some(nonce) = response.nonce.as_deref().and_then(checked_nonce) {
            self.nonce = Some(nonce);
        }
        if !(200..300).contains(&response.status) {
            return self.refused(response, now);
        }
        match mem::replace(&mut self.stage, Stage::Directory) {
            Stage::Directory => self.on_directory(response),
            Stage::Nonce(stage) => {
                self.stage = *stage;
                match self.nonce {
                    Some(_) => Ok(()),
                    None => Err(Failure::malformed("the CA gives no nonce")),
                }
            }
            stage => {
                self.bad_nonces = 0;
                self.on_signed_response(stage, response, now)
            }
        }
    }

    /// Handles an error response, which ends the order unless another request can follow.
    fn refused(&mut self, response: &Response, now: SystemTime) -> Result<(), Failure> {
        let problem = response.json().unwrap_or_default();
        let failure = problem::failure(response, now);
        match problem::name(&problem) {
            "badNonce" => {
                self.bad_nonces += 1;
                return if self.bad_nonces <= MAX_BAD_NONCES { Ok(()) } else { Err(failure) };
            }
            // The names were validated, but the order's status hasn't changed yet.
            "orderNotReady" if matches!(self.stage, Stage::Finalize) => {
                (self.stage, self.certificate_key) = (Stage::Order, None);
                return self.poll(response, now);
            }
            _ => {}
        }
        // Perhaps the authority refuses the order because of `replaces`: another order has replaced
        // the old certificate already, another account has ordered it, or the authority doesn't
        // know it (RFC 9773, 5). So the order is repeated once without `replaces`, unless the
        // reason is temporary, or a person has to act.
        let is_repeated = match failure.kind {
            FailureKind::RateLimited | FailureKind::Server | FailureKind::Terms => false,
            _ => self.is_replacing() && matches!(self.stage, Stage::NewOrder),
        };
        if is_repeated {
            self.wanted.replaces = None;
            return Ok(());
        }
        // If the authority refuses an e-mail address or the account, the order ends. If the contact
        // can't be replaced for another reason, the order continues.
        if matches!(self.stage, Stage::Contact) && failure.kind != FailureKind::Account {
            self.stage = Stage::NewOrder;
            return Ok(());
        }
        Err(failure)
    }

    fn on_directory(&mut self, response: &Response) -> Result<(), Failure> {
        let directory = Directory::of(response)?;
        if directory.needs_external_account {
            let text = "the CA wants an external account binding, which is not supported: use \
                        another CA";
            return Err(Failure::new(FailureKind::ExternalAccount, text));
        }
        // Without renewal information, the authority doesn't know `replaces`.
        if directory.renewal_info.is_none() {
            self.wanted.replaces = None;
        }
        self.directory = Some(directory);
        self.stage = Stage::Account;
        Ok(())
    }

    fn on_signed_response(
        &mut self,
        stage: Stage,
        response: &Response,
        now: SystemTime,
    ) -> Result<(), Failure> {
        let location = || {
            let location = response.location.as_deref();
            checked_url(location.ok_or_else(|| Failure::malformed("a response has no Location"))?)
        };
        match stage {
            Stage::Account => {
                let account = response.json()?;
                if Status::of(&account)? != Status::Valid {
                    let text = "the account at the CA was deactivated";
                    return Err(Failure::new(FailureKind::Account, text));
                }
                self.account = Some(location()?);
                // An account that existed before keeps its contact until a request updates it (RFC
                // 8555, 7.3.2).
                let is_known = response.status == 200;
                let is_changed = account["contact"] != self.contact();
                self.stage = match is_known && is_changed && !self.wanted.emails.is_empty() {
                    true => Stage::Contact,
                    false => Stage::NewOrder,
                };
            }
            Stage::Contact => self.stage = Stage::NewOrder,
            Stage::NewOrder => {
                let object = response.json()?;
                self.order = Order::of(&object, location()?, self.wanted.names.len())?;
                self.next_authorization();
            }
            Stage::Authorization(url) => return self.authorization(url, &response.json()?),
            Stage::Challenge { authorization, .. } => {
                self.stage = Stage::Validation(authorization);
                return self.poll(response, now);
            }
            Stage::Validation(url) => {
                let object = response.json()?;
                match Status::of(&object)? {
                    Status::Valid => self.next_authorization(),
                    Status::Invalid => {
                        return Err(validation_failure(&object, self.challenge.as_ref()));
                    }
                    _ => {
                        self.stage = Stage::Validation(url);
                        return self.poll(response, now);
                    }
                }
            }
            Stage::Order | Stage::Finalize => return self.on_order(response, now),
            Stage::Download(_) => {
                let chain = String::from_utf8(response.content.clone()).map_err(|_| {
                    Failure::new(
                        FailureKind::Certificate,
                        "the CA sent a certificate that is no PEM",
                    )
                })?;
                let key = self.certificate_key.as_ref().map(KeyPair::serialize_pem);
                self.stage = Stage::Done(Issued { chain, key: key.unwrap_or_default() });
            }
            Stage::Directory | Stage::Nonce(_) | Stage::Present { .. } | Stage::Done(_) => {
                return Err(Failure::malformed("a response came to no request"));
            }
        }
        Ok(())
    }

    fn next_authorization(&mut self) {
        (self.waited, self.polls) = (Duration::ZERO, 0);
        self.stage = match self.order.authorizations.pop() {
            Some(url) => Stage::Authorization(url),
            None => Stage::Order,
        };
    }

    fn authorization(&mut self, authorization: String, object: &Value) -> Result<(), Failure> {
        match Status::of(object)? {
            // The name was validated for an earlier order.
            Status::Valid => {
                self.next_authorization();
                Ok(())
            }
            Status::Invalid => Err(validation_failure(object, None)),
            _ => {
                let Wanted { kinds, names, .. } = &self.wanted;
                let (challenge, url) = choose_challenge(object, kinds, names, self.key)?;
                self.challenge = Some(challenge);
                self.stage = Stage::Present { authorization, challenge: url };
                Ok(())
            }
        }
    }

    fn on_order(&mut self, response: &Response, now: SystemTime) -> Result<(), Failure> {
        let object = response.json()?;
        let status = Status::of(&object)?;
        match status {
            Status::Ready if self.certificate_key.is_none() => self.stage = Stage::Finalize,
            Status::Pending | Status::Ready | Status::Processing => {
                self.stage = Stage::Order;
                return self.poll(response, now);
            }
            Status::Valid => self.stage = Stage::Download(url(&object, "certificate")?),
            Status::Invalid => return Err(order_failure(&object)),
        }
        Ok(())
    }

    /// Schedules a wait before the next request of the current stage. Fails if the waits exceed
    /// [`MAX_WAIT`], or the polls [`MAX_POLLS`].
    fn poll(&mut self, response: &Response, now: SystemTime) -> Result<(), Failure> {
        let [shortest, longest] = POLL;
        // Without Retry-After, each wait is half a second longer than the previous one.
        let own = shortest + Duration::from_millis(500) * self.polls;
        let wait = response.retry_after(now).unwrap_or(own).clamp(shortest, longest);
        self.polls += 1;
        self.waited += wait;
        if self.waited > MAX_WAIT || self.polls > MAX_POLLS {
            let limit = match self.waited > MAX_WAIT {
                true => format!("within {} minutes", MAX_WAIT.as_secs() / 60),
                false => format!("though asked {MAX_POLLS} times"),
            };
            let text = match (&self.stage, &self.challenge) {
                (Stage::Validation(_), Some(Challenge { name, kind, .. })) => {
                    format!("the CA has not validated {name} by {kind} {limit}")
                }
                _ => format!("the CA has not made the certificate {limit}"),
            };
            return Err(Failure::new(FailureKind::TooSlow, text));
        }
        self.pause = Some(wait);
        Ok(())
    }
}

fn unsignable(error: &rcgen::Error) -> Failure {
    let text = format!("cannot make a signing request: {error}");
    Failure::new(FailureKind::Certificate, text)
}
