//! `sockeye http --access-log`: a line for every finished request.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Folder, Running, run, sockeye, sockeye_with_small_files, text};

/// A server of `folder` with an access log and more flags.
fn start(folder: &Folder, log: &str, flags: &[&str]) -> Running {
    let own = ["http", folder.text(), "--listen", "127.0.0.1:0", "--access-log", log];
    Running::start(&[&own, flags].concat())
}

/// Sends `requests`, and reads all responses.
fn exchange(server: &Running, requests: &str) -> String {
    let mut peer = server.connect();
    peer.write_all(requests.as_bytes()).unwrap();
    let mut responses = String::new();
    peer.read_to_string(&mut responses).unwrap();
    responses
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\n\r\n")
}

/// A GET that closes its connection.
fn get_and_close(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn stop(mut server: Running) -> String {
    server.signal(Signal::TERM);
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0), "{stderr}");
    stderr
}

fn lines(path: impl AsRef<Path>) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines().map(str::to_owned).collect()
}

/// Waits until `holds` returns true; panics with `what` after 20 s.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_clean_stop_loses_no_line() {
    let folder = Folder::new();
    folder.write("hello.txt", b"Hello World");
    let log = folder.join("log");
    let server = start(&folder, &log, &["--workers", "2"]);
    let count = 300;
    for _ in 0..3 {
        exchange(&server, &(get("/hello.txt").repeat(count - 1) + &get_and_close("/hello.txt")));
    }
    exchange(&server, &get_and_close("/no%1b%22thing"));
    exchange(&server, "GET /\u{9b}31m HTTP/1.1\r\n\r\n");
    stop(server);
    let lines = lines(&log);
    let hello =
        lines.iter().filter(|line| line.contains("\"GET /hello.txt HTTP/1.1\" 200 11 \"-\""));
    assert_eq!(hello.count(), 3 * count);
    assert_eq!(lines.len(), 3 * count + 2);
    assert!(lines.iter().all(|line| line.starts_with("127.0.0.1 - - [")), "{}", lines[0]);
    assert!(lines.iter().all(|line| line.ends_with(" complete")), "{}", lines[0]);
    assert!(lines.iter().any(|line| line.contains("\"GET /no%1b%22thing HTTP/1.1\" 404 ")));
    assert!(lines.iter().any(|line| line.contains("\"GET /\\xc2\\x9b31m HTTP/1.1\" 400 ")));
}

#[test]
fn every_line_says_how_the_request_ended() {
    let folder = Folder::new();
    folder.write("large", &vec![b'x'; 64 << 20]);
    folder.write("changing", &vec![b'x'; 64 << 20]);
    folder.write("small", b"small");
    let log = folder.join("log");
    let flags = ["--access-log-format", "json", "--write-timeout", "300ms"];
    let server = start(&folder, &log, &[&flags[..], &["--drain-timeout", "1h"]].concat());
    let begun = |path: &str| {
        let mut peer = server.connect();
        peer.write_all(get(path).as_bytes()).unwrap();
        peer.read_exact(&mut [0]).unwrap();
        peer
    };
    // Closing with unread bytes of the response resets the connection.
    drop(begun("/large?reset"));
    let _stalled = begun("/large?stalled");
    let mut cut = begun("/changing");
    folder.write("changing", b"another content");
    let _ = cut.read_to_end(&mut Vec::new());
    exchange(&server, &(get("/small") + "nonsense\r\n\r\n"));
    wait_until("all requests have ended", || lines(&log).len() >= 5);
    stop(server);
    let lines: Vec<Value> =
        lines(&log).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |target: &str| {
        let found = lines.iter().find(|line| line["target"] == target);
        found.unwrap_or_else(|| panic!("{target} is not in {lines:?}"))
    };
    for (target, status, ended) in [
        ("/large?reset", 200, "client-aborted"),
        ("/large?stalled", 200, "timed-out"),
        ("/changing", 200, "file-changed"),
        ("/small", 200, "complete"),
    ] {
        let line = of(target);
        assert_eq!((&line["status"], &line["ended"]), (&status.into(), &ended.into()), "{line}");
        let bytes = line["bytes"].as_u64().unwrap();
        assert!(bytes < 64 << 20, "{line}");
        assert_eq!(line["user_agent"], "test");
    }
    assert_eq!(of("/small")["bytes"], 5);
    assert!(of("/large?stalled")["seconds"].as_f64().unwrap() >= 0.3);
    let refused = lines.iter().find(|line| line["unread"] == "nonsense").unwrap();
    assert_eq!((&refused["status"], &refused["method"]), (&400.into(), &Value::Null));
}

#[test]
fn the_complete_fields_of_a_malformed_request_are_logged() {
    let folder = Folder::new();
    let log = folder.join("log");
    let fields = "Host: localhost\r\nX-Forwarded-For: 198.51.100.9, 192.0.2.1\r\nUser-Agent: UA\r\n\
        Referer: RR\r\n";
    let (many, large) = ("A: b\r\n".repeat(200), "a".repeat(70_000));
    let requests = [
        ("GET / HTTP/1.1", "X: \x01\r\n\r\n", 400),
        ("GET / HTTP/1.1", "X y: z\r\n\r\n", 400),
        ("GET / HTTP/1.1", "X: y\r\n z\r\n\r\n", 400),
        ("GET / HTTP/1.1", "X: y\nz\r\n\r\n", 400),
        ("GET /\\ HTTP/1.1", "\r\n", 400),
        ("GET / HTTP/3.0", "\r\n", 505),
        ("GET / HTTP/1.1", &many, 431),
        ("GET / HTTP/1.1", &large, 431),
        ("GET / HTTP/1.1", "X: slow", 408),
    ];
    for (flags, [address, by]) in [
        (&["--trusted-proxy", "127.0.0.1"][..], ["192.0.2.1", "127.0.0.1"]),
        (&[], ["127.0.0.1", ""]),
    ] {
        for format in ["json", "combined"] {
            let own = ["--access-log-format", format, "--head-timeout", "300ms", "--workers", "1"];
            let server = start(&folder, &log, &[&own, flags].concat());
            for (line, rest, _) in requests {
                let mut peer = server.connect();
                // The server may refuse the request before all of it is sent.
                let _ = peer.write_all(format!("{line}\r\n{fields}{rest}").as_bytes());
                let _ = peer.read_to_end(&mut Vec::new());
            }
            stop(server);
            let lines = lines(&log);
            std::fs::remove_file(&log).unwrap();
            assert_eq!(lines.len(), requests.len(), "{lines:?}");
            for (line, (_, _, status)) in lines.iter().zip(requests) {
                if format == "combined" {
                    let (front, behind) = (format!("{address} - - ["), " \"RR\" \"UA\" ");
                    assert!(line.starts_with(&front) && line.contains(behind), "{line}");
                    continue;
                }
                let line: Value = serde_json::from_str(line).unwrap();
                let of = |member: &str| line[member].as_str().unwrap_or_default();
                assert_eq!((of("address"), of("by")), (address, by), "{line}");
                let known = (of("host"), of("user_agent"), of("referer"));
                assert_eq!(known, ("localhost", "UA", "RR"), "{line}");
                assert_eq!(line["status"], status, "{line}");
            }
        }
    }
}

/// SIGUSR1 is the signal of nginx.
#[test]
fn signals_reopen_a_log_that_was_moved_away() {
    let folder = Folder::new();
    folder.write("index.html", b"hello");
    for signal in [Signal::HUP, Signal::USR1] {
        let (log, old) = (folder.join("log"), folder.join("log.1"));
        let server = start(&folder, &log, &[]);
        exchange(&server, &get_and_close("/?one"));
        wait_until("a line is written while the server runs", || lines(&log).len() == 1);
        std::fs::rename(&log, &old).unwrap();
        exchange(&server, &get_and_close("/?two"));
        server.signal(signal);
        wait_until("there is a new file", || Path::new(&log).exists());
        exchange(&server, &get_and_close("/?three"));
        let stderr = stop(server);
        assert!(stderr.contains("reopened the access log"), "{stderr}");
        let targets = |path: &str| -> Vec<String> {
            lines(path).iter().map(|line| line.split(' ').nth(6).unwrap().to_owned()).collect()
        };
        assert_eq!(targets(&old), ["/?one", "/?two"]);
        assert_eq!(targets(&log), ["/?three"]);
        std::fs::remove_file(&log).unwrap();
    }
}

#[test]
fn an_existing_file_is_appended_to() {
    let folder = Folder::new();
    folder.write("index.html", b"hello");
    folder.write("log", b"an older line\n");
    let log = folder.join("log");
    let server = start(&folder, &log, &[]);
    exchange(&server, &get_and_close("/"));
    stop(server);
    let lines = lines(&log);
    assert_eq!((lines.len(), &*lines[0]), (2, "an older line"));
}

#[test]
fn a_hyphen_logs_to_standard_error() {
    let folder = Folder::new();
    folder.write("index.html", b"hello");
    let server = start(&folder, "-", &["--access-log-format", "json"]);
    exchange(&server, &get_and_close("/"));
    let stderr = stop(server);
    let line = stderr.lines().find(|line| line.starts_with('{')).unwrap();
    assert_eq!(serde_json::from_str::<Value>(line).unwrap()["status"], 200);
}

/// The limit on file sizes acts like a full disk. By default, SIGXFSZ would end the process.
#[test]
fn a_full_disk_loses_lines_and_the_server_keeps_running() {
    let folder = Folder::new();
    folder.write("index.html", b"hello");
    let older = "an older line\n".repeat(100);
    folder.write("log", older.as_bytes());
    let log = folder.join("log");
    let flags = ["--listen", "127.0.0.1:0", "--access-log", &log];
    let args = [&["http", folder.text()], &flags[..]].concat();
    let mut server = Running::start_by(&mut sockeye_with_small_files(&args, None));
    assert!(exchange(&server, &get_and_close("/")).ends_with("hello"));
    let stderr = server.next_line();
    assert!(stderr.contains("WARN access log lines lost"), "{stderr}");
    assert!(stderr.contains("File too large") && stderr.contains("lines=1"), "{stderr}");
    assert!(exchange(&server, &get_and_close("/")).ends_with("hello"));
    stop(server);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), older);
}

/// Creates a FIFO in a folder.
fn make_pipe(folder: &Folder) -> String {
    let path = folder.join("pipe");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

/// Opens a pipe to read what is in it now.
fn reader(path: &str) -> File {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(nonblocking).open(path).unwrap()
}

/// Appends the bytes in the pipe to `text`.
fn read_available(pipe: &mut File, text: &mut Vec<u8>) {
    // On `WouldBlock`, `text` has everything that was read before.
    let _ = pipe.read_to_end(text);
}

#[test]
fn a_pipe_without_a_reader_does_not_block_and_is_written_later() {
    let folder = Folder::new();
    folder.write("index.html", b"hello");
    let pipe = make_pipe(&folder);
    let mut server = start(&folder, &pipe, &[]);
    let stderr = server.next_line();
    assert!(
        stderr.contains("WARN the pipe of the access log has no reader") && stderr.contains(&pipe),
        "{stderr}"
    );
    // Again after a reader has gone away.
    for target in ["/?first", "/?second"] {
        wait_until("losses are reported", || {
            assert!(exchange(&server, &get_and_close("/?lost")).ends_with("hello"));
            let stderr = server.next_line();
            let lost = stderr.contains("access log lines lost") && stderr.contains("lines=");
            assert!(lost || stderr.contains("the pipe of the access log has a reader"), "{stderr}");
            stderr.contains("the pipe has no reader")
        });
        let (mut reader, mut logged) = (reader(&pipe), Vec::new());
        wait_until("a line is in the pipe", || {
            assert!(exchange(&server, &get_and_close(target)).ends_with("hello"));
            read_available(&mut reader, &mut logged);
            text(&logged).contains(target)
        });
        assert!(logged.starts_with(b"127.0.0.1 - - [") && logged.ends_with(b"\n"));
    }
    server.signal(Signal::HUP);
    stop(server);
}

/// More lines than fit in a pipe, which holds 64 KiB.
const LINES: usize = 400;

fn fill_pipe(server: &Running) {
    let target = format!("/?{}", "x".repeat(500));
    exchange(server, &(get(&target).repeat(LINES - 1) + &get_and_close("/?last")));
}

#[test]
fn lines_wait_for_a_slow_reader() {
    let folder = Folder::new();
    folder.write("index.html", b"hello");
    let pipe = make_pipe(&folder);
    let mut reader = reader(&pipe);
    let server = start(&folder, &pipe, &[]);
    fill_pipe(&server);
    let mut logged = Vec::new();
    wait_until("all lines came", || {
        read_available(&mut reader, &mut logged);
        logged.iter().filter(|byte| **byte == b'\n').count() == LINES
    });
    let logged = text(&logged);
    assert!(logged.lines().all(|line| line.starts_with("127.0.0.1 - - [")), "{logged}");
    assert!(logged.lines().all(|line| line.ends_with(" complete")), "{logged}");
    stop(server);
}

#[test]
fn a_reader_that_never_reads_does_not_delay_the_end() {
    let folder = Folder::new();
    folder.write("index.html", b"hello");
    let pipe = make_pipe(&folder);
    let mut reader = reader(&pipe);
    let server = start(&folder, &pipe, &[]);
    fill_pipe(&server);
    let stderr = stop(server);
    assert!(stderr.contains("not written in time"), "{stderr}");
    // Each line is in the pipe or counted as lost.
    let lost: usize = stderr
        .split("lines=")
        .skip(1)
        .map(|rest| {
            rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse::<usize>().unwrap()
        })
        .sum();
    let mut logged = Vec::new();
    read_available(&mut reader, &mut logged);
    let whole = logged.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(whole + lost, LINES, "{stderr}");
}

#[test]
fn off_is_no_file_but_turns_the_access_log_off() {
    let folder = Folder::new();
    let mut command = sockeye(&["http", folder.text(), "--listen", "127.0.0.1:0"]);
    let server =
        Running::start_by(command.env("SOCKEYE_ACCESS_LOG", "off").current_dir(folder.path()));
    exchange(&server, &get_and_close("/"));
    stop(server);
    assert!(!Path::new(&folder.join("off")).exists());
}

#[test]
fn an_unwritable_log_is_refused_at_start() {
    let folder = Folder::new();
    let log = folder.join("no/such/folder/log");
    let output = run(&["http", folder.text(), "--access-log", &log]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    let parent = folder.join("no/such/folder");
    let expected = format!(
        "--access-log: cannot write to {log}: there is no folder {parent}; mkdir -p {parent} creates it"
    );
    assert!(stderr.contains(&expected), "{stderr}");
    let output = run(&["http", folder.text(), "--access-log", "syslog:server=unix:/dev/log"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("'--access-log -' writes"), "{}", text(&output.stderr));
    let output = run(&["http", folder.text(), "--access-log-format", "common"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("combined"), "{}", text(&output.stderr));
}
