//! The plans of command lines.

use std::path::PathBuf;
use std::time::Duration;

use sockeye::engine::ListenAddr;

use super::*;
use crate::access::Format;
use crate::args::{Command, CommandLine};
use crate::error::{Error, OrUsage};
use crate::stdout::Stdout;

#[derive(Debug)]
enum Plan {
    Http(Box<Http>),
    Echo(Box<Echo>),
    Message(Box<Message>),
    Send(Send),
    SendMessages(SendMessages),
}

fn plan(line: &[&str]) -> Result<Plan, Error> {
    plan_on(Stdout::Other, line)
}

fn plan_on(stdout: Stdout, line: &[&str]) -> Result<Plan, Error> {
    let line = CommandLine::read([&["sockeye"], line].concat()).or_usage()?;
    match line.command {
        Command::Http(flags) => http(*flags, stdout).map(|plan| Plan::Http(Box::new(plan))),
        Command::Echo(flags) => echo(flags, stdout).map(|plan| Plan::Echo(Box::new(plan))),
        Command::Message(flags) => message(flags, stdout).map(|plan| Plan::Message(Box::new(plan))),
        Command::Send(flags) if line_is_message(&flags) => {
            send_messages(flags).map(Plan::SendMessages)
        }
        Command::Send(flags) => send_bytes(flags).map(Plan::Send),
        other => panic!("{other:?}"),
    }
}

fn line_is_message(flags: &crate::args::Send) -> bool {
    matches!(flags.target, crate::target::Target::Message(..))
}

/// A temporary folder, deleted on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sockeye-plan-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn flags_reach_the_plan() {
    let plan = plan(&[
        "echo",
        "--listen",
        ":0",
        "--listen",
        "unix:/tmp/s",
        "--workers",
        "3",
        "--max-connections",
        "7",
        "--max-connections-per-address",
        "5",
        "--max-buffered",
        "1M",
        "--write-timeout",
        "1s",
        "--drain-timeout",
        "2s",
        "--websocket",
    ]);
    let Ok(Plan::Echo(echo)) = plan else { panic!("not a plan of echo") };
    let Echo { serve: echo, websocket: Some(websocket), .. } = *echo else {
        panic!("no WebSockets")
    };
    assert_eq!(websocket.http.write_timeout, Duration::from_secs(1));
    assert_eq!(echo.listen, [ListenAddr::Any(0), ListenAddr::Unix("/tmp/s".into())]);
    assert_eq!(echo.workers.get(), 3);
    let config = echo.config;
    assert_eq!((config.max_connections, config.max_connections_per_address), (7, 5));
    assert_eq!(config.max_buffered_output, 1 << 20);
    assert_eq!(config.write_timeout, Duration::from_secs(1));
    assert_eq!(config.drain_timeout, Duration::from_secs(2));
}

/// Tested here, since connections from loopback don't count towards the limit.
#[test]
fn a_trusted_proxy_is_exempt_from_the_count_of_each_address() {
    let folder = Folder::new("proxies");
    let here = folder.0.to_str().unwrap();
    let config = |flags: &[&str]| {
        let line = [&["http", here, "--max-connections-per-address", "5"], flags].concat();
        match plan(&line) {
            Ok(Plan::Http(http)) => http.serve.config,
            other => panic!("{other:?}"),
        }
    };
    let trusted = config(&["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "unix"]);
    assert_eq!(trusted.unlimited_networks, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(trusted.max_connections_per_address, 5);
    assert!(config(&[]).unlimited_networks.is_empty());
}

#[test]
fn errors_say_what_is_wrong_and_what_exists() {
    let folder = Folder::new("errors");
    let missing = folder.join("site/deep");
    let parent = &folder.0;
    let table: [(&[&str], String); 5] = [
        (&["http", &missing], format!("the nearest folder that exists is {}", parent.display())),
        (&["http", "/dev/null"], "/dev/null: neither a folder nor a regular file".into()),
        (
            &["http", "/", "--max-request-line", "9K", "--max-header", "8K"],
            "--max-request-line (9KiB) can't be larger than --max-header (8KiB)".into(),
        ),
        (&["echo", "--listen", "1", "--listen", ":1"], "--listen :1 is given twice".into()),
        (&["send", "tcp://host.invalid:1", "x"], "cannot look up tcp://host.invalid:1".into()),
    ];
    for (line, expected_text) in table {
        let error = plan(line).unwrap_err().to_string();
        assert!(error.contains(&expected_text), "{line:?}: {error}");
    }
}

#[test]
fn contents_are_sent_as_typed_and_none_means_standard_input() {
    let messages = |line: &[&str]| match plan(line) {
        Ok(Plan::Send(send)) => send.contents,
        other => panic!("{other:?}"),
    };
    let line = ["send", "tcp://127.0.0.1:1", "a b", "", "--", "-c"];
    assert_eq!(messages(&line), Some(vec!["a b".into(), "".into(), "-c".into()]));
    assert_eq!(messages(&line[..2]), None);
}

#[test]
fn only_after_a_websocket_is_the_server_given_time_to_close_the_connection() {
    let flags = |target: &str| {
        let line = CommandLine::read(["sockeye", "send", target, "one"]).unwrap();
        let Command::Send(flags) = line.command else { panic!("not a command line of send") };
        flags
    };
    let websocket = send_websocket(flags("ws://127.0.0.1:1/")).unwrap();
    assert_eq!(websocket.client.config.linger.total, Duration::from_secs(1));
    let bytes = send_bytes(flags("tcp://127.0.0.1:1")).unwrap();
    assert_eq!(bytes.client.config.linger.total, Duration::ZERO);
}

#[test]
fn the_flags_of_messages_reach_the_plan() {
    let folder = Folder::new("messages");
    let file = folder.join("file");
    std::fs::write(&file, "[1]").unwrap();
    let out = folder.join("out");
    let line = [
        "send",
        "message://127.0.0.1:1",
        "one",
        "--file",
        &file,
        "--count",
        "7",
        "--connections",
        "3",
        "--keep-alive",
        "--max-content",
        "1M",
        "--output",
        &out,
        "--timeout",
        "1s",
    ];
    let Ok(Plan::SendMessages(send)) = plan(&line) else { panic!("not a plan of send") };
    let contents: Vec<_> = send.messages.iter().map(|message| &message.content[..]).collect();
    assert_eq!(contents, [&b"one"[..], b"[1]"]);
    let types: Vec<_> = send.messages.iter().map(|message| &*message.content_type).collect();
    assert_eq!(types, ["binary/custom-client-binary-type", "text/json"]);
    assert_eq!((send.count, send.client.connections, send.keep_alive), (7, 3, true));
    assert_eq!((send.max_content, send.output.map(|(path, _)| path)), (1 << 20, Some(out.into())));
    assert_eq!(send.client.timeout, Duration::from_secs(1));

    let line = ["message", "--max-content", "1K", "--header-timeout", "1s"];
    let timeouts = ["--content-timeout", "2s", "--idle-timeout", "3s", "--write-timeout", "4s"];
    let Ok(Plan::Message(message)) = plan(&[&line[..], &timeouts].concat()) else {
        panic!("not a plan of message")
    };
    assert_eq!(message.limits.content, 1024);
    assert_eq!(message.limits.header_timeout, Duration::from_secs(1));
    assert_eq!(message.limits.content_timeout, Duration::from_secs(2));
    assert_eq!(message.limits.idle_timeout, Duration::from_secs(3));
    assert_eq!(message.serve.config.write_timeout, Duration::from_secs(4));
    assert_eq!(message.limits.http().write_timeout, Duration::from_secs(4));
}

#[test]
fn folders_are_listed_on_a_terminal_that_only_this_machine_can_connect_to() {
    const ON_TERMINAL: Stdout = Stdout::Terminal { color: false };
    let folder = Folder::new("listing");
    let here = folder.0.to_str().unwrap();
    let listing = |stdout, flags: &[&str]| match plan_on(stdout, &[&["http", here], flags].concat())
    {
        Ok(Plan::Http(http)) => {
            assert_eq!(http.serve.loopback_only, http.folders.listing == Listing::Automatic);
            http.folders.listing
        }
        other => panic!("{other:?}"),
    };
    let everywhere = [
        (&[][..], Listing::Automatic),
        (&["--listen", "[::1]:0", "--listen", "localhost:0"], Listing::Automatic),
        (&["--listing"], Listing::On),
        (&["--no-listing"], Listing::Off),
        (&["--listen", ":0"], Listing::Off),
        (&["--listen", "127.0.0.1:0", "--listen", "192.0.2.1:0"], Listing::Off),
        (&["--listen", "127.0.0.1:0", "--listen", "unix:/s"], Listing::Off),
        (&["--listen", "example.org:0"], Listing::Off),
        (&["--trusted-proxy", "127.0.0.1"], Listing::Off),
        (&["--host", "www.example.org"], Listing::Off),
        (&["--trusted-proxy", "unix"], Listing::Off),
    ];
    for (flags, expected) in everywhere {
        assert_eq!(listing(ON_TERMINAL, flags), expected, "{flags:?}");
        let elsewhere = if expected == Listing::On { expected } else { Listing::Off };
        assert_eq!(listing(Stdout::Other, flags), elsewhere, "{flags:?}");
    }
}

#[test]
fn a_terminal_shows_requests_unless_another_log_or_level_is_chosen() {
    let folder = Folder::new("requests");
    let here = folder.0.to_str().unwrap();
    let color = Stdout::Terminal { color: true };
    let format = |stdout, flags: &[&str]| match plan_on(stdout, flags) {
        Ok(Plan::Http(http)) => http.access.map(|(_, format)| format),
        Ok(Plan::Message(message)) => message.access.map(|(_, format)| format),
        other => panic!("{other:?}"),
    };
    for command in [&["http", here][..], &["message"]] {
        let with = |flags: &[&'static str]| [command, flags].concat();
        assert_eq!(format(color, &with(&[])), Some(Format::Terminal { color: true }));
        assert_eq!(
            format(color, &with(&["--log", "debug"])),
            Some(Format::Terminal { color: true })
        );
        assert_eq!(format(color, &with(&["--log", "warn"])), None);
        assert_eq!(format(color, &with(&["--log", "off"])), None);
        assert_eq!(format(Stdout::Other, &with(&[])), None);
    }
    assert_eq!(format(color, &["http", here, "--access-log", "-"]), Some(Format::Combined));
}

#[test]
fn an_access_log_that_cannot_be_opened_has_an_advice() {
    use std::io::ErrorKind;
    use std::path::Path;

    use super::serve::access_log_advice;

    for (kind, expected) in [
        (ErrorKind::IsADirectory, Some("name a file in it, as /tmp/access.log")),
        (ErrorKind::PermissionDenied, Some("LogsDirectory=sockeye")),
        (ErrorKind::StorageFull, None),
    ] {
        let advice = access_log_advice(kind, Path::new("/tmp"));
        assert_eq!(advice.is_some(), expected.is_some(), "{kind}: {advice:?}");
        assert!(expected.is_none_or(|part| advice.unwrap().contains(part)), "{kind}");
    }
}
