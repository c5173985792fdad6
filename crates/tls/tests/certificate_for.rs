//! Which certificate of a store answers a name.

use std::fs;
use std::path::Path;

use sockeye_tls::{CertificateStore, Settings, UnknownName, self_signed};

#[test]
fn a_name_gets_its_certificate_then_that_of_a_wildcard_then_the_first_or_none() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("certificate_for");
    fs::create_dir_all(&folder).unwrap();
    let all = [&["a.example", "127.0.0.1"][..], &["*.b.example"], &["c.b.example", "::1"]];
    let pairs = all.iter().enumerate().map(|(at, names)| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let (_, [certificate, key]) = self_signed(names).unwrap();
        let path = folder.join(format!("{at}.pem"));
        fs::write(&path, certificate + &key).unwrap();
        [path.clone(), path]
    });
    let pairs: Vec<_> = pairs.collect();
    let store = |unknown_name| {
        let settings = Settings { unknown_name, ..Settings::default() };
        CertificateStore::open(pairs.clone(), settings).unwrap()
    };
    let (first, refuse) = (store(UnknownName::FirstCertificate), store(UnknownName::Refuse));
    for (name, known, unknown) in [
        (Some("a.example"), Some(0), None),
        (Some("A.Example"), Some(0), None),
        (Some("x.b.example"), Some(1), None),
        (Some("c.b.example"), Some(2), None),
        (None, Some(0), None),
        (Some("b.example"), None, Some(0)),
        (Some("x.y.b.example"), None, Some(0)),
    ] {
        let file = |store: &CertificateStore| {
            let found = store.certificate_for(name)?;
            let host = name.unwrap_or("127.0.0.1");
            assert_eq!(found.is_for(host), known.is_some(), "{host}");
            pairs.iter().position(|[path, _]| *path == found.path)
        };
        assert_eq!(file(&refuse), known, "{name:?}");
        assert_eq!(file(&first), known.or(unknown), "{name:?}");
    }
    let third = first.certificate_for(Some("c.b.example")).unwrap();
    for (host, expected) in
        [("[::1]", true), ("::1", true), ("c.b.example.", true), ("[::2]", false), ("::", false)]
    {
        assert_eq!(third.is_for(host), expected, "{host}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
