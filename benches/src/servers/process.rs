//! A running server: a process on the servers' core, which is killed when its value is dropped.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Result,
    cpu::{self, Cores},
};

/// A server, which runs until this value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts `command` on the servers' core, with its stderr in `log`. The server's address is
    /// `fixed_address`. If `fixed_address` is `None`, the server prints its address on stdout.
    pub(super) fn start(
        mut command: Command,
        cores: Cores,
        log: &Path,
        fixed_address: Option<SocketAddr>,
    ) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(log)?);
        // A child inherits its parent's affinity.
        cpu::pin(cores.server)?;
        let child = command.spawn();
        cpu::pin(cores.client)?;
        let mut child = child.map_err(|error| format!("{program}: {error}"))?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into(), _stdout: None };
        let address = match fixed_address {
            Some(address) => server.is_listening(address).then_some(address),
            None => printed_address(&mut stdout),
        };
        // Keep stdout open, because the server may print more.
        server._stdout = Some(stdout);
        server.address = address.ok_or_else(|| {
            let output = fs::read_to_string(log).unwrap_or_default();
            format!("{program} did not start: {}", output.trim())
        })?;
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM to the program, and waits for its end. If strace runs the program, this waits
    /// for both processes.
    pub(crate) fn end(mut self) -> Result<()> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let traced = children.split_whitespace().next();
        let pid = traced.map_or(Ok(i32::try_from(pid)?), str::parse)?;
        let pid = Pid::from_raw(pid).ok_or("no process has the number 0")?;
        kill_process(pid, Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until the server accepts connections. Returns `false` if the server ends, or accepts
    /// none within five seconds.
    fn is_listening(&mut self, address: SocketAddr) -> bool {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if TcpStream::connect(address).is_ok() {
                return true;
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address with a free port, for servers that can't choose a port and print it.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The first address that a server prints, or `None` if it ends without one.
fn printed_address(stdout: &mut impl BufRead) -> Option<SocketAddr> {
    stdout.lines().map_while(std::io::Result::ok).find_map(|line| address_in(&line))
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let schemes = ["http://", "https://", "tcp://", "message://", "ws://"];
    let (_, rest) = schemes.iter().find_map(|scheme| line.split_once(scheme))?;
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c)));
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_what_a_server_prints() {
        for (line, address) in [
            ("http://127.0.0.1:8000", Some("127.0.0.1:8000")),
            ("  at http://127.0.0.1:8000/ (Ctrl-C stops)", Some("127.0.0.1:8000")),
            ("https://127.0.0.1:8443", Some("127.0.0.1:8443")),
            ("tcp://[::1]:7", Some("[::1]:7")),
            ("ws://127.0.0.1:8000/", Some("127.0.0.1:8000")),
            ("message://127.0.0.1:65432", Some("127.0.0.1:65432")),
            ("serving the folder files", None),
        ] {
            assert_eq!(address_in(line), address.map(|a| a.parse().unwrap()), "{line}");
        }
    }
}
