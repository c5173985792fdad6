//! `sockeye http` and `sockeye echo`.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::access_log::wait_until;
use crate::support::{
    Folder, Running, run, sockeye, sockeye_with_descriptors, sockeye_with_small_files, text,
};

const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

fn echo() -> Running {
    Running::start(&[&["echo"], &ANY_PORT[..]].concat())
}

fn get(stream: &mut (impl Read + Write), path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// A server with a response in flight that its peer doesn't read, so that draining takes until the
/// timeout.
fn server_with_unread_response(folder: &Folder, drain_timeout: &str) -> (Running, TcpStream) {
    folder.write("large", &vec![b'x'; 64 << 20]);
    let flags = ["http", folder.text(), "--drain-timeout", drain_timeout];
    let server = Running::start(&[&flags, &ANY_PORT[..]].concat());
    let mut peer = server.connect();
    peer.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    peer.read_exact(&mut [0]).unwrap();
    (server, peer)
}

#[test]
fn echo_returns_everything_even_after_a_half_close() {
    let mut server = echo();
    assert!(server.url().starts_with("tcp://127.0.0.1:"), "{:?}", server.screen);
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut peer = server.connect();
    let writer = thread::spawn({
        let (mut peer, sent) = (peer.try_clone().unwrap(), sent.clone());
        move || {
            peer.write_all(&sent).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
        }
    });
    let mut back = Vec::new();
    peer.read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    assert!(back == sent, "{} of {} bytes came back", back.len(), sent.len());

    server.signal(Signal::TERM);
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("Shutting down: "), "{stderr}");
    assert!(stderr.contains("Press Ctrl-C again to stop now.\n"), "{stderr}");
    assert!(stderr.ends_with("Stopped: 0 connections cut.\n"), "{stderr}");
}

#[test]
fn the_start_screen_notes_a_folder_without_index() {
    let folder = Folder::new();
    folder.write("hello.txt", b"Hello World");
    let server = Running::start(&[&["http", folder.text()], &ANY_PORT[..]].concat());
    assert_eq!(server.screen[0], format!("Serving {} over HTTP at", folder.text()));
    assert!(server.screen[1].starts_with("http://127.0.0.1:"), "{:?}", server.screen);
    assert!(server.screen[2].contains("no index.html"), "{:?}", server.screen);
    let response = get(&mut server.connect(), "/hello.txt");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nHello World"), "{response}");
    assert!(get(&mut server.connect(), "/").starts_with("HTTP/1.1 404 "));

    folder.write("index.html", b"<!doctype html>");
    let server = Running::start(&[&["http", folder.text()], &ANY_PORT[..]].concat());
    assert_eq!(server.screen.len(), 3, "{:?}", server.screen);
}

#[test]
fn a_single_file_is_served() {
    let folder = Folder::new();
    folder.write("page.html", b"one page");
    let server = Running::start(&[&["http", &folder.join("page.html")], &ANY_PORT[..]].concat());
    assert!(get(&mut server.connect(), "/").ends_with("one page"));
}

#[test]
fn the_urls_on_the_start_screen_work() {
    let folder = Folder::new();
    folder.write("index.html", b"everywhere");
    let socket = folder.join("socket");
    let unix = format!("unix:{socket}");
    let flags = ["http", folder.text(), "--listen", ":0", "--listen", &unix, "--workers", "2"];
    let mut server = Running::start(&flags);
    let local = server.url().strip_prefix("http://").unwrap();
    let mut peer = TcpStream::connect(local).unwrap();
    assert!(get(&mut peer, "/").ends_with("everywhere"));
    assert!(server.screen.contains(&unix), "{:?}", server.screen);
    assert!(get(&mut UnixStream::connect(&socket).unwrap(), "/").ends_with("everywhere"));

    server.signal(Signal::INT);
    assert_eq!(server.end().0, Some(0));
    assert!(!folder.path().join("socket").exists(), "the socket's file goes with the server");
}

#[test]
fn flags_are_read_from_the_environment() {
    let mut command = sockeye(&["echo"]);
    let server = Running::start_by(command.env("SOCKEYE_LISTEN", "127.0.0.1:0"));
    assert_ne!(server.address().port(), 65432);
}

/// By default, SIGXFSZ would end the process.
#[test]
fn the_server_survives_the_file_size_limit_on_standard_error() {
    let folder = Folder::new();
    let older = "an older line\n".repeat(100);
    folder.write("log", older.as_bytes());
    let log = folder.join("log");
    let args = [&["echo", "--log", "debug"], &ANY_PORT[..]].concat();
    let mut server = Running::start_by(&mut sockeye_with_small_files(&args, Some(&log)));
    for _ in 0..2 {
        let mut peer = server.connect();
        peer.write_all(b"hello").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let mut echoed = String::new();
        peer.read_to_string(&mut echoed).unwrap();
        assert_eq!(echoed, "hello");
    }
    // The server logs that it shuts down, and waits until that line is written or lost.
    server.signal(Signal::TERM);
    assert_eq!(server.end().0, Some(0));
    assert_eq!(fs::read_to_string(&log).unwrap(), older);
}

#[test]
fn few_descriptors_are_a_warning_with_the_number_of_connections_that_they_allow() {
    let warning = "WARN this process may open only 1024 files, so it accepts at most 768 \
                   connections at a time; raise the hard limit (ulimit -Hn 65536 as root, \
                   LimitNOFILE=65536 in a systemd unit, or docker run --ulimit nofile=65536)\n";
    // Fewer files than documented, too.
    let files = "at most 768 connections at a time and sends fewer files at a time; raise the hard";
    let lowered = "WARN --max-connections 5000 was lowered to 768: this process may open only 1024 \
                   files; raise the hard limit (ulimit -Hn 65536 as root, ";
    let table: [(u32, &[&str], Option<&str>); 6] = [
        (1024, &["echo"], Some(warning)),
        (1024, &["http"], Some(files)),
        (8191, &["echo"], Some("only 8191 files, so it accepts at most 6144 connections")),
        // Lowered, but enough for a small server.
        (8192, &["echo"], None),
        (1024, &["echo", "--max-connections", "5000"], Some(lowered)),
        // Who asks for few connections knows.
        (1024, &["echo", "--max-connections", "700"], None),
    ];
    for (descriptors, args, expected) in table {
        let args = [args, &ANY_PORT[..]].concat();
        let mut server = Running::start_by(&mut sockeye_with_descriptors(descriptors, &args));
        server.signal(Signal::TERM);
        let (code, stderr) = server.end();
        assert_eq!(code, Some(0), "{stderr}");
        match expected {
            Some(text) => assert!(stderr.contains(text), "{descriptors} {args:?}: {stderr}"),
            None => assert!(!stderr.contains("WARN"), "{descriptors} {args:?}: {stderr}"),
        }
    }
}

#[test]
fn a_server_of_files_warns_if_few_can_be_sent_though_all_connections_fit() {
    let folder = Folder::new();
    let warning = "WARN this process may open only 1024 files, so it sends at most 262 files at a \
                   time, fewer than --max-connections 500; raise the hard limit (ulimit -Hn 65536 as root, ";
    for (descriptors, expected) in [(1024, Some(warning)), (1499, Some("499 files")), (1500, None)]
    {
        let flags = ["http", folder.text(), "--max-connections", "500"];
        let args = [&flags[..], &ANY_PORT[..]].concat();
        let mut server = Running::start_by(&mut sockeye_with_descriptors(descriptors, &args));
        server.signal(Signal::TERM);
        let (code, stderr) = server.end();
        assert_eq!(code, Some(0), "{stderr}");
        match expected {
            Some(text) => assert!(stderr.contains(text), "{descriptors}: {stderr}"),
            None => assert!(!stderr.contains("WARN"), "{descriptors}: {stderr}"),
        }
    }
}

#[test]
fn unfinished_connections_are_cut_and_counted_after_the_drain_timeout() {
    let folder = Folder::new();
    let (mut server, _peer) = server_with_unread_response(&folder, "20ms");
    server.signal(Signal::TERM);
    assert_eq!(
        server.next_line(),
        "Shutting down: 1 connection open, waiting up to 20 ms. Press Ctrl-C again to stop now.\n"
    );
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.ends_with("Stopped: 1 connection cut.\n"), "{stderr}");
}

#[test]
fn a_second_signal_stops_at_once() {
    let folder = Folder::new();
    for (signal, expected) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::QUIT, 131)] {
        let (mut server, _peer) = server_with_unread_response(&folder, "1h");
        server.signal(signal);
        assert!(server.next_line().starts_with("Shutting down: 1 connection open"));
        server.signal(signal);
        let (code, stderr) = server.end();
        assert_eq!(code, Some(expected), "{stderr}");
        assert!(stderr.ends_with("Stopped: 1 connection cut.\n"), "{stderr}");
    }
}

#[test]
fn signals_to_reopen_logs_do_not_stop_a_server_without_a_terminal() {
    let mut server = echo();
    server.signal(Signal::HUP);
    server.signal(Signal::USR1);
    let mut peer = server.connect();
    peer.write_all(b"still here").unwrap();
    peer.read_exact(&mut [0; 10]).unwrap();
    drop(peer);
    server.signal(Signal::TERM);
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn every_form_of_an_address_is_accepted_and_shown() {
    let folder = Folder::new();
    let ours = |name: &str| format!("unix:@sockeye-test-{}-{name}", std::process::id());
    for (command, listen, shown) in [
        ("echo", "tcp://127.0.0.1:0", "tcp://127.0.0.1:"),
        ("echo", "TCP://127.0.0.1:0/", "tcp://127.0.0.1:"),
        ("echo", "[::ffff:127.0.0.1]:0", "tcp://127.0.0.1:"),
        ("echo", "*:0", "tcp://localhost:"),
        ("http", "http://127.0.0.1:0", "http://127.0.0.1:"),
        ("http", "HTTP://127.0.0.1:0/", "http://127.0.0.1:"),
        ("message", "message://127.0.0.1:0", "message://127.0.0.1:"),
        ("message", "http://127.0.0.1:0", "message://127.0.0.1:"),
        ("echo", &ours("echo"), &ours("echo")),
        ("http", &ours("http"), &ours("http")),
    ] {
        let words = match command {
            "http" => vec![command, folder.text(), "--listen", listen],
            _ => vec![command, "--listen", listen],
        };
        let server = Running::start(&words);
        let lines = server.screen.iter();
        let found = lines.filter(|line| line.starts_with(shown)).count();
        assert_eq!(found, 1, "{listen}: {:?}", server.screen);
    }
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn an_abstract_socket_works_for_clients_and_only_one_server() {
    let folder = Folder::new();
    folder.write("index.html", b"home");
    let name = format!("@sockeye-test-{}", std::process::id());
    let listen = format!("unix:{name}");
    let server = Running::start(&["echo", "--listen", &listen]);
    let output = run(&["send", &format!("UNIX:{name}"), "hello"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"hello"[..]));
    let output = run(&["load", &listen, "--requests", "3", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = run(&["echo", "--listen", &listen]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let taken = format!("{listen} is in use by sockeye (pid {})", server.id());
    assert!(stderr.contains(&taken), "{stderr}");
    drop(server);

    let _server = Running::start(&["http", folder.text(), "--listen", &listen]);
    let load = ["load", "HTTP://localhost/", "--unix-socket", &name, "--requests", "3"];
    let output = run(&load);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn an_address_in_use_is_refused_with_the_process_that_uses_it() {
    let server = echo();
    let address = server.address().to_string();
    let output = run(&["echo", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    let expected = format!("{address} is in use by sockeye (pid {})", server.id());
    assert!(stderr.contains(&expected), "{stderr}");
    assert!(stderr.contains("--listen 127.0.0.1:0 picks a free one"), "{stderr}");
    assert!(output.stdout.is_empty(), "nothing is served, so no start screen is shown");

    // A command with the same address twice gets another error.
    let port = address.rsplit_once(':').unwrap().1;
    drop(server);
    let output = run(&["echo", "--listen", &address, "--listen", port]);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("of this command, or by a process that can't be seen"), "{stderr}");
}

#[test]
fn paths_that_cannot_be_served_are_refused_at_start() {
    let folder = Folder::new();
    let missing = folder.join("nothing");
    let table: [(&[&str], i32, &str); 5] = [
        (&["http", &missing], 2, "no such file or folder"),
        (&["http", "/dev/null"], 2, "neither a folder nor a regular file"),
        (&["http", "--listen", "192.0.2.1:0"], 1, "this machine has no such address"),
        (&["http", "--listen", "non sense"], 2, "HOST:PORT"),
        (&["serve"], 2, "unrecognized subcommand"),
    ];
    for (args, code, expected_text) in table {
        let output = run(args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(expected_text), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_server_runs_with_a_closed_standard_output() {
    let folder = Folder::new();
    let socket = folder.join("socket");
    let mut child = sockeye(&["echo", "--listen", &format!("unix:{socket}")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut peer = loop {
        match UnixStream::connect(&socket) {
            Ok(peer) => break peer,
            Err(_) => assert!(child.try_wait().unwrap().is_none(), "it has ended"),
        }
        thread::yield_now();
    };
    peer.write_all(b"hello").unwrap();
    peer.read_exact(&mut [0; 5]).unwrap();
    drop(peer);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_blocked_standard_output_delays_neither_serving_nor_the_end() {
    let folder = Folder::new();
    let socket = folder.join("socket");
    let (mut out, _unread) = UnixStream::pair().unwrap();
    out.set_nonblocking(true).unwrap();
    while out.write(&[b'x'; 4096]).is_ok() {}
    out.set_nonblocking(false).unwrap();
    let mut child = sockeye(&["echo", "--listen", &format!("unix:{socket}")])
        .stdout(OwnedFd::from(out))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut peer = None;
    wait_until("it listens", || {
        peer = UnixStream::connect(&socket).ok();
        peer.is_some()
    });
    let mut peer = peer.unwrap();
    peer.write_all(b"hello").unwrap();
    peer.read_exact(&mut [0; 5]).unwrap();
    drop(peer);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let mut ended = None;
    wait_until("one signal ends it", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[test]
fn a_supervisor_is_told_when_the_server_listens() {
    let folder = Folder::new();
    let path = folder.join("notify");
    let name = format!("sockeye-test-{}-notify", std::process::id());
    let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
    for (socket, variable) in [
        (UnixDatagram::bind(&path).unwrap(), path.clone()),
        (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}")),
    ] {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut command = sockeye(&["http", folder.text(), "--listen", "127.0.0.1:0"]);
        let _server = Running::start_by(command.env("NOTIFY_SOCKET", variable));
        let mut message = [0; 32];
        let len = socket.recv(&mut message).unwrap();
        assert_eq!(&message[..len], b"READY=1");
    }
    let mut command = sockeye(&["http", folder.text(), "--listen", "127.0.0.1:0"]);
    let mut server = Running::start_by(command.env("NOTIFY_SOCKET", folder.join("missing")));
    let warning = server.next_line();
    assert!(warning.contains("cannot tell NOTIFY_SOCKET"), "{warning}");
}
