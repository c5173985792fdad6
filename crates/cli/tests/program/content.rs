//! `sockeye http` with several folders, and with flags that change the responses.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::Value;

use crate::access_log::wait_until;
use crate::support::{Folder, Running, run, text};

const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

fn start(args: &[&str]) -> Running {
    Running::start(&[&["http"], args, &ANY_PORT[..]].concat())
}

fn exchange(stream: &mut (impl Read + Write), path: &str, fields: &str) -> String {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    String::from_utf8_lossy(&response).into_owned()
}

fn get(server: &Running, path: &str, fields: &str) -> String {
    exchange(&mut server.connect(), path, fields)
}

#[test]
fn several_folders_are_served_and_listed_on_the_start_screen() {
    let (site, docs) = (Folder::new(), Folder::new());
    site.write("index.html", b"the site");
    docs.write("index.html", b"the docs");
    let mount = format!("/docs={}", docs.text());
    let server = start(&[site.text(), &mount]);
    let expected = [
        "Serving over HTTP".to_owned(),
        format!("  /      {}", site.text()),
        format!("  /docs  {}", docs.text()),
        "at".to_owned(),
    ];
    assert_eq!(server.screen[..4], expected);
    assert!(get(&server, "/", "").ends_with("the site"));
    assert!(get(&server, "/docs/", "").ends_with("the docs"));
    assert!(get(&server, "/docs", "").starts_with("HTTP/1.1 301 "));

    let server = start(&[&mount]);
    let screen = server.screen.join("\n");
    assert!(screen.contains("No folder is served at /"), "{screen}");
    assert!(get(&server, "/", "").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_folder_of_markdown_is_shown_as_pages_where_it_is_listed() {
    let docs = Folder::new();
    docs.write("README.md", b"See [setup](setup.md#Linux).");
    docs.write("setup.md", b"# Setup\n\n## Linux\n");
    let server = start(&[docs.text(), "--listing"]);
    let browser = "Accept: text/html,*/*;q=0.8\r\n";
    let listing = get(&server, "/", browser);
    assert!(listing.contains("<a href=\"setup.md?format=html\">"), "{listing}");
    assert!(
        listing.contains("<a href=\"setup.md?format=html#readme-linux\">setup</a>"),
        "{listing}"
    );
    let page = get(&server, "/setup.md?format=html", browser);
    assert!(page.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"), "{page}");
    assert!(
        page.contains("<title>Setup</title>") && page.contains("id=\"readme-linux\""),
        "{page}"
    );
    assert!(get(&server, "/setup.md", browser).ends_with("\r\n\r\n# Setup\n\n## Linux\n"));
    let unlisted = start(&[docs.text(), "--no-listing"]);
    let source = get(&unlisted, "/setup.md?format=html", browser);
    assert!(source.contains("\r\nContent-Type: text/markdown; charset=utf-8\r\n"), "{source}");
    for (flag, rule) in
        [("--listing", "asks for a Markdown file"), ("--no-listing", "names the file")]
    {
        let explained = run(&["explain", "/setup.md?format=html", docs.text(), flag]);
        assert!(text(&explained.stdout).contains(rule), "{flag}: {}", text(&explained.stdout));
    }
}

#[test]
fn a_deleted_file_is_closed_without_another_request() {
    let site = Folder::new();
    site.write("large", &[7; 100_000]);
    let server = start(&[site.text()]);
    assert!(get(&server, "/large", "").starts_with("HTTP/1.1 200"));
    std::fs::remove_file(site.join("large")).unwrap();
    let is_open = || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap();
        let mut paths = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        paths.any(|path| path.to_string_lossy().ends_with("/large (deleted)"))
    };
    assert!(is_open(), "a cached file stays open between requests");
    wait_until("it is still open", || !is_open());
}

#[test]
fn a_path_with_an_equals_sign_is_a_folder_if_it_exists() {
    let folder = Folder::new();
    let inner = folder.join("a=b");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(format!("{inner}/index.html"), "here").unwrap();
    assert!(get(&start(&[&inner]), "/", "").ends_with("here"));
}

#[test]
fn flags_change_the_responses() {
    let folder = Folder::new();
    folder.write("index.html", b"the app");
    folder.write("about.html", b"about");
    folder.write("a.foo", b"foo");
    folder.write("a.css", "a { color: red }\n".repeat(200).as_bytes());
    let accepts =
        "Accept: text/html\r\nAccept-Encoding: zstd, br, gzip\r\nOrigin: https://a.example\r\n";
    let plain = start(&[folder.text()]);
    let flags = [
        "--spa",
        "--no-clean-urls",
        "--content-type",
        "*.foo: text/x-foo",
        "--cache-control",
        "*.foo: no-store",
        "--cache-control",
        "max-age=5",
        "--header",
        "X-Frame-Options: DENY",
        "--header",
        "Referrer-Policy:",
        "--cors",
        "https://a.example",
        "--compress",
        "gzip",
    ];
    let changed = start(&[&[folder.text()], &flags[..]].concat());
    for (path, before, after) in [
        ("/about", "HTTP/1.1 200 ", "the app"),
        ("/any/page", "HTTP/1.1 404 ", "the app"),
        ("/about.html", "X-Frame-Options: SAMEORIGIN", "X-Frame-Options: DENY"),
        ("/a.foo", "application/octet-stream", "Content-Type: text/x-foo\r\n"),
        ("/a.foo", "Cache-Control: ", "Cache-Control: no-store"),
        ("/a.css", "Cache-Control: no-cache", "Cache-Control: max-age=5"),
        ("/a.css", "Content-Encoding: zstd", "Content-Encoding: gzip"),
        ("/a.css", "X-Content-Type-Options", "Access-Control-Allow-Origin: https://a.example"),
    ] {
        for (server, expected_text) in [(&plain, before), (&changed, after)] {
            let response = get(server, path, accepts);
            assert!(
                response.contains(expected_text),
                "{path}: {expected_text} is not in {response}"
            );
        }
    }
    let about = get(&changed, "/about.html", accepts);
    assert!(!about.contains("Referrer-Policy"), "{about}");
    let bare = start(&[folder.text(), "--no-security-headers", "--compress", "none"]);
    let response = get(&bare, "/a.css", accepts);
    assert!(!response.contains("nosniff") && !response.contains("Content-Encoding"), "{response}");
}

#[test]
fn wrong_flags_are_refused_with_a_hint() {
    let folder = Folder::new();
    let here = folder.text();
    let mount = format!("/.git={here}");
    for (args, expected_text) in [
        (&[here, here][..], "write /"),
        (&[&*mount], "names that begin with a dot are hidden"),
        (&["/docs="], "/docs=./folder"),
        (&[here, "--compress", "none,gzip"], "can't be combined"),
        (&[here, "--compress", "deflate"], "zstd, br, gzip"),
        (&[here, "--cors", "example.org"], "https://example.org"),
        (&[here, "--header", "ETag: x"], "can't set ETag"),
        (&[here, "--content-type", "text/css"], "*.foo: text/x-foo"),
        (&[here, "--content-type", "*.html: text/html; charset"], "\"charset\" is not a name and"),
        (&[here, "--content-encoding", "*.gz"], "*.wasm.br: br"),
        (&[here, "--trusted-proxy", "10.0.0.1/8"], "10.0.0.0/8"),
    ] {
        let output = run(&[&["http"], args, &ANY_PORT[..]].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(expected_text), "{args:?}: {stderr}");
    }
}

#[test]
fn the_access_log_has_the_client_behind_a_trusted_proxy() {
    let folder = Folder::new();
    folder.write("index.html", b"hello");
    let (log, socket) = (folder.join("log"), folder.join("socket"));
    let unix = format!("unix:{socket}");
    let fields = "X-Forwarded-For: 198.51.100.9, 192.0.2.1\r\nForwarded: for=198.51.100.9\r\n";
    for (trusted, expected) in [
        (&[][..], ["127.0.0.1", "unix"]),
        (&["--trusted-proxy", "127.0.0.0/8"], ["192.0.2.1", "unix"]),
        (&["--trusted-proxy", "unix"], ["127.0.0.1", "192.0.2.1"]),
    ] {
        let flags = [folder.text(), "--listen", &unix, "--access-log", &log];
        let mut server = start(
            &[&flags[..], &["--access-log-format", "json", "--workers", "1"], trusted].concat(),
        );
        get(&server, "/?tcp", fields);
        exchange(&mut UnixStream::connect(&socket).unwrap(), "/?unix", fields);
        server.signal(Signal::TERM);
        assert_eq!(server.end().0, Some(0));
        let lines = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_file(&log).unwrap();
        let address = |target: &str| {
            let mut lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let line = lines.find(|line| line["target"] == target).unwrap();
            // If any proxy is trusted, each line also has `by`: the address of the peer itself.
            let by = if target == "/?tcp" { "127.0.0.1" } else { "unix" };
            assert_eq!(line.get("by").is_some_and(|found| found == by), !trusted.is_empty());
            line["address"].as_str().unwrap().to_owned()
        };
        assert_eq!([address("/?tcp"), address("/?unix")], expected, "{trusted:?}");
    }
}
