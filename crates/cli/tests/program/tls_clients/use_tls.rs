//! What works.

use std::io::{Read, Write};
use std::process::Output;
use std::sync::mpsc;

use serde_json::Value;

use super::peers::Authority;
use crate::support::{Folder, run, sockeye, text};

fn succeeds(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

#[test]
fn every_client_talks_to_every_server() {
    let (folder, site) = (Folder::new(), Folder::new());
    site.write("index.html", b"home");
    let authority = Authority::new("Root");
    let ca = folder.join("ca.pem");
    folder.write("ca.pem", authority.pem().as_bytes());
    let identity = authority.issue(&["localhost", "127.0.0.1"]);
    let http = identity.start(folder.path(), &["http", site.text()]);
    let echo = identity.start(folder.path(), &["echo"]);
    let messages = identity.start(folder.path(), &["message"]);
    let search = r#"{"action": "search", "value": "ring"}"#;
    for name in ["127.0.0.1", "localhost"] {
        let [http, echo, messages] =
            [&http, &echo, &messages].map(|server| server.url().replace("127.0.0.1", name));
        assert!(http.starts_with("https://") && echo.starts_with("tls://"), "{http} {echo}");
        assert_eq!(succeeds(&["send", &echo, "hello", "--ca", &ca]), "hello");
        let response = succeeds(&["send", &messages, search, "--ca", &ca]);
        assert!(response.contains("Misty Mountains"), "{response}");
        for url in [&http, &echo, &messages] {
            assert!(succeeds(&["health", url, "--ca", &ca]).contains(" is healthy ("));
            for flags in [&["--close"][..], &["--pipeline", "4", "--verify", "--threads", "2"]] {
                let common = ["load", url, "--requests", "40", "--connections", "4", "--json"];
                let output = run(&[&common[..], &["--ca", &ca], flags].concat());
                let report = report(&output);
                assert_eq!(output.status.code(), Some(0), "{url} {flags:?}: {report:#}");
                assert_eq!(report["responses"], 40, "{report:#}");
                assert_eq!(report["errors"], serde_json::json!({}));
                assert_eq!(report["tls"]["version"], "TLSv1.3");
                assert_eq!(report["tls"]["resumed"], 0);
                assert_eq!(report["connect_us"]["count"], report["connected"], "{report:#}");
                assert!(report["connect_us"]["max"].as_f64() > Some(0.0), "{report:#}");
            }
        }
    }
}

#[test]
fn the_report_of_a_load_says_how_handshakes_went() {
    let folder = Folder::new();
    let identity = Authority::new("Root").issue(&["localhost"]);
    let server = identity.start(folder.path(), &["echo"]);
    let common = ["load", server.url(), "--insecure", "--requests", "3", "--connections", "1"];
    let full = succeeds(&[&common[..], &["--close"]].concat());
    let shown = |report: &str, text: &str| assert!(report.contains(text), "{report}");
    shown(&full, "\ntls         TLSv1.3, TLS_");
    shown(&full, "; 3 full handshakes, 0 resumed\nconnect     min ");
    let resumed = succeeds(&[&common[..], &["--close", "--resume"]].concat());
    // The probe has left a ticket.
    shown(&resumed, "; 0 full handshakes, 3 resumed\n");
}

#[test]
fn a_server_gets_the_urls_host_also_at_another_address() {
    let folder = Folder::new();
    let authority = Authority::new("Root");
    let ca = folder.join("ca.pem");
    folder.write("ca.pem", authority.pem().as_bytes());
    let identity = authority.issue(&["example.org", "127.0.0.1"]);
    let (sender, seen) = mpsc::channel();
    let address = identity.serve(None, move |mut stream| {
        let mut request = [0; 1024];
        let count = stream.read(&mut request).unwrap();
        let request = String::from_utf8_lossy(&request[..count]).into_owned();
        let connection = &stream.conn;
        let alpn = connection.alpn_protocol().map(String::from_utf8_lossy);
        let name = connection.server_name();
        sender.send(format!("{name:?} {alpn:?} {request}")).unwrap();
        let response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(response.as_bytes());
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    let address = address.to_string();
    let to = ["--connect-to", &address, "--ca", &ca];
    assert!(
        succeeds(&[&["health", "https://example.org/a"], &to[..]].concat()).contains("healthy")
    );
    let observed = seen.recv().unwrap();
    assert!(
        observed.starts_with(
            "Some(\"example.org\") Some(\"http/1.1\") GET /a HTTP/1.1\r\nHost: example.org\r\n"
        ),
        "{observed}"
    );
    succeeds(&["health", &format!("https://{address}/"), "--ca", &ca]);
    let observed = seen.recv().unwrap();
    let start = format!("None Some(\"http/1.1\") GET / HTTP/1.1\r\nHost: {address}\r\n");
    assert!(observed.starts_with(&start), "no name for an address: {observed}");
    run(&[&["send", "tls://example.org:1", "GET"], &to[..]].concat());
    assert_eq!(seen.recv().unwrap(), "Some(\"example.org\") None GET");
}

#[test]
fn the_systems_authorities_are_trusted_by_default() {
    let folder = Folder::new();
    let authority = Authority::new("Root");
    folder.write("ca.pem", authority.pem().as_bytes());
    let server = authority.issue(&["127.0.0.1"]).start(folder.path(), &["echo"]);
    let send = |variable: &str, value: &str| {
        let mut command = sockeye(&["send", server.url(), "hello"]);
        command.env_remove("SSL_CERT_DIR").env(variable, value);
        let output = command.output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, printed) = send("SSL_CERT_FILE", &folder.join("ca.pem"));
    assert_eq!(code, Some(0), "{printed}");
    folder.write("empty", b"");
    let empty = folder.join("empty");
    let (code, printed) = send("SSL_CERT_FILE", &empty);
    let expected = format!(
        "sockeye: this machine has no certificates of authorities in SSL_CERT_FILE={empty}: install \
         your system's package of them (ca-certificates), or write --ca FILE\n"
    );
    assert_eq!((code, printed), (Some(1), expected));
}

#[test]
fn a_client_certificate_is_sent_if_it_is_asked_for() {
    let (folder, site) = (Folder::new(), Folder::new());
    site.write("index.html", b"home");
    let authority = Authority::new("Root");
    folder.write("ca.pem", authority.pem().as_bytes());
    let ca = folder.join("ca.pem");
    let client = authority.issue(&["client"]);
    client.write(folder.join("client.pem"));
    folder.write("cert.pem", client.certificate.as_bytes());
    folder.write("key.pem", client.key.as_bytes());
    let both = folder.join("client.pem");
    let pair = format!("{},{}", folder.join("cert.pem"), folder.join("key.pem"));
    let args = ["http", site.text(), "--client-ca", &ca];
    let server = authority.issue(&["localhost"]).start(folder.path(), &args);
    for certificate in [&both, &pair] {
        let args = ["health", server.url(), "--cert", certificate];
        assert!(succeeds(&args).contains("healthy"));
    }
    let output = run(&["health", server.url()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
}

#[test]
fn health_verifies_unless_the_host_is_this_machine() {
    let (folder, site) = (Folder::new(), Folder::new());
    site.write("index.html", b"home");
    let authority = Authority::new("Root");
    folder.write("ca.pem", authority.pem().as_bytes());
    let ca = folder.join("ca.pem");
    let args = ["http", site.text(), "--host", "example.org"];
    let server = authority.issue(&["example.org"]).start(folder.path(), &args);
    let address = server.address().to_string();
    let elsewhere = ["https://example.org/", "--connect-to", &address];
    let localhost = server.url().replace("127.0.0.1", "localhost");
    for (args, expected_text) in [
        (&[server.url()][..], " is healthy ("),
        (&[&*localhost], " is healthy ("),
        (&[server.url(), "--ca", &ca], "sent a certificate for example.org, not for 127.0.0.1"),
        (&elsewhere, "issued by Root, which is not trusted: --ca FILE trusts"),
        (&[&elsewhere[..], &["--ca", &ca]].concat(), " is healthy ("),
        (&[&elsewhere[..], &["--insecure"]].concat(), " is healthy ("),
    ] {
        let output = run(&[&["health"], args].concat());
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(printed.contains(expected_text), "{args:?}: {printed}");
        let is_healthy = expected_text == " is healthy (";
        assert_eq!(output.status.code(), Some(i32::from(!is_healthy)), "{args:?}: {printed}");
    }
}
