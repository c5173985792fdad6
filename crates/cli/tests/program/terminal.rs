//! What servers do if standard output is a terminal: they list folders that only this machine can
//! see, and show requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::messages::frames::search;
use crate::support::{Folder, Running, open_terminal, sockeye};

/// `sockeye http` with these flags, for a terminal without colours.
fn http(folder: &Folder, flags: &[&str]) -> Command {
    let mut command = sockeye(&[&["http", folder.text()], flags].concat());
    command.env("SOCKEYE_LISTEN", "127.0.0.1:0").env("TERM", "dumb").env_remove("NO_COLOR");
    command
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// The response to a GET.
fn get(server: &Running, path: &str) -> String {
    let mut peer = server.connect();
    peer.write_all(request(path).as_bytes()).unwrap();
    read(&mut peer)
}

fn read(peer: &mut impl Read) -> String {
    let mut response = Vec::new();
    peer.read_to_end(&mut response).unwrap();
    String::from_utf8_lossy(&response).into_owned()
}

/// A server on a terminal, stopped cleanly: all lines after the start screen.
fn shown(mut server: Running) -> Vec<String> {
    server.signal(Signal::TERM);
    let mut lines = Vec::new();
    loop {
        match server.next_shown() {
            line if line.is_empty() => break,
            line => lines.push(line),
        }
    }
    assert_eq!(server.end().0, Some(0));
    lines
}

fn folder_without_index() -> Folder {
    let folder = Folder::new();
    folder.write("photo.jpg", b"photo");
    std::fs::create_dir(folder.join("site")).unwrap();
    folder.write("site/index.html", b"a page");
    folder
}

#[test]
fn a_folder_on_a_terminal_lists_itself_to_this_machine() {
    let folder = folder_without_index();
    let server = Running::start_on_terminal(&mut http(&folder, &[]));
    let listed = get(&server, "/");
    assert!(listed.contains(" 200 OK") && listed.contains("photo.jpg"), "{listed}");
    assert!(get(&server, "/site/").ends_with("\r\n\r\na page"));
    assert!(get(&server, "/?format=tar").contains("application/x-tar"));
    for note in ["only this machine", "--listen :8000 --listing", "--no-listing"] {
        let count = server.screen.iter().filter(|line| line.contains(note)).count();
        assert_eq!(count, 1, "{note}: {:?}", server.screen);
    }

    let without_archives = Running::start_on_terminal(&mut http(&folder, &["--no-archives"]));
    assert!(get(&without_archives, "/").contains(" 200 OK"));
    assert!(get(&without_archives, "/?format=tar").contains(" 400 Bad Request"));
}

#[test]
fn a_folder_is_not_listed_to_others_or_without_a_terminal() {
    let folder = folder_without_index();
    let is_refused = |server: &Running| {
        let response = get(server, "/");
        assert!(response.contains(" 404 Not Found"), "{response}");
        assert!(!server.screen.iter().any(|line| line.contains("only this machine")));
    };
    is_refused(&Running::start_by(&mut http(&folder, &[])));
    for flags in [
        &["--no-listing"][..],
        &["--trusted-proxy", "192.0.2.1"],
        &["--listen", "127.0.0.1:0", "--listen", ":0"],
    ] {
        is_refused(&Running::start_on_terminal(&mut http(&folder, flags)));
    }
    for (name, value) in [("SOCKEYE_LISTING", "no"), ("SOCKEYE_NO_LISTING", "yes")] {
        is_refused(&Running::start_on_terminal(http(&folder, &[]).env(name, value)));
    }
    let socket = folder.join("socket");
    let listen = format!("unix:{socket}");
    let flags = ["--listen", "127.0.0.1:0", "--listen", &listen];
    let _server = Running::start_on_terminal(&mut http(&folder, &flags));
    let mut peer = UnixStream::connect(socket).unwrap();
    peer.write_all(request("/").as_bytes()).unwrap();
    assert!(read(&mut peer).contains(" 404 Not Found"));
}

#[test]
fn a_typed_flag_overrides_the_variable_of_its_opposite() {
    let folder = folder_without_index();
    let of = |flag: &str, name: &str| {
        let mut command = http(&folder, &[flag]);
        get(&Running::start_by(command.env(name, "yes")), "/")
    };
    assert!(of("--listing", "SOCKEYE_NO_LISTING").contains(" 200 OK"));
    assert!(of("--no-listing", "SOCKEYE_LISTING").contains(" 404 Not Found"));
    let both = http(&folder, &["--listing", "--no-listing"]).output().unwrap();
    let variables = [("SOCKEYE_LISTING", "yes"), ("SOCKEYE_NO_LISTING", "yes")];
    let both_variables = http(&folder, &[]).envs(variables).output().unwrap();
    for (both, expected) in [
        (both, "--listing and --no-listing conflict"),
        (both_variables, "SOCKEYE_LISTING and SOCKEYE_NO_LISTING conflict"),
    ] {
        let error = String::from_utf8(both.stderr).unwrap();
        assert_eq!(both.status.code(), Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn each_request_is_a_line_on_the_terminal() {
    let folder = Folder::new();
    folder.write("index.html", b"Hello World");
    folder.write("large", &vec![b'x'; 64 << 20]);
    let server = Running::start_on_terminal(&mut http(&folder, &[]));
    get(&server, "/");
    get(&server, &format!("/{}", "long".repeat(100)));
    get(&server, "/no%1b%22thing\"");
    let mut aborted = server.connect();
    aborted.write_all(request("/large").as_bytes()).unwrap();
    aborted.read_exact(&mut [0]).unwrap();
    // Closing with unread bytes of the response resets the connection.
    drop(aborted);
    let lines = shown(server);
    assert_eq!(lines.len(), 4, "{lines:#?}");
    let first = format!("GET  /{}200        11 B  ", " ".repeat(51));
    assert!(lines[0].starts_with(&first) && lines[0].ends_with('s'), "{lines:#?}");
    assert!(lines[1].contains("lo...  404 ") && lines[1].len() == 90, "{lines:#?}");
    assert!(lines[2].starts_with("GET  /no%1b%22thing\\x22 "), "{lines:#?}");
    assert!(lines[3].ends_with("  client aborted"), "{lines:#?}");
    let status_at = |line: &str| line[..60].rfind("  ").unwrap();
    assert!(lines[2..].iter().all(|line| status_at(line) == status_at(&lines[0])), "{lines:#?}");
}

#[test]
fn lines_are_coloured_if_the_terminal_can_and_the_user_wants_it() {
    let folder = Folder::new();
    folder.write("index.html", b"Hello World");
    let lines_with = |variables: &[(&str, &str)]| {
        let mut command = http(&folder, &[]);
        command.envs(variables.iter().copied());
        let server = Running::start_on_terminal(&mut command);
        get(&server, "/");
        get(&server, "/missing");
        shown(server)
    };
    let colored = lines_with(&[("TERM", "xterm-256color")]);
    assert!(colored[0].contains(" \x1b[32m200\x1b[0m "), "{colored:?}");
    assert!(colored[1].contains(" \x1b[33m404\x1b[0m "), "{colored:?}");
    for variables in [&[("TERM", "dumb")][..], &[("TERM", "xterm"), ("NO_COLOR", "1")]] {
        let plain = lines_with(variables).concat();
        assert!(plain.contains(" 200 ") && !plain.contains('\x1b'), "{plain:?}");
    }
}

#[test]
fn requests_are_not_shown_if_another_log_or_level_is_chosen() {
    let folder = Folder::new();
    folder.write("index.html", b"Hello World");
    let log = folder.join("log");
    for flags in [["--access-log", &log], ["--log", "warn"]] {
        let server = Running::start_on_terminal(&mut http(&folder, &flags));
        assert!(get(&server, "/").contains(" 200 OK"));
        assert_eq!(shown(server), [""; 0], "{flags:?}");
    }
}

#[test]
fn requests_over_http_to_a_message_server_are_shown() {
    let mut command = sockeye(&["message", "--listen", "127.0.0.1:0", "--workers", "1"]);
    command.env("TERM", "dumb");
    let server = Running::start_on_terminal(&mut command);
    let mut frames = server.connect();
    frames.write_all(&search("one", None)).unwrap();
    read(&mut frames);
    let url = server.screen.iter().find_map(|line| line.strip_prefix("message://")).unwrap();
    let mut peer = TcpStream::connect(url).unwrap();
    peer.write_all(request("/").as_bytes()).unwrap();
    read(&mut peer);
    let mut lines = shown(server);
    // Those of connections.
    lines.retain(|line| !line.starts_with("127.0.0.1:"));
    assert!(lines.len() == 1 && lines[0].starts_with("GET  / "), "{lines:?}");
}

/// Each connection is served by the worker that the kernel selects.
#[test]
fn requests_to_different_workers_are_shown_in_order_and_fit_the_width() {
    let folder = Folder::new();
    let server = Running::start_on_terminal(http(&folder, &[]).args(["--workers", "8"]));
    let paths: Vec<String> =
        (0..60).map(|number| format!("/{number}-{}", "x".repeat(99))).collect();
    for path in &paths {
        get(&server, path);
    }
    let lines = shown(server);
    assert_eq!(lines.len(), paths.len(), "{lines:#?}");
    for (line, path) in lines.iter().zip(&paths) {
        assert!(line.starts_with(&format!("GET  {}", &path[..20])), "{path}: {lines:#?}");
        assert_eq!(line.len(), 90, "{line}");
    }
}

#[test]
fn lines_fit_the_width_after_the_window_was_resized() {
    let folder = Folder::new();
    let mut server = Running::start_on_terminal(&mut http(&folder, &[]));
    let path = format!("/{}", "x".repeat(200));
    get(&server, &path);
    assert_eq!(server.next_shown().len(), 90);
    server.resize_terminal(70);
    // The width is measured when lines are written, for the lines after them.
    get(&server, &path);
    server.next_shown();
    get(&server, &path);
    assert_eq!(server.next_shown().len(), 70);
}

/// Ctrl-S stops the terminal, and nobody presses Ctrl-Q.
#[test]
fn a_stopped_terminal_delays_neither_responses_nor_the_end() {
    let folder = Folder::new();
    folder.write("index.html", b"Hello World");
    let mut server = Running::start_on_terminal(&mut http(&folder, &[]));
    server.stop_terminal();
    for _ in 0..3 {
        assert!(get(&server, "/").ends_with("Hello World"));
    }
    server.signal(Signal::TERM);
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("request lines lost: not written in time lines=3"), "{stderr}");
}

/// Closing a terminal's window sends SIGHUP. By then, standard error is a terminal no more.
#[test]
fn closing_the_terminal_stops_a_server() {
    let folder = folder_without_index();
    let log = folder.join("access.log");
    for flags in [&[][..], &["--access-log", &log]] {
        let (pty, terminal) = open_terminal();
        let mut command = http(&folder, flags);
        command.stdout(terminal.try_clone().unwrap()).stderr(terminal);
        let mut server = command.spawn().unwrap();
        drop(command);
        let mut pty = BufReader::new(pty);
        let url = pty.by_ref().lines().map_while(Result::ok).find(|it| it.starts_with("http"));
        let address = url.unwrap().trim_start_matches("http://").to_owned();
        // The second request never ends, so the server waits for it after the first signal.
        let mut peer = TcpStream::connect(&address).unwrap();
        peer.write_all(b"GET /site/ HTTP/1.1\r\nHost: localhost\r\n\r\nGET /").unwrap();
        peer.read_exact(&mut [0]).unwrap();
        drop(pty);
        let pid = Pid::from_child(&server);
        kill_process(pid, Signal::HUP).unwrap();
        // Of two signals that are pending, the kernel may deliver the later one first.
        while TcpStream::connect(&address).is_ok() {}
        kill_process(pid, Signal::TERM).unwrap();
        let code_of_second_signal = Some(143);
        assert_eq!(server.wait().unwrap().code(), code_of_second_signal, "{flags:?}");
    }
}
