//! What servers do with TLS.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use super::certificates::Certificates;
use super::client::{Client, certificate, get};
use crate::messages::frames::search;
use crate::support::{Folder, Running, run, sockeye, text};

/// Starts `sockeye http` on a folder with an index.html.
fn start_http(flags: &[&str]) -> (Running, Folder) {
    let folder = Folder::new();
    folder.write("index.html", b"home");
    let args = [&["http", folder.text(), "--listen", "127.0.0.1:0"], flags].concat();
    (Running::start(&args), folder)
}

#[test]
fn every_server_speaks_tls_at_its_addresses_and_not_at_unix_sockets() {
    let (certificates, folder) = (Certificates::of(&["localhost"]), Folder::new());
    folder.write("index.html", b"home");
    let (pair, client) = (certificates.pair("localhost"), Client::new());
    let get = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let search = search("one", None);
    for (command, scheme, request, expected) in [
        (&["http", folder.text()][..], "https", &get[..], "\r\n\r\nhome"),
        (&["message"], "message+tls", &search, "No match for 'one'."),
        (&["echo"], "tls", b"hello", "hello"),
    ] {
        let socket = certificates.path(command[0]);
        let listen = format!("unix:{socket}");
        let flags = ["--listen", "127.0.0.1:0", "--listen", &listen, "--tls", &pair];
        let server = Running::start(&[command, &flags].concat());
        assert!(server.url().starts_with(&format!("{scheme}://127.0.0.1:")), "{}", server.url());
        let response = |stream: &mut dyn ReadWrite| {
            stream.write_all(request).unwrap();
            let mut response = vec![0; expected.len()];
            let mut all = Vec::new();
            // An echo server waits for the end of input.
            while !String::from_utf8_lossy(&all).contains(expected) {
                let count = stream.read(&mut response).unwrap();
                assert!(count > 0, "{command:?}: {}", String::from_utf8_lossy(&all));
                all.extend_from_slice(&response[..count]);
            }
        };
        response(&mut client.connect(server.address(), "localhost").unwrap());
        response(&mut UnixStream::connect(socket).unwrap());
    }
}

trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

#[test]
fn a_client_of_another_protocol_is_refused_unless_the_server_names_none() {
    let certificates = Certificates::of(&["localhost"]);
    let pair = certificates.pair("localhost");
    let client = Client::new();
    for (command, of_others) in [("http", false), ("message", false), ("echo", true)] {
        let folder = Folder::new();
        let args: &[&str] = if command == "http" { &["http", folder.text()] } else { &[command] };
        let flags = ["--listen", "127.0.0.1:0", "--tls", &pair];
        let server = Running::start(&[args, &flags].concat());
        for (alpn, accepted) in [
            (&[][..], true),
            (&["http/1.1"], true),
            (&["other", "http/1.1"], true),
            (&["other"], of_others),
        ] {
            let connected = client.offering(alpn).connect(server.address(), "localhost");
            assert_eq!(connected.is_ok(), accepted, "{command} {alpn:?}: {connected:?}");
        }
    }
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let names = ["first.example", "*.example.org", "www.example.org"];
    let certificates = Certificates::of(&names);
    let pairs = names.map(|name| certificates.pair(name));
    let tls: Vec<&str> = pairs.iter().flat_map(|pair| ["--tls", pair]).collect();
    let (server, _folder) = start_http(&tls);
    let (strict, _folder) = start_http(&[&tls[..], &["--tls-unknown-name", "refuse"]].concat());
    let client = Client::new();
    for (name, is_known) in [
        ("first.example", true),
        ("a.example.org", true),
        ("www.example.org", true),
        ("a.b.example.org", false),
        ("example.net", false),
        // An address is no name, and each certificate has it.
        ("127.0.0.1", true),
    ] {
        // The client checks that the certificate has the name.
        for server in [&server, &strict] {
            let connected = client.connect(server.address(), name);
            assert_eq!(connected.is_ok(), is_known, "{name}: {connected:?}");
        }
        let error = |server: &Running| client.connect(server.address(), name).unwrap_err();
        if !is_known {
            let (lenient, strict) = (error(&server).to_string(), error(&strict).to_string());
            assert!(lenient.contains("invalid peer certificate"), "{name}: {lenient}");
            assert!(strict.contains("received fatal alert"), "{name}: {strict}");
        }
    }
    let of = |name| certificate(&client.connect(server.address(), name).unwrap());
    assert_ne!(of("a.example.org"), of("www.example.org"));
    assert_eq!(of("a.example.org"), of("b.example.org"));
    assert_eq!(of("127.0.0.1"), of("first.example"));
}

#[test]
fn clients_need_a_certificate_if_an_authority_is_named() {
    let certificates = Certificates::of(&["localhost"]);
    let (pair, ca) = (certificates.pair("localhost"), certificates.path("ca.pem"));
    let client = [Client::new(), Client::with_certificate()];
    for (flags, expected) in [
        (&[][..], [true, true]),
        (&["--client-ca", &ca], [false, true]),
        (&["--client-ca", &ca, "--client-ca-optional"], [true, true]),
    ] {
        let (server, _folder) = start_http(&[&["--tls", &pair], flags].concat());
        let answered = client.each_ref().map(|client| {
            let response = client.get(server.address(), "localhost", "/");
            response.is_ok_and(|response| response.starts_with("HTTP/1.1 200 OK\r\n"))
        });
        assert_eq!(answered, expected, "{flags:?}");
    }
}

#[test]
fn hsts_is_in_every_response_over_tls_and_in_no_other() {
    let certificates = Certificates::of(&["localhost"]);
    let (pair, socket) = (certificates.pair("localhost"), certificates.path("socket"));
    let listen = format!("unix:{socket}");
    let flags = ["--tls", &pair, "--listen", &listen, "--https-redirect=127.0.0.1:0"];
    for (hsts, expected) in [
        (None, None),
        (Some("--hsts"), Some("Strict-Transport-Security: max-age=31536000\r\n")),
        (Some("--hsts=1h"), Some("Strict-Transport-Security: max-age=3600\r\n")),
        (Some("--hsts=0"), Some("Strict-Transport-Security: max-age=0\r\n")),
    ] {
        let (server, _folder) = start_http(&[&flags[..], hsts.as_slice()].concat());
        let client = Client::new();
        let response = |request: &str| {
            let mut stream = client.connect(server.address(), "localhost").unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).unwrap();
            response
        };
        let request = |head: &str| {
            response(&format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
        };
        let page = request("GET / HTTP/1.1");
        let etag = page.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
        let not_modified = request(&format!("GET / HTTP/1.1\r\nIf-None-Match: {etag}"));
        for (status, response) in [
            ("200", page.clone()),
            ("200", request("HEAD / HTTP/1.1")),
            ("304", not_modified),
            ("404", request("GET /none HTTP/1.1")),
            ("405", request("DELETE / HTTP/1.1")),
            ("400", response("nonsense\r\n\r\n")),
            ("421", request("GET / HTTP/1.1\r\nX: 1").replace("200", "421")),
        ] {
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
            let found = expected.is_some_and(|field| response.matches(field).count() == 1);
            assert_eq!(found, expected.is_some(), "{hsts:?}: {response}");
            assert_eq!(response.contains("Strict-Transport"), expected.is_some(), "{response}");
        }
        let mut unix = UnixStream::connect(&socket).unwrap();
        unix.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        unix.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        assert!(!response.contains("Strict-Transport"), "{response}");
    }
}

#[test]
fn the_start_screen_has_urls_with_https_and_the_names_and_expiry_of_certificates() {
    let certificates = Certificates::of(&["a.example", "b.example"]);
    let (first, second) = (certificates.pair("a.example"), certificates.pair("b.example"));
    let (server, folder) = start_http(&["--tls", &first, "--tls", &second]);
    let screen = &server.screen;
    assert_eq!(screen[0], format!("Serving {} over HTTPS at", folder.text()));
    assert!(screen[1].starts_with("https://127.0.0.1:"), "{screen:?}");
    // rcgen's certificates expire in the year 4096.
    for (line, name) in screen[2..4].iter().zip(["a.example", "b.example"]) {
        let start = format!("Certificate: {name}, 127.0.0.1; expires 4096-01-01, in ");
        assert!(line.starts_with(&start) && line.ends_with(" days."), "{screen:?}");
    }
    // At all addresses, URLs with a name that is in a certificate work.
    let args = ["http", folder.text(), "--listen", "0.0.0.0:0", "--tls", &first, "--tls", &second];
    let server = Running::start(&args);
    let urls: Vec<_> = server.screen.iter().filter(|line| line.starts_with("https://")).collect();
    let port = server.address().port();
    let expected =
        ["127.0.0.1", "a.example", "b.example"].map(|host| format!("https://{host}:{port}"));
    assert_eq!(urls, expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_self_signed_certificate_is_made_once_and_shown_with_its_fingerprint() {
    let (folder, state) = (Folder::new(), Folder::new());
    folder.write("index.html", b"home");
    let start = |flags: &[&str]| {
        let args = ["http", folder.text(), "--listen", "127.0.0.1:0", "--tls", "self-signed"];
        let mut command = sockeye(&[&args, flags].concat());
        command.env_remove("STATE_DIRECTORY").env("XDG_STATE_HOME", state.text());
        Running::start_by(&mut command)
    };
    let server = start(&["--host", "dev.example"]);
    let shown = server.screen[2..5].to_vec();
    let path = state.join("sockeye/self-signed.crt");
    let client = Client::trusting(&std::fs::read_to_string(&path).unwrap());
    for name in ["localhost", "127.0.0.1", "dev.example"] {
        let response = client.get(server.address(), name, "/").unwrap();
        assert!(response.ends_with("home"), "{response}");
    }
    assert!(
        shown[0].starts_with("Certificate: self-signed, for localhost, 127.0.0.1, "),
        "{shown:?}"
    );
    assert!(shown[1].contains("Browsers warn") && shown[1].contains(&path), "{shown:?}");
    assert!(shown[2].len() == 95 && shown[2].split(':').all(|byte| byte.len() == 2), "{shown:?}");
    drop(server);
    assert_eq!(start(&["--host", "dev.example"]).screen[2..5], shown, "the same after a restart");
    let other = Folder::new();
    let server = start(&["--state", &other.join("state")]);
    assert_ne!(server.screen[4], shown[2], "another folder has another certificate");
    assert!(other.path().join("state/self-signed.pem").exists());
    assert_eq!(mode(&other.join("state")), 0o700);
    assert_eq!(mode(&other.join("state/self-signed.pem")), 0o600);
}

fn mode(path: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_self_signed_certificate_with_hsts_is_warned_of() {
    let folder = Folder::new();
    let state = folder.join(".state");
    let flags = ["--tls", "self-signed", "--state", &state];
    for (hsts, is_warned) in [(&[][..], false), (&["--hsts"], true), (&["--hsts=0"], false)] {
        let (mut server, _folder) = start_http(&[&flags, hsts].concat());
        server.signal(Signal::TERM);
        let (_, log) = server.end();
        assert_eq!(log.contains("WARN --hsts with a self-signed certificate"), is_warned, "{log}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_to_do() {
    let certificates = Certificates::of(&["a.example", "b.example"]);
    certificates.write("empty", "");
    let path = |file: &str| certificates.path(file);
    let swapped = format!("{},{}", path("a.example.key"), path("a.example.pem"));
    let mixed = format!("{},{}", path("a.example.pem"), path("b.example.key"));
    let ca = ["--tls", &certificates.pair("a.example"), "--client-ca"].map(str::to_owned);
    let with_ca = |file: &str| [ca.to_vec(), vec![path(file)]].concat();
    let tls = |value: &str| vec!["--tls".to_owned(), value.to_owned()];
    for (flags, expected) in [
        (tls(&path("none.pem")), vec!["--tls: ", "none.pem", "; write --tls cert.pem,key.pem, or"]),
        (tls("self-signed,key.pem"), vec!["cannot read self-signed", "write --tls self-signed"]),
        (
            tls(&format!("{}, key.pem", path("a.example.pem"))),
            vec!["cannot read \" key.pem\": ", "; remove the blank: write --tls ", ".pem,key.pem"],
        ),
        (tls("selfsigned"), vec!["--tls: cannot read selfsigned", "or --tls self-signed for"]),
        (tls(&format!("{},~/key.pem", path("a.example.pem"))), vec!["~/key.pem", "write $HOME"]),
        (tls(&path("a.example.pem")), vec!["a.example.pem", "after a comma, --tls ", ",KEY"]),
        (tls(&swapped), vec!["a.example.key", "first"]),
        (tls(&mixed), vec!["b.example.key", "another certificate than"]),
        (tls(&path("empty")), vec!["empty"]),
        (with_ca("none.pem"), vec!["--client-ca: cannot read ", "none.pem"]),
        (with_ca("b.example.key"), vec!["--client-ca: ", "b.example.key"]),
        (
            vec!["--tls".into(), "self-signed".into(), "--state".into(), path("empty")],
            vec!["--tls self-signed: ", "empty", "--state FOLDER"],
        ),
    ] {
        for command in ["http", "message", "echo"] {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let output = run(&[&[command, "--listen", "127.0.0.1:0"], &flags[..]].concat());
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command} {flags:?}: {error}");
            for part in &expected {
                assert!(error.contains(part), "{command} {flags:?}: {part:?} is not in {error}");
            }
        }
    }
}

#[test]
fn acme_excuses_no_fault_of_other_certificates() {
    let (certificates, site) = (Certificates::of(&[]), Folder::new());
    // Nobody listens there.
    let acme = ["--acme", "www.example.org", "--acme-directory", "https://127.0.0.1:1/dir"];
    let flags = ["--listen", "127.0.0.1:0", "--state", &certificates.path("state")];
    let tls = ["--tls", &certificates.path("none.pem")];
    let output = run(&[&["http", site.text()][..], &acme, &flags, &tls].concat());
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("--tls: cannot read ") && error.contains("none.pem"), "{error}");
}

#[test]
fn clients_agree_on_no_protocol_of_acme() {
    let (certificates, site) = (Certificates::of(&["a.example"]), Folder::new());
    site.write("index.html", b"home");
    // Nobody listens there.
    let acme = ["--acme", "www.example.org", "--acme-directory", "https://127.0.0.1:1/dir"];
    let flags = ["--listen", "127.0.0.1:0", "--state", &certificates.path("state")];
    let tls = ["--tls", &certificates.pair("a.example")];
    let server = Running::start(&[&["http", site.text()][..], &acme, &flags, &tls].concat());
    for (alpn, is_served) in [
        (&["http/1.1", "acme-tls/1"][..], false),
        (&["acme-tls/1"], false),
        (&["other"], false),
        (&["other", "http/1.1"], true),
    ] {
        let client = Client::new().offering(alpn);
        let response = client.get(server.address(), "a.example", "/");
        assert_eq!(response.is_ok_and(|text| text.ends_with("home")), is_served, "{alpn:?}");
    }
}

#[test]
fn no_private_key_is_made_in_a_served_folder() {
    let folder = Folder::new();
    let state = folder.join("new/state");
    for (folders, expected) in [
        (
            &[folder.text()][..],
            ["is in the served folder", "name another folder with --state FOLDER\n"],
        ),
        (
            &["tests", "--links-into", folder.text()],
            [
                &format!("is in the folder {} of --links-into, so that", folder.text()),
                "with --state FOLDER, or give --links-into a narrower folder\n",
            ],
        ),
    ] {
        for tls in [["--tls", "self-signed"], ["--acme", "www.example.org"]] {
            // A server that starts would never end, so `explain` is first.
            let explain = [&["explain", "/"], folders, &["--state", &state], &tls].concat();
            let explained = run(&explain);
            let error = text(&explained.stderr);
            assert_eq!(explained.status.code(), Some(2), "{error}");
            assert!(expected.iter().all(|part| error.contains(part)), "{error}");
            let flags = ["--listen", "127.0.0.1:0", "--state", &state];
            let output = run(&[&["http"], folders, &tls, &flags].concat());
            assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), error));
            assert!(!folder.path().join("new").exists());
        }
    }
}

#[test]
fn the_names_of_certificates_are_hosts_of_the_server() {
    let certificates = Certificates::of(&["dev.example", "*.example"]);
    let pairs = ["dev.example", "*.example"].map(|name| certificates.pair(name));
    let [named, wildcard] = pairs.each_ref();
    let (server, folder) = start_http(&["--tls", named, "--tls", wildcard]);
    for (host, status) in [("dev.example", "200"), ("localhost", "200"), ("a.example", "421")] {
        let mut stream = Client::new().connect(server.address(), "dev.example").unwrap();
        let response = get(&mut stream, host, "/").unwrap();
        assert_eq!(response.split(' ').nth(1), Some(status), "{host}: {response}");
        let url = format!("https://{host}/");
        let output = run(&["explain", &url, folder.text(), "--tls", named, "--tls", wildcard]);
        assert_eq!(output.status.success(), status == "200", "{}", text(&output.stdout));
        assert!(text(&output.stdout).contains(&format!("\n{status} ")), "{host}");
    }
    let server = Running::start(&["message", "--listen", "127.0.0.1:0", "--tls", named]);
    let response = Client::new().get(server.address(), "dev.example", "/").unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
}

#[test]
fn a_private_key_in_a_served_folder_is_refused() {
    let certificates = Certificates::of(&["a.example"]);
    let (pair, folder) = (certificates.pair("a.example"), certificates.path(""));
    let link = certificates.path("link");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    let docs = format!("/docs={folder}");
    let key = format!("/key={}", certificates.path("a.example.key"));
    let named = format!("--links-into={folder}");
    let served = "a.example.key is in the served folder";
    let linked = "a.example.key is in the folder";
    for (folders, expected) in [
        (&[&*folder][..], served),
        (&[&link], served),
        (&["tests", &docs], served),
        (&["tests", &key], served),
        (&["tests", &named], linked),
        (&["tests", "--links-into", &link], linked),
        (&["tests", "--links-into", "/"], linked),
    ] {
        let explained = run(&[&["explain", "/"], folders, &["--tls", &pair]].concat());
        let error = text(&explained.stderr);
        assert_eq!(explained.status.code(), Some(2), "{folders:?}: {error}");
        assert!(error.contains(expected), "{folders:?}: {error}");
        let output =
            run(&[&["http"], folders, &["--listen", "127.0.0.1:0", "--tls", &pair]].concat());
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), error), "{folders:?}");
    }
    // A hidden file is never served.
    std::fs::create_dir(certificates.path(".tls")).unwrap();
    for file in ["a.example.pem", "a.example.key"] {
        std::fs::rename(certificates.path(file), certificates.path(&format!(".tls/{file}")))
            .unwrap();
    }
    let pair = certificates.pair(".tls/a.example");
    let flags = ["--listen", "127.0.0.1:0", "--tls", &pair];
    Running::start(&[&["http", &*folder, &named], &flags[..]].concat());
    // A folder beside that of the key.
    std::fs::create_dir(certificates.path("media")).unwrap();
    let media = certificates.path("media");
    Running::start(&[&["http", "tests", "--links-into", &media], &flags[..]].concat());
}

#[test]
fn a_path_may_contain_commas() {
    let certificates = Certificates::of(&["a,b", "c"]);
    std::fs::create_dir(certificates.path("x,y")).unwrap();
    let files = ["c.pem", "c.key"].map(|file| {
        let to = certificates.path(&format!("x,y/{file}"));
        std::fs::rename(certificates.path(file), &to).unwrap();
        to
    });
    let both = certificates.path("both, here.pem");
    let read = |file| std::fs::read_to_string(certificates.path(file)).unwrap();
    std::fs::write(&both, read("a,b.pem") + &read("a,b.key")).unwrap();
    for value in [certificates.pair("a,b"), files.join(","), both] {
        let (server, _folder) = start_http(&["--tls", &value]);
        let mut stream = Client::new().connect(server.address(), "127.0.0.1").unwrap();
        assert!(get(&mut stream, "localhost", "/").unwrap().ends_with("home"), "{value}");
    }
}
