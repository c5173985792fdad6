//! A listening socket, and how it stops.
//!
//! When a listener is closed, the kernel resets the connections in its queue, and unfinished
//! handshakes. So [`Listener::block_new_clients`] comes first: no new handshake starts, and started
//! ones can be accepted.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use socket2::{SockFilter, SockRef};

/// A socket filter (a BPF program) that drops SYN packets and keeps all others, so that started
/// handshakes complete. The kernel gives it each packet from the TCP header on: the byte at offset
/// 13 holds the flags.
const DROP_SYN: [SockFilter; 4] = [
    // BPF_LD | BPF_B | BPF_ABS: the flags.
    SockFilter::new(0x30, 0, 0, 13),
    // BPF_JMP | BPF_JSET: is SYN set?
    SockFilter::new(0x45, 0, 1, 0x02),
    // BPF_RET: how many bytes of the packet to keep: 0 with SYN, else all.
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    pub(super) fd: OwnedFd,
    file: Option<SocketFile>,
}

impl Listener {
    pub(crate) fn tcp(fd: OwnedFd) -> Self {
        Self { fd, file: None }
    }

    /// A listener that was just bound to `path`.
    pub(crate) fn unix(fd: OwnedFd, path: &Path) -> Self {
        Self { fd, file: SocketFile::of(path).ok() }
    }

    /// Lets no new client connect. The SYN of a TCP client is dropped; the client sends it again
    /// after a second, and is then refused or reaches another server. The file of a Unix socket
    /// is removed, so that no client finds it.
    pub(super) fn block_new_clients(&mut self) {
        match self.file.take() {
            Some(file) => drop(file),
            // If the kernel refuses the filter, clients can connect until the listener is closed.
            // Connections established from now on inherit the filter. It drops none of their
            // packets: no SYN follows the handshake.
            None => drop(SockRef::from(&self.fd.as_fd()).attach_filter(&DROP_SYN)),
        }
    }
}

/// The file of a Unix socket, removed when its listener is dropped, unless another server has
/// replaced it.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_listener_that_blocks_new_clients_still_accepts_those_in_its_queue() {
        let queue = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = queue.local_addr().unwrap();
        let mut waiting = TcpStream::connect(address).unwrap();
        let mut listener = Listener::tcp(queue.try_clone().unwrap().into());
        listener.block_new_clients();

        let late = TcpStream::connect_timeout(&address, Duration::from_millis(200));
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut, "a new client connected");
        let (mut accepted, _) = queue.accept().unwrap();
        queue.set_nonblocking(true).unwrap();
        assert_eq!(queue.accept().unwrap_err().kind(), ErrorKind::WouldBlock);

        // The connection from the queue works.
        waiting.write_all(b"x").unwrap();
        accepted.read_exact(&mut [0]).unwrap();
        drop((listener, queue));
        let closed = TcpStream::connect_timeout(&address, Duration::from_secs(5));
        assert_eq!(closed.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn the_file_of_a_unix_socket_is_removed_unless_another_server_has_replaced_it() {
        let folder = std::env::temp_dir().join(format!("sockeye-listener-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("socket");

        let fd = OwnedFd::from(UnixListener::bind(&path).unwrap());
        let mut first = Listener::unix(fd, &path);
        first.block_new_clients();
        assert!(!path.exists(), "the file remains");

        // The file is moved, not removed, so that the next file can't get the same inode.
        let fd = OwnedFd::from(UnixListener::bind(&path).unwrap());
        let second = Listener::unix(fd, &path);
        fs::rename(&path, folder.join("moved")).unwrap();
        let _third = UnixListener::bind(&path).unwrap();
        drop(second);
        assert!(path.exists(), "the file of another server is removed");
        fs::remove_dir_all(&folder).unwrap();
    }
}
