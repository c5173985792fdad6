//! Starts the program, and creates folders to serve.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::OpenptFlags;
use rustix::termios::{Action, Winsize};

/// The program, without the `SOCKEYE_` variables of this process.
pub(crate) fn sockeye(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SOCKEYE_") {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

/// The program with a limit of 1 KiB on file sizes. Appends its standard error to the file
/// `stderr`, if given.
pub(crate) fn sockeye_with_small_files(args: &[&str], stderr: Option<&str>) -> Command {
    let mut command = sockeye_with_limit("-f 1", args, stderr.map_or("", |_| "2>>\"$STDERR\""));
    command.envs(stderr.map(|path| ("STDERR", path)));
    command
}

/// The program with few file descriptors: both the soft and the hard limit.
pub(crate) fn sockeye_with_descriptors(count: u32, args: &[&str]) -> Command {
    sockeye_with_limit(&format!("-n {count}"), args, "")
}

fn sockeye_with_limit(limit: &str, args: &[&str], redirection: &str) -> Command {
    let plain = sockeye(args);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit {limit}; exec \"$0\" \"$@\" {redirection}"));
    command.arg(plain.get_program()).args(plain.get_args());
    for (name, _) in plain.get_envs() {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end, with nothing on standard input.
pub(crate) fn run(args: &[&str]) -> Output {
    sockeye(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs the program to its end on a terminal. Returns the output and the exit code.
pub(crate) fn run_on_terminal(args: &[&str]) -> (String, Option<i32>) {
    let (mut pty, terminal) = open_terminal();
    let mut command = sockeye(args);
    command.stdin(Stdio::null()).stdout(terminal.try_clone().unwrap()).stderr(terminal);
    let mut child = command.spawn().unwrap();
    // Closes this process's side of the terminal: reading ends when no process has it open.
    drop(command);
    let mut shown = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = pty.read(&mut piece) {
        shown.extend_from_slice(&piece[..count]);
    }
    (text(&shown).replace("\r\n", "\n"), child.wait().unwrap().code())
}

/// A new terminal: the side of its screen and keyboard, and that of programs.
pub(crate) fn open_terminal() -> (File, File) {
    let pty = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        .unwrap();
    rustix::pty::grantpt(&pty).unwrap();
    rustix::pty::unlockpt(&pty).unwrap();
    let pty = File::from(pty);
    let terminal = open_programs_side(&pty);
    (pty, terminal)
}

fn set_width(pty: &File, columns: u16) {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(pty, size).unwrap();
}

fn open_programs_side(pty: &File) -> File {
    let name = rustix::pty::ptsname(pty, Vec::new()).unwrap().into_string().unwrap();
    File::options().read(true).write(true).open(&name).unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A server that has shown its start screen. Killed when a test drops it.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// The lines of the start screen.
    pub(crate) screen: Vec<String>,
    /// What it writes to its terminal after the start screen.
    terminal: Option<BufReader<File>>,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_by(&mut sockeye(args))
    }

    pub(crate) fn start_by(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        Self::started(child, &mut BufReader::new(stdout))
    }

    /// Starts a server whose standard output is a terminal of 90 columns.
    pub(crate) fn start_on_terminal(command: &mut Command) -> Self {
        let (pty, terminal) = open_terminal();
        set_width(&pty, 90);
        let child = command.stdout(terminal).stderr(Stdio::piped()).spawn().unwrap();
        // Closes this process's side of the terminal.
        command.stdout(Stdio::null());
        let mut pty = BufReader::new(pty);
        let mut running = Self::started(child, &mut pty);
        running.terminal = Some(pty);
        running
    }

    fn started(mut child: Child, stdout: &mut impl BufRead) -> Self {
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut screen = Vec::new();
        // Reading a terminal that no process has open fails.
        for line in stdout.lines().map_while(Result::ok) {
            screen.push(line);
            if screen.last().is_some_and(|line| line.starts_with("Press Ctrl-C")) {
                break;
            }
        }
        let mut running = Self { child, stderr, screen, terminal: None };
        if running.screen.is_empty() {
            panic!("it didn't start: {}", running.end().1);
        }
        running
    }

    /// The next line on its terminal; empty after the end.
    pub(crate) fn next_shown(&mut self) -> String {
        let mut line = String::new();
        // Fails after the end.
        let _ = self.terminal.as_mut().unwrap().read_line(&mut line);
        line.trim_end_matches("\r\n").to_owned()
    }

    pub(crate) fn resize_terminal(&self, columns: u16) {
        set_width(self.terminal.as_ref().unwrap().get_ref(), columns);
    }

    /// Stops the output of its terminal, as Ctrl-S does.
    pub(crate) fn stop_terminal(&self) {
        let terminal = open_programs_side(self.terminal.as_ref().unwrap().get_ref());
        rustix::termios::tcflow(terminal, Action::OOff).unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first URL on the start screen.
    pub(crate) fn url(&self) -> &str {
        self.screen.iter().find(|line| line.contains("://")).unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.url().split_once("://").unwrap().1.parse().unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The next line on standard error.
    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    /// Waits for the end: the exit code, and the rest of standard error.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A temporary folder, deleted on drop.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sockeye-program-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.0.join(name), content).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
