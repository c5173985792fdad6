//! Servers that use other libraries: small ones in `benches/peers`, written in Rust or for Node.js,
//! and static-web-server, which cargo installs.

use std::process::Command;

use super::{Server, Setup, process::free_address};
use crate::{Result, kind::Kind, rows::Shape};

impl Setup {
    /// The command that starts one of the servers in `benches/peers`, with the arguments that the
    /// server and the load need.
    pub(super) fn peer(&self, kind: Kind, load: Shape) -> Result<Command> {
        let program = self.program(kind)?;
        let mut command = match kind {
            Kind::NodeWs => Command::new("node"),
            _ => Command::new(program),
        };
        if kind == Kind::NodeWs {
            command.arg(program);
        }
        if kind == Kind::Axum {
            command.arg(self.dir.join("files"));
        }
        if load.is_http2() {
            command.arg("http2");
        }
        if load == Shape::Broadcast {
            command.arg("broadcast");
        }
        if load.tls().is_some() {
            command.args([&self.certificate.certificate, &self.certificate.key]);
        }
        Ok(command)
    }

    /// Starts static-web-server. It has one worker: `--threads-multiplier=1` means one per core
    /// that the process may use, and the process is pinned to one core.
    pub(super) fn static_web_server(&self, load: Shape) -> Result<Server> {
        let address = free_address()?;
        let mut command = Command::new(self.program(Kind::StaticWebServer)?);
        command.current_dir(&self.dir).arg("--root").arg(self.dir.join("files"));
        command.args(["--host", &address.ip().to_string()]);
        command.args(["--port", &address.port().to_string()]);
        command.args(["--threads-multiplier=1", "--log-level=error", "--compression=false"]);
        command.arg(format!("--compression-static={}", load == Shape::Pages));
        self.spawn(Kind::StaticWebServer, command, Some(address))
    }
}
