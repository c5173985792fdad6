//! Requests for hosts that are not allowed, on connections that are checked and on others.

use std::cell::{Cell, RefCell};

use super::*;
use crate::{AllowedHosts, HostCheck};

/// A server that allows `files.example`, and checks connections that are opened while `checks` is
/// set.
struct Site {
    shared: Rc<ServerConfig>,
    checks: Rc<Cell<bool>>,
    refused: Rc<RefCell<Vec<Option<String>>>>,
}

impl Site {
    fn new() -> Self {
        let (checks, refused) = (Rc::new(Cell::new(true)), Rc::<RefCell<Vec<_>>>::default());
        let hosts = AllowedHosts::default().allow("files.example").unwrap();
        let hosts = hosts.hint("Start it with --host NAME");
        let (applies, seen) = (Rc::clone(&checks), Rc::clone(&refused));
        let check = HostCheck::new(hosts, move |_| applies.get())
            .on_refused(move |name| seen.borrow_mut().push(name.map(str::to_owned)));
        let shared = Rc::new(ServerConfig::default().checking_hosts(check));
        Self { shared, checks, refused }
    }

    fn connect(&self, checked: bool) -> Harness {
        self.checks.set(checked);
        Harness::new(Server::new(Rc::clone(&self.shared), |_: &Peer| Mirror::default()))
    }

    /// The output for `input` on a new connection.
    fn output_for(&self, checked: bool, input: &str) -> String {
        let mut client = self.connect(checked);
        client.input(input.as_bytes());
        text(&mut client)
    }
}

#[test]
fn a_host_is_checked_in_each_form_of_a_request() {
    let site = Site::new();
    for (head, status) in [
        ("GET / HTTP/1.1\r\nHost: localhost:8000", 200),
        ("GET / HTTP/1.1\r\nHost: files.example", 200),
        ("GET / HTTP/1.1\r\nHost: evil.example", 421),
        ("GET / HTTP/1.1\r\nHost: evil.example:8000", 421),
        ("POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0", 421),
        ("OPTIONS * HTTP/1.1\r\nHost: evil.example", 421),
        ("GET / HTTP/1.1\r\nHost:", 421),
        // The host in the target takes precedence.
        ("GET http://localhost/ HTTP/1.1\r\nHost: evil.example", 200),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost", 421),
        // Again, when the fields are cached.
        ("GET / HTTP/1.1\r\nHost: localhost", 200),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost", 421),
        ("GET / HTTP/1.0", 200),
        ("GET / HTTP/1.0\r\nHost: evil.example", 421),
        ("GET http://evil.example/ HTTP/1.0", 421),
        // Other refusals take precedence.
        ("GET / HTTP/1.1", 400),
        ("TRACE / HTTP/1.1\r\nHost: evil.example", 405),
    ] {
        let output = site.output_for(true, &format!("{head}\r\n\r\n"));
        assert_eq!(codes(&output), [status], "{head}: {output}");
    }
}

#[test]
fn a_refused_host_ends_the_connection_and_is_reported() {
    let site = Site::new();
    let mut client = site.connect(true);
    let good = "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let bad = "GET /b HTTP/1.1\r\nHost: Evil.example:80\r\n\r\n";
    client.input(format!("{good}{good}{bad}{good}").as_bytes());
    let output = text(&mut client);
    assert_eq!(codes(&output), [200, 200, 421]);
    assert!(output.contains("\r\nConnection: close\r\n"), "{output}");
    let text = "421 Misdirected Request\n\
                The client asked for the host Evil.example, which is not allowed here. Start it with \
                --host NAME.\n";
    assert!(output.ends_with(text), "{output}");
    assert_eq!(client.fault().unwrap().code, "host_not_allowed");
    assert_eq!(*site.refused.borrow(), [Some("Evil.example".to_owned())]);

    let output = site.output_for(true, "HEAD / HTTP/1.1\r\nHost: evil'example\r\n\r\n");
    assert!(output.starts_with("HTTP/1.1 421 ") && output.ends_with("\r\n\r\n"), "{output}");
    assert_eq!(site.refused.borrow().last(), Some(&None), "not safe to show");
}

#[test]
fn hosts_are_checked_per_connection_although_heads_are_cached() {
    let site = Site::new();
    for host in ["evil.example", "localhost", "files.example", "evil.example"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let refused = host == "evil.example";
        // From the second time on, the head is cached.
        for checked in [false, true, true, false, true] {
            let status = if checked && refused { 421 } else { 200 };
            assert_eq!(codes(&site.output_for(checked, &request)), [status], "{host}, {checked}");
        }
    }
    assert_eq!(
        codes(&output_for(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").0),
        [200],
        "no check"
    );
}
