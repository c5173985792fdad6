//! The state machine of one order.

use std::time::Duration;

use serde_json::json;

use super::authority::{Authority, DIRECTORY, problem, reply};
use crate::*;

const BOTH: [ChallengeKind; 2] = [ChallengeKind::TlsAlpn01, ChallengeKind::Http01];

fn wanted(names: &[&str]) -> Wanted {
    Wanted {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        kinds: BOTH.to_vec(),
        emails: vec!["me@example.org".into()],
        replaces: None,
    }
}

/// Runs an order. Returns the result and the challenges that were presented.
fn run(ca: &mut Authority, wanted: Wanted) -> (Result<Issued, Failure>, Vec<Challenge>) {
    let key = AccountKey::generate().unwrap();
    let mut issuance = Issuance::new(DIRECTORY, &key, wanted);
    let mut presented = Vec::new();
    let challenges = ca.challenges.clone();
    let mut step = || -> Result<Option<Issued>, Failure> {
        match issuance.step()? {
            Step::Send(request) => issuance.receive(&ca.send(&request)?, ca.now())?,
            Step::Present(challenge) => {
                presented.push(challenge.clone());
                challenges.present(challenge, &sockeye_tls::provider())?;
            }
            Step::Store(_) => {}
            Step::Wait(time) => ca.wait(time),
            Step::Done(issued) => return Ok(Some(issued)),
        }
        Ok(None)
    };
    let issued = (0..1000).find_map(|_| step().transpose()).expect("the order never ends");
    (issued, presented)
}

#[test]
fn each_name_is_validated_by_the_preferred_challenge() {
    let mut ca = Authority::new();
    let (issued, presented) = run(&mut ca, wanted(&["example.org", "www.example.org"]));
    let issued = issued.unwrap();
    assert!(issued.chain.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(issued.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(!format!("{issued:?}").contains("PRIVATE"));
    let names: Vec<_> = presented.iter().map(|challenge| &*challenge.name).collect();
    assert_eq!(names, ["example.org", "www.example.org"]);
    assert!(presented.iter().all(|challenge| challenge.kind == ChallengeKind::TlsAlpn01));
    // One nonce was asked for: each response brings the next one.
    assert_eq!(ca.asked.iter().filter(|path| *path == "/nonce").count(), 1);
    // A CA that offers only the other one.
    let mut ca = Authority::new();
    ca.kinds = vec!["http-01"];
    let (issued, presented) = run(&mut ca, wanted(&["example.org"]));
    issued.unwrap();
    assert_eq!(presented[0].kind, ChallengeKind::Http01);
}

#[test]
fn the_account_gets_the_address_that_is_wanted_now() {
    let mut ca = Authority::new();
    let updates = |ca: &Authority| ca.asked.iter().filter(|path| *path == "/account/1").count();
    let wanted = |email: &str| Wanted { emails: vec![email.into()], ..wanted(&["example.org"]) };
    for (email, expected) in [("a@example.org", 0), ("a@example.org", 0), ("b@example.org", 1)] {
        run(&mut ca, wanted(email)).0.unwrap();
        assert_eq!(ca.contact, json!([format!("mailto:{email}")]));
        assert_eq!(updates(&ca), expected);
    }
    // Without an address, the account keeps its own.
    run(&mut ca, Wanted { emails: Vec::new(), ..wanted("") }).0.unwrap();
    assert_eq!(updates(&ca), 1);
    // An address that the CA refuses is named. Other refusals don't stop the order.
    ca.fault("/account/1", problem(400, "invalidContact", "no"));
    let failure = run(&mut ca, wanted("c@example.org")).0.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Account);
    ca.fault("/account/1", problem(500, "serverInternal", "no"));
    run(&mut ca, wanted("c@example.org")).0.unwrap();
}

#[test]
fn names_that_are_valid_already_are_not_validated_again() {
    let mut ca = Authority::new();
    ca.reuses = true;
    let (issued, presented) = run(&mut ca, wanted(&["example.org"]));
    issued.unwrap();
    assert_eq!(presented, []);
}

#[test]
fn refused_nonces_are_replaced() {
    let mut ca = Authority::new();
    for path in ["/account", "/order", "/finalize", "/cert"] {
        ca.fault(path, problem(400, "badNonce", "again"));
        ca.fault(path, problem(400, "badNonce", "and again"));
    }
    run(&mut ca, wanted(&["example.org"])).0.unwrap();
    // A CA that accepts none.
    let mut ca = Authority::new();
    for _ in 0..100 {
        ca.fault("/order", problem(400, "badNonce", "never"));
    }
    let failure = run(&mut ca, wanted(&["example.org"])).0.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert_eq!(failure.text, "the CA refuses a request: never (badNonce)");
    assert_eq!(ca.asked.iter().filter(|path| *path == "/order").count(), 11);
    // One without nonces.
    let mut ca = Authority::new();
    ca.fault("/nonce", Response { nonce: Some("not a nonce".into()), ..reply(200, &json!(0)) });
    let failure = run(&mut ca, wanted(&["example.org"])).0.unwrap_err();
    assert_eq!(failure.text, "the CA gives no nonce");
}

#[test]
fn a_slow_validation_is_awaited_with_limits() {
    let mut ca = Authority::new();
    ca.slow = 5;
    run(&mut ca, wanted(&["example.org"])).0.unwrap();
    assert_eq!(ca.waits[0], Duration::from_secs(1));
    assert_eq!(ca.waits[5], Duration::from_millis(3500));
    let mut ca = Authority::new();
    ca.slow = u32::MAX;
    let failure = run(&mut ca, wanted(&["example.org"])).0.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TooSlow);
    assert_eq!(
        failure.text,
        "the CA has not validated example.org by tls-alpn-01 within 5 minutes"
    );
    assert!(ca.waits.iter().sum::<Duration>() <= Duration::from_secs(300));
    let mut ca = Authority::new();
    let pending = reply(200, &json!({ "status": "processing" }));
    for _ in 0..100 {
        ca.fault("/order/1", Response { retry_after: Some("1".into()), ..pending.clone() });
    }
    let failure = run(&mut ca, wanted(&["example.org"])).0.unwrap_err();
    assert_eq!(failure.text, "the CA has not made the certificate though asked 60 times");
    // What the CA says about the time is clamped.
    for (retry_after, expected) in [("0", 1), ("7", 7), ("86400", 60)] {
        let mut ca = Authority::new();
        let pending = reply(200, &json!({ "status": "pending" }));
        let retry_after = Some(retry_after.to_owned());
        ca.fault("/order/1", Response { retry_after, ..pending });
        ca.reuses = true;
        run(&mut ca, wanted(&["example.org"])).0.unwrap();
        assert_eq!(ca.waits, [Duration::from_secs(expected)]);
    }
}

#[test]
fn an_order_that_is_not_ready_or_still_processed_is_awaited() {
    let mut ca = Authority::new();
    ca.fault("/finalize", problem(403, "orderNotReady", "wait"));
    ca.fault("/order/1", reply(200, &json!({ "status": "ready" })));
    ca.fault("/order/1", reply(200, &json!({ "status": "ready" })));
    run(&mut ca, wanted(&["example.org"])).0.unwrap();
    let mut ca = Authority::new();
    ca.fault("/order/1", reply(200, &json!({ "status": "processing" })));
    run(&mut ca, wanted(&["example.org"])).0.unwrap();
}

/// The last part of a table: what the CA answers to which request, and what is made of it.
#[test]
fn each_way_to_say_no_is_named() {
    let invalid = |error: serde_json::Value| {
        reply(
            200,
            &json!({
                "status": "invalid", "identifier": { "type": "dns", "value": "example.org" },
                "challenges": [
                    { "type": "http-01" },
                    { "type": "tls-alpn-01", "error": error },
                ],
            }),
        )
    };
    let connection = json!({
        "type": "urn:ietf:params:acme:error:connection",
        "detail": "192.0.2.1: Connection refused",
    });
    let authorization = |name: &str, token: &str| {
        reply(
            200,
            &json!({
                "status": "pending", "identifier": { "type": "dns", "value": name },
                "challenges": [{ "type": "http-01", "token": token, "url": "https://ca.example/c" }],
            }),
        )
    };
    let order = |authorizations: serde_json::Value| Response {
        location: Some("https://ca.example/order/1".into()),
        ..reply(
            201,
            &json!({
                "status": "pending", "authorizations": authorizations,
                "finalize": "https://ca.example/finalize",
            }),
        )
    };
    let subproblems = reply(
        400,
        &json!({
            "type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "some names",
            "subproblems": [{ "identifier": { "value": "a.example" }, "detail": "on a list" }],
        }),
    );
    let terms = reply(
        403,
        &json!({
            "type": "urn:ietf:params:acme:error:userActionRequired", "detail": "new terms",
            "instance": "https://ca.example/terms",
        }),
    );
    let moved =
        Response { location: Some("https://new.example/dir".into()), ..reply(301, &json!(0)) };
    let eab = reply(
        200,
        &json!({
            "newNonce": "https://ca.example/n", "newAccount": "https://ca.example/a",
            "newOrder": "https://ca.example/o", "meta": { "externalAccountRequired": true },
        }),
    );
    let rows = [
        (
            "/dir",
            reply(200, &json!({})),
            FailureKind::Malformed,
            "the URL of the CA has no ACME directory: a response has no newNonce",
        ),
        (
            "/dir",
            Response { status: 200, content: b"<html>".into(), ..Response::default() },
            FailureKind::Malformed,
            "a response is not JSON: expected value at line 1 column 1",
        ),
        (
            "/dir",
            reply(404, &json!(0)),
            FailureKind::Refused,
            "the CA refuses a request: status 404",
        ),
        ("/dir", reply(503, &json!(0)), FailureKind::Server, "the CA has an error: status 503"),
        (
            "/dir",
            moved,
            FailureKind::Refused,
            "the CA has moved: use the directory https://new.example/dir",
        ),
        (
            "/dir",
            eab,
            FailureKind::ExternalAccount,
            "the CA wants an external account binding, which is not supported: use another CA",
        ),
        ("/nonce", reply(500, &json!(0)), FailureKind::Server, "the CA has an error: status 500"),
        (
            "/account",
            problem(403, "externalAccountRequired", "ask us"),
            FailureKind::ExternalAccount,
            "the CA wants an external account binding, which is not supported: ask us (externalAccountRequired)",
        ),
        (
            "/account",
            problem(400, "invalidContact", "bad\r\ndomain"),
            FailureKind::Account,
            "the CA refuses this account: bad  domain (invalidContact)",
        ),
        (
            "/account",
            terms,
            FailureKind::Terms,
            "the CA's terms of service have changed: agree at https://ca.example/terms",
        ),
        (
            "/account",
            reply(200, &json!({ "status": "deactivated" })),
            FailureKind::Account,
            "the account at the CA was deactivated",
        ),
        (
            "/account",
            reply(200, &json!({ "status": "valid" })),
            FailureKind::Malformed,
            "a response has no Location",
        ),
        (
            "/order",
            problem(401, "accountDoesNotExist", "who?"),
            FailureKind::Account,
            "the CA refuses this account: who? (accountDoesNotExist)",
        ),
        (
            "/order",
            problem(403, "unauthorized", "account is deactivated"),
            FailureKind::Account,
            "the CA refuses this account: account is deactivated (unauthorized)",
        ),
        (
            "/order",
            problem(429, "rateLimited", "too many certificates"),
            FailureKind::RateLimited,
            "the CA refuses because of too many requests: too many certificates (rateLimited)",
        ),
        (
            "/order",
            reply(429, &json!(0)),
            FailureKind::RateLimited,
            "the CA refuses because of too many requests: status 429",
        ),
        (
            "/order",
            subproblems,
            FailureKind::NameRefused,
            "the CA refuses a name: some names; a.example: on a list (rejectedIdentifier)",
        ),
        (
            "/order",
            order(json!([])),
            FailureKind::Malformed,
            "an order for 1 names has 0 authorizations",
        ),
        (
            "/order",
            order(json!(["https://ca.example/1", "https://ca.example/2"])),
            FailureKind::Malformed,
            "an order for 1 names has 2 authorizations",
        ),
        (
            "/order",
            order(json!(["http://ca.example/1"])),
            FailureKind::Malformed,
            "a response has a URL that is not https: http://ca.example/1",
        ),
        (
            "/order",
            order(json!(["https://ca.example/a b"])),
            FailureKind::Malformed,
            "a response has a URL that is too long, or has a character that URLs can't have: \
             https://ca.example/a b",
        ),
        (
            "/authz/example.org",
            authorization("other.example", "a"),
            FailureKind::Malformed,
            "an authorization is for \"other.example\", not ordered",
        ),
        (
            "/authz/example.org",
            authorization("example.org", "a/b"),
            FailureKind::Malformed,
            "a challenge has the token \"a/b\"",
        ),
        (
            "/authz/example.org",
            authorization("example.org", ""),
            FailureKind::Malformed,
            "a challenge has the token \"\"",
        ),
        (
            "/authz/example.org",
            reply(200, &json!({ "status": "odd" })),
            FailureKind::Malformed,
            "a response has the status \"odd\"",
        ),
        (
            "/authz/example.org",
            invalid(connection),
            FailureKind::Validation,
            "the CA could not validate example.org by tls-alpn-01: 192.0.2.1: Connection refused (connection)",
        ),
        (
            "/authz/example.org",
            invalid(json!(null)),
            FailureKind::Validation,
            "the CA could not validate example.org: it gives no reason",
        ),
        (
            "/challenge/example.org/tls-alpn-01",
            problem(400, "malformed", "no"),
            FailureKind::Refused,
            "the CA refuses a request: no (malformed)",
        ),
        (
            "/order/1",
            reply(
                200,
                &json!({ "status": "invalid", "error": { "type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it" } }),
            ),
            FailureKind::Refused,
            "the CA refuses the order: CAA forbids it (caa)",
        ),
        (
            "/finalize",
            problem(400, "badCSR", "weak key"),
            FailureKind::Refused,
            "the CA refuses a request: weak key (badCSR)",
        ),
        (
            "/cert",
            Response { status: 200, content: vec![0xff], ..Response::default() },
            FailureKind::Certificate,
            "the CA sent a certificate that is no PEM",
        ),
    ];
    for (path, response, kind, text) in rows {
        let mut ca = Authority::new();
        ca.fault(path, response);
        let failure = run(&mut ca, wanted(&["example.org"])).0.unwrap_err();
        assert_eq!((failure.kind, &*failure.text), (kind, text), "{path}");
    }
}

#[test]
fn a_ca_without_our_challenges_is_named() {
    let mut ca = Authority::new();
    ca.kinds = vec!["dns-01", "device-attest-01"];
    let failure = run(&mut ca, wanted(&["example.org"])).0.unwrap_err();
    assert_eq!(
        failure.text,
        "the CA offers no challenge for example.org that this server can answer (tls-alpn-01, \
         http-01): it offers dns-01, device-attest-01"
    );
}

#[test]
fn an_order_replaces_a_certificate_if_the_ca_knows_it() {
    let replacing = || Wanted { replaces: Some("a.b".into()), ..wanted(&["example.org"]) };
    let mut ca = Authority::new();
    run(&mut ca, replacing()).0.unwrap();
    assert_eq!(ca.ordered.get("replaces"), None);
    ca.window = Some([0, 1]);
    run(&mut ca, replacing()).0.unwrap();
    assert_eq!(ca.ordered["replaces"], "a.b");
}

#[test]
fn an_order_is_repeated_without_replaces_unless_the_reason_is_another() {
    let replacing = || Wanted { replaces: Some("a.b".into()), ..wanted(&["example.org"]) };
    for (response, expected) in [
        (problem(403, "unauthorized", "no"), None),
        (problem(409, "alreadyReplaced", "no"), None),
        (problem(404, "malformed", "no"), None),
        (problem(409, "conflict", "no"), None),
        (problem(400, "unheardOf", "no"), None),
        (reply(403, &json!(0)), None),
        (problem(429, "rateLimited", "no"), Some(FailureKind::RateLimited)),
        (problem(503, "rateLimited", "no"), Some(FailureKind::RateLimited)),
        (reply(429, &json!(0)), Some(FailureKind::RateLimited)),
        (problem(403, "userActionRequired", "no"), Some(FailureKind::Terms)),
        (problem(500, "serverInternal", "no"), Some(FailureKind::Server)),
        (reply(502, &json!(0)), Some(FailureKind::Server)),
        // Every order gets this one.
        (problem(400, "badNonce", "no"), Some(FailureKind::Refused)),
    ] {
        let mut ca = Authority::new();
        (ca.window, ca.replacing) = (Some([0, 1]), Some(response.clone()));
        let result = run(&mut ca, replacing()).0;
        assert_eq!(result.err().map(|failure| failure.kind), expected, "{response:?}");
        assert_eq!(ca.ordered.get("replaces").is_some(), expected.is_some(), "{response:?}");
    }
    // The order is repeated once, and the last refusal is reported.
    for (window, orders) in [(None, 1), (Some([0, 1]), 2)] {
        let mut ca = Authority::new();
        ca.window = window;
        for detail in ["one", "two", "three"].into_iter().take(orders) {
            ca.fault("/order", problem(403, "unauthorized", detail));
        }
        let failure = run(&mut ca, replacing()).0.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Account);
        assert_eq!(ca.asked.iter().filter(|path| *path == "/order").count(), orders);
        assert!(failure.text.contains(["one", "two"][orders - 1]), "{failure}");
    }
}

#[test]
fn long_text_from_a_ca_is_cut() {
    let mut ca = Authority::new();
    ca.fault("/order", problem(400, "malformed", &"a".repeat(10_000)));
    let failure = run(&mut ca, wanted(&["example.org"])).0.unwrap_err();
    assert!(failure.text.len() < 600);
}
