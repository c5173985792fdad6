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

/// Timeout for a line: far longer than any should take.
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
        match &serving.addresses()[0] {
            Bound::Ip(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                Self::over(stream.try_clone().unwrap(), stream)
            }
            Bound::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                Self::over(stream.try_clone().unwrap(), stream)
            }
        }
    }

    fn over(writer: impl Write + 'static, reader: impl Read + 'static) -> Self {
        Self { writer: Box::new(writer), reader: Box::new(BufReader::new(reader)) }
    }

    fn send_line(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
    }

    /// The next line, without its end, or an empty one at the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// Connects a guest, which has this number.
    fn join(serving: &Serving, number: usize) -> Self {
        let mut client = Self::new(serving);
        assert_eq!(client.line(), format!("* guest {number} has joined"));
        client
    }
}

/// Three members that have joined.
fn three_members(serving: &Serving) -> [Client; 3] {
    let mut first = Client::join(serving, 1);
    let mut second = Client::join(serving, 2);
    let third = Client::join(serving, 3);
    assert_eq!(first.line(), "* guest 2 has joined");
    for client in [&mut first, &mut second] {
        assert_eq!(client.line(), "* guest 3 has joined");
    }
    [first, second, third]
}

#[test]
fn every_member_reads_every_line_of_a_burst_in_order() {
    for address in [any_port(), path_of("burst").into()] {
        let serving = serve(address);
        let mut members = three_members(&serving);
        let burst: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        members[0].send_line(&burst);
        for member in &mut members {
            for number in 0..1000 {
                assert_eq!(member.line(), format!("<guest 1> line {number}"));
            }
        }
        let [first, mut second, mut third] = members;
        drop(first);
        for other in [&mut second, &mut third] {
            assert_eq!(other.line(), "* guest 1 has left");
        }
        serving.handle().drain();
        for mut other in [second, third] {
            while !other.line().is_empty() {}
        }
        assert_eq!(serving.join().unwrap().cut, 0);
    }
}

#[test]
fn a_member_that_does_not_read_delays_nobody_and_gets_the_number_of_missed_lines() {
    const ROUNDS: usize = 40;
    const LINES: usize = 250;
    // A Unix socket has small buffers.
    let serving = serve(path_of("slow").into());
    let [mut first, mut second, mut slow] = three_members(&serving);
    for round in 0..ROUNDS {
        let line = |number| format!("{:0>500}", round * LINES + number);
        first.send_line(&(0..LINES).map(|number| line(number) + "\n").collect::<String>());
        for reader in [&mut first, &mut second] {
            for number in 0..LINES {
                assert_eq!(reader.line(), format!("<guest 1> {}", line(number)));
            }
        }
    }
    // After 5 MB it reads what was buffered for it, the number of missed lines, and the room's log.
    let (mut next, mut gaps) = (0, 0);
    while next < ROUNDS * LINES {
        let line = slow.line();
        if let Some(missed) = line.strip_prefix("* you missed ") {
            next += missed.strip_suffix(" lines").unwrap().parse::<usize>().unwrap();
            gaps += 1;
        } else {
            assert_eq!(line, format!("<guest 1> {next:0>500}"));
            next += 1;
        }
    }
    assert_eq!((next, gaps), (ROUNDS * LINES, 1));
    drop((first, second, slow));
    stop(serving);
}

#[test]
fn lines_have_a_limit_and_no_control_characters() {
    let serving = serve(any_port());
    let mut first = Client::join(&serving, 1);
    let mut second = Client::join(&serving, 2);
    assert_eq!(first.line(), "* guest 2 has joined");
    first.send_line("\u{1b}[2J\u{7}\n");
    for member in [&mut first, &mut second] {
        assert_eq!(member.line(), "<guest 1> \u{fffd}[2J\u{fffd}");
    }
    first.send_line(&"x".repeat(600));
    assert_eq!(second.line(), "* guest 1 has left");
    drop((first, second));
    stop(serving);
}
