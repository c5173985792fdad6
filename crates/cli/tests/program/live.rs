//! `sockeye http --live`: pages reload when their files change.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Folder, Running, run, text};

const PAGE: &[u8] =
    b"<!doctype html><title>t</title><link rel=stylesheet href=a.css><body>x</body>\n";

/// How long a test waits for a message before it fails.
const DEADLINE: Duration = Duration::from_secs(60);

fn site() -> Folder {
    let folder = Folder::new();
    folder.write("index.html", PAGE);
    folder.write("a.css", b"p {}");
    folder
}

fn server(folder: &Folder, flags: &[&str]) -> Running {
    Running::start(&[&["http", folder.text(), "--listen", "127.0.0.1:0"], flags].concat())
}

fn get(server: &Running, path: &str, fields: &str) -> String {
    let mut stream = server.connect();
    let head = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// The WebSocket of a page.
struct Page(BufReader<TcpStream>);

impl Page {
    /// Opens the page `/`, and then its WebSocket, from a page of `origin`.
    fn open(server: &Running, origin: &str) -> Result<Self, String> {
        let page = get(server, "/", "Host: localhost\r\n");
        let token = page.split("data-since=\"").nth(1).unwrap().split('"').next().unwrap();
        let mut stream = server.connect();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = format!(
            "GET /.sockeye/live?since={token} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut status = String::new();
        stream.read_line(&mut status).unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
        }
        if status.contains(" 101 ") { Ok(Self(stream)) } else { Err(status) }
    }

    /// The changed paths of the next message.
    fn next(&mut self) -> Vec<String> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 0x81, "a text in one frame");
        assert!(head[1] < 126);
        let mut message = vec![0; head[1].into()];
        self.0.read_exact(&mut message).unwrap();
        text(&message).lines().skip(1).map(str::to_owned).collect()
    }

    /// All changed paths until this one.
    fn until(&mut self, last: &str) -> Vec<String> {
        let mut paths = Vec::new();
        while !paths.iter().any(|path| path == last) {
            paths.extend(self.next());
        }
        paths
    }
}

#[test]
fn an_open_page_is_told_which_files_have_changed() {
    let folder = site();
    let server = server(&folder, &["--live"]);
    let shown = server.screen.join("\n");
    assert!(shown.contains("Pages reload in the browser when their files change"), "{shown}");
    assert!(!shown.contains("Everyone who can connect learns"), "{shown}");
    let mut pages = [(); 2].map(|()| Page::open(&server, "http://localhost").unwrap());
    folder.write("a.css", b"p { color: red }");
    for page in &mut pages {
        assert_eq!(page.until("/a.css"), ["/a.css"]);
    }
    let styled = get(&server, "/a.css", "Host: localhost\r\n");
    assert!(styled.ends_with("p { color: red }"), "{styled}");
    // As an editor saves, in a folder that was not there, with a name that is hidden.
    fs::create_dir_all(folder.join("new/sub")).unwrap();
    folder.write(".hidden", b"");
    folder.write("index.html.tmp", PAGE);
    fs::rename(folder.join("index.html.tmp"), folder.join("index.html")).unwrap();
    for page in &mut pages {
        let paths = page.until("/index.html");
        assert!(paths.contains(&"/new/".to_owned()), "{paths:?}");
        // Those of the folder in it depend on when the new one is watched.
        let is_expected = |path: &String| path == "/index.html" || path.starts_with("/new");
        assert!(paths.iter().all(is_expected), "{paths:?}");
    }
    folder.write("new/sub/a b.js", b"");
    for page in &mut pages {
        page.until("/new/sub/a%20b.js");
    }
    // A page that is opened now has seen all this.
    let mut late = Page::open(&server, "http://localhost").unwrap();
    folder.write("last.txt", b"");
    assert_eq!(late.until("/last.txt"), ["/last.txt"]);
}

#[test]
fn pages_of_other_origins_and_names_are_refused_at_every_address() {
    let folder = site();
    let anywhere = ["http", folder.text(), "--listen", "0.0.0.0:0"];
    let status = |server: &Running, host: &str| {
        get(server, "/", &format!("Host: {host}\r\n"))[9..12].to_owned()
    };
    let mut live = Running::start(&[&anywhere[..], &["--live", "--host", "me.example"]].concat());
    let shown = live.screen.join("\n");
    assert!(shown.contains("Everyone who can connect learns the names of files"), "{shown}");
    for host in ["localhost", "10.0.0.7:80", "[::1]", "me.example"] {
        assert_eq!(status(&live, host), "200", "{host}");
    }
    assert_eq!(status(&live, "evil.example"), "421");
    let line = live.next_line();
    assert!(line.contains("host not allowed with --live; allow it with --host NAME"), "{line}");
    let refused = Page::open(&live, "http://evil.example").err();
    assert_eq!(refused.as_deref(), Some("HTTP/1.1 403 Forbidden\r\n"));
    assert_eq!(status(&Running::start(&anywhere), "evil.example"), "200");

    let url = "http://evil.example/";
    let explained = |flags: &[&str]| {
        let words = ["explain", url, folder.text(), "--listen", "0.0.0.0:1"];
        text(&run(&[&words[..], flags].concat()).stdout)
    };
    let shown = explained(&["--live"]);
    assert!(shown.contains("421 Misdirected Request: the host evil.example is not allowed with"));
    assert!(explained(&[]).contains("200 OK"));
}

#[test]
fn a_page_that_cannot_reload_is_named_once() {
    let folder = site();
    folder.write("plain.html", b"<p>");
    let policy = "Content-Security-Policy: default-src 'none'";
    let mut server = server(&folder, &["--live", "--workers", "1", "--header", policy]);
    for path in ["/", "/plain", "/", "/a.css", "/plain"] {
        let response = get(&server, path, "Host: localhost\r\n");
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    }
    for page in ["/index.html", "/plain.html"] {
        let line = server.next_line();
        let expected = format!(
            "--live: this page does not reload by itself: the header Content-Security-Policy \
             forbids it; while you edit, add 'self' to connect-src and 'self' to script-src \
             page=\"{page}\""
        );
        assert!(line.contains(&expected), "{line}");
    }
    server.signal(rustix::process::Signal::TERM);
    let rest = server.end().1;
    assert!(!rest.contains("reload"), "{rest}");
}

#[test]
fn a_served_folder_that_goes_and_comes_back_is_named() {
    let parent = Folder::new();
    let (site, away) = (parent.join("site"), parent.join("away"));
    fs::create_dir(&site).unwrap();
    fs::write(parent.join("site/index.html"), PAGE).unwrap();
    let mut server = Running::start(&["http", &site, "--live", "--listen", "127.0.0.1:0"]);
    let path = format!("path={site}");
    for (from, to, level, expected) in [
        (&site, &away, " WARN ", "what is served there is gone"),
        (&away, &site, " INFO ", "what is served there is back"),
    ] {
        fs::rename(from, to).unwrap();
        // An open page reloads.
        get(&server, "/", "Host: localhost\r\n");
        let line = server.next_line();
        assert!(line.contains(level) && line.contains(expected), "{line}");
        assert!(line.trim_end().ends_with(&path), "{line}");
    }
    let mut page = Page::open(&server, "http://localhost").unwrap();
    // The folder that is back may not be watched yet. Pages are told `/` (everything) once it is,
    // so the file is written again after that message.
    let mut paths = Vec::new();
    while !paths.contains(&"/new.css".to_owned()) {
        assert!(paths.iter().all(|path| path == "/"), "{paths:?}");
        fs::write(parent.join("site/new.css"), "").unwrap();
        paths = page.next();
    }
}

#[test]
fn without_the_flag_pages_are_sent_as_they_are() {
    let folder = site();
    let server = server(&folder, &["--fresh"]);
    let page = get(&server, "/", "Host: localhost\r\n");
    assert!(page.contains("\r\nETag: "), "{page}");
    assert!(page.ends_with(&text(PAGE)), "{page}");
    for path in ["/.sockeye/live.js", "/.sockeye/live"] {
        let response = get(&server, path, "Host: localhost\r\n");
        assert!(response.starts_with("HTTP/1.1 404 Not Found\r\n"), "{response}");
    }
}
