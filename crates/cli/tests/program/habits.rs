//! Lines that people type who know other programs, run in a folder with a folder `docs`, and what
//! comes of them.

use std::process::Command;

use rustix::process::Signal;

use crate::support::{Folder, Running, run, sockeye, text};

fn site() -> Folder {
    let folder = Folder::new();
    folder.write("index.html", b"home");
    folder.write("a.jpg", b"a");
    folder.write("b.jpg", b"b");
    std::fs::create_dir(folder.join("docs")).unwrap();
    std::fs::create_dir(folder.join("send")).unwrap();
    std::fs::create_dir(folder.join("http")).unwrap();
    std::fs::create_dir(folder.join("two words")).unwrap();
    folder.write("docs/index.html", b"docs");
    folder
}

/// `sockeye`, with the words of a line, in a folder.
fn command(folder: &Folder, line: &str) -> Command {
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let mut command = sockeye(&words);
    command.current_dir(folder.path());
    command
}

#[test]
fn lines_that_are_understood_start_the_server() {
    let folder = site();
    // `{}` is the folder. Port 0 is a free one.
    for (line, expected_text) in [
        ("sockeye . -p 0", "Serving {} over HTTP at\nhttp://127.0.0.1:"),
        ("sockeye docs 0", "Serving {}/docs over HTTP at\nhttp://127.0.0.1:"),
        ("sockeye docs/ 0", "Serving {}/docs over HTTP at\nhttp://127.0.0.1:"),
        ("sockeye 0", "Serving {} over HTTP at\nhttp://127.0.0.1:"),
        ("sockeye -p 0", "Serving {} over HTTP at\nhttp://127.0.0.1:"),
        ("sockeye --listing -p 0", "Everyone who can connect can list"),
        ("sockeye -p 0 http docs", "Serving {}/docs over HTTP"),
        ("sockeye http --bind 127.0.0.1 --port 0", "Serving {} over HTTP"),
        ("sockeye http 0 --directory docs", "Serving {}/docs over HTTP"),
        ("sockeye http docs=./docs -p 0", "/docs  {}/docs\n"),
        ("sockeye http ./http -p 0", "Serving {}/http over HTTP"),
        ("sockeye echo 0", "Echoing at\ntcp://127.0.0.1:"),
        ("sockeye -l 127.0.0.1:0 message", "Answering messages at\nmessage://127.0.0.1:"),
    ] {
        let server = Running::start_by(&mut command(&folder, line));
        let expected_text = expected_text.replace("{}", folder.text());
        let screen = server.screen.join("\n");
        assert!(screen.contains(&expected_text), "{line}: {screen}");
    }
}

#[test]
fn other_lines_are_answered_with_what_to_type() {
    let folder = site();
    for (line, expected_text) in [
        ("sockeye http a.jpg b.jpg", "error: 2 files can't all be served at /"),
        (
            "sockeye http --ssl",
            "error: '--ssl' is not a flag of sockeye http: write --tls cert.pem,key.pem, or",
        ),
        ("sockeye doc", "tip: there is no folder or file 'doc' here: sockeye FOLDER serves one"),
        ("sockeye two words", "a path with spaces needs quotes: write sockeye 'two words'"),
        ("sockeye ./two words -p 80", "write sockeye './two words'"),
        ("sockeye http two words", "write sockeye 'two words'"),
        ("sockeye send", "tip: to serve the folder send, write sockeye ./send"),
        ("sockeye http --cors docs", "error: --cors needs an origin: write --cors '*'"),
        ("sockeye http http://localhost/", "is a URL, not a folder"),
        ("sockeye --dir=~/none", "~/none: no such file or folder; a shell replaces ~ only at the"),
        ("sockeye none/", "none/: no such file or folder"),
    ] {
        let output = command(&folder, line).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {stderr}");
        assert!(stderr.contains(expected_text), "{line}: {stderr}");
        assert!(output.stdout.is_empty(), "{line}");
    }
}

#[test]
fn a_folder_that_is_named_like_the_command_is_mentioned() {
    let folder = site();
    let mut command = command(&folder, "sockeye http");
    let mut server = Running::start_by(command.env("SOCKEYE_LISTEN", "127.0.0.1:0"));
    server.signal(Signal::TERM);
    let (_, log) = server.end();
    assert!(
        log.starts_with("sockeye: note: to serve the folder http, write sockeye ./http\n"),
        "{log}"
    );
}

#[test]
fn a_folder_with_another_name_is_served_without_a_note() {
    let folder = site();
    let mut command = command(&folder, "sockeye docs");
    let mut server = Running::start_by(command.env("SOCKEYE_LISTEN", "127.0.0.1:0"));
    server.signal(Signal::TERM);
    let (_, log) = server.end();
    assert!(!log.contains("note:"), "{log}");
}

#[test]
fn help_and_version_have_several_names() {
    let printed = |args: &[&str]| {
        let output = run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        text(&output.stdout)
    };
    assert_eq!(printed(&["version"]), printed(&["--version"]));
    assert_eq!(printed(&["help"]), printed(&["-h"]));
    assert_eq!(printed(&["--help"]), printed(&["-h"]));
    for name in ["http", "explain", "echo", "message", "send", "load", "health"] {
        let help = printed(&[name, "--help"]);
        assert_eq!(printed(&["help", name]), help);
        assert_eq!(printed(&[name, "-h"]), help);
        assert!(help.lines().count() <= 45, "{help}");
        let all = printed(&[name, "--help-all"]);
        assert!(all.lines().count() > help.lines().count(), "{all}");
    }
}
