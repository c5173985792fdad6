//! What is said about requests that fail, and that are answered with 500 or 503. Alone in its process,
//! whose limit on open files it lowers.

mod warned;

use std::rc::Rc;
use std::time::Duration;
use std::{env, fs, process};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sockeye_files::memory::{Fault, Memory};
use sockeye_files::{Absent, BudgetLimits, Budgets, CacheLimits, Folder, Mounts, OpenFilesOf};
use sockeye_http::Server;
use sockeye_proto::harness::Harness;
use tracing::subscriber::with_default;
use warned::Warnings;

fn client(folder: Folder) -> Harness {
    let site = Mounts::from(folder).site(CacheLimits::default());
    Harness::new(Server::new(Rc::default(), site.handler()))
}

/// The status of the answer.
fn get(client: &mut Harness, path: &str) -> String {
    client.input(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    while client.run_jobs() > 0 {}
    let output = String::from_utf8_lossy(&client.output()).into_owned();
    output.get(9..12).unwrap_or_default().to_owned()
}

/// Without descriptors, by the kernel's own word.
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
        // Nothing of it is kept.
        assert_eq!(get(&mut client, "/a.txt"), "200");
    });
    fs::remove_dir_all(root).unwrap();
    let said = warnings.said();
    let [first, second] = &said[..] else { panic!("{said:?}") };
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

/// Each kind of failure has lines of its own; what is the client's affair has none.
fn each_kind() {
    let store = Memory::new();
    store.write("a.txt", "hello");
    let warnings = Warnings::default();
    with_default(warnings.clone(), || {
        let mut client = client(Folder::new(store.clone()));
        for (absent, status) in [
            (Absent::TooManyOpenFiles(OpenFilesOf::System), "503"),
            (Absent::ClosingHangs, "503"),
            (Absent::Exhausted, "503"),
            (Absent::Failed(5), "500"),
            (Absent::Forbidden("openat2"), "500"),
            (Absent::Missing, "404"),
            (Absent::Outside, "404"),
        ] {
            store.fail("a.txt", Some(Fault::Absent(absent)));
            for _ in 0..2 {
                client.pass(Duration::from_secs(2));
                assert_eq!(get(&mut client, "/a.txt"), status, "{absent}");
            }
        }
    });
    let said = warnings.said();
    assert_eq!(said.len(), 5, "{said:#?}");
    for (line, part) in said.iter().zip([
        "fs.file-max",
        "wait to be closed",
        "out of memory",
        "Input/output error",
        "openat2 is not permitted here (a seccomp sandbox?)",
    ]) {
        assert!(line.contains(part), "{part} in {line}");
    }
}

/// So has the server's own limit on files that are being sent.
fn budget_of_open_files() {
    let store = Memory::new();
    store.write("large", &*"x".repeat(100_000));
    let limits = BudgetLimits { open_files: 1, ..BudgetLimits::default() };
    let warnings = Warnings::default();
    with_default(warnings.clone(), || {
        let folder = Folder::new(store).sharing(&Budgets::new(limits));
        let site = Mounts::from(folder).site(CacheLimits::default());
        let mut clients =
            [(); 2].map(|()| Harness::new(Server::new(Rc::default(), site.handler())));
        clients[0].input(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
        while clients[0].run_jobs() > 0 {}
        assert_eq!(get(&mut clients[1], "/large"), "503");
        assert_eq!(get(&mut clients[1], "/large"), "503");
    });
    let said = warnings.said();
    let [line] = &said[..] else { panic!("{said:?}") };
    for part in ["too many files are being sent", "total=1", "used=1", "ulimit -Hn", "LimitNOFILE="]
    {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn failures_of_ours_are_warned_of_once_a_minute_with_what_to_do() {
    without_descriptors();
    each_kind();
    budget_of_open_files();
}
