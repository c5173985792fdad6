//! Certificates that are replaced while a server runs.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::certificates::{Certificates, authority_pem, issue};
use super::client::{Client, certificate, get, is_resumed};
use crate::support::{Folder, Running};
use crate::tls_clients::peers::Authority;

/// A server with `localhost.pem`.
struct Server {
    running: Running,
    certificates: Certificates,
    folder: Folder,
    client: Client,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        let (certificates, folder) = (Certificates::of(&["localhost"]), Folder::new());
        folder.write("index.html", b"home");
        let flags: Vec<_> =
            flags.iter().map(|flag| flag.replace("{ca}", &certificates.path("ca.pem"))).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let pair = certificates.pair("localhost");
        let args = ["http", folder.text(), "--listen", "127.0.0.1:0", "--tls", &pair];
        let running = Running::start(&[&args[..], &flags].concat());
        Self { running, certificates, folder, client: Client::new() }
    }

    /// Sends SIGHUP. Returns the line that says what has come of it.
    fn hang_up(&mut self) -> String {
        self.running.signal(Signal::HUP);
        self.line_with("certificates")
    }

    /// The next line of the log with this text.
    fn line_with(&mut self, part: &str) -> String {
        loop {
            let line = self.running.next_line();
            assert!(!line.is_empty(), "it has ended, without {part:?}");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The certificate that a new client gets. One that resumes a session keeps the old one.
    fn certificate(&self) -> Vec<u8> {
        certificate(&Client::new().connect(self.running.address(), "localhost").unwrap())
    }
}

#[test]
fn a_signal_loads_changed_files_at_once() {
    let mut server = Server::start(&[]);
    let first = server.certificate();
    assert_eq!(server.hang_up(), "the certificates have not changed\n");
    assert_eq!(server.certificate(), first);
    server.certificates.issue("localhost");
    let line = server.hang_up();
    let start = "loaded the certificates: localhost, 127.0.0.1 (expires 4096-01-01, in ";
    assert!(line.contains(start), "{line}");
    assert_ne!(server.certificate(), first);
}

#[test]
fn changed_files_are_loaded_without_a_signal() {
    let mut server = Server::start(&[]);
    let first = server.certificate();
    server.certificates.issue("localhost");
    let line = server.line_with("certificates");
    assert!(line.contains("INFO loaded the certificates: localhost"), "{line}");
    assert_ne!(server.certificate(), first);
}

#[test]
fn a_fault_keeps_the_old_certificates_and_is_logged_once() {
    let mut server = Server::start(&[]);
    let first = server.certificate();
    server.certificates.write("localhost.key", "nonsense");
    let line = server.line_with("certificates");
    assert!(line.contains("ERROR still using the old certificates: "), "{line}");
    assert!(line.contains("localhost.key"), "{line}");
    assert_eq!(server.certificate(), first);
    // A signal is answered with the fault again.
    let line = server.hang_up();
    assert!(line.contains(" ERROR still using the old certificates: "), "{line}");
    let [_, key] = issue(&["localhost"]);
    server.certificates.write("localhost.key", &key);
    let line = server.hang_up();
    assert!(line.contains("ERROR still using the old certificates: the key in "), "{line}");
    assert!(line.contains("belongs to another certificate than"), "{line}");
    server.certificates.issue("localhost");
    let line = server.hang_up();
    assert!(line.starts_with("loaded the certificates: "), "{line}");
    assert_ne!(server.certificate(), first);
    server.running.signal(Signal::TERM);
    let (_, log) = server.running.end();
    assert!(!log.contains("still using"), "{log}");
}

#[test]
fn a_download_survives_new_certificates() {
    const SIZE: usize = 24 << 20;
    let mut server = Server::start(&[]);
    let file = File::create(server.folder.path().join("large")).unwrap();
    file.set_len(SIZE as u64).unwrap();
    let mut stream = server.client.connect(server.running.address(), "localhost").unwrap();
    let first = certificate(&stream);
    write!(stream, "GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut start = vec![0; 1 << 20];
    stream.read_exact(&mut start).unwrap();
    server.certificates.issue("localhost");
    assert!(server.hang_up().starts_with("loaded"));
    assert_ne!(server.certificate(), first);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let head = start.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(start.len() + rest.len(), head + SIZE);
    assert!(start[head..].iter().chain(&rest).all(|byte| *byte == 0));
}

/// Each client sends two requests on each of its connections.
#[test]
fn certificates_that_are_replaced_a_hundred_times_lose_no_request() {
    let mut server = Server::start(&["--client-ca", "{ca}", "--client-ca-optional"]);
    let (address, is_over, answered) =
        (server.running.address(), AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in [Client::new(), Client::with_certificate()] {
            let (is_over, answered) = (&is_over, &answered);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let mut stream = client.connect(address, "localhost").unwrap();
                    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
                    let response = get(&mut stream, "localhost", "/").unwrap();
                    assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 2, "{response}");
                    answered.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        for round in 0..100 {
            server.certificates.issue("localhost");
            if round % 10 == 0 {
                // The rules for clients change, too.
                let ca = authority_pem().repeat(1 + round / 10 % 2);
                server.certificates.write("ca.pem", &ca);
            }
            server.hang_up();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let answered = answered.into_inner();
    assert!(answered > 0);
    // Everything before was handled.
    while !server.hang_up().contains("have not changed") {}
    let current = CertificateDer::from_pem_file(server.certificates.path("localhost.pem")).unwrap();
    assert_eq!(server.certificate(), &*current);
}

/// Whether a new connection resumes a session.
fn resumes(client: &Client, address: SocketAddr) -> bool {
    let mut stream = client.connect(address, "localhost").unwrap();
    // The ticket for the next connection comes with the response.
    assert!(get(&mut stream, "localhost", "/").unwrap().ends_with("home"));
    is_resumed(&stream)
}

#[test]
fn sessions_are_resumed_after_a_reload() {
    let mut server = Server::start(&[]);
    let client = Client::new();
    let address = server.running.address();
    assert_eq!([(); 2].map(|()| resumes(&client, address)), [false, true]);
    server.certificates.issue("localhost");
    assert!(server.hang_up().starts_with("loaded"));
    assert!(resumes(&client, address), "a new certificate ends no session");
}

#[test]
fn no_session_outlives_a_client_certificate() {
    let mut server = Server::start(&["--client-ca", "{ca}"]);
    let client = Client::with_certificate();
    let address = server.running.address();
    assert_eq!([(); 3].map(|()| resumes(&client, address)), [false; 3]);
    server.certificates.write("ca.pem", &Authority::new("another authority").pem());
    assert!(server.hang_up().starts_with("loaded"));
    // The certificate is that of an unknown authority now.
    assert!(client.get(address, "localhost", "/").is_err());
}
