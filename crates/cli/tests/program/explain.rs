//! `sockeye explain`.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;

use rustix::process::{Signal, geteuid};

use crate::support::{Folder, Running, run, sockeye, text};
use crate::tls_clients::peers::Authority;

/// The exit code and the output of `sockeye explain`.
fn explain(url: &str, flags: &[&str]) -> (i32, String) {
    let output = run(&[&["explain", url], flags].concat());
    let printed = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().unwrap(), printed)
}

#[test]
fn a_url_is_explained_with_its_folder_rule_file_and_headers() {
    let (site, docs) = (Folder::new(), Folder::new());
    site.write("about.html", b"about");
    docs.write("index.html", b"docs");
    docs.write("a b.css", b"css");
    let mount = format!("/docs={}", docs.text());
    let flags = [site.text(), &mount, "--cache-control", "*.css: max-age=7", "--listen", ":0"];
    for (url, code, expected_texts) in [
        (
            "http://localhost:8000/about?x#y",
            0,
            &["GET /about?x\n", "200 OK: clean URL", "file: about.html", "Content-Type: text/html"]
                [..],
        ),
        ("/docs/", 0, &["folder: /docs is ", "file: index.html", "ETag: "]),
        ("/docs/a b.css", 0, &["GET /docs/a%20b.css\n", "Cache-Control: max-age=7"]),
        ("/docs", 0, &["301 Moved Permanently", "Location: /docs/"]),
        ("/nothing", 1, &["404 Not Found", "reason: there is no such file"]),
        ("/docs/.git/config", 1, &["reason: names that begin with a dot are hidden"]),
        ("/../etc/passwd", 1, &["GET /etc/passwd\n", "reason: there is no such file"]),
        ("/docs\\none/../a%20b.css", 0, &["GET /docs/a%20b.css\n", "file: a b.css"]),
    ] {
        let (ended, printed) = explain(url, &flags);
        assert_eq!(ended, code, "{url}: {printed}");
        for expected_text in expected_texts {
            assert!(printed.contains(expected_text), "{url}: {expected_text} is not in {printed}");
        }
    }
    let (_, printed) = explain("/any/page", &[docs.text(), "--spa"]);
    assert!(printed.contains("single-page app"), "{printed}");
}

#[test]
fn a_url_of_a_server_with_tls_is_explained_with_its_certificate_and_redirects() {
    let (site, files) = (Folder::new(), Folder::new());
    site.write("about.html", b"about");
    let names = ["a.example".into(), "*.b.example".into()];
    let (_, [certificate, key]) = sockeye::tls::self_signed(names.into()).unwrap();
    let pem = files.join("both.pem");
    files.write("both.pem", (certificate + &key).as_bytes());
    let tls = |flags: &[&'static str]| {
        let own = [site.text(), "--listen", ":443", "--host", "a.example", "--tls", &pem];
        [&own[..], flags].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let answered = format!("  certificate: {pem}, for a.example, *.b.example; expires ");
    let plain = vec![site.text().to_owned(), "--listen".into(), ":80".into()];
    let refuse = tls(&["--tls-unknown-name", "refuse"]);
    let redirect = tls(&["--https-redirect"]);
    let alternative = tls(&["--listen", ":8443", "--https-redirect=:8080"]);
    let acme = vec![site.text().to_owned(), "--acme".into(), "a.example,b.example".into()];
    let mixed = vec![site.text().to_owned(), "--acme".into(), " a.example, B.example".into()];
    let wildcard = vec![site.text().to_owned(), "--acme".into(), "*.x.example".into()];
    let gone = [&plain[..], &["--tls".into(), "/none.pem".into()]].concat();
    for (url, flags, code, expected_texts, absent) in [
        ("https://a.example/about", &tls(&[]), 0, &["200 OK", &answered][..], "refuse it"),
        ("https://x.b.example/about", &tls(&[]), 0, &[&answered], "refuse it"),
        ("https://c.example/about", &tls(&[]), 0, &[&answered, "refuse it for c.example"], "308"),
        ("https://c.example/about", &refuse, 1, &["No response", "unrecognized_name"], "200 OK"),
        ("https://a.example/none", &tls(&[]), 1, &["404 Not Found", &answered], "fix: "),
        (
            "https://a.example/about",
            &tls(&["--hsts=1h"]),
            0,
            &["  Strict-Transport-Security: max-age=3600\n"],
            "fix: ",
        ),
        ("/about", &tls(&["--hsts=1h"]), 0, &["max-age=3600\n"], "certificate: "),
        ("http://a.example:443/?a", &tls(&[]), 0, &["308 ", ": https://a.example:443/?a\n"], "200"),
        (
            "http://a.example/b",
            &tls(&[]),
            1,
            &["No response: this server doesn't listen at port 80"],
            "200",
        ),
        ("http://a.example/b", &redirect, 0, &["308 ", " https://a.example/b\n"], "certificate"),
        ("http://a.example:8080", &alternative, 0, &["308 ", " https://a.example/\n"], "200"),
        ("http://a.example:8443", &alternative, 0, &[" https://a.example:8443/\n"], "200"),
        (
            "https://a.example/about",
            &gone,
            1,
            &["No response: the server does not start: --tls: ", "/none.pem"],
            "200 OK",
        ),
        ("https://b.example/about", &acme, 0, &["200 OK", "certificate: of --acme"], "refuse it"),
        ("https://c.example/about", &acme, 0, &["refuse it for c.example: add --acme"], "once"),
        ("http://a.example/b", &acme, 0, &["308 ", " https://a.example/b\n"], "certificate"),
        ("https://b.example/about", &mixed, 0, &["200 OK", "certificate: of --acme"], "refuse it"),
        ("https://c.example/about", &mixed, 0, &["of --acme, for a.example, b.example\n"], "once"),
        ("https://a.example/about", &wildcard, 2, &["--acme '*.x.example': ", "dns-01"], "200"),
        ("http://a.example/b", &wildcard, 2, &["--acme '*.x.example': ", "dns-01"], "308"),
        ("http://c.example/b", &redirect, 1, &["421 Misdirected Request: ", "--host NAME"], "308"),
        ("http://127.0.0.1/b", &redirect, 0, &["308 ", " https://127.0.0.1/b\n"], "421"),
        ("http://a\u{1b}b/b", &acme, 1, &["400 Bad Request: ", "no name or IP"], "Location"),
        ("http://a.example/\"?<", &acme, 0, &[" https://a.example/%22?%3C\n"], "200"),
        ("https://a.example/about", &plain, 0, &["200 OK", "add --tls CERT,KEY"], "certificate"),
        ("http://a.example/about", &plain, 0, &["200 OK"], "TLS"),
    ] {
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let (ended, printed) = explain(url, &flags);
        assert_eq!(ended, code, "{url}: {printed}");
        assert!(!printed.contains(absent), "{url}: {absent} is in {printed}");
        for expected_text in expected_texts {
            assert!(printed.contains(expected_text), "{url}: {expected_text} is not in {printed}");
        }
    }
}

#[test]
fn a_handshake_for_an_unknown_name_is_explained_as_the_server_refuses_it() {
    let (site, files, state) = (Folder::new(), Folder::new(), Folder::new());
    site.write("index.html", b"page");
    let names = ["a.example".into(), "*.b.example".into()];
    let (_, [certificate, key]) = sockeye::tls::self_signed(names.into()).unwrap();
    files.write("both.pem", (certificate + &key).as_bytes());
    let pem = files.join("both.pem");
    let refuse = [site.text(), "--listen", ":18444", "--tls-unknown-name", "refuse"];
    let unnamed = [&refuse[..], &["--tls", "self-signed", "--state", state.text()]].concat();
    let self_signed = [&unnamed[..], &["--host=c.example"]].concat();
    let both = [&self_signed[..], &["--tls", &pem]].concat();
    let acme = [&refuse[..], &["--acme", "a.example.org"]].concat();
    let (refused, own) = ("No response: no certificate is for", "certificate: self-signed");
    let check = |url: &str, flags: &[&str], code, expected_texts: &[&str]| {
        let (ended, printed) = explain(url, flags);
        assert_eq!(ended, code, "{url} {flags:?}: {printed}");
        for expected_text in expected_texts {
            assert!(printed.contains(expected_text), "{url}: {expected_text} is not in {printed}");
        }
    };
    check("https://unknown.example:18444/", &self_signed, 1, &[refused, "unrecognized_name"]);
    check("https://c.example:18444/", &self_signed, 0, &["200 OK", own]);
    check("https://LocalHost:18444/", &self_signed, 0, &["200 OK", own]);
    check("https://192.0.2.7:18444/", &self_signed, 0, &["200 OK", own]);
    check("https://[2001:db8::7]:18444/", &self_signed, 0, &["200 OK", own]);
    check("https://a.example:18444/", &self_signed, 1, &[refused]);
    // One of the certificates has the name.
    check(
        "https://a.example:18444/",
        &both,
        0,
        &["200 OK", own, "or another one of --tls, if it has this name"],
    );
    check("https://x.b.example:18444/", &both, 0, &["200 OK"]);
    check("https://unknown.example:18444/", &both, 1, &[refused]);
    // The certificate in the state folder keeps the names that it has.
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
    sockeye::tls::SelfSigned::open(state.path(), &["old.example".into()]).unwrap();
    check("https://old.example:18444/", &unnamed, 0, &["200 OK", own]);
    check("https://c.example:18444/", &self_signed, 0, &["200 OK", own]);
    check("https://unknown.example:18444/", &self_signed, 1, &[refused]);
    // A client sends no name for an IP address.
    check("https://unknown.example:18444/", &acme, 1, &[refused]);
    let addresses = ["https://192.0.2.7:18444/", "https://[2001:db8::7]:18444/"];
    for url in addresses {
        let answered = "certificate: of --acme, for a.example.org\n";
        check(url, &acme, 0, &["200 OK", answered, "browsers refuse it"]);
    }
}

#[test]
fn a_missing_permission_is_named_and_logged_as_a_warning() {
    const NOBODY: u32 = 65534;
    let as_nobody = |args: &[&str]| {
        let mut command = sockeye(args);
        if geteuid().is_root() {
            // Nothing is denied to root.
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let folder = Folder::new();
    folder.write("secret", b"secret");
    let path = folder.path().join("secret");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let output = match as_nobody(&["explain", "/secret", folder.text()]).output() {
        // Only root may run the program here, so this can't be tested.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return,
        output => output.unwrap(),
    };
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output.stdout);
    assert!(printed.contains(&format!("permission: r, to read: {}", path.display())), "{printed}");

    let flags = ["http", folder.text(), "--listen", "127.0.0.1:0"];
    let mut server = Running::start_by(&mut as_nobody(&flags));
    let mut peer = server.connect();
    peer.write_all(b"GET /secret HTTP/1.0\r\n\r\n").unwrap();
    peer.read_to_end(&mut Vec::new()).unwrap();
    server.signal(Signal::TERM);
    let (_, stderr) = server.end();
    let logged = "WARN a request failed path=\"/secret\" status=403 client=127.0.0.1 requests=1 \
                  reason=this process has no permission to read it\n";
    assert!(stderr.contains(logged), "{stderr}");

    // A single file that can't be read is not gone.
    let set_mode = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(0o444);
    let file = path.to_str().unwrap();
    let flags = ["http", file, "--listen", "127.0.0.1:0", "--fresh"];
    let mut server = Running::start_by(&mut as_nobody(&flags));
    for (mode, status) in [(0o000, "403"), (0o444, "200")] {
        set_mode(mode);
        let mut peer = server.connect();
        peer.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut response = String::new();
        peer.read_to_string(&mut response).unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    }
    server.signal(Signal::TERM);
    let (_, stderr) = server.end();
    assert!(stderr.contains(" WARN a request failed path=\"/\" status=403 "), "{stderr}");
    assert!(!stderr.contains("what is served there"), "{stderr}");
}

#[test]
fn a_single_file_is_explained_without_a_warning() {
    let folder = Folder::new();
    folder.write("a.html", b"page");
    for (url, code, expected_text) in [
        ("/", 0, "200 OK: "),
        ("/a.html", 0, "200 OK: "),
        ("/none", 1, "reason: there is no such file"),
    ] {
        let (ended, printed) = explain(url, &[&folder.join("a.html")]);
        assert_eq!(ended, code, "{url}: {printed}");
        assert!(printed.contains(expected_text), "{url}: {printed}");
        assert!(!printed.contains("what is served there"), "{url}: {printed}");
    }
}

#[test]
fn the_debug_log_has_the_same_reason() {
    let folder = Folder::new();
    let flags = ["http", folder.text(), "--listen", "127.0.0.1:0", "--log", "debug"];
    for (name, target) in [("out", "/etc/passwd"), ("broken", "none"), ("circle", "circle")] {
        symlink(target, folder.path().join(name)).unwrap();
    }
    for path in ["/nothing", "/.git/config", "/out", "/broken", "/circle", "/app"] {
        let spa = if path == "/app" { "--spa" } else { "--no-archives" };
        let flags = [&flags[..], &[spa]].concat();
        let mut server = Running::start(&flags);
        let mut peer = server.connect();
        let request = format!("GET {path} HTTP/1.0\r\nAccept: text/html\r\n\r\n");
        peer.write_all(request.as_bytes()).unwrap();
        peer.read_to_end(&mut Vec::new()).unwrap();
        server.signal(Signal::TERM);
        let (_, stderr) = server.end();
        let (_, explained) = explain(path, &[folder.text(), spa]);
        let why = explained.lines().find_map(|line| line.trim().strip_prefix("reason: ")).unwrap();
        assert!(stderr.contains(&format!("reason={why}")), "{why} is not in {stderr}");
    }
}

#[test]
fn wrong_command_lines_are_refused() {
    let folder = Folder::new();
    let missing = folder.join("missing");
    for (url, flags, code, expected_text) in [
        ("about", &[folder.text()][..], 2, "is not a URL"),
        ("/", &[&missing], 2, "no such file or folder"),
        ("/", &["--spaa"], 2, "--spa"),
        ("/", &["--links-into", &missing], 2, "--links-into: "),
        ("/", &["--links-into", "/dev/null"], 2, "--links-into: /dev/null: not a folder"),
    ] {
        let (ended, printed) = explain(url, flags);
        assert_eq!(ended, code, "{printed}");
        assert!(printed.contains(expected_text), "{printed}");
    }
    assert_eq!(run(&["explain"]).status.code(), Some(2));
}

#[test]
fn a_certificate_with_which_no_server_starts_is_an_error() {
    let (site, files) = (Folder::new(), Folder::new());
    site.write("about.html", b"about");
    let pem = files.join("expired.pem");
    Authority::new("ours").issue_expired(&["a.example"]).write(&pem);
    let flags = [site.text(), "--listen", ":443", "--tls", &pem];
    let start = run(&[&["http"], &flags[..]].concat());
    assert_eq!(start.status.code(), Some(1));
    let why = text(&start.stderr).replace("sockeye: ", "");
    assert!(why.contains(" expired at 2020-01-01 "), "{why}");
    let with_self_signed = [&flags[..], &["--tls", "self-signed"]].concat();
    for flags in [&flags[..], &with_self_signed] {
        for url in ["https://a.example/about", "http://a.example:443/about", "/about"] {
            let (ended, printed) = explain(url, flags);
            let expected = format!("\nNo response: the server does not start: {why}");
            assert!(printed.ends_with(&expected), "{url}: {printed}");
            assert_eq!(ended, 1, "{url}");
        }
    }
}

#[test]
fn a_key_that_only_the_server_may_read_is_no_error() {
    let (site, files) = (Folder::new(), Folder::new());
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    for folder in [&site, &files] {
        std::fs::set_permissions(folder.path(), mode(0o755)).unwrap();
    }
    site.write("about.html", b"about");
    let pem = files.join("both.pem");
    Authority::new("ours").issue(&["a.example"]).write(&pem);
    std::fs::set_permissions(&pem, mode(0o000)).unwrap();
    let mut command =
        sockeye(&["explain", "https://a.example/about", site.text(), "-l", ":443", "--tls", &pem]);
    if geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = match command.output() {
        // Only root may run the program here, so this can't be tested.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return,
        output => output.unwrap(),
    };
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert!(printed.contains("200 OK"), "{printed}");
    assert!(printed.contains("  certificate: unknown: --tls: "), "{printed}");
    assert_eq!(output.status.code(), Some(0), "{printed}");
}
