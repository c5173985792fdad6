//! Probes for the flags of TLS.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Run, SetBy};
use crate::support::Running;
use crate::tls::client::Client;

/// Whether the server completes a handshake, with a certificate for `localhost`.
pub(super) fn handshake(run: &Run<'_>) -> String {
    match Client::new().connect(run.start().address(), "localhost") {
        Ok(_) => "TLS with localhost".into(),
        Err(_) => "not TLS".into(),
    }
}

/// Why a handshake fails for a name that no certificate has.
pub(super) fn handshake_for_unknown_name(run: &Run<'_>) -> String {
    let error = Client::new().connect(run.start().address(), "a.example").unwrap_err().to_string();
    if error.contains("invalid peer certificate") { "its name".into() } else { error }
}

/// Whether a client without a certificate can use the server. In TLS 1.3, it learns that after its
/// handshake.
pub(super) fn without_client_certificate(run: &Run<'_>) -> String {
    let server = run.start();
    let mut stream = Client::new().connect(server.address(), "localhost").unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let sent = stream.write_all(request).is_ok();
    let is_answered = sent && stream.read(&mut [0]).is_ok_and(|count| count == 1);
    if is_answered { "accepted" } else { "refused" }.into()
}

/// Where the self-signed certificate is.
pub(super) fn self_signed_certificate(run: &Run<'_>) -> String {
    let default = run.folder.join(".default");
    let mut server = run.server();
    server.env_remove("STATE_DIRECTORY").env("XDG_STATE_HOME", &default);
    let _server = Running::start_by(&mut server);
    let is_in_folder = run.folder.path().join(".state/self-signed.pem").exists();
    let is_elsewhere = run.folder.path().join(".default/sockeye/self-signed.pem").exists();
    match (is_in_folder, is_elsewhere) {
        (true, false) => "in the folder".into(),
        (false, true) => "elsewhere".into(),
        both => format!("{both:?}"),
    }
}

/// The start screen of a server that orders certificates where nobody listens, or its error.
pub(super) fn acme_screen(run: &Run<'_>) -> String {
    let mut server = run.server();
    let is_given = server.get_envs().any(|(name, _)| name == "SOCKEYE_ACME_DIRECTORY");
    if !is_given && !server.get_args().any(|arg| arg == "--acme-directory") {
        server.env("SOCKEYE_ACME_DIRECTORY", "https://127.0.0.1:1/dir");
    }
    server.env("SOCKEYE_STATE", run.folder.join(".state"));
    if run.row.flag == "--acme-ca" && run.by != SetBy::Nothing {
        return String::from_utf8(server.output().unwrap().stderr).unwrap();
    }
    Running::start_by(&mut server).screen.join("\n")
}

/// The response of the address that redirects.
pub(super) fn redirect_to_https(run: &Run<'_>) -> String {
    let server = run.start();
    let line = server.screen.iter().find_map(|line| line.strip_suffix(" redirects to HTTPS."));
    let Some(address) = line else { return "no redirect".into() };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// The protocol that a handshake chooses if the client has all.
pub(super) fn version_over_tls(run: &Run<'_>) -> String {
    let client = Client::new().offering(&["http/1.1", "h2"]);
    let stream = client.connect(run.start().address(), "localhost").unwrap();
    String::from_utf8(stream.conn.alpn_protocol().unwrap().to_vec()).unwrap()
}

/// What a client gets that begins with the preface of HTTP/2, without TLS.
pub(super) fn version_by_preface(run: &Run<'_>) -> String {
    let server = run.start();
    let mut stream = server.connect();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    match &first {
        // The header of a SETTINGS frame.
        [0, 0, _, 4, 0, 0, 0, 0, 0, ..] => "h2".into(),
        _ => String::from_utf8_lossy(&first).into_owned(),
    }
}

pub(super) fn response_over_tls(run: &Run<'_>) -> String {
    Client::new().get(run.start().address(), "localhost", "/").unwrap()
}
