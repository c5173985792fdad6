//! The commands of other programs, and what to type instead.

use std::ffi::OsStr;

use super::texts;

/// Commands of other programs and likely guesses, and the command of Sockeye to suggest.
const SYNONYMS: &[(&[&str], &str)] = &[
    (
        &[
            "serve",
            "server",
            "serve-file",
            "file-server",
            "static",
            "run",
            "start",
            "share",
            "publish",
            "www",
            "web",
            "files",
        ],
        "http",
    ),
    (&["ping", "check", "healthcheck", "status", "probe"], "health"),
    (&["bench", "benchmark", "stress"], "load"),
    (&["test", "why"], "explain"),
    (&["client", "nc"], "send"),
];

/// Commands of service managers and of other servers, and what to type instead.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["stop", "quit", "shutdown", "drain"],
        "Ctrl-C, kill PID or systemctl stop sockeye stops a server",
    ),
    (
        &["restart", "upgrade"],
        "systemctl restart sockeye restarts the service; started by hand, stop it and start it again",
    ),
    (
        &["reload", "reopen"],
        "changes of flags need a restart: systemctl restart sockeye; kill -HUP PID reopens the \
         access log and loads changed certificates",
    ),
    (
        &["https", "tls", "ssl", "cert"],
        "sockeye http FOLDER --tls cert.pem,key.pem serves a folder over HTTPS",
    ),
    (
        &["ws", "websocket", "websockets"],
        "sockeye echo --websocket echoes messages, and sockeye send ws://HOST:PORT/ sends some",
    ),
    (
        &["live", "watch", "livereload", "live-server"],
        "sockeye http FOLDER --live reloads pages in the browser when their files change",
    ),
    (&["logs", "log"], "journalctl -u sockeye shows the log; --access-log FILE logs requests"),
    (
        &["chat"],
        "sockeye echo --websocket echoes messages; a chat is an example of the library: cargo run \
         --example websocket_chat, in a clone of Sockeye",
    ),
    (&["validate", "configtest", "adapt"], texts::NO_TEST),
    (&["config", "configure", "configuration", "conf"], texts::NO_CONFIGURATION),
    (&["upload", "uploads", "put", "post", "delete", "write", "webdav", "dav"], texts::READ_ONLY),
    (&["metrics", "stats", "prometheus", "monitor"], texts::NO_METRICS),
    (
        &["auth", "password", "passwords", "passwd", "htpasswd", "user", "users", "login"],
        texts::NO_PASSWORDS,
    ),
    (
        &["install", "service", "systemd", "daemon", "enable"],
        "the Debian package has a systemd service: sudo systemctl enable --now sockeye starts it; \
         docs/operating.md says how to install it without the package",
    ),
];

/// The command of Sockeye to suggest for `word`, which is in lower case.
pub(super) fn synonym(word: &str) -> Option<&'static str> {
    SYNONYMS.iter().find(|(words, _)| words.contains(&word)).map(|(_, command)| *command)
}

/// What to type in place of `word`, a command of a service manager or another server.
pub(super) fn advice(word: &OsStr) -> Option<String> {
    let word = word.to_str()?;
    let (_, text) = ADVICE.iter().find(|(words, _)| words.contains(&word))?;
    Some(format!("'{word}' is not a command of sockeye: {text}"))
}
