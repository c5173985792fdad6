//! Lists that proxies append to, and that clients forge.

use proptest::prelude::*;

use super::*;

/// 10/8, fd00::/8 and Unix sockets are trusted.
fn proxies() -> Proxies {
    Proxies::new(["10.0.0.0/8", "fd00::/8", "unix"].map(|text| text.parse().unwrap()).to_vec())
}

/// The client of a request with these fields on a connection from `peer`.
fn client(peer: &str, fields: &[(&str, &str)]) -> String {
    let peer = match peer {
        "unix" => Address::Unix,
        ip => Address::Ip(SocketAddr::new(ip.parse().unwrap(), 7)),
    };
    let named = |wanted_name: &'static str| {
        let fields = fields.iter().filter(move |(name, _)| *name == wanted_name);
        fields.map(|(_, value)| value.as_bytes())
    };
    match proxies().client(peer, named("X-Forwarded-For"), named("Forwarded")) {
        Address::Ip(address) => address.ip().to_string(),
        Address::Unix => "unix".into(),
    }
}

#[test]
fn the_rightmost_untrusted_address_is_the_client() {
    let x = "X-Forwarded-For";
    for (peer, fields, expected) in [
        ("10.0.0.1", &[][..], "10.0.0.1"),
        ("10.0.0.1", &[(x, "192.0.2.1")], "192.0.2.1"),
        ("unix", &[(x, "192.0.2.1")], "192.0.2.1"),
        ("unix", &[], "unix"),
        ("fd00::1", &[(x, "2001:db8::1")], "2001:db8::1"),
        ("::ffff:10.0.0.1", &[(x, "192.0.2.1")], "192.0.2.1"),
        // Forged entries to the left of the client, trusted proxies to its right.
        ("10.0.0.1", &[(x, "198.51.100.9, 192.0.2.1, 10.0.0.7 ,10.0.0.8")], "192.0.2.1"),
        ("10.0.0.1", &[(x, "198.51.100.9"), (x, "192.0.2.1"), (x, "10.0.0.7")], "192.0.2.1"),
        ("10.0.0.1", &[(x, "nonsense, 192.0.2.1")], "192.0.2.1"),
        // All are trusted: the leftmost is the client.
        ("10.0.0.1", &[(x, "10.0.0.5, 10.0.0.6")], "10.0.0.5"),
        // Entries left of a malformed one are ignored.
        ("10.0.0.1", &[(x, "192.0.2.1, nonsense, 10.0.0.5")], "10.0.0.5"),
        ("10.0.0.1", &[(x, "192.0.2.1, nonsense")], "10.0.0.1"),
        ("10.0.0.1", &[(x, "")], "10.0.0.1"),
        ("10.0.0.1", &[(x, ",, 192.0.2.1,,")], "192.0.2.1"),
        ("10.0.0.1", &[(x, "192.0.2.1:4711")], "192.0.2.1"),
        ("10.0.0.1", &[(x, "[2001:db8::1]:80, [2001:db8::2]")], "2001:db8::2"),
        ("10.0.0.1", &[(x, "::ffff:192.0.2.1")], "192.0.2.1"),
        ("10.0.0.1", &[(x, "198.51.100.9, fe80::1%eth0")], "fe80::1"),
        ("10.0.0.1", &[(x, "198.51.100.9, [fe80::1%eth0]:80")], "fe80::1"),
        // Headers of an untrusted peer are ignored.
        ("192.0.2.7", &[(x, "198.51.100.9"), ("Forwarded", "for=198.51.100.9")], "192.0.2.7"),
    ] {
        assert_eq!(client(peer, fields), expected, "{peer} {fields:?}");
    }
}

/// `X-Forwarded-For` has no quotes, so a client can't change the entries that a proxy appends.
#[test]
fn entries_of_the_client_do_not_change_those_of_the_proxy() {
    let quotes = ["\"", "\"\"", "\"a", "a\\", "\"a\\\"", "\\\"", "for=\"", "for=\"a\\"];
    let others =
        ["[", "]", "[::1", "::1]", ";", "=", "unknown", "_hidden", ":", ",,", " , ,", "\u{7f}"];
    for forged in quotes.into_iter().chain(others) {
        for (appended, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("192.0.2.1, 10.0.0.7", "192.0.2.1"),
        ] {
            let x = "X-Forwarded-For";
            let one = format!("{forged}, {appended}");
            assert_eq!(client("10.0.0.1", &[(x, &one)]), expected, "{one}");
            assert_eq!(client("10.0.0.1", &[(x, forged), (x, appended)]), expected, "{one}");
        }
    }
    let parameters = ["for=198.51.100.9;x=\"", "for=198.51.100.9;x=\"\\", "for=198.51.100.9;x=a\""];
    for forged in quotes.into_iter().chain(parameters) {
        for (appended, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("for=\"192.0.2.1:4711\"", "192.0.2.1"),
            ("For=\"[2001:db8::1]\";proto=https;by=\"[::1]:80\"", "2001:db8::1"),
            ("for=192.0.2.1;host=\"a, for=198.51.100.9\"", "192.0.2.1"),
            ("for=192.0.2.1, for=10.0.0.7;by=_b", "192.0.2.1"),
        ] {
            let one = format!("{forged}, {appended}");
            assert_eq!(client("10.0.0.1", &[("Forwarded", &one)]), expected, "{one}");
            let two = [("Forwarded", forged), ("Forwarded", appended)];
            assert_eq!(client("10.0.0.1", &two), expected, "{two:?}");
        }
    }
}

#[test]
fn entries_left_of_a_malformed_one_are_ignored() {
    for entry in [
        "unknown",
        "_hidden",
        "\"192.0.2.1\"",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.256",
        "010.0.0.1",
        "192.0.2.1%eth0",
        "[192.0.2.1]",
        "[2001:db8::1",
        "[2001:db8::1]80",
        "[2001:db8::1]:+1",
        "2001:db8::1]",
        "for=192.0.2.1",
        "192.0.2.1 192.0.2.2",
    ] {
        let x = "X-Forwarded-For";
        assert_eq!(client("10.0.0.1", &[(x, entry)]), "10.0.0.1", "{entry}");
        let list = format!("198.51.100.9, {entry}, 10.0.0.5");
        assert_eq!(client("10.0.0.1", &[(x, &list)]), "10.0.0.5", "{list}");
        assert_eq!(client("unix", &[(x, "198.51.100.9"), (x, entry)]), "unix", "{entry}");
    }
}

#[test]
fn only_the_end_of_a_long_list_is_read() {
    let hops = |count| vec!["10.0.0.9"; count].join(", ");
    let x = "X-Forwarded-For";
    let behind = |count| format!("192.0.2.1, {}", hops(count));
    assert_eq!(client("unix", &[(x, &behind(MAX_HOPS - 1))]), "192.0.2.1");
    assert_eq!(client("unix", &[(x, &behind(MAX_HOPS))]), "10.0.0.9");
    let forged = "198.51.100.9, ".repeat(2_000) + "192.0.2.1";
    assert_eq!(client("unix", &[(x, &forged)]), "192.0.2.1");
}

#[test]
fn forwarded_is_parsed_by_rfc_7239() {
    // RFC 7239, 4 and 6.
    for (value, expected) in [
        ("for=192.0.2.43", "192.0.2.43"),
        ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ("by=203.0.113.43 ; FOR=192.0.2.60", "192.0.2.60"),
        ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
        ("for=198.51.100.17;by=\"a,b;for=192.0.2.9\\\",\", for=10.0.0.3", "198.51.100.17"),
        ("for=192.0.2.43, for=unknown", "10.0.0.1"),
        ("for=_hidden, for=10.0.0.3", "10.0.0.3"),
        ("for=192.0.2.43;for=192.0.2.44", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
        ("for=\"192.0.2.43", "10.0.0.1"),
        ("for=\"_gazonk\", for=192.0.2.1", "192.0.2.1"),
        ("for=\"192.0.2.43:_gazonk\"", "192.0.2.43"),
        ("for=\"[2001:db8::1]:_a.b-c\"", "2001:db8::1"),
        (";for=192.0.2.43; ;secret=a, ,", "192.0.2.43"),
        // Malformed: elements further left are ignored.
        ("for=192.0.2.43, for", "10.0.0.1"),
        ("for=192.0.2.43, for=", "10.0.0.1"),
        ("for=192.0.2.43, =a", "10.0.0.1"),
        ("for=192.0.2.43, for=192.0.2.44 a=b", "10.0.0.1"),
        ("for=192.0.2.43, x=\"a\"b;for=192.0.2.44", "10.0.0.1"),
        ("for=192.0.2.43, x=\"a\";for=\"192.0.2.44", "10.0.0.1"),
        ("for=192.0.2.43, for=192.0.2.44;x=\"a\\\"", "10.0.0.1"),
    ] {
        assert_eq!(client("10.0.0.1", &[("Forwarded", value)]), expected, "{value}");
    }
}

#[test]
fn x_forwarded_for_is_preferred_to_forwarded() {
    let forged = ("Forwarded", "for=198.51.100.9");
    assert_eq!(client("10.0.0.1", &[forged, ("X-Forwarded-For", "192.0.2.1")]), "192.0.2.1");
    assert_eq!(client("10.0.0.1", &[forged, ("X-Forwarded-For", "nonsense")]), "10.0.0.1");
    assert_eq!(client("10.0.0.1", &[forged, ("X-Forwarded-For", "")]), "198.51.100.9");
}

#[test]
fn trusted_proxies_are_parsed_with_a_hint() {
    assert_eq!("unix".parse(), Ok(TrustedProxy::Unix));
    for bad in ["", "localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/x"] {
        let error = bad.parse::<TrustedProxy>().unwrap_err();
        assert!(error.contains("write unix"), "{error}");
    }
    assert!(Proxies::new(Vec::new()).is_empty());
    assert!(!proxies().is_empty());
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::from(octets).to_canonical()),
        (0u8..8).prop_map(|last| IpAddr::from([10, 0, 0, last])),
    ]
}

/// An address in one of the forms that proxies write.
fn written(ip: IpAddr, form: u8) -> String {
    match (ip, form % 3) {
        (ip, 0) => ip.to_string(),
        (IpAddr::V4(ip), 1) => format!("{ip}:81"),
        (IpAddr::V6(ip), 1) => format!("[{ip}]:81"),
        (IpAddr::V4(ip), _) => ip.to_string(),
        (IpAddr::V6(ip), _) => format!("[{ip}]"),
    }
}

proptest! {
    #[test]
    fn a_client_cannot_forge_its_address(
        forged in prop_oneof![".{0,60}", "[for=\"\\\\,;: 1.\\[\\]]{0,40}"],
        hops in proptest::collection::vec((ip(), any::<u8>()), 1..5),
        forwarded in any::<bool>(),
        cut in any::<usize>(),
    ) {
        // The client is the first untrusted hop from the right.
        let expected = hops.iter().rev().map(|(ip, _)| *ip).find(|ip| !proxies().trusts(*ip));
        prop_assume!(expected.is_some());
        let list: Vec<String> = hops
            .iter()
            .map(|(ip, form)| match forwarded {
                true => format!("proto=http;for=\"{}\"", written(*ip, *form)),
                false => written(*ip, *form),
            })
            .collect();
        let name = if forwarded { "Forwarded" } else { "X-Forwarded-For" };
        // The entries are in one field with the forged ones, or in several fields.
        let cut = cut % list.len();
        let fields =
            [(name, forged.as_str()), (name, &list[..cut].join(", ")), (name, &list[cut..].join(","))];
        let expected = expected.unwrap().to_string();
        prop_assert_eq!(client("10.1.1.1", &fields), expected.clone());
        let one = format!("{forged}, {}", list.join(", "));
        prop_assert_eq!(client("10.1.1.1", &[(name, &*one)]), expected);
    }

    #[test]
    fn no_header_value_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        text in "[a-z0-9\"\\\\,;=:.\\[\\] ]{0,60}",
    ) {
        for value in [&bytes[..], text.as_bytes()] {
            let (values, none) = ([value, value].into_iter(), std::iter::empty());
            let _ = proxies().client(Address::Unix, values.clone(), none.clone());
            let _ = proxies().client(Address::Unix, none, values);
        }
    }
}
