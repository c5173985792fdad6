//! What lines become, or what is answered. The tests run in the folder of this crate, which has
//! `src`, `tests` and `Cargo.toml`.

use clap::Command;

use super::flags::{self, Meaning};
use super::*;
use crate::args::CommandLine;

fn understood(line: &str) -> Result<String, String> {
    let words = line.split(' ').map(OsString::from).collect();
    let understood = translate(words, &CommandLine::definition());
    let line = understood.map_err(|answer| format!("{}: {}", answer.command, answer.text))?;
    Ok(line.join(OsStr::new(" ")).into_string().unwrap())
}

#[test]
fn habits_are_understood() {
    for (line, expected) in [
        // Folders without a command.
        ("sockeye", "sockeye"),
        ("sockeye .", "sockeye http ."),
        ("sockeye src", "sockeye http src"),
        ("sockeye src/", "sockeye http src/"),
        ("sockeye ./none", "sockeye http ./none"),
        ("sockeye /none", "sockeye http /none"),
        ("sockeye none.zip", "sockeye http none.zip"),
        ("sockeye /docs=src src", "sockeye http /docs=src src"),
        ("sockeye src --listing -p 80", "sockeye http src --listing -p 80"),
        ("sockeye none", "sockeye none"),
        ("sockeye htpp src", "sockeye htpp src"),
        // Flags without a command, or before it.
        ("sockeye -p 80", "sockeye http -p 80"),
        ("sockeye --listing src", "sockeye http --listing src"),
        ("sockeye -p 80 src", "sockeye http -p 80 src"),
        ("sockeye -p 80 http src", "sockeye http -p 80 src"),
        ("sockeye --log debug echo", "sockeye echo --log debug"),
        ("sockeye --bind ::1 echo 7", "sockeye echo --listen ::1 --port 7"),
        ("sockeye --log=http ./http", "sockeye http --log=http ./http"),
        // Of the program.
        ("sockeye --help", "sockeye --help"),
        ("sockeye -V", "sockeye -V"),
        ("sockeye version", "sockeye --version"),
        ("sockeye help", "sockeye --help"),
        ("sockeye help http", "sockeye http --help"),
        ("sockeye help none", "sockeye help none"),
        // Ports and addresses.
        ("sockeye 8080", "sockeye http --port 8080"),
        ("sockeye http 8080", "sockeye http --port 8080"),
        ("sockeye http src 8080", "sockeye http src --port 8080"),
        ("sockeye http 8080 src", "sockeye http --port 8080 src"),
        ("sockeye http -- 8080", "sockeye http -- 8080"),
        ("sockeye http ./8080", "sockeye http ./8080"),
        ("sockeye echo 7", "sockeye echo --port 7"),
        ("sockeye explain / 8080", "sockeye explain / 8080"),
        ("sockeye :8080", "sockeye http --listen :8080"),
        ("sockeye http src 0.0.0.0:80", "sockeye http src --listen 0.0.0.0:80"),
        ("sockeye 0.0.0.0", "sockeye http --listen 0.0.0.0"),
        ("sockeye src ::", "sockeye http src --listen ::"),
        ("sockeye localhost:80", "sockeye http --listen localhost:80"),
        ("sockeye http [::1]:80", "sockeye http --listen [::1]:80"),
        ("sockeye http --bind 0.0.0.0 -p 80", "sockeye http --listen 0.0.0.0 -p 80"),
        ("sockeye http --bind=::1 src", "sockeye http --listen=::1 src"),
        ("sockeye message -b ::1", "sockeye message --listen ::1"),
        ("sockeye http -port 80", "sockeye http --port 80"),
        ("sockeye http -listen=:80 src", "sockeye http --listen=:80 src"),
        ("sockeye http -listing", "sockeye http --listing"),
        ("sockeye http -l:80 -p80", "sockeye http -l:80 -p80"),
        // Values are not looked at.
        ("sockeye http --workers 8 src", "sockeye http --workers 8 src"),
        ("sockeye http --header -v", "sockeye http --header -v"),
        ("sockeye send tcp://h:1 8080 --count 2", "sockeye send tcp://h:1 8080 --count 2"),
        ("sockeye load http://h/ -X PUT", "sockeye load http://h/ -X PUT"),
        ("sockeye http --log-level debug", "sockeye http --log debug"),
        (
            "sockeye load -c 9 -n 1k http://h/",
            "sockeye load --connections 9 --requests 1k http://h/",
        ),
        ("sockeye load -k https://h/", "sockeye load --insecure https://h/"),
        ("sockeye health https://h/ --cacert a", "sockeye health https://h/ --ca a"),
        ("sockeye send tls://h:1 -E a.pem", "sockeye send tls://h:1 --cert a.pem"),
        ("sockeye health 8080", "sockeye health http://127.0.0.1:8080/"),
        ("sockeye health :8080", "sockeye health http://127.0.0.1:8080/"),
        ("sockeye health localhost:80", "sockeye health http://localhost:80/"),
        ("sockeye health ::1", "sockeye health http://[::1]/"),
        ("sockeye health [::1]:80", "sockeye health http://[::1]:80/"),
        ("sockeye health unix:/s", "sockeye health unix:/s"),
        ("sockeye http help", "sockeye http --help"),
        // Folders.
        ("sockeye http docs=./docs", "sockeye http /docs=./docs"),
        ("sockeye docs=./docs src", "sockeye http /docs=./docs src"),
        ("sockeye explain / docs=src", "sockeye explain / /docs=src"),
        ("sockeye http ./a=b", "sockeye http ./a=b"),
        ("sockeye http --directory src 80", "sockeye http src --port 80"),
        ("sockeye -d src", "sockeye http src"),
        ("sockeye --root=src", "sockeye http src"),
        ("sockeye http --single src", "sockeye http --spa src"),
        ("sockeye http src tests", "sockeye http src tests"),
        ("sockeye docs=src", "sockeye http /docs=src"),
        // TLS.
        ("sockeye --cert a.pem --key b.pem src", "sockeye http src --tls a.pem,b.pem"),
        ("sockeye http --key=b --spa --cert=a", "sockeye http --spa --tls a,b"),
        ("sockeye http --cert a.pem,b.pem src", "sockeye http src --tls a.pem,b.pem"),
        ("sockeye http --email a@b.example", "sockeye http --acme-email a@b.example"),
        ("sockeye message --ssl-certfile a --ssl-keyfile b", "sockeye message --tls a,b"),
        ("sockeye http --hsts 1h src", "sockeye http --hsts=1h src"),
        ("sockeye http --hsts src", "sockeye http --hsts src"),
        ("sockeye http --hsts=0 src", "sockeye http --hsts=0 src"),
        ("sockeye http --https-redirect :80 src", "sockeye http --https-redirect=:80 src"),
        ("sockeye http --https-redirect src", "sockeye http --https-redirect src"),
        ("sockeye http --https-redirect --spa", "sockeye http --https-redirect --spa"),
        ("sockeye http -https-redirect 80", "sockeye http --https-redirect=80"),
        // What operators know from nginx.
        ("sockeye http --worker-connections 9", "sockeye http --max-connections 9"),
        ("sockeye http --set-real-ip-from ::1", "sockeye http --trusted-proxy ::1"),
    ] {
        assert_eq!(understood(line).as_deref(), Ok(expected), "{line}");
    }
}

#[test]
fn other_habits_are_answered_with_what_to_type() {
    for (line, expected) in [
        ("sockeye http --tls", "http: --tls: it needs a certificate and its key: write --tls"),
        ("sockeye http --tls --spa", "or --tls self-signed for a certificate for development"),
        ("sockeye http --tls src", "http: --tls: src is a folder: write --tls cert.pem,key.pem"),
        ("sockeye --cert a.pem", "http: '--cert' needs the key, too: write --tls a.pem,KEY, or"),
        ("sockeye --ssl-key=k.pem", "'--ssl-key' needs the certificate, too: write --tls CERT,k"),
        ("sockeye http --tls-cert --spa", "'--tls-cert' needs a file: write --tls cert.pem,key"),
        (
            "sockeye --cert a,b --key b",
            "'--cert' names the key, too: leave out '--key', and write --tls a,b",
        ),
        ("sockeye --cert a --cert b --key c", "'--cert' is given twice: for several"),
        ("sockeye http --https", "'--https' is not a flag of sockeye http: write --tls cert.pem"),
        ("sockeye echo -S", "echo: '-S' is not a flag of sockeye echo: for TLS, write --tls"),
        ("sockeye http -C a.pem -K b.pem", "for TLS, --tls cert.pem,key.pem"),
        ("sockeye http --mtls ca.pem", "write --client-ca FILE"),
        ("sockeye http --cacert ca.pem", "write --client-ca FILE"),
        ("sockeye echo --self-signed", "or --tls self-signed for a certificate"),
        ("sockeye http --letsencrypt", "write --acme www.example.org"),
        ("sockeye http --domain a.example", "--acme NAME gets a certificate for one"),
        ("sockeye http --staging", "write --acme-directory staging"),
        ("sockeye http --redirect-https", "write --https-redirect"),
        ("sockeye http --ssl_protocols TLSv1.3", "TLS 1.3 and 1.2 are spoken"),
        ("sockeye https", ": 'https' is not a command of sockeye: sockeye http FOLDER --tls"),
        ("sockeye send tcp://h:1 --tls", "write the target with tls:// or message+tls://"),
        ("sockeye load http://h/ --tls", "write the target with https://, tls:// or"),
        ("sockeye --config f", "there is no configuration file"),
        ("sockeye http -c f", "set environment variables, as SOCKEYE_LISTEN for --listen"),
        ("sockeye echo --config=f", "echo: '--config' is not a flag of sockeye echo"),
        ("sockeye http -t", "there is no configuration file to test"),
        ("sockeye -v", "write --log debug; for the version, sockeye --version"),
        ("sockeye load http://h/ --verbose", "load: '--verbose' is not a flag of sockeye load"),
        ("sockeye http -q", "write --log error"),
        ("sockeye message --quiet", "message: '--quiet' is not"),
        ("sockeye http --list", "to list folders, write --listing"),
        ("sockeye http --index", "write --listing"),
        ("sockeye http --autoindex", "write --listing"),
        ("sockeye -i", "write --listing; to listen at an address, --listen ADDR"),
        ("sockeye http -a 0.0.0.0", "write --listen ADDR"),
        ("sockeye http --host 0.0.0.0", "http: --host takes a name that requests may have"),
        ("sockeye http --host=[::1]", "write --listen [::1]"),
        ("sockeye http --cors", "write --cors '*' for every site"),
        ("sockeye http --cors src", "write --cors '*' for every site"),
        ("sockeye http --cors --spa", "write --cors '*' for every site"),
        ("sockeye http --log access.log", "with --access-log access.log"),
        ("sockeye http --gzip", "text is compressed by default"),
        ("sockeye http --no-cache", "write --fresh"),
        ("sockeye http --watch", "write --live"),
        ("sockeye http --websocket", "sockeye echo --websocket echoes messages"),
        ("sockeye message --websocket", "it is not needed: the port opens WebSockets, too"),
        ("sockeye ws", "sockeye echo --websocket echoes messages, and sockeye send ws://"),
        ("sockeye live", "sockeye http FOLDER --live reloads pages"),
        ("sockeye http --open", "open the URL that is printed"),
        ("sockeye http --auth a:b", "there are no users and passwords"),
        ("sockeye http --upload", "read-only"),
        ("sockeye http --socket /s", "write --listen unix:PATH"),
        ("sockeye health -p 80", "write the URL without a flag"),
        ("sockeye http -d", "'-d' needs a folder"),
        ("sockeye http -d --spa", "'-d' needs a folder"),
        ("sockeye http --version", "write sockeye --version"),
        ("sockeye http http://localhost/", "is a URL, not a folder: sockeye health"),
        ("sockeye https://a.example/", "is a URL, not a folder"),
        (
            "sockeye http src/main.rs src/error.rs",
            "http: 2 files can't all be served at /: serve their folder with sockeye http src \
             --listing, or each at a path of its own with sockeye http /main.rs=src/main.rs \
             /error.rs=src/error.rs",
        ),
        ("sockeye Cargo.toml Cargo.toml", "with sockeye http . --listing"),
        ("sockeye stop", ": 'stop' is not a command of sockeye: Ctrl-C, kill PID or systemctl"),
        ("sockeye reload", "need a restart: systemctl restart sockeye"),
        ("sockeye validate Caddyfile", "there is no configuration file to test"),
        ("sockeye http --error-log e", "the log goes to standard error"),
        ("sockeye http --limit-req 9", "set it in a proxy in front"),
        // What README lists as missing, and what has no flag here.
        ("sockeye http --http2", "HTTP/2 is on by default"),
        ("sockeye http --http3", "there is no HTTP/3"),
        ("sockeye echo --quic", "there is no HTTP/3"),
        ("sockeye load https://h/ --http3", "there is no HTTP/3"),
        ("sockeye http --metrics", "there are no metrics"),
        ("sockeye message --prometheus", "there are no metrics"),
        ("sockeye http --stats", "there are no metrics"),
        ("sockeye http --htpasswd f", "there are no users and passwords"),
        ("sockeye http --pass x", "there are no users and passwords"),
        ("sockeye http --token x", "there are no users and passwords"),
        ("sockeye http --put", "read-only"),
        ("sockeye http --post", "read-only"),
        ("sockeye http --delete", "read-only"),
        ("sockeye http --write", "read-only"),
        ("sockeye http --max-upload 1M", "read-only"),
        ("sockeye http --upload-dir d", "read-only"),
        ("sockeye http --health", "sockeye health URL says whether a server responds"),
        ("sockeye http --allow 10.0.0.0/8", "a firewall"),
        ("sockeye http --deny 10.0.0.0/8", "a firewall"),
        ("sockeye http --exclude '*.bak'", "move it out of the folder"),
        ("sockeye http --keep-alive 5", "--idle-timeout TIME"),
        ("sockeye http --ipv6", "write --listen [::1]"),
        ("sockeye http --check", "there is no configuration file to test"),
        ("sockeye http --dry-run", "there is no configuration file to test"),
        ("sockeye upload", "folders are served read-only"),
        ("sockeye metrics", "there are no metrics"),
        ("sockeye auth", "there are no users and passwords"),
        ("sockeye password", "there are no users and passwords"),
        ("sockeye chat", "sockeye echo --websocket"),
        ("sockeye log", "journalctl -u sockeye shows the log"),
        ("sockeye config", "there is no configuration file"),
        ("sockeye install", "sudo systemctl enable --now sockeye"),
        ("sockeye service", "sudo systemctl enable --now sockeye"),
        ("sockeye systemd", "sudo systemctl enable --now sockeye"),
        ("sockeye drain", "systemctl stop sockeye stops a server"),
        ("sockeye tls", "sockeye http FOLDER --tls cert.pem,key.pem"),
        ("sockeye http --tls cert.pem --key key.pem", "write --tls cert.pem,key.pem"),
        ("sockeye http --key key.pem --tls=cert.pem", "write --tls cert.pem,key.pem"),
    ] {
        let answer = understood(line).unwrap_err();
        assert!(answer.contains(expected), "{line}: {answer}");
        let error = CommandLine::read(line.split(' ')).unwrap_err();
        assert_eq!((error.exit_code(), error.use_stderr()), (2, true), "{line}");
        let text = answer.split_once(": ").unwrap().1;
        assert!(error.to_string().starts_with(&format!("error: {text}\n")), "{line}: {error}");
    }
}

#[test]
fn an_unknown_command_is_answered_with_the_nearest_and_that_no_folder_has_this_name() {
    for (word, command) in [
        ("htpp", Some("http")),
        ("serve", Some("http")),
        ("ping", Some("health")),
        ("HTTP", Some("http")),
        ("qqq", None),
    ] {
        let error = CommandLine::read(["sockeye", word]).unwrap_err().to_string();
        let folder = format!("there is no folder or file '{word}' here: sockeye FOLDER");
        assert!(error.contains(&folder), "{error}");
        let similar = command.map(|command| format!("a similar subcommand exists: '{command}'"));
        assert!(similar.as_ref().is_none_or(|similar| error.contains(similar)), "{error}");
        assert_eq!(error.contains("similar"), command.is_some(), "{error}");
    }
}

#[test]
fn only_close_names_that_are_not_the_opposite_are_suggested() {
    for (line, suggested) in [
        ("http --lisen :80", Some("'--listen'")),
        ("http --worker 2", Some("'--workers'")),
        ("http --trusted 10.0.0.1", Some("'--trusted-proxy'")),
        ("http --drain 5s", Some("'--drain-timeout'")),
        ("http --no-live", None),
        ("message --no-frames-only", None),
        ("http --pasta", None),
        ("echo --healthy", None),
        ("mesage", Some("'message'")),
        ("ecoh", Some("'echo'")),
        ("lod", Some("'load'")),
        ("upstairs", None),
        ("method", None),
        ("compost", None),
    ] {
        let words = ["sockeye"].into_iter().chain(line.split(' '));
        let error = CommandLine::read(words).unwrap_err().to_string();
        let similar = error.lines().find(|line| line.contains("similar"));
        assert_eq!(similar.is_some(), suggested.is_some(), "{line}: {error}");
        assert!(suggested.is_none_or(|name| similar.unwrap().contains(name)), "{line}: {error}");
    }
}

#[test]
fn every_error_shows_the_whole_usage() {
    for (line, usage) in [
        ("http --bogus", "sockeye http [OPTIONS] [[PREFIX=]FOLDER]..."),
        ("http src --bogus", "sockeye http [OPTIONS] [[PREFIX=]FOLDER]..."),
        ("explain --bogus", "sockeye explain [OPTIONS] <URL> [[PREFIX=]FOLDER]..."),
        ("http --metrics", "sockeye http [OPTIONS] [[PREFIX=]FOLDER]..."),
        ("load http://h/ --bogus", "sockeye load [OPTIONS] <TARGET>..."),
    ] {
        let words = ["sockeye"].into_iter().chain(line.split(' '));
        let error = CommandLine::read(words).unwrap_err().to_string();
        assert!(error.contains(&format!("\nUsage: {usage}\n")), "{line}: {error}");
    }
}

#[test]
fn the_table_of_flags_names_flags_that_exist() {
    let program = CommandLine::definition();
    let has = |command: &Command, name: &str| {
        Flag { name: name.into(), value: None }.find(command).is_some()
    };
    for name in ["http", "explain", "echo", "message", "send", "load", "health"] {
        let command = program.find_subcommand(name).unwrap();
        for (others, meaning) in flags::tables(name).iter().copied().flatten() {
            for other in *others {
                assert!(!has(command, other), "{name} has {other}, so its row is not used");
            }
            let text = match meaning {
                Meaning::Flag(own) | Meaning::Advice(own) => own,
                Meaning::Folder | Meaning::TlsPart(_) => continue,
            };
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            for word in words.filter(|word| word.starts_with("--")) {
                let is_known = has(command, word) || PROGRAM_FLAGS.contains(&word);
                // The advice for a server's flag may name flags of `http` and `echo`.
                let is_advice = matches!(meaning, Meaning::Advice(_))
                    && ["http", "echo"]
                        .iter()
                        .any(|other| has(program.find_subcommand(other).unwrap(), word));
                assert!(is_known || is_advice, "{name} {others:?}: {word} doesn't exist");
            }
        }
    }
}

#[test]
fn an_unknown_flag_is_not_taken_for_a_file() {
    let error = CommandLine::read(["sockeye", "http", "-x"]).unwrap_err().to_string();
    assert!(error.starts_with("error: unexpected argument '-x' found\n\nUsage"), "{error}");
}
