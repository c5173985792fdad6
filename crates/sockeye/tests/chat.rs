//! The example `chat`, with members on several workers, over plain sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use sockeye::{Bound, Config, Linger, ListenAddr, Serving};

#[expect(dead_code, reason = "its main is unused here")]
#[path = "../examples/chat.rs"]
mod chat;

/// Timeout of a test for a line: far more than it takes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Serves on three workers. Connections to a Unix socket are spread evenly over them.
fn serve(address: ListenAddr) -> Serving {
    let linger = Linger { quiet: Duration::from_millis(20), ..Linger::default() };
    let config = Config { linger, ..Config::default() };
    chat::serve(address, NonZeroUsize::new(3).unwrap(), config).unwrap()
}

fn any_port() -> ListenAddr {
    ([127, 0, 0, 1], 0).into()
}

fn path_of(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("sockeye-chat-{test}-{}.sock", std::process::id()))
}

/// Drains the server, and checks that no connection was cut.
fn stop(serving: Serving) {
    serving.handle().drain();
    assert_eq!(serving.join().unwrap().cut, 0);
}

/// A member.
struct Client {
    writer: Box<dyn Write>,
    reader: Box<dyn BufRead>,
}

impl Client {
    fn new(serving: &Serving) -> Self {
        let mut client = match &serving.addresses()[0] {
            Bound::Ip(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                Self::from_streams(stream.try_clone().unwrap(), stream)
            }
            Bound::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                Self::from_streams(stream.try_clone().unwrap(), stream)
            }
        };
        assert_eq!(client.line(), "* your name?");
        client
    }

    fn from_streams(writer: impl Write + 'static, reader: impl Read + 'static) -> Self {
        Self { writer: Box::new(writer), reader: Box::new(BufReader::new(reader)) }
    }

    fn say(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
    }

    /// The next line, without its end, or an empty one at the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    fn join(serving: &Serving, name: &str, count: usize) -> Self {
        let mut client = Self::new(serving);
        client.say(&format!("{name}\n"));
        assert_eq!(client.line(), format!("* {name} has joined ({count} here)"));
        client
    }
}

/// Three members that have joined.
fn three_members(serving: &Serving) -> [Client; 3] {
    let mut ann = Client::join(serving, "ann", 1);
    let mut bob = Client::join(serving, "bob", 2);
    let cid = Client::join(serving, "cid", 3);
    assert_eq!(ann.line(), "* bob has joined (2 here)");
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.line(), "* cid has joined (3 here)");
    }
    [ann, bob, cid]
}

#[test]
fn every_member_reads_every_line_of_a_burst_in_order() {
    for address in [any_port(), path_of("burst").into()] {
        let serving = serve(address);
        let mut members = three_members(&serving);
        let burst: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        members[0].say(&burst);
        for member in &mut members {
            for number in 0..1000 {
                assert_eq!(member.line(), format!("<ann> line {number}"));
            }
        }
        let [ann, mut bob, mut cid] = members;
        drop(ann);
        for other in [&mut bob, &mut cid] {
            assert_eq!(other.line(), "* ann has left");
        }
        // The others are notified.
        serving.handle().drain();
        for other in [&mut bob, &mut cid] {
            while other.line() != "* the room closes" {}
        }
        drop((bob, cid));
        assert_eq!(serving.join().unwrap().cut, 0);
    }
}

#[test]
fn a_member_that_does_not_read_delays_nobody_and_gets_the_number_of_missed_lines() {
    const ROUNDS: usize = 40;
    const LINES: usize = 250;
    // It has small buffers.
    let serving = serve(path_of("slow").into());
    let [mut ann, mut bob, mut slow] = three_members(&serving);
    for round in 0..ROUNDS {
        let line = |number| format!("{:0>500}", round * LINES + number);
        ann.say(&(0..LINES).map(|number| line(number) + "\n").collect::<String>());
        for reader in [&mut ann, &mut bob] {
            for number in 0..LINES {
                assert_eq!(reader.line(), format!("<ann> {}", line(number)));
            }
        }
    }
    // After 5 MB it reads what was buffered for it, the number of missed lines, and the room's log.
    let (mut next, mut gaps) = (0, 0);
    while next < ROUNDS * LINES {
        let line = slow.line();
        if let Some(missed) = line.strip_prefix("* you read too slowly: ") {
            next += missed.strip_suffix(" lines missed").unwrap().parse::<usize>().unwrap();
            gaps += 1;
        } else {
            assert_eq!(line, format!("<ann> {next:0>500}"));
            next += 1;
        }
    }
    assert_eq!((next, gaps), (ROUNDS * LINES, 1));
    drop((ann, bob, slow));
    stop(serving);
}

#[test]
fn names_are_checked_and_lines_have_limits() {
    let serving = serve(any_port());
    let mut ann = Client::join(&serving, "ann", 1);
    let mut other = Client::new(&serving);
    other.say("ann\n");
    assert_eq!(other.line(), "* ann is here already: another name?");
    for bad in ["", "a b", "<ann>", &"n".repeat(33)] {
        other.say(&format!("{bad}\n"));
        assert!(other.line().starts_with("* a name has letters"), "{bad}");
    }
    other.say("zoë\r\n");
    assert_eq!(other.line(), "* zoë has joined (2 here)");
    assert_eq!(ann.line(), "* zoë has joined (2 here)");

    let longest = "x".repeat(512);
    ann.say(&format!("\n\u{1b}[2J\u{7}\n{longest}\n"));
    for member in [&mut ann, &mut other] {
        assert_eq!(member.line(), "<ann> \u{fffd}[2J\u{fffd}");
        assert_eq!(member.line(), format!("<ann> {longest}"));
    }
    ann.say(&"x".repeat(600));
    assert_eq!(ann.line(), "* a line has 512 bytes at most");
    assert_eq!(ann.line(), "");
    assert_eq!(other.line(), "* ann has left");
    drop((ann, other));
    stop(serving);
}

#[test]
fn many_bad_names_at_once_are_all_answered() {
    let serving = serve(any_port());
    let mut client = Client::new(&serving);
    client.say(&format!("{}ann\n", "?\n".repeat(1000)));
    for _ in 0..1000 {
        assert!(client.line().starts_with("* a name has letters"));
    }
    assert_eq!(client.line(), "* ann has joined (1 here)");
    drop(client);
    stop(serving);
}
