//! An authority in memory. Its clock is that of the test.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use data_encoding::BASE64URL_NOPAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
    SerialNumber,
};
use serde_json::{Value, json};

use crate::*;

pub(super) const BASE: &str = "https://ca.example";
pub(super) const DIRECTORY: &str = "https://ca.example/dir";

pub(super) struct Authority {
    pub(super) now: SystemTime,
    pub(super) challenges: Arc<Challenges>,
    /// What was asked for: paths.
    pub(super) asked: Vec<String>,
    pub(super) waits: Vec<Duration>,
    pub(super) reports: Vec<Report>,
    /// Responses to the next requests for a path, instead of the right one.
    pub(super) faults: HashMap<&'static str, VecDeque<Response>>,
    /// The response to each order with `replaces`.
    pub(super) replacing: Option<Response>,
    pub(super) is_down: bool,
    /// Requests for this path end in a panic.
    pub(super) panics_at: Option<&'static str>,
    /// Authorizations are valid already.
    pub(super) reuses: bool,
    /// Polls until a validation is done.
    pub(super) slow: u32,
    pub(super) kinds: Vec<&'static str>,
    pub(super) lifetime: Duration,
    /// The authority's clock is behind that of the test.
    pub(super) behind: Duration,
    /// The window of renewal information: seconds from now.
    pub(super) window: Option<[u64; 2]>,
    pub(super) terms: Option<&'static str>,
    /// The contact of the account.
    pub(super) contact: Value,
    /// The payload of the last new order.
    pub(super) ordered: Value,
    issuer: Issuer<'static, KeyPair>,
    nonces: HashSet<String>,
    names: Vec<String>,
    /// Names that were validated, in this order.
    proved: HashMap<String, u32>,
    certificate: Option<String>,
    serial: u64,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = Issuer::new(params, KeyPair::generate().unwrap());
        Self {
            // Certificates are checked with the real clock, too.
            now: SystemTime::now(),
            challenges: Arc::default(),
            asked: Vec::new(),
            waits: Vec::new(),
            reports: Vec::new(),
            faults: HashMap::new(),
            replacing: None,
            is_down: false,
            panics_at: None,
            reuses: false,
            slow: 0,
            kinds: vec!["dns-01", "http-01", "tls-alpn-01"],
            lifetime: Duration::from_secs(90 * 24 * 60 * 60),
            behind: Duration::ZERO,
            window: None,
            terms: None,
            contact: Value::Null,
            ordered: Value::Null,
            issuer,
            nonces: HashSet::new(),
            names: Vec::new(),
            proved: HashMap::new(),
            certificate: None,
            serial: 0,
        }
    }

    pub(super) fn fault(&mut self, path: &'static str, response: Response) {
        self.faults.entry(path).or_default().push_back(response);
    }

    fn nonce(&mut self) -> Option<String> {
        let nonce = format!("nonce-{}", self.asked.len());
        self.nonces.insert(nonce.clone());
        Some(nonce)
    }

    /// The payload of a signed request. The nonce is used up.
    fn payload(&mut self, request: &Request) -> Result<Value, Response> {
        let jws: Value = serde_json::from_str(&request.content).unwrap();
        let part =
            |name: &str| BASE64URL_NOPAD.decode(jws[name].as_str().unwrap().as_bytes()).unwrap();
        let protected: Value = serde_json::from_slice(&part("protected")).unwrap();
        assert_eq!(protected["url"], request.url);
        let is_first = request.url.ends_with("/account");
        assert_eq!(protected.get("jwk").is_some(), is_first);
        if !self.nonces.remove(protected["nonce"].as_str().unwrap()) {
            return Err(problem(400, "badNonce", "used twice"));
        }
        let payload = part("payload");
        Ok(if payload.is_empty() { Value::Null } else { serde_json::from_slice(&payload).unwrap() })
    }

    fn answer(&mut self, path: &str, payload: &Value) -> Response {
        let url = |path: &str| format!("{BASE}{path}");
        match path {
            "/dir" => {
                let mut meta = json!({});
                if let Some(terms) = self.terms {
                    meta["termsOfService"] = terms.into();
                }
                let mut directory = json!({
                    "newNonce": url("/nonce"), "newAccount": url("/account"),
                    "newOrder": url("/order"), "meta": meta,
                });
                if self.window.is_some() {
                    directory["renewalInfo"] = url("/ari").into();
                }
                reply(200, &directory)
            }
            "/nonce" => reply(200, &Value::Null),
            "/account" => {
                assert_eq!(payload["termsOfServiceAgreed"], true);
                // An account that exists isn't changed.
                let status = if self.contact.is_null() { 201 } else { 200 };
                if status == 201 {
                    self.contact = payload["contact"].clone();
                }
                let account = json!({ "status": "valid", "contact": self.contact });
                located(status, "/account/1", &account)
            }
            "/account/1" => {
                self.contact = payload["contact"].clone();
                reply(200, &json!({ "status": "valid", "contact": self.contact }))
            }
            "/order" => {
                if let (Some(response), Some(_)) = (&self.replacing, payload.get("replaces")) {
                    return response.clone();
                }
                let names = payload["identifiers"].as_array().unwrap().iter();
                self.names = names.map(|name| name["value"].as_str().unwrap().to_owned()).collect();
                (self.certificate, self.proved) = (None, HashMap::new());
                located(201, "/order/1", &self.order())
            }
            "/order/1" => reply(200, &self.order()),
            "/finalize" => {
                let csr = BASE64URL_NOPAD.decode(payload["csr"].as_str().unwrap().as_bytes());
                self.certificate = Some(self.issue(csr.unwrap()));
                located(200, "/order/1", &self.order())
            }
            "/cert" => Response {
                status: 200,
                content: self.certificate.clone().unwrap().into_bytes(),
                ..Response::default()
            },
            _ if path.starts_with("/ari/") => {
                let [start, end] = self.window.unwrap().map(|seconds| {
                    let time = time::OffsetDateTime::from(self.now + Duration::from_secs(seconds));
                    let (date, (hour, minute, second)) = (time.date(), time.time().as_hms());
                    format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
                });
                reply(200, &json!({ "suggestedWindow": { "start": start, "end": end } }))
            }
            _ => self.validation(path),
        }
    }

    fn order(&self) -> Value {
        let is_proved =
            |name: &String| self.reuses || self.proved.get(name).is_some_and(|left| *left == 0);
        let status = match &self.certificate {
            Some(_) => "valid",
            None if self.names.iter().all(is_proved) => "ready",
            None => "pending",
        };
        let authorizations: Vec<_> =
            self.names.iter().map(|name| format!("{BASE}/authz/{name}")).collect();
        json!({
            "status": status, "authorizations": authorizations,
            "finalize": format!("{BASE}/finalize"), "certificate": format!("{BASE}/cert"),
        })
    }

    /// Authorizations and challenges.
    fn validation(&mut self, path: &str) -> Response {
        let [what, name, kind] = *path[1..].split('/').chain([""]).take(3).collect::<Vec<_>>()
        else {
            panic!("{path}");
        };
        if what == "challenge" {
            let seen = match kind {
                "http-01" => {
                    let token = format!("token-{name}").replace('.', "_");
                    let path = format!("/.well-known/acme-challenge/{token}");
                    self.challenges.http(path.as_bytes()).is_some()
                }
                _ => self.challenges.tls(name).is_some(),
            };
            assert!(seen, "{path} is not answered");
            self.proved.insert(name.to_owned(), self.slow);
            return reply(200, &json!({ "status": "processing" }));
        }
        assert_eq!(what, "authz");
        let status = match self.proved.get_mut(name) {
            _ if self.reuses => "valid",
            Some(0) => "valid",
            Some(left) => {
                *left -= 1;
                "pending"
            }
            None => "pending",
        };
        let challenges: Vec<_> = self
            .kinds
            .iter()
            .map(|kind| {
                let url = format!("{BASE}/challenge/{name}/{kind}");
                json!({ "type": kind, "url": url, "token": format!("token-{name}").replace('.', "_") })
            })
            .collect();
        reply(
            200,
            &json!({
                "status": status, "challenges": challenges,
                "identifier": { "type": "dns", "value": name },
            }),
        )
    }

    fn issue(&mut self, csr: Vec<u8>) -> String {
        let mut request = CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
        let hour = Duration::from_secs(60 * 60);
        let start = self.now - self.behind - hour;
        request.params.not_before = start.into();
        request.params.not_after = (start + self.lifetime).into();
        self.serial += 1;
        request.params.serial_number = Some(SerialNumber::from(self.serial));
        request.params.use_authority_key_identifier_extension = true;
        request.signed_by(&self.issuer).unwrap().pem()
    }
}

impl Runtime for Authority {
    fn now(&mut self) -> SystemTime {
        self.now
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.waits.push(time);
    }

    fn random(&mut self) -> f64 {
        0.5
    }

    fn report(&mut self, report: &Report) {
        self.reports.push(report.clone());
    }

    fn send(&mut self, request: &Request) -> Result<Response, Failure> {
        let path = request.url.strip_prefix(BASE).unwrap().to_owned();
        self.asked.push(path.clone());
        if self.is_down {
            return Err(Failure::new(FailureKind::Unreachable, "no connection"));
        }
        assert!(self.panics_at.is_none_or(|start| !path.starts_with(start)), "as the test wants");
        let payload = match request.method {
            Method::Post => self.payload(request),
            _ => Ok(Value::Null),
        };
        if let (Ok(payload), "/order") = (&payload, &*path) {
            self.ordered = payload.clone();
        }
        let fault = self.faults.get_mut(&*path).and_then(VecDeque::pop_front);
        let response = match (fault, payload) {
            (Some(fault), _) => fault,
            (None, Ok(payload)) => self.answer(&path, &payload),
            (None, Err(problem)) => problem,
        };
        let is_signed = request.method != Method::Get;
        let nonce =
            if is_signed && response.nonce.is_none() { self.nonce() } else { response.nonce };
        Ok(Response { nonce, ..response })
    }
}

pub(super) fn reply(status: u16, object: &Value) -> Response {
    Response { status, content: object.to_string().into_bytes(), ..Response::default() }
}

fn located(status: u16, path: &str, object: &Value) -> Response {
    Response { location: Some(format!("{BASE}{path}")), ..reply(status, object) }
}

pub(super) fn problem(status: u16, name: &str, detail: &str) -> Response {
    let name = format!("urn:ietf:params:acme:error:{name}");
    reply(status, &json!({ "type": name, "detail": detail }))
}
