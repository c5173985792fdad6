//! When a certificate is reported before it expires.

use std::time::{Duration, SystemTime};

use super::{DAY, Folder, pair, valid};
use crate::{CertificateStore, Settings};

#[test]
fn a_certificate_is_reported_in_the_last_third_or_two_weeks() {
    const SECOND: Duration = Duration::from_secs(1);
    // X.509 has no fractions of seconds.
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    for (lifetime, reported_before, every) in [
        (398 * DAY, 14 * DAY, DAY),
        (90 * DAY, 14 * DAY, DAY),
        (6 * DAY, 2 * DAY, DAY),
        (3 * DAY, DAY, DAY / 2),
        (60 * SECOND, 20 * SECOND, DAY / 24),
    ] {
        let folder = Folder::new();
        let end = start + lifetime;
        let pairs = vec![
            folder.pair(&valid(&["a.example"], start, end)),
            // It is never near its end.
            {
                let other = pair(&["b.example"]);
                [folder.file("other.pem", other.cert), folder.file("other-key.pem", other.key)]
            },
        ];
        let mut store =
            CertificateStore::open_at(pairs.clone(), Vec::new(), Settings::default(), start)
                .unwrap();
        let first = end - reported_before;
        for (now, expected) in [
            (start, false),
            (first - SECOND, false),
            (first, true),
            (first + SECOND, false),
            // Once a day, or more often for a short lifetime.
            (first + every - SECOND, false),
            (first + every, true),
            (end + 2 * DAY, true),
            (end + 2 * DAY + SECOND, false),
            (end + 99 * DAY, true),
            // The clock was put back.
            (end + DAY, true),
        ] {
            let reported = store.expiring(now);
            assert_eq!(reported.len(), usize::from(expected), "{lifetime:?} {now:?}");
            for info in reported {
                assert_eq!(info.path, pairs[0][0]);
                assert_eq!(info.left(now).is_none(), now >= end);
            }
        }
    }
}

#[test]
fn an_ordered_certificate_is_reported_in_its_last_sixth() {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    // The hours that are left at each report before the end.
    for (lifetime, expected) in [
        (24, &[4][..]),
        (72, &[12]),
        (7 * 24, &[28, 4]),
        (90 * 24, &[336, 312, 288, 264, 240, 216, 192, 168, 144, 120, 96, 72, 48, 24]),
    ] {
        let folder = Folder::new();
        let end = start + lifetime * HOUR;
        let ordered = vec![folder.pair(&valid(&["a.example"], start, end))];
        let mut store =
            CertificateStore::open_at(Vec::new(), ordered, Settings::default(), start).unwrap();
        let left = (1..=lifetime).rev();
        let reported: Vec<_> =
            left.filter(|left| !store.expiring(end - *left * HOUR).is_empty()).collect();
        assert_eq!(reported, expected, "{lifetime}");
        assert_eq!(store.expiring(end + DAY).len(), 1);
    }
}

#[test]
fn a_new_certificate_is_reported_for_itself() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let short = || valid(&["a.example"], now - 89 * DAY, now + DAY);
    let pairs = vec![folder.pair(&short())];
    let mut store = CertificateStore::open(pairs, Settings::default()).unwrap();
    assert_eq!(store.expiring(now).len(), 1);
    assert_eq!(store.expiring(now).len(), 0);
    folder.pair(&short());
    store.reload().unwrap().unwrap();
    assert_eq!(store.expiring(now).len(), 1);
    folder.pair(&pair(&["a.example"]));
    store.reload().unwrap().unwrap();
    assert_eq!(store.expiring(now).len(), 0);
}
