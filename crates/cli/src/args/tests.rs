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
        // The manual pages are made of it, and are shown without a locale.
        assert!(long.is_ascii(), "{name}: {:?}", long.matches(|c: char| !c.is_ascii()).next());
        let (_, examples) = long.split_once("\nExamples:\n").expect(&name);
        let lines = examples.lines().filter_map(|line| line.find("sockeye ").map(|at| &line[at..]));
        let commands: Vec<_> = lines.collect();
        assert!(commands.len() >= 2, "{name}: {examples}");
        for line in commands {
            CommandLine::read(words(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}

/// The help of the program and of each command: `--help`, and `--help-all`.
fn helps() -> Vec<(String, String, String)> {
    let render = |mut command: clap::Command| {
        (command.render_help().to_string(), command.render_long_help().to_string())
    };
    let of = |definition: clap::Command| {
        let mut definition = definition.term_width(100);
        definition.build();
        let commands: Vec<_> = definition.get_subcommands().cloned().collect();
        let all = [definition].into_iter().chain(commands);
        all.filter(|command| command.get_name() != "help")
            .map(|command| (command.get_name().to_owned(), render(command)))
            .collect::<Vec<_>>()
    };
    let shown = of(help::shorten(CommandLine::definition())).into_iter();
    let all = of(CommandLine::definition());
    shown.zip(all).map(|((name, (short, _)), (_, (_, all)))| (name, short, all)).collect()
}

#[test]
fn help_fits_a_screen() {
    assert_eq!(helps().len(), subcommands().len() + 1);
    for (name, short, all) in helps() {
        assert!(short.lines().count() <= 45, "{name} --help has more than 45 lines:\n{short}");
        for line in short.lines().chain(all.lines()) {
            assert!(line.chars().count() <= 100, "{name}: {line}");
        }
        assert!(short.contains("--help-all"), "{name}: {short}");
        assert!(short.contains("\nExamples:\n"), "{name}: {short}");
    }
}

#[test]
fn help_of_http_shows_thirteen_options_with_a_line_each() {
    let (_, short, _) = helps().into_iter().find(|(name, ..)| name == "http").unwrap();
    let options = short.split_once("Options:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let listed: Vec<_> = options.lines().map(|line| line.trim_start_matches([' ', '-'])).collect();
    assert_eq!(listed.len(), 15, "{options}");
    assert!(listed[0].starts_with("l, --listen <ADDR>"), "{options}");
    assert!(options.contains("      --live  "), "{options}");
    assert!(listed[14].starts_with("help-all  "), "{options}");
    // The short texts contain the defaults.
    let http = CommandLine::definition().find_subcommand("http").cloned().unwrap();
    for (id, text) in help::FIRST {
        let arg = http.get_arguments().find(|arg| arg.get_id() == id).unwrap();
        for default in arg.get_default_values().iter().filter(|default| *default != "false") {
            let default = format!("Default: {}", default.to_string_lossy());
            assert!(text.ends_with(&default), "{id}: {text}");
        }
    }
}

#[test]
fn help_of_explain_shows_the_flags_that_change_its_result() {
    let (_, short, _) = helps().into_iter().find(|(name, ..)| name == "explain").unwrap();
    for (id, text) in help::FIRST.into_iter().filter(|(id, _)| *id != "folders") {
        let is_shown = !["access_log", "log"].contains(&id);
        assert_eq!(short.contains(text), is_shown, "{id}: {short}");
    }
}

#[test]
fn help_all_has_every_flag() {
    let mut helps = helps();
    let (_, _, program) = helps.remove(0);
    assert!(program.contains("Commands:\n  http "), "{program}");
    for (command, (name, _, all)) in subcommands().iter().zip(helps) {
        for arg in command.get_arguments().filter_map(Arg::get_long) {
            let is_flag =
                |line: &str| line.split([' ', '[']).any(|word| word == format!("--{arg}"));
            assert!(all.lines().any(is_flag), "{name} --help-all doesn't list --{arg}");
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
            let Some(long) = flag.get_long().filter(|long| !long.starts_with("help")) else {
                continue;
            };
            let variable = format!("SOCKEYE_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(flag.get_env(), Some(variable.as_ref()), "--{long}");
        }
    }
}

#[test]
fn wrong_command_lines_are_refused_with_a_hint() {
    let table: [(&[&str], ErrorKind, &str); 18] = [
        (&["htpp"], ErrorKind::InvalidSubcommand, "http"),
        (&["http", "--worker", "2"], ErrorKind::UnknownArgument, "--workers"),
        (&["http", "--workers", "0"], ErrorKind::ValueValidation, "1..=1024"),
        (&["http", "--listen", "::1:80"], ErrorKind::ValueValidation, "HOST:PORT"),
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
        (&["load", "tcp://h:1", "tcp://h:1"], ErrorKind::ArgumentConflict, "give tcp://h:1 once"),
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

/// The addresses that a line listens on.
fn listens(line: &str) -> Result<String, String> {
    let parsed = CommandLine::read(words(line)).map_err(|error| error.to_string())?;
    let listen = match parsed.command {
        Command::Http(http) => http.listen,
        Command::Explain(explain) => explain.http.listen,
        Command::Echo(echo) => echo.listen,
        Command::Message(message) => message.listen,
        other => panic!("{other:?}"),
    };
    Ok(listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_port_applies_to_addresses_that_have_none() {
    for (line, expected) in [
        ("sockeye http", "127.0.0.1:8000"),
        ("sockeye http -p 8080", "127.0.0.1:8080"),
        ("sockeye http --port 0", "127.0.0.1:0"),
        ("sockeye echo -p 7", "127.0.0.1:7"),
        ("sockeye message --port=7", "127.0.0.1:7"),
        ("sockeye explain / -p 80", "127.0.0.1:80"),
        ("sockeye http -l 0.0.0.0", "0.0.0.0:8000"),
        ("sockeye http --listen ::", "[::]:8000"),
        ("sockeye http --listen localhost", "localhost:8000"),
        ("sockeye echo --listen localhost", "localhost:65432"),
        ("sockeye message -l ::1", "[::1]:65432"),
        ("sockeye http -l 0.0.0.0 -p 80", "0.0.0.0:80"),
        ("sockeye http -l 0.0.0.0 -l ::1 -p 80", "0.0.0.0:80 [::1]:80"),
        ("sockeye http -l unix:/s -l ::1 -p 80", "unix:/s [::1]:80"),
        ("sockeye http -l :80 -p 80", ":80"),
    ] {
        assert_eq!(listens(line), Ok(expected.into()), "{line}");
    }
    for (line, expected) in [
        (
            "sockeye http -l :80 -p 81",
            "--listen :80 has a port of its own: remove either that port or --port 81",
        ),
        ("sockeye http -l ::1 -l http://[::1]:80 -p 81", "remove either that port or --port 81"),
        ("sockeye http -l unix:/s -p 81", "remove --port 81, or add an address with --listen :81"),
        ("sockeye http -p 65536", "a port is a number up to 65535"),
    ] {
        let error = listens(line).unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
    }
}
