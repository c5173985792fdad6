//! Exit codes: 2 for a wrong command line, so that supervisors don't retry; 1 for a failure.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::support::{Folder, Running, run, sockeye, text};

/// Runs command lines, split at spaces. `{dir}` is a folder with an `index.html`, `{long}` a path
/// that is too long, `{taken}` a port in use, and `{closed}` a port without a listener.
fn check(code: i32, lines: &[(&str, &str)]) {
    let folder = Folder::new();
    folder.write("index.html", b"home");
    folder.write("answers.json", b"[]");
    std::os::unix::fs::symlink("loop", folder.join("loop")).unwrap();
    let [taken, closed] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port().to_string();
    let (taken_port, closed_port) = (port(&taken), port(&closed));
    drop(closed);
    let long = folder.join(&"x".repeat(300));
    for (line, expected_text) in lines {
        let expand = |word: &str| {
            let word = word.replace("{dir}", folder.text()).replace("{long}", &long);
            word.replace("{taken}", &taken_port).replace("{closed}", &closed_port)
        };
        let words: Vec<String> = line.split(' ').map(expand).collect();
        let output = run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}: {stderr}");
        assert!(stderr.contains(expected_text), "{line}: {expected_text:?} is not in {stderr}");
        assert!(output.stdout.is_empty(), "{line}: {}", text(&output.stdout));
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    check(
        2,
        &[
            // Unknown names and missing arguments.
            ("htpp", "'http'"),
            ("http --lisen :0", "--listen"),
            ("http {dir} --spa=perhaps", "perhaps"),
            ("send", "<TARGET>"),
            ("load", "<TARGET>"),
            ("explain", "<URL>"),
            ("completions tcsh", "zsh"),
            ("man", "<FOLDER>"),
            ("man {dir}/missing", "missing does not exist: create it with mkdir -p"),
            ("man {dir}/index.html", "is not a folder"),
            // Folders.
            ("http {dir} {dir}", "two folders can't both be served at /"),
            ("http /a={dir} /a={dir}", "served at /a: write another path for the second, as /a-2="),
            ("http /a/../b={dir}", "nothing can be served at"),
            ("http /a=", "a folder is missing"),
            ("http {dir}/missing", "no such file or folder"),
            ("http {dir}/index.html/below", "no such file or folder"),
            ("http {long}", "File name too long"),
            ("http {dir}/loop", "symbolic links"),
            ("http ", "the name of a folder is empty"),
            ("http /dev/null", "neither a folder nor a regular file"),
            ("explain / {dir}/missing", "no such file or folder"),
            ("explain / {dir} {dir}", "two folders can't both be served at /"),
            ("explain index.html {dir}", "is not a URL"),
            ("explain ftp://localhost/ {dir}", "is not a URL"),
            // Limits.
            ("http {dir} --max-header 1", "--max-request-line (8KiB) can't be larger"),
            ("http {dir} --max-request-line 1M", "can't be larger"),
            ("http {dir} --max-header 0", "at least one byte"),
            ("http {dir} --max-header-fields 0", "zero"),
            ("http {dir} --max-connections -1", "-1"),
            ("http {dir} --workers 1025", "1..=1024"),
            ("http {dir} --idle-timeout 0s", "longer than 0s"),
            ("http {dir} --idle-timeout 9000h", "at most 366d"),
            ("echo --max-buffered 99999999999G", "larger than any memory"),
            // TLS.
            (
                "http {dir} --tls cert.pem,",
                "--tls: the key is missing after the comma: write --tls",
            ),
            ("echo --tls ,key.pem", "--tls: the certificate is missing before the comma: write"),
            // Headers, proxies and logs.
            ("http {dir} --cache-control :", "a pattern is missing"),
            ("http {dir} --cache-control 60", "is no directive; write max-age=60"),
            ("http {dir} --content-type *.foo:text", "'*.foo: text/x-foo'"),
            ("http {dir} --content-type *.foo:a/b;c", "\"c\" is not a name and a value"),
            ("http {dir} --content-encoding *.gz:deflate", "'*.wasm.br: br'"),
            ("http {dir} --header ETag:x", "can't set ETag"),
            ("http {dir} --cors example.org", "https://example.org"),
            ("http {dir} --compress none,gzip", "--compress none can't be combined"),
            ("http {dir} --compress zip", "zstd, br, gzip"),
            ("http {dir} --trusted-proxy 10.0.0.0/33", "write unix"),
            ("http {dir} --host *", "such as www.example.org"),
            ("http {dir} --log loud", "info"),
            ("http {dir} --access-log-format common", "combined"),
            ("http {dir} --access-log {dir}/missing/log", "--access-log: cannot write to"),
            ("http {dir} --access-log {dir}/index.html/log", "--access-log: cannot write to"),
            ("http {dir} --access-log {dir}", "it is a folder: name a file in it, as "),
            // Addresses.
            ("http {dir} --listen http://localhost", "port"),
            ("echo --listen 127.0.0.1:65536", "65535"),
            ("http {dir} --listen ::1:80", "as in [::1:80]:8000"),
            ("http {dir} --listen :80 --port 81", "remove either that port or --port 81"),
            ("http {dir} --listen unix:{dir}/s --port 81", "--listen :81"),
            ("http {dir} --port 65536", "a port is a number up to 65535"),
            ("http {dir} --port 127.0.0.1:80", "up to 65535; write --listen 127.0.0.1:80"),
            ("echo -p :80", "up to 65535; write --listen :80"),
            ("http {dir} --listen https://127.0.0.1:0", "as in 127.0.0.1:0"),
            ("http {dir} --listen http://127.0.0.1:0/path", "remove the path"),
            ("echo --listen HTTP://127.0.0.1:0", "as in 127.0.0.1:0"),
            ("echo --listen +80", "a number up to 65535"),
            ("echo --listen unix:@", "is missing"),
            ("echo --listen unix:{long}", "at most 107 bytes"),
            ("send unix:{long} x", "at most 107 bytes"),
            ("load http://localhost/ --unix-socket {long}", "at most 107 bytes"),
            ("echo --listen 8000 --listen :8000", "is given twice"),
            ("echo --listen unix:{dir}/s --listen unix:{dir}/s", "is given twice"),
            (
                "echo --listen 127.0.0.1:{closed} --listen :{closed}",
                "of this command, or by a process",
            ),
            (
                "echo --listen localhost:{closed} --listen 127.0.0.1:{closed}",
                "of this command, or by a process",
            ),
            ("echo --listen unix:{dir}/missing/socket", "/missing; mkdir -p "),
            ("echo --listen {dir}/socket", "begins with 'unix:', as in unix:/"),
            ("http {dir} --trusted-proxy loopback", "write 127.0.0.1 or ::1"),
            (
                "http {dir} --trusted-proxy unix,::1",
                "in a systemd unit: OPTIONS=\"--trusted-proxy unix --trusted-proxy ::1\"",
            ),
            ("http {dir} --max-connections 1k", "write a number above zero, as 100"),
            ("echo --listen unix:{dir}/index.html", "is not a socket"),
            ("message --frames-only --host a.example", "--frames-only turns off"),
            ("message --frames-only --max-fragments 2", "cannot be used with"),
            ("message --frames-only --ping-after 9s", "cannot be used with"),
            ("message --origin *", "name each allowed origin"),
            ("message --answers {dir}/missing.json", "cannot read answers from"),
            ("message --answers {dir}", "cannot read answers from"),
            ("message --answers {dir}/answers.json", "a JSON object"),
            // Clients.
            ("send localhost:80 x", "did you mean tcp://localhost:80"),
            ("send tcp://127.0.0.1:{closed} x --count 2", "is for message://HOST:PORT"),
            ("send tcp://127.0.0.1:{closed} x --connections 0", "1..=65535"),
            ("send message://127.0.0.1:{closed} --file {dir}/missing", "cannot send"),
            ("send message://127.0.0.1:{closed} --file {dir}", "cannot send"),
            ("send message://127.0.0.1:{closed} 1 --encoding x", "--encoding x is unknown"),
            ("send message://127.0.0.1:{closed} \"\u{e9}\" --encoding ascii", "cannot be sent"),
            ("send message://127.0.0.1:{closed} x --output {dir}/missing/x", "cannot write to"),
            ("send message://127.0.0.1:{closed} x --output {dir}", "cannot write to"),
            ("load localhost:80", "did you mean http://localhost:80/"),
            ("load http://127.0.0.1:{closed}/ http://127.0.0.2:{closed}/", "are two servers"),
            ("load http://127.0.0.1:{closed}/ -X A,B", "is not a valid method"),
            ("load http://127.0.0.1:{closed}/ -H nothing", "has no colon"),
            ("load http://127.0.0.1:{closed}/ --chunked", "--chunked needs content"),
            ("load http://127.0.0.1:{closed}/ --body-file {dir}/missing", "cannot send"),
            ("load tcp://127.0.0.1:{closed} --body=", "at least one byte"),
            ("load tcp://127.0.0.1:{closed} -X GET", "is for http[s]://"),
            ("load tcp://127.0.0.1:{closed} -H a:b", "--header is for http[s]:// and ws[s]://"),
            ("load http://127.0.0.1:{closed}/ --rate 0", "requests per second"),
        ],
    );
}

#[test]
fn a_wrong_environment_variable_ends_with_2() {
    let folder = Folder::new();
    for (name, value, expected_text) in [
        ("SOCKEYE_MAX_HEADER", "1", "can't be larger than --max-header"),
        ("SOCKEYE_LISTEN", "::1:80", "brackets"),
        ("SOCKEYE_SPA", "perhaps", "perhaps"),
        ("SOCKEYE_LISTING", "maybe", "write yes or no, on or off, true or false, 1 or 0"),
        ("SOCKEYE_CACHE_CONTROL", "60", "write max-age=60"),
        ("SOCKEYE_PASSWORD", "foo", "there are no users and passwords"),
        ("SOCKEYE_CONFIG", "f", "SOCKEYE_CONFIG sets no flag: there is no configuration file"),
        ("SOCKEYE_FOLDER", "/srv", "write the folder as an argument: sockeye http /srv"),
        ("SOCKEYE_CERT", "a.pem", "write SOCKEYE_TLS=cert.pem,key.pem"),
        ("SOCKEYE_ACCESS_LOG", "/no/such/folder/log", "cannot write to"),
        ("SOCKEYE_TRUSTED_PROXY", "10.0.0.1/8", "write unix"),
        ("SOCKEYE_PORT", "x", "a port is a number up to 65535"),
        ("SOCKEYE_LINKS_INTO", "/no/such/folder", "no such file or folder"),
        ("SOCKEYE_HTTPS_REDIRECT", "true", "this is no address: write HOST:PORT or :PORT"),
        ("SOCKEYE_HTTPS_REDIRECT", "No", "this is no address"),
        ("SOCKEYE_HSTS", "", "write a duration with its unit"),
        ("SOCKEYE_IDLE_TIMEOUT", "", "write a duration with its unit"),
    ] {
        let output = sockeye(&["http", folder.text()]).env(name, value).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {stderr}");
        assert!(stderr.contains(expected_text), "{name}={value}: {stderr}");
        assert!(stderr.contains(name), "{name}={value}: {stderr}");
    }
}

#[test]
fn a_wrong_value_is_attributed_to_the_variable_unless_the_flag_is_typed() {
    for (flag, value, named) in [
        // Another flag that begins with the same name.
        ("--max-connections-per-address", "5", "SOCKEYE_MAX_CONNECTIONS"),
        ("--max-connections-per-address=5", "", "SOCKEYE_MAX_CONNECTIONS"),
        ("--max-connections", "y", "--max-connections"),
        ("--max-connections=y", "", "--max-connections"),
    ] {
        let arguments = ["http", ".", flag, value];
        let count = if value.is_empty() { 3 } else { 4 };
        let mut command = sockeye(&arguments[..count]);
        let output = command.env("SOCKEYE_MAX_CONNECTIONS", "x").output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flag} {value}: {stderr}");
        assert!(stderr.contains(&format!("for '{named}")), "{flag} {value}: {stderr}");
    }
}

#[test]
fn unknown_environment_variables_are_warned_about_except_those_of_kubernetes() {
    let folder = Folder::new();
    let variables = [
        ("SOCKEYE_LISTN", "x"),
        ("SOCKEYE_NONE", ""),
        ("SOCKEYE_VERSION", "1"),
        ("SOCKEYE_ORIGIN", "https://a.example"),
        ("SOCKEYE_PORT", "tcp://10.0.0.7:80"),
        ("SOCKEYE_PORT_80_TCP_ADDR", "10.0.0.7"),
        ("SOCKEYE_SERVICE_HOST", "10.0.0.7"),
    ];
    let mut command = sockeye(&["http", folder.text(), "--listen", "127.0.0.1:0"]);
    let mut server = Running::start_by(command.envs(variables));
    server.signal(Signal::TERM);
    let (_, log) = server.end();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "sockeye: warning: SOCKEYE_LISTN sets no flag; did you mean SOCKEYE_LISTEN?",
            "sockeye: warning: SOCKEYE_NONE sets no flag; --help-all lists the flags",
            "sockeye: warning: SOCKEYE_VERSION sets no flag; --help-all lists the flags",
        ]
    );
    assert!(lines[3].starts_with("Shutting down"), "{log}");

    // Clients read no variables.
    let output = sockeye(&["health", "unix:/none"]).env("SOCKEYE_LISTN", "x").output().unwrap();
    assert!(!text(&output.stderr).contains("SOCKEYE"), "{}", text(&output.stderr));
}

#[test]
fn flags_without_effect_are_warned_about() {
    let folder = Folder::new();
    let run = |flags: &[&str]| {
        let args = [&["http", folder.text(), "--listen", "127.0.0.1:0"], flags].concat();
        let mut server = Running::start(&args);
        server.signal(Signal::TERM);
        server.end().1
    };
    let state = folder.join(".state");
    let log = run(&["--access-log-format", "json", "--no-archives", "--state", &state]);
    for expected in [
        " WARN --access-log-format has no effect without --access-log FILE\n",
        " WARN --no-archives has no effect without --listing\n",
        " WARN --state has no effect without --tls self-signed or --acme NAME\n",
    ] {
        assert!(log.contains(expected), "{log}");
    }
    let flags = ["--access-log-format", "json", "--access-log", "-", "--no-archives", "--listing"];
    let tls = ["--tls", "self-signed", "--state", &state];
    let log = run(&[&flags[..], &tls].concat());
    assert!(!log.contains("no effect"), "{log}");
}

#[test]
fn messages_that_are_too_large_for_websocket_are_warned_about() {
    let what = "is more than a client may send over WebSocket: 16MiB in all of its incomplete \
                messages, 32MiB if it is on this machine. If it sends more, its WebSockets are closed \
                with 1013\n";
    for (args, expected) in [
        (&["message", "--max-content", "64M"][..], Some(" WARN --max-content 64MiB")),
        (&["message", "--max-content", "16M"], None),
        (&["message", "--max-content", "64M", "--frames-only"], None),
        (&["echo", "--websocket", "--max-message", "17M"], Some(" WARN --max-message 17MiB")),
    ] {
        let mut server = Running::start(&[args, &["--listen", "127.0.0.1:0"]].concat());
        server.signal(Signal::TERM);
        let log = server.end().1;
        let expected = expected.map(|start| format!("{start} {what}"));
        assert_eq!(log.contains(" WARN "), expected.is_some(), "{log}");
        assert!(log.contains(&expected.unwrap_or_default()), "{log}");
    }
}

#[test]
fn the_command_line_takes_precedence_over_the_environment() {
    let folder = Folder::new();
    for (listen, port, flags, expected) in [
        ("127.0.0.1", "0", "--log info", Ok("http://127.0.0.1:")),
        ("[::1]:1", "", "--port 0", Ok("http://[::1]:")),
        ("", "1", "--listen [::1]:0", Ok("http://[::1]:")),
        ("", "1", "--port 0", Ok("http://127.0.0.1:")),
        ("127.0.0.1:1", "2", "--log info", Err("SOCKEYE_LISTEN 127.0.0.1:1 has a port of its own")),
    ] {
        let mut command = sockeye(&["http", folder.text()]);
        command.args(flags.split(' '));
        for (name, value) in [("SOCKEYE_LISTEN", listen), ("SOCKEYE_PORT", port)] {
            if !value.is_empty() {
                command.env(name, value);
            }
        }
        match expected {
            Ok(start) => {
                let server = Running::start_by(&mut command);
                assert!(
                    server.url().starts_with(start),
                    "{listen} {port} {flags}: {}",
                    server.url()
                );
                assert_ne!(server.address().port(), 8000);
            }
            Err(expected_text) => {
                let output = command.output().unwrap();
                assert_eq!(output.status.code(), Some(2));
                assert!(text(&output.stderr).contains(expected_text), "{}", text(&output.stderr));
            }
        }
    }
}

#[test]
fn a_failure_ends_with_1() {
    check(
        1,
        &[
            ("http {dir} --listen 127.0.0.1:{taken}", "is in use by"),
            ("http {dir} --listen host.invalid:0", "cannot listen on host.invalid:0: "),
            (
                "http {dir} --listen host.invalid:0",
                "; write an address of this machine, or :0 for all",
            ),
            ("http {dir} --listen 192.0.2.1:0", "this machine has no such address"),
            (
                "send tcp://127.0.0.1:{closed} x",
                "(os error 111); check that a server listens there",
            ),
            ("send tcp://host.invalid:1 x", "cannot look up"),
            ("send message://127.0.0.1:{closed} x", "; check that a server listens there"),
            ("send unix:{dir}/missing x", "; check that a server listens there"),
            (
                "load http://127.0.0.1:{closed}/",
                "(os error 111); check that a server listens there",
            ),
            ("load http://host.invalid/", "cannot look up"),
        ],
    );
}
