//! Servers that the operating system has as packages: nginx, lighttpd, h2o and nghttpd.

use std::{fs, process::Command};

use super::{Server, Setup, config, process::free_address};
use crate::{Result, kind::Kind, rows::Shape};

impl Setup {
    /// Starts nghttpd, which is configured by its arguments. It has one worker, and no TLS.
    pub(super) fn nghttpd(&self) -> Result<Server> {
        let address = free_address()?;
        let mut command = Command::new(Kind::Nghttpd.name());
        command.arg("--address").arg(address.ip().to_string());
        command.arg("--htdocs").arg(self.dir.join("files"));
        command.arg("--no-tls").arg(address.port().to_string());
        self.spawn(Kind::Nghttpd, command, Some(address))
    }

    /// Starts nginx, lighttpd or h2o, which read their configuration from a file.
    pub(super) fn configured(&self, kind: Kind, load: Shape) -> Result<Server> {
        let address = free_address()?;
        let config = self.dir.join(format!("{}.conf", kind.name()));
        let options = config::Options {
            dir: &self.dir,
            address,
            load,
            connections: self.connections,
            version_output: self.nginx.as_deref().unwrap_or_default(),
            certificate: load.tls().map(|_| &self.certificate),
            log: if load == Shape::Logged { Some(self.fresh_log(kind)?) } else { None },
        };
        let mut command = Command::new(kind.name());
        match kind {
            Kind::Nginx => {
                fs::write(&config, options.nginx())?;
                command.arg("-p").arg(&self.dir).arg("-c").arg(config);
                command.arg("-e").arg(self.dir.join("nginx-errors"));
            }
            Kind::Lighttpd => {
                fs::write(&config, options.lighttpd())?;
                command.arg("-D").arg("-f").arg(config);
            }
            _ => {
                fs::write(&config, options.h2o())?;
                command.arg("-c").arg(config);
            }
        }
        self.spawn(kind, command, Some(address))
    }
}
