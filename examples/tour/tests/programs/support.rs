//! Starts programs of the tour, and waits for what they print.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for a line or an end. Programs that work take milliseconds.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// The Rust program with this name: `rust!("step1-server")`.
macro_rules! rust {
    ($name:literal) => {
        std::process::Command::new(env!(concat!("CARGO_BIN_EXE_", $name)))
    };
}
pub(crate) use rust;

/// A Python program, by its path in the folder of the tour.
pub(crate) fn python(path: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg("-Bu").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    command
}

/// A program that runs. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A file of the kernel about it: `/proc/ID/status`.
    pub(crate) fn status(&self) -> String {
        fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap()
    }

    /// Waits until it sleeps. A program that spins never does.
    pub(crate) fn until_asleep(&self) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.status().contains("\nState:\tS") {
            assert!(Instant::now() < deadline, "it spins");
            thread::yield_now();
        }
    }

    /// Its next line.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(TIMEOUT).expect("the program prints another line")
    }

    /// Its remaining lines, when it has ended, which must be with success.
    pub(crate) fn rest(self) -> Vec<String> {
        let (status, rest) = self.end();
        assert!(status.success(), "{status} after {rest:?}");
        rest
    }

    /// Waits until it has ended, which must be without success.
    pub(crate) fn fails(self) {
        let (status, rest) = self.end();
        assert!(!status.success(), "{status} after {rest:?}");
    }

    fn end(mut self) -> (ExitStatus, Vec<String>) {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(TIMEOUT) {
                Ok(line) => rest.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("hangs after {rest:?}"),
            }
        }
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that runs, on a port of its own.
pub(crate) struct Server {
    pub(crate) program: Running,
    pub(crate) port: u16,
}

impl Server {
    /// Starts a server whose only argument is its address.
    pub(crate) fn rust(command: &mut Command) -> Self {
        Self::rust_with(command, &[])
    }

    /// Starts a server with more arguments after its address.
    pub(crate) fn rust_with(command: &mut Command, more: &[&str]) -> Self {
        Self::start(command.arg("127.0.0.1:0").args(more))
    }

    /// Starts a server whose arguments are its host and its port.
    pub(crate) fn python(path: &str) -> Self {
        Self::start(python(path).args(["127.0.0.1", "0"]))
    }

    /// Starts a server with all its arguments.
    pub(crate) fn start(command: &mut Command) -> Self {
        let program = Running::start(command);
        let line = program.line();
        let port = line.strip_prefix("listening on port ").and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("not the line with the port: {line}"));
        Self { program, port }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// A connection whose reads fail if nothing comes.
    pub(crate) fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(self.address()).unwrap();
        connection.set_read_timeout(Some(TIMEOUT)).unwrap();
        connection
    }
}

/// Runs a program to its end, and returns its lines.
pub(crate) fn run(command: &mut Command) -> Vec<String> {
    Running::start(command).rest()
}

/// Runs a program to its end, which must be a failure, and returns its error.
pub(crate) fn run_failing(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeds");
    String::from_utf8(output.stderr).unwrap()
}
