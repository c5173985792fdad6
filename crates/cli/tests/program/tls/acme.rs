//! Certificates of `--acme`, without an authority: each server here ends before it orders one.

use std::fs;

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
