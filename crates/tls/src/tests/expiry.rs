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
    for (lifetime, reported_before) in [
        (398 * DAY, 14 * DAY),
        (90 * DAY, 14 * DAY),
        (6 * DAY, 2 * DAY),
        (60 * SECOND, 20 * SECOND),
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
            // Once a day.
            (first + DAY - SECOND, false),
            (first + DAY, true),
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
