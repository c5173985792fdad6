//! `sockeye health`: its exit code, its one line, and what the server logs.

use std::net::TcpListener;
use std::process::Output;

use rustix::process::Signal;

use crate::support::{Folder, Running, run, text};

fn health(args: &[&str]) -> Output {
    run(&[&["health"], args].concat())
}

#[test]
fn a_server_is_healthy_if_it_responds_without_an_error() {
    let folder = Folder::new();
    folder.write("index.html", b"home");
    std::fs::create_dir(folder.join("empty")).unwrap();
    let http = Running::start(&["http", folder.text(), "--port", "0"]);
    let socket = format!("unix:{}", folder.join("socket"));
    let _unix = Running::start(&["http", folder.text(), "--listen", &socket]);
    let messages = Running::start(&["message", "--port", "0"]);
    let echo = Running::start(&["echo", "--port", "0"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/", silent.local_addr().unwrap());
    let none = folder.join("none");
    let of = |path: &str| format!("{}{path}", http.url());
    let as_http = echo.url().replace("tcp:", "http:");
    for (args, code, expected_text) in [
        (vec![http.url()], 0, "/ is healthy ("),
        (vec![&*of("/empty")], 0, "/empty is healthy ("),
        (vec![&*socket], 0, "/socket is healthy ("),
        (vec!["http://x/", "--unix-socket", &socket[5..]], 0, "http://x/ is healthy ("),
        (vec![messages.url()], 0, " is healthy ("),
        (vec![messages.url(), "--timeout", "9s"], 0, " is healthy ("),
        (vec![echo.url()], 0, " is healthy ("),
        (vec![&*of("/none")], 1, "/none returns an error: the response's status is 404"),
        (
            vec![&*as_http],
            1,
            "sent an invalid response: the peer sent back the request, as an echo server does\n",
        ),
        (
            vec![&*format!("unix:{none}")],
            1,
            "could not connect: No such file or directory (os error 2); check that a server listens \
             there\n",
        ),
        (
            vec![&*silent, "--timeout", "50ms"],
            1,
            "did not respond: no complete response within 50ms",
        ),
        (vec!["localhost"], 2, "a target is http://HOST[:PORT]/PATH"),
        (vec![&http.url()[7..]], 0, "/ is healthy ("),
        (vec!["ftp://localhost/"], 2, "'ftp' is not supported"),
        (vec![&*socket, "--unix-socket", &none], 2, "--unix-socket is for http[s]://"),
        (vec![http.url(), "--timeout", "0s"], 2, "longer than 0s"),
    ] {
        let output = health(&args);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stdout}{stderr}");
        let (shown, other) = if code == 0 { (stdout, stderr) } else { (stderr, stdout) };
        assert!(shown.contains(expected_text), "{args:?}: {shown}");
        assert_eq!(other, "", "{args:?}");
        assert!(code == 2 || shown.lines().count() == 1, "{args:?}: {shown}");
    }
}

#[test]
fn a_refused_connection_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let output = health(&[&url]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        format!(
            "sockeye: {url} did not respond: could not connect: Connection refused (os error 111); \
             check that a server listens there\n"
        )
    );
}

#[test]
fn the_server_logs_only_the_request() {
    let folder = Folder::new();
    folder.write("index.html", b"home");
    let mut server = Running::start(&["http", folder.text(), "-p", "0", "--access-log", "-"]);
    assert_eq!(health(&[server.url()]).status.code(), Some(0));
    server.signal(Signal::TERM);
    let (_, log) = server.end();
    // The access log has a thread of its own, so its line may come last.
    let is_request =
        |line: &&str| !["Shutting down: ", "Stopped: "].iter().any(|start| line.starts_with(start));
    let [request] = log.lines().filter(is_request).collect::<Vec<_>>()[..] else { panic!("{log}") };
    assert!(request.contains("\"GET / HTTP/1.1\" 200 4 \"-\" \"sockeye-health/"), "{log}");
    assert!(request.ends_with(" complete"), "{log}");
}
