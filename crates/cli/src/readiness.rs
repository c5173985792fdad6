//! Tells a supervisor such as systemd that the server listens, by the protocol of `sd_notify(3)`.
//! For a unit with `Type=notify`, `systemctl start` waits until the server listens, and fails if
//! the server can't start.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::{env, io};

/// Tells the supervisor that the server is ready, if `NOTIFY_SOCKET` names a socket for that.
pub(crate) fn announce() {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&socket) {
        let socket = socket.display();
        tracing::warn!(target: "sockeye", %socket, %error, "cannot tell NOTIFY_SOCKET that the server is ready");
    }
}

fn send(socket: &OsStr) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address)?;
    Ok(())
}
