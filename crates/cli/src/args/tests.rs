//! The command line: help, defaults, and accepted and refused lines.

use super::*;

#[test]
fn the_definition_passes_the_checks_of_clap() {
    CommandLine::definition().debug_assert();
}

fn subcommands() -> Vec<clap::Command> {
    CommandLine::definition().get_subcommands().cloned().collect()
}

#[test]
fn help_shows_every_default() {
    for (name, defaults) in [
        ("http", &["127.0.0.1:8000", "100000", "1024", "256KiB", "8KiB", "32KiB", "128"][..]),
        ("http", &["10s", "60s", "30s", "info", "the available cores"]),
        ("http", &["8MiB", "32MiB", "zstd,br,gzip", "SAMEORIGIN", "combined"]),
        ("explain", &["8MiB", "current folder"]),
        ("echo", &["127.0.0.1:65432", "60s"]),
        ("message", &["127.0.0.1:65432", "16MiB", "10s", "30s", "60s", "info", "HTTP"]),
        ("send", &["Default: 1\n", "60s", "10s", "warn", "16MiB"]),
        ("load", &["Default: 64\n", "Default: 1\n", "10s", "warn"]),
    ] {
        let mut command = CommandLine::definition();
        let help = command.find_subcommand_mut(name).unwrap().render_long_help().to_string();
        for default in defaults {
            assert!(help.contains(default), "{name} --help doesn't say {default}:\n{help}");
        }
    }
    let (engine, http) =
        (sockeye::engine::Config::default(), sockeye::http_core::Limits::default());
    // The help would show a default of 0 as 1.
    for limit in [engine.max_connections, engine.max_connections_per_address, http.fields] {
        assert_ne!(limit, 0);
    }
}

#[test]
fn help_starts_with_one_line_for_each_flag_and_ends_with_examples() {
    for mut command in subcommands() {
        let name = command.get_name().to_owned();
        // Help is at most 100 columns wide, and its long form has a margin of ten.
        let width = 90;
        assert!(command.get_about().unwrap().to_string().len() <= width, "{name}");
        for arg in command.get_arguments() {
            let help = arg.get_help().unwrap().to_string();
            let long = arg.get_long_help().map(ToString::to_string);
            let (first, _) =
                long.as_deref().unwrap_or(&help).split_once("\n\n").unwrap_or((&help, ""));
            assert!(first.len() <= width, "{name}: {first}");
            assert!(help.starts_with(first.trim_end_matches('.')), "{name}: {help}");
        }
        let long = command.render_long_help().to_string();
        let (_, examples) = long.split_once("\nExamples:\n").expect(&name);
        let lines = examples.lines().filter_map(|line| line.find("sockeye ").map(|at| &line[at..]));
        let commands: Vec<_> = lines.collect();
        assert!(commands.len() >= 2, "{name}: {examples}");
        for line in commands {
            CommandLine::read(words(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}

/// The commands of the program in the shell blocks of a Markdown page.
/// Those of servers only, also from the code of tables.
fn commands(page: &str) -> Vec<Vec<String>> {
    let joined = page.replace("\\\n", " ");
    let texts = joined.lines().flat_map(|line| {
        let in_code = line.split('`').skip(1).step_by(2).filter(|_| line.starts_with("| "));
        in_code.chain(line.starts_with("$ ").then_some(line))
    });
    let servers = texts.filter_map(|text| text.find("sockeye http ").map(|at| &text[at..]));
    servers.filter(|text| !text.contains("--help")).map(words).collect()
}

/// Splits a command at spaces, except in single quotes, and ends it at `>`, `&`, `&&` or `|`.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(|word| word.trim_end_matches(')').into()));
        }
    }
    let end = words.iter().position(|word| [">", "&", "&&", "|"].contains(&&**word));
    words.truncate(end.unwrap_or(words.len()));
    words
}

#[test]
fn every_server_of_the_documentation_has_a_valid_command() {
    let pages = [
        include_str!("../../../../docs/publish.md"),
        include_str!("../../../../docs/proxy.md"),
        include_str!("../../../../docs/operating.md"),
        include_str!("../../../../docs/recipes.md"),
    ];
    let commands: Vec<_> = pages.into_iter().flat_map(commands).collect();
    assert!(commands.len() >= 18, "{commands:?}");
    for words in &commands {
        CommandLine::read(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    }
}

#[test]
fn every_flag_of_a_server_has_its_environment_variable() {
    let command = CommandLine::definition();
    for name in ["http", "explain", "echo", "message"] {
        for flag in command.find_subcommand(name).unwrap().get_arguments() {
            let Some(long) = flag.get_long().filter(|long| *long != "help") else { continue };
            let variable = format!("SOCKEYE_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(flag.get_env(), Some(variable.as_ref()), "--{long}");
        }
    }
}

#[test]
fn wrong_command_lines_are_refused_with_a_hint() {
    let table: [(&[&str], ErrorKind, &str); 17] = [
        (&["htpp"], ErrorKind::InvalidSubcommand, "http"),
        (&["http", "--worker", "2"], ErrorKind::UnknownArgument, "--workers"),
        (&["http", "--workers", "0"], ErrorKind::ValueValidation, "1..=1024"),
        (&["http", "--listen", "localhost"], ErrorKind::ValueValidation, "HOST:PORT"),
        (&["http", "--idle-timeout", "10"], ErrorKind::ValueValidation, "10s"),
        (&["http", "--max-header", "8KB"], ErrorKind::ValueValidation, "64KiB"),
        (&["http", "--log", "inf"], ErrorKind::InvalidValue, "info"),
        (&["send", "localhost:80"], ErrorKind::ValueValidation, "tcp://localhost:80"),
        (
            &["send", "tcp://h:1", "--keep-alive", "--count", "2"],
            ErrorKind::ArgumentConflict,
            "--keep-alive and --count are for message://HOST:PORT; tcp://h:1 takes bytes",
        ),
        (
            &["send", "unix:/s", "--type", "text/json"],
            ErrorKind::ArgumentConflict,
            "--type is for message://HOST:PORT",
        ),
        (&["send", "message://h:1", "--count", "0"], ErrorKind::ValueValidation, "zero"),
        (&["message", "--max-content", "0"], ErrorKind::ValueValidation, "one byte"),
        (&["load", "localhost:80"], ErrorKind::ValueValidation, "http://localhost:80/"),
        (&["load", "http://a/", "http://b/"], ErrorKind::ArgumentConflict, "two servers"),
        (&["load", "tcp://h:1", "-X", "GET"], ErrorKind::ArgumentConflict, "--method is for"),
        (&["load", "http://h/", "--chunked"], ErrorKind::ArgumentConflict, "--body"),
        (
            &["load", "http://h/", "--requests", "1", "--duration", "1s"],
            ErrorKind::ArgumentConflict,
            "cannot be used with",
        ),
    ];
    for (line, kind, hint) in table {
        let error = CommandLine::read([&["sockeye"], line].concat()).unwrap_err();
        assert_eq!(error.kind(), kind, "{line:?}");
        assert_eq!(error.exit_code(), 2, "{line:?}");
        assert!(error.to_string().contains(hint), "{line:?}: {error}");
    }
}
