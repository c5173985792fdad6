//! Certificates of `--acme`, without an authority: each server here ends before it orders one.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Folder, run, text};

/// The exit code and standard error of a server that must not start. Its state is in `state`.
fn failed(folder: &Folder, state: &str, flags: &[&str]) -> (Option<i32>, String) {
    let (_, [certificate, _]) = sockeye::tls::self_signed(vec!["ca.example".into()]).unwrap();
    let ca = format!("{}.ca", folder.text());
    fs::write(&ca, certificate).unwrap();
    let own = ["http", folder.text(), "--acme-ca", &ca, "--state", state];
    let output = run(&[&own[..], flags].concat());
    fs::remove_file(&ca).unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_server_that_the_public_authority_cannot_reach_is_warned_of() {
    let (folder, state) = (Folder::new(), Folder::new());
    // The server can't start, because the port is taken.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let loopback = taken.local_addr().unwrap().to_string();
    let every = format!("0.0.0.0:{}", taken.local_addr().unwrap().port());
    let acme = ["--acme", "www.example.org"];
    let other = ["--acme-directory", "https://127.0.0.1:1/dir"];
    let staging = ["--acme-directory", "staging"];
    for (more, listen, is_warned) in [
        (&[][..], &loopback, true),
        (&staging, &loopback, true),
        (&["--listen", "unix:@sockeye-unused"], &loopback, true),
        (&["--https-redirect=127.0.0.1:1"], &loopback, true),
        (&["--https-redirect=:1"], &loopback, false),
        (&other, &loopback, false),
        (&[], &every, false),
    ] {
        let flags = [&acme[..], &["--listen", listen], more].concat();
        let (code, error) = failed(&folder, &state.join("state"), &flags);
        assert_eq!(code, Some(1), "{flags:?}: {error}");
        let warning = "WARN --acme: the CA can't connect to this server, which listens only on this \
                       machine";
        assert_eq!(error.contains(warning), is_warned, "{flags:?}: {error}");
        assert_eq!(error.contains("SOCKEYE_LISTEN"), is_warned, "{flags:?}: {error}");
    }
}

#[test]
fn only_unix_sockets_are_refused_with_the_flag_to_remove() {
    let (folder, state) = (Folder::new(), Folder::new());
    let unix = format!("unix:{}", state.join("socket"));
    let state = state.join("state");
    for (more, expected) in [
        (&[][..], "add --listen :443, or remove --acme\n"),
        (&["--tls", "self-signed"], "add --listen :443, or remove --tls and --acme\n"),
    ] {
        let flags = [&["--acme", "www.example.org", "--listen", &unix][..], more].concat();
        let (code, error) = failed(&folder, &state, &flags);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_state_folder_that_others_can_change_is_refused() {
    let folder = Folder::new();
    let acme = ["--acme", "www.example.org"];
    for tls in [&["--tls", "self-signed"][..], &acme] {
        for (mode, is_refused) in [(0o700, false), (0o755, false), (0o775, true), (0o1777, true)] {
            let state = Folder::new();
            fs::set_permissions(state.path(), fs::Permissions::from_mode(mode)).unwrap();
            // The server can't start in any case.
            let taken = TcpListener::bind("127.0.0.1:0").unwrap();
            let listen = taken.local_addr().unwrap().to_string();
            let own = ["http", folder.text(), "--state", state.text(), "--listen", &listen];
            let output = run(&[&own[..], tls].concat());
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{mode:o}: {error}");
            assert_eq!(error.contains("other users can write to it"), is_refused, "{error}");
            assert_eq!(error.contains("chmod go-w "), is_refused, "{error}");
            let is_empty = fs::read_dir(state.path()).unwrap().next().is_none();
            assert!(!is_refused || is_empty, "{mode:o}: something was written");
        }
    }
}

#[test]
fn the_help_says_that_a_port_is_one_of_all_addresses() {
    let help = text(&run(&["http", "--help-all"]).stdout);
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        "With --port and without --listen, it listens on that port at all addresses of this machine.",
        "The default host is 127.0.0.1; with --acme, all addresses.",
    ] {
        assert!(words.contains(sentence), "{sentence} is not in {words}");
    }
}
