//! When certificates are ordered, with the clock of the test.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::Folder;
use super::authority::{Authority, DIRECTORY, problem, reply};
use crate::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn renewer(folder: &Folder, ca: Authority) -> Renewer<Authority> {
    let settings = Settings {
        directory: DIRECTORY.into(),
        certificates: vec![vec!["example.org".into(), "www.example.org".into()]],
        emails: vec!["me@example.org".into()],
        kinds: vec![ChallengeKind::TlsAlpn01, ChallengeKind::Http01],
        state: folder.0.clone(),
    };
    let challenges = Arc::clone(&ca.challenges);
    Renewer::new(settings, challenges, sockeye_tls::provider(), ca).unwrap()
}

/// Runs turns for this long. Returns when orders were made, in days.
fn run(renewer: &mut Renewer<Authority>, time: Duration) -> Vec<u64> {
    let start = renewer.runtime().now();
    let mut orders = Vec::new();
    for _ in 0..1_000_000 {
        let before = renewer.runtime().asked.len();
        let wait = renewer.turn();
        assert!(!renewer.runtime().challenges.is_waiting());
        let ca = renewer.runtime();
        let passed = ca.now.duration_since(start).unwrap();
        if ca.asked[before..].iter().any(|path| path == "/order") {
            orders.push(passed.as_secs() / DAY.as_secs());
            assert!(orders.len() < 200, "orders without end");
        }
        if passed > time {
            return orders;
        }
        // A turn that does nothing would be repeated at once.
        ca.now += wait.max(Duration::from_millis(1));
    }
    panic!("the clock stands");
}

fn failures(reports: &[Report]) -> Vec<(FailureKind, u64)> {
    let failure = |report: &Report| match report {
        Report::Failed { failure, retry_after, .. } => Some((failure.kind, retry_after.as_secs())),
        _ => None,
    };
    reports.iter().filter_map(failure).collect()
}

#[test]
fn a_certificate_is_renewed_after_two_thirds_of_its_lifetime() {
    let folder = Folder::new();
    let mut renewer = renewer(&folder, Authority::new());
    assert_eq!(run(&mut renewer, 130 * DAY), [0, 59, 119]);
    assert_eq!(renewer.runtime().contact[0], "mailto:me@example.org");
    let reports = &renewer.runtime().reports;
    assert!(matches!(
        reports[..],
        [
            Report::Ordering { .. },
            Report::Issued { .. },
            Report::Ordering { .. },
            Report::Issued { .. },
            Report::Ordering { .. },
            Report::Issued { .. },
        ]
    ));
}

#[test]
fn a_certificate_of_six_days_is_renewed_after_four() {
    let folder = Folder::new();
    let mut ca = Authority::new();
    ca.lifetime = 6 * DAY;
    assert_eq!(run(&mut renewer(&folder, ca), 9 * DAY), [0, 3, 7]);
}

#[test]
fn a_certificate_is_renewed_when_the_ca_says_so() {
    let folder = Folder::new();
    let mut ca = Authority::new();
    // The window ends 20 days after each question.
    ca.window = Some([10 * DAY.as_secs(), 20 * DAY.as_secs()]);
    let mut renewer = renewer(&folder, ca);
    // The window is asked for every six hours, and always moves on: up to the last tenth.
    assert_eq!(run(&mut renewer, 85 * DAY), [0, 80]);
    // All certificates have to be replaced now.
    renewer.runtime().window = Some([0, 1]);
    let before = renewer.runtime().asked.len();
    assert!((1..=2).contains(&run(&mut renewer, DAY / 4).len()));
    assert!(renewer.runtime().ordered["replaces"].as_str().unwrap().contains('.'));
    assert!(renewer.runtime().asked.len() - before < 100);
    // One that says so of each new certificate, too, gets an order every six hours.
    assert!((3..=4).contains(&run(&mut renewer, DAY).len()));
}

#[test]
fn another_account_renews_a_certificate() {
    let folder = Folder::new();
    let mut renewer = renewer(&folder, Authority::new());
    renewer.turn();
    std::fs::remove_file(renewer.account_key()).unwrap();
    let ca = renewer.runtime();
    ca.window = Some([10 * DAY.as_secs(), 20 * DAY.as_secs()]);
    ca.replacing = Some(problem(403, "unauthorized", "another account has ordered it"));
    assert_eq!(run(&mut renewer, 85 * DAY).len(), 1);
    assert_eq!(failures(&renewer.runtime().reports), []);
}

#[test]
fn after_three_failures_an_order_does_not_name_the_old_certificate() {
    let server = || problem(500, "serverInternal", "no");
    let invalid = reply(200, &json!({ "status": "invalid" }));
    let (some, all) = ([true, true, true, false, true, true, true, false], [true; 8]);
    for (path, refusal, expected) in [
        ("/order", server(), some),
        ("/order", reply(201, &json!(0)), some),
        ("/finalize", problem(400, "malformed", "no"), some),
        ("/order", problem(429, "rateLimited", "no"), all),
        // The order is not the reason.
        ("/account", server(), all),
        ("/authz/example.org", invalid, all),
    ] {
        let folder = Folder::new();
        let mut renewer = renewer(&folder, Authority::new());
        renewer.turn();
        let ca = renewer.runtime();
        (ca.window, ca.ordered) = (Some([0, 1]), json!({ "replaces": "" }));
        ca.now += 80 * DAY;
        ca.is_down = true;
        run(&mut renewer, DAY);
        renewer.runtime().is_down = false;
        let named = [(); 8].map(|()| {
            renewer.runtime().fault(path, refusal.clone());
            renewer.retry_now();
            renewer.turn();
            renewer.runtime().ordered.get("replaces").is_some()
        });
        assert_eq!(named, expected, "{path} {refusal:?}");
        renewer.retry_now();
        renewer.turn();
        let ca = renewer.runtime();
        assert!(ca.ordered.get("replaces").is_some(), "{path} {refusal:?}");
        assert!(matches!(ca.reports.last(), Some(Report::Issued { .. })), "{path} {refusal:?}");
    }
}

#[test]
fn a_certificate_that_is_due_when_it_comes_is_not_ordered_again_at_once() {
    for (lifetime, behind, time, most) in [
        // Our clock is ahead: by most of the lifetime, and by more than it.
        (90 * DAY, 80 * DAY, DAY, 5),
        (90 * DAY, 200 * DAY, DAY, 5),
        // It was never valid.
        (Duration::ZERO, Duration::ZERO, DAY / 24 / 6, 61),
    ] {
        let folder = Folder::new();
        let mut ca = Authority::new();
        (ca.lifetime, ca.behind) = (lifetime, behind);
        let orders = run(&mut renewer(&folder, ca), time).len();
        assert!((2..=most).contains(&orders), "{orders} orders");
    }
}

#[test]
fn failures_are_reported_once_per_kind_and_retried_less_and_less() {
    let folder = Folder::new();
    let mut ca = Authority::new();
    ca.is_down = true;
    let mut renewer = renewer(&folder, ca);
    run(&mut renewer, 2 * DAY);
    assert_eq!(failures(&renewer.runtime().reports), [(FailureKind::Unreachable, 60)]);
    let asked = renewer.runtime().asked.len();
    assert!((8..20).contains(&asked), "{asked}");
    // Whoever asks for an attempt sees what comes of it.
    renewer.retry_now();
    renewer.turn();
    assert_eq!(failures(&renewer.runtime().reports).len(), 2);
    renewer.turn();
    assert_eq!(failures(&renewer.runtime().reports).len(), 2);
    // Another kind follows.
    renewer.runtime().is_down = false;
    for _ in 0..2 {
        let retry_after = Some("7200".into());
        let limited = Response { retry_after, ..problem(429, "rateLimited", "") };
        renewer.runtime().fault("/order", limited);
    }
    renewer.runtime().reports.clear();
    renewer.retry_now();
    renewer.turn();
    let reported = failures(&renewer.runtime().reports);
    assert_eq!(reported, [(FailureKind::RateLimited, 21_600)]);
    run(&mut renewer, DAY);
    assert_eq!(failures(&renewer.runtime().reports).len(), 1);
    assert!(matches!(renewer.runtime().reports.last(), Some(Report::Issued { .. })));
    // The first failure after a success is reported again, and the certificate stays.
    renewer.runtime().is_down = true;
    let [cert, _] = renewer.pairs().remove(0);
    let before = std::fs::read(&cert).unwrap();
    run(&mut renewer, 70 * DAY);
    let last = renewer.runtime().reports.last().cloned();
    assert!(matches!(last, Some(Report::Failed { not_after: Some(_), .. })), "{last:?}");
    assert_eq!(std::fs::read(&cert).unwrap(), before);
    // And it is renewed when the CA is there again.
    renewer.runtime().is_down = false;
    assert_eq!(run(&mut renewer, DAY).len(), 1);
}

#[test]
fn the_other_challenge_is_tried_after_a_failed_validation() {
    let folder = Folder::new();
    let mut renewer = renewer(&folder, Authority::new());
    let path = "/challenge/example.org/tls-alpn-01";
    renewer.runtime().fault(path, problem(400, "malformed", "no"));
    run(&mut renewer, DAY);
    let asked = &renewer.runtime().asked;
    let challenges: Vec<_> =
        asked.iter().filter(|path| path.starts_with("/challenge/example.org")).collect();
    assert_eq!(challenges, [path, "/challenge/example.org/http-01"]);
    // It worked, so that the renewal begins with it.
    assert_eq!(run(&mut renewer, 60 * DAY).len(), 1);
    let mut asked = renewer.runtime().asked.iter();
    let last = asked.rfind(|path| path.starts_with("/challenge/example.org"));
    assert_eq!(last.unwrap(), "/challenge/example.org/http-01");
}

#[test]
fn nothing_is_issued_that_cannot_be_stored() {
    let folder = Folder::new();
    let mut renewer = renewer(&folder, Authority::new());
    let certificates = renewer.folder().join("certificates");
    std::fs::remove_dir(&certificates).unwrap();
    std::os::unix::fs::symlink("missing", &certificates).unwrap();
    run(&mut renewer, DAY);
    assert!(!renewer.runtime().asked.iter().any(|path| path == "/finalize"));
    assert_eq!(failures(&renewer.runtime().reports), [(FailureKind::State, 60)]);
    std::fs::create_dir(renewer.folder().join("missing")).unwrap();
    run(&mut renewer, DAY);
    assert!(matches!(renewer.runtime().reports.last(), Some(Report::Issued { .. })));
}

#[test]
fn a_panic_is_a_failure_after_which_renewals_go_on() {
    let folder = Folder::new();
    let mut ca = Authority::new();
    ca.panics_at = Some("/challenge/");
    let mut renewer = renewer(&folder, ca);
    run(&mut renewer, DAY);
    assert_eq!(failures(&renewer.runtime().reports), [(FailureKind::Panic, 60)]);
    assert!(renewer.runtime().asked.len() < 100);
    renewer.runtime().panics_at = None;
    run(&mut renewer, DAY);
    assert!(matches!(renewer.runtime().reports.last(), Some(Report::Issued { .. })));
    // When the CA is asked for renewal information, too: at the directory.
    renewer.runtime().panics_at = Some("/dir");
    run(&mut renewer, DAY);
    renewer.runtime().panics_at = None;
    assert_eq!(run(&mut renewer, 60 * DAY).len(), 1);
}

#[test]
fn a_server_that_starts_again_uses_what_is_there() {
    let folder = Folder::new();
    let mut first = renewer(&folder, Authority::new());
    first.turn();
    let key = std::fs::read(folder.0.join("ca.example-dir/account-key.pem")).unwrap();
    let mut second = renewer(&folder, Authority::new());
    second.turn();
    assert_eq!(second.runtime().reports, []);
    assert_eq!(second.runtime().asked, ["/dir"]);
    // The account stays the same.
    run(&mut second, 60 * DAY);
    assert_eq!(std::fs::read(folder.0.join("ca.example-dir/account-key.pem")).unwrap(), key);
}

#[test]
fn two_servers_with_one_folder_order_once() {
    let folder = Folder::new();
    let (mut first, mut second) =
        (renewer(&folder, Authority::new()), renewer(&folder, Authority::new()));
    let state = StateFolder::open(&folder.0, DIRECTORY).unwrap();
    let lock = state.try_lock().unwrap().unwrap();
    // Somebody else orders.
    for _ in 0..3 {
        assert_eq!(second.turn(), Duration::from_secs(2));
        second.runtime().now += Duration::from_secs(2);
    }
    assert!(matches!(second.runtime().reports[..], [Report::Waiting { .. }]));
    assert_eq!(second.runtime().asked, [""; 0]);
    drop(lock);
    first.turn();
    second.turn();
    assert!(!second.runtime().asked.iter().any(|path| path == "/order"));
    assert!(matches!(second.runtime().reports[1..], [Report::Found { .. }]));
}

#[test]
fn waiting_for_another_server_does_not_repeat_the_report_of_a_failure() {
    let folder = Folder::new();
    let mut renewer = renewer(&folder, Authority::new());
    renewer.runtime().is_down = true;
    let state = StateFolder::open(&folder.0, DIRECTORY).unwrap();
    for _ in 0..3 {
        run(&mut renewer, DAY);
        let lock = state.try_lock().unwrap().unwrap();
        run(&mut renewer, DAY);
        drop(lock);
    }
    let reports = &renewer.runtime().reports;
    assert_eq!(failures(reports), [(FailureKind::Unreachable, 60)]);
    let is_waiting = |report: &&Report| matches!(report, Report::Waiting { .. });
    assert_eq!(reports.iter().filter(is_waiting).count(), 1);
}

#[test]
fn the_terms_are_reported_once() {
    let folder = Folder::new();
    let mut ca = Authority::new();
    ca.terms = Some("https://ca.example/terms.pdf");
    let mut renewer = renewer(&folder, ca);
    run(&mut renewer, 100 * DAY);
    let url = "https://ca.example/terms.pdf".into();
    let count = |reports: &[Report]| {
        reports
            .iter()
            .filter(|report| **report == Report::Terms { url: String::clone(&url) })
            .count()
    };
    assert_eq!(count(&renewer.runtime().reports), 1);
}

#[test]
fn a_clock_that_is_set_is_noticed_within_minutes() {
    let folder = Folder::new();
    let mut renewer = renewer(&folder, Authority::new());
    renewer.turn();
    assert!(renewer.turn() <= Duration::from_secs(600));
    renewer.runtime().now += 80 * DAY;
    renewer.turn();
    assert_eq!(renewer.runtime().reports.len(), 4);
    let _: SystemTime = renewer.runtime().now;
}

#[test]
fn a_clock_that_is_set_back_delays_no_order() {
    let folder = Folder::new();
    let mut first = renewer(&folder, Authority::new());
    // The clock is a year ahead, so that the CA's own certificate seems to have expired.
    let boot = |renewer: &mut Renewer<Authority>| {
        let ca = renewer.runtime();
        ca.now += 365 * DAY;
        ca.is_down = true;
        renewer.turn();
        let ca = renewer.runtime();
        ca.now -= 365 * DAY;
        ca.is_down = false;
        assert_eq!(failures(&ca.reports), [(FailureKind::Unreachable, 60)]);
    };
    boot(&mut first);
    assert_eq!(run(&mut first, 10 * DAY), [0]);
    for window in [None, Some([2 * DAY.as_secs(), 3 * DAY.as_secs()])] {
        let folder = Folder::new();
        let mut ca = Authority::new();
        ca.lifetime = 6 * DAY;
        renewer(&folder, ca).turn();
        let mut ca = Authority::new();
        (ca.lifetime, ca.window) = (6 * DAY, window);
        let mut second = renewer(&folder, ca);
        boot(&mut second);
        // The stored certificate isn't due, and its backoff is that of the next failure.
        match window {
            None => assert_eq!(run(&mut second, 9 * DAY), [3, 7]),
            Some(_) => assert_eq!(run(&mut second, DAY), [0; 0]),
        }
        second.runtime().window = Some([0, 1]);
        assert_eq!(run(&mut second, DAY / 4).len(), 1);
    }
}

#[test]
fn a_certificate_that_was_issued_before_the_clock_is_set_back_is_renewed_in_time() {
    let folder = Folder::new();
    let mut ca = Authority::new();
    ca.now += 365 * DAY;
    ca.behind = 365 * DAY;
    let mut renewer = renewer(&folder, ca);
    renewer.turn();
    let ca = renewer.runtime();
    ca.now -= 365 * DAY;
    ca.behind = Duration::ZERO;
    assert!(matches!(ca.reports.last(), Some(Report::Issued { .. })));
    assert_eq!(run(&mut renewer, 70 * DAY), [59]);
}

#[test]
fn a_certificate_that_could_not_be_read_is_renewed_when_the_ca_says_so() {
    let folder = Folder::new();
    renewer(&folder, Authority::new()).turn();
    let mut renewer = renewer(&folder, Authority::new());
    let [cert, _] = renewer.pairs().remove(0);
    let folder = cert.parent().unwrap();
    let aside = folder.with_extension("aside");
    std::fs::rename(folder, &aside).unwrap();
    std::fs::write(folder, "").unwrap();
    renewer.turn();
    assert_eq!(failures(&renewer.runtime().reports), [(FailureKind::State, 60)]);
    std::fs::remove_file(folder).unwrap();
    std::fs::rename(&aside, folder).unwrap();
    assert_eq!(run(&mut renewer, DAY), [0; 0]);
    renewer.runtime().window = Some([0, 1]);
    assert_eq!(run(&mut renewer, DAY / 4).len(), 1);
}
