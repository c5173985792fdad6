//! What the logs say about TLS: how handshakes end, and what connections have agreed on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::{Map, Value};
use sockeye::tls::rustls::client::WantsClientCert;
use sockeye::tls::rustls::pki_types::pem::PemObject;
use sockeye::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sockeye::tls::rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned,
};
use sockeye::tls::{provider, self_signed};

use crate::support::{Folder, Running};
use crate::tls_clients::peers::{Authority, Identity};

const LOGGING: &str = include_str!("../../../../docs/logging.md");

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A folder to serve, and a certificate for a.example in another one.
struct Site {
    folder: Folder,
    files: Folder,
    certificate: String,
}

impl Site {
    fn new() -> Self {
        let (folder, files) = (Folder::new(), Folder::new());
        folder.write("index.html", b"hello");
        let (_, [certificate, key]) = self_signed(vec!["a.example".into()]).unwrap();
        files.write("both.pem", format!("{certificate}{key}").as_bytes());
        Self { folder, files, certificate }
    }

    fn start(&self, flags: &[&str]) -> Running {
        let pem = self.files.join("both.pem");
        let own = ["http", self.folder.text(), "--listen", "127.0.0.1:0", "--tls", &pem];
        Running::start(&[&own, flags].concat())
    }

    /// A client that trusts the certificate.
    fn client(&self) -> ClientConfig {
        self.builder().with_no_client_auth()
    }

    fn builder(&self) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()).unwrap();
        builder(roots)
    }
}

fn builder(roots: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

fn connect(server: &Running) -> TcpStream {
    let port = server.url().rsplit_once(':').unwrap().1.trim_end_matches('/');
    TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap()
}

/// Asks for `/` at `name`. Returns the response, or why there is none.
fn get(server: &Running, config: ClientConfig, name: &str) -> Result<String, std::io::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, connect(server));
    stream.write_all(REQUEST)?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

/// Sends bytes, and nothing more. Reads to the end.
fn send(server: &Running, bytes: &[u8]) -> Vec<u8> {
    let mut peer = connect(server);
    peer.write_all(bytes).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut response = Vec::new();
    // The server may reset the connection.
    let _ = peer.read_to_end(&mut response);
    response
}

/// A client hello of this version with one cipher suite, and extensions.
fn hello(version: [u8; 2], suite: [u8; 2], extensions: &[u8]) -> Vec<u8> {
    let with_len = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let head = [&version[..], &[7; 32], &[0], &with_len(&suite), &[1, 0]].concat();
    let hello = [head, with_len(extensions)].concat();
    let message = [&[1, 0][..], &with_len(&hello)].concat();
    [&[0x16, 3, 1][..], &with_len(&message)].concat()
}

/// Stops a server. Returns its log.
fn stop(mut server: Running) -> String {
    server.signal(Signal::TERM);
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0), "{stderr}");
    stderr
}

/// The lines about connections that ended, each from its code on.
fn ends(server: Running) -> Vec<String> {
    let stderr = stop(server);
    let end = |line: &str| {
        line.split_once("INFO closed peer=")?.1.split_once(" code=").map(|p| p.1.to_owned())
    };
    stderr.lines().filter_map(end).collect()
}

#[test]
fn handshakes_that_fail_are_logged_with_their_reason() {
    const GROUPS: &[u8] = b"\0\x0a\0\x04\0\x02\0\x1d\0\x0d\0\x04\0\x02\x04\x03";
    let site = Site::new();
    let server = site.start(&["--tls-unknown-name", "refuse"]);
    // Two records with the beginning of a hello of 65,535 bytes.
    let mut large = [b"\x16\x03\x01\x40\0", &[0; 0x4000][..]].concat().repeat(2);
    large[5..9].copy_from_slice(b"\x01\0\xff\xff");
    let mut expected = Vec::new();
    for (code, bytes) in [
        ("tls_no_common_version", hello([3, 2], [0, 0x2f], b"")),
        ("tls_no_common_suite", hello([3, 3], [0, 0x2f], GROUPS)),
        ("tls_malformed", b"\x16\x03\x01\0\x05\x01\0\0\x01\0".to_vec()),
        ("tls_too_large", large),
        ("tls_cut", hello([3, 3], [0, 0x2f], GROUPS)[..20].to_vec()),
    ] {
        send(&server, &bytes);
        expected.push(code);
    }
    get(&server, site.client(), "b.example").unwrap_err();
    get(&server, builder(RootCertStore::empty()).with_no_client_auth(), "a.example").unwrap_err();
    let mut other = site.client();
    other.alpn_protocols = vec![b"other".to_vec()];
    get(&server, other, "a.example").unwrap_err();
    expected.extend(["tls_unknown_name", "tls_alert", "tls_unknown_protocol"]);
    assert!(get(&server, site.client(), "a.example").unwrap().ends_with("hello"));
    let ends = ends(server);
    let mut codes: Vec<_> = ends.iter().map(|end| end.split(' ').next().unwrap()).collect();
    // Several workers log them.
    codes.sort_unstable();
    expected.sort_unstable();
    assert_eq!(codes, expected, "{ends:#?}");
    for code in codes {
        assert!(LOGGING.contains(&format!("`{code}`")), "{code} is not in docs/logging.md");
    }
    assert!(ends.iter().all(|end| end.contains(" reason=the peer ")), "{ends:#?}");
    assert!(ends.iter().any(|end| end.ends_with("sent the TLS alert unknown_ca")), "{ends:#?}");
}

#[test]
fn bytes_are_counted_before_they_are_encrypted_unless_the_handshake_failed() {
    let site = Site::new();
    let server = site.start(&["--log", "debug"]);
    let response = get(&server, site.client(), "a.example").unwrap();
    let refused = hello([3, 2], [0, 0x2f], b"");
    send(&server, &refused);
    let stderr = stop(server);
    let closed = |code: &str, received: usize, sent: usize| {
        let counts = format!(" received={received} sent={sent} ");
        let mut lines = stderr.lines().filter(|line| line.contains(" closed peer="));
        lines.any(|line| line.contains(&counts) && line.contains(&format!(" code={code}")))
    };
    assert!(closed("", REQUEST.len(), response.len()), "{stderr}");
    assert!(closed("tls_no_common_version ", refused.len(), 0), "{stderr}");
}

#[test]
fn failed_handshakes_of_each_kind_are_limited_for_each_client() {
    let site = Site::new();
    let server = site.start(&[]);
    for _ in 0..15 {
        send(&server, &hello([3, 2], [0, 0x2f], b""));
        send(&server, b"\x16\x03\x01\0\x05\x01\0\0\x01\0");
    }
    let stderr = stop(server);
    for code in ["tls_no_common_version", "tls_malformed"] {
        let lines = stderr.lines().filter(|line| line.contains(&format!(" code={code} ")));
        let (written, counted): (Vec<_>, Vec<_>) = lines.partition(|line| line.contains("peer="));
        assert_eq!(written.len(), 10, "{stderr}");
        assert!(counted[0].contains("INFO closed: 5 more from 127.0.0.1 in "), "{stderr}");
        assert_eq!(counted.len(), 1, "{stderr}");
    }
}

#[test]
fn tls_to_a_plain_port_is_answered_in_http_and_named() {
    let folder = Folder::new();
    folder.write("index.html", b"hello");
    for command in [&["http", folder.text()][..], &["message"], &["message", "--frames-only"]] {
        let server = Running::start(&[command, &["--listen", "127.0.0.1:0"]].concat());
        let response = send(&server, &hello([3, 3], [0, 0x2f], b""));
        // Such as OpenSSL's "wrong version number".
        let (first, hint): (&[u8], _) = match command.contains(&"--frames-only") {
            true => (b"\0", "turn TLS on (sockeye message --tls)"),
            // HTTP is the protocol of several commands, so the text names none.
            false => (b"HTTP/1.1 400 ", "turn TLS on with --tls"),
        };
        assert!(response.starts_with(first), "{}", response.escape_ascii());
        let ends = ends(server);
        assert_eq!(ends.len(), 1, "{ends:?}");
        assert!(ends[0].starts_with("tls_on_plain_port reason=the peer "), "{ends:?}");
        assert!(ends[0].ends_with(hint), "{ends:?}");
    }
}

#[test]
fn a_refused_certificate_of_a_client_is_logged_in_plain_words() {
    let site = Site::new();
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    site.files.write("ca.pem", ours.pem().as_bytes());
    let ca = site.files.join("ca.pem");
    let server = site.start(&["--client-ca", &ca, "--workers", "1"]);
    let names = &["client.example"];
    let mut reasons = Vec::new();
    for (identity, reason) in [
        (None, Some("sent no certificate")),
        (Some(other.issue(names)), Some("sent a certificate that no trusted authority has issued")),
        (Some(ours.issue_expired(names)), Some("sent a certificate that has expired, or")),
        (Some(ours.issue(names)), None),
    ] {
        let config = match identity {
            None => site.client(),
            Some(Identity { certificate, key }) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                site.builder().with_client_auth_cert(chain, key).unwrap()
            }
        };
        assert_eq!(get(&server, config, "a.example").is_ok(), reason.is_none(), "{reason:?}");
        reasons.extend(reason);
    }
    let ends = ends(server);
    assert_eq!(ends.len(), reasons.len(), "{ends:?}");
    for (end, reason) in ends.iter().zip(reasons) {
        let expected = format!("tls_bad_certificate reason=the peer {reason}");
        assert!(end.starts_with(&expected), "{end}");
    }
}

#[test]
fn the_json_access_log_says_what_was_agreed_on() {
    let site = Site::new();
    let log = site.files.join("log");
    let json = ["--access-log", &log, "--access-log-format", "json", "--log", "debug"];
    // The lines of several workers may be written in another order.
    let server = site.start(&[&json[..], &["--workers", "1"]].concat());
    let config = site.client();
    for _ in 0..2 {
        get(&server, config.clone(), "a.example").unwrap();
    }
    send(&server, b"\x16\x03\x01\0\x05\x01\0\0\x01\0");
    let stderr = stop(server);
    let counts = "DEBUG TLS handshakes completed=2 resumed=1 failed=1\n";
    assert!(stderr.contains(counts), "{stderr}");
    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<Map<String, Value>> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, resumed) in lines.iter().zip([false, true]) {
        assert_eq!(line["tls_version"], "TLSv1.3");
        assert!(line["tls_cipher"].as_str().unwrap().starts_with("TLS_"), "{line:?}");
        assert_eq!(line["tls_server_name"], "a.example");
        assert_eq!(line["tls_resumed"], resumed);
        assert!(!line.contains_key("tls_client"), "{line:?}");
    }
    assert_eq!(lines.len(), 2);
}
