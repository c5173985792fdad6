//! Log lines about requests that fail with 500 or 503. Alone in its process, whose limit on open
//! files it lowers.

mod subscriber;

use std::rc::Rc;
use std::time::Duration;
use std::{env, fs, process};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sockeye_files::memory::{InjectedFault, Memory};
use sockeye_files::{Absent, BudgetLimits, Budgets, CacheLimits, Folder, Mounts, OpenFilesOf};
use sockeye_http::Server;
use sockeye_proto::Timed;
use sockeye_proto::harness::Harness;
use subscriber::Warnings;
use tracing::subscriber::with_default;

fn client(folder: Folder) -> Harness {
    let site = Mounts::from(folder).site(CacheLimits::default());
    Harness::new(Server::new(Rc::default(), site.clone()))
}

/// The status of the response.
fn get(client: &mut Harness, path: &str) -> String {
    client.input(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    while client.run_jobs() > 0 {}
    let output = String::from_utf8_lossy(&client.output()).into_owned();
    output.get(9..12).unwrap_or_default().to_owned()
}

/// The process's limit on open files is reached.
fn without_descriptors() {
    let root = env::temp_dir().join(format!("sockeye-failures-{}", process::id()));
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("a.txt"), "hello").unwrap();
    let warnings = Warnings::default();
    with_default(warnings.clone(), || {
        let mut client = client(Folder::open(&root).unwrap());
        let usual = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..usual }).unwrap();
        let statuses = [(); 3].map(|()| get(&mut client, "/a.txt"));
        let later = [(); 2].map(|()| {
            client.pass(Duration::from_secs(30));
            get(&mut client, "/a.txt")
        });
        setrlimit(Resource::Nofile, usual).unwrap();
        assert!(statuses.iter().chain(&later).all(|status| status == "503"), "{statuses:?}");
        // Nothing is cached.
        assert_eq!(get(&mut client, "/a.txt"), "200");
    });
    fs::remove_dir_all(root).unwrap();
    let lines = warnings.lines();
    let [first, second] = &lines[..] else { panic!("{lines:?}") };
    for part in [
        "message=a request failed",
        "path=\"/a.txt\"",
        "status=503",
        "client=127.0.0.1",
        "requests=1",
        "limit=3",
        "as many files open as it may",
        "ulimit -n",
        "LimitNOFILE=",
    ] {
        assert!(first.contains(part), "{part} in {first}");
    }
    assert!(second.contains("requests=4"), "{second}");
}

/// Each kind of failure has its own log lines; errors of clients have none.
fn each_kind_of_failure() {
    let store = Memory::new();
    store.write("a.txt", "hello");
    let warnings = Warnings::default();
    with_default(warnings.clone(), || {
        let mut client = client(Folder::new(store.clone()));
        for (absent, status) in [
            (Absent::TooManyOpenFiles(OpenFilesOf::System), "503"),
            (Absent::ClosingHangs, "503"),
            (Absent::OutOfMemory, "503"),
            (Absent::Exhausted, "503"),
            (Absent::Failed(5), "500"),
            (Absent::Forbidden("openat2"), "500"),
            (Absent::TooLong, "500"),
            (Absent::Missing, "404"),
            (Absent::Outside, "404"),
        ] {
            store.fail("a.txt", Some(InjectedFault::Absent(absent)));
            for _ in 0..2 {
                client.pass(Duration::from_secs(2));
                assert_eq!(get(&mut client, "/a.txt"), status, "{absent}");
            }
        }
    });
    let lines = warnings.lines();
    assert_eq!(lines.len(), 14, "{lines:#?}");
    for (line, part) in lines.iter().zip([
        "fs.file-max",
        "wait to be closed",
        "out of memory",
        "the memory for listings, archives and files of unknown size, or the client's share of it, \
         is spent",
        "Input/output error",
        "openat2 is not permitted here (a seccomp sandbox?)",
        "longer than 1 MiB",
    ]) {
        assert!(line.contains(part), "{part} in {line}");
    }
}

/// A spent budget of open files is logged, too.
fn budget_of_open_files() {
    let store = Memory::new();
    store.write("large", &*"x".repeat(100_000));
    let limits = BudgetLimits { open_files: 1, ..BudgetLimits::default() };
    let warnings = Warnings::default();
    with_default(warnings.clone(), || {
        let folder = Folder::new(store).with_budgets(&Budgets::new(limits));
        let site = Mounts::from(folder).site(CacheLimits::default());
        let mut clients = [(); 2].map(|()| Harness::new(Server::new(Rc::default(), site.clone())));
        clients[0].input(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
        while clients[0].run_jobs() > 0 {}
        assert_eq!(get(&mut clients[1], "/large"), "503");
        assert_eq!(get(&mut clients[1], "/large"), "503");
    });
    let lines = warnings.lines();
    let [line, rest] = &lines[..] else { panic!("{lines:?}") };
    assert!(
        rest.contains("too many files are being sent") && rest.contains("requests=1"),
        "{rest}"
    );
    for part in ["too many files are being sent", "total=1", "used=1", "ulimit -Hn", "LimitNOFILE="]
    {
        assert!(line.contains(part), "{part} in {line}");
    }
}

/// Requests that were not reported are reported after a minute, even if no other one fails, and
/// when the site is dropped.
fn unreported_failures() {
    let store = Memory::new();
    store.write("a.txt", "hello");
    store.fail("a.txt", Some(InjectedFault::Absent(Absent::TooManyOpenFiles(OpenFilesOf::System))));
    let warnings = Warnings::default();
    with_default(warnings.clone(), || {
        let mut site = Mounts::from(Folder::new(store)).site(CacheLimits::default());
        let mut client = Harness::new(Server::new(Rc::default(), site.clone()));
        assert_eq!(get(&mut client, "/a.txt"), "503");
        assert_eq!(site.deadline(), None, "it is reported already");
        for _ in 0..57 {
            assert_eq!(get(&mut client, "/a.txt"), "503");
        }
        let due = site.deadline().unwrap();
        site.on_deadline(due.checked_sub(Duration::from_nanos(1)).unwrap());
        assert_eq!((warnings.lines().len(), site.deadline()), (1, Some(due)));
        site.on_deadline(due);
        assert_eq!((warnings.lines().len(), site.deadline()), (2, None));
        assert_eq!(get(&mut client, "/a.txt"), "503");
        assert!(site.deadline() > Some(due));
        assert_eq!(warnings.lines().len(), 2, "a minute has not passed since the last report");
    });
    let lines = warnings.lines();
    let [_, minute, end] = &lines[..] else { panic!("{lines:?}") };
    for (line, requests) in [(minute, "requests=57"), (end, "requests=1")] {
        for part in ["message=more requests failed", "status=503", requests, "fs.file-max"] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}

#[test]
fn server_failures_are_logged_once_a_minute_with_a_remedy() {
    without_descriptors();
    each_kind_of_failure();
    budget_of_open_files();
    unreported_failures();
}
