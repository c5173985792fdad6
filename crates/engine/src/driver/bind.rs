//! Creates sockets: listeners for all workers, and sockets that start to connect.
//!
//! Every worker (event loop) has its own listening socket for each TCP address (`SO_REUSEPORT`):
//! the kernel distributes connections among them. With this option, a second server could bind the
//! same address unnoticed, too. So each address is first bound without it, for a moment, which
//! fails if another server listens there. Unix sockets don't have the option: the first worker
//! accepts for all workers.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{Listener, Target};
use crate::ListenAddr;
use crate::listen::fmt_unix;

/// Maximum number of connections that wait in the kernel to be accepted. If `net.core.somaxconn` is
/// less, the kernel uses that.
pub(crate) const BACKLOG: i32 = 4096;

/// An address that a server listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// TCP. Port 0 has been replaced by the port that the kernel chose.
    Ip(SocketAddr),
    /// A Unix domain socket: its path, or NUL and the name of an abstract socket.
    Unix(PathBuf),
}

impl Bound {
    /// Whether it is a TCP loopback address, which only this machine can connect to.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => fmt_unix(path, f),
        }
    }
}

/// The listening sockets of one address: one per worker, or a single one for a Unix socket.
#[derive(Debug)]
pub struct BoundListeners {
    /// The address.
    pub bound: Bound,
    /// The sockets, bound and listening.
    pub listeners: Vec<Listener>,
}

/// An address could not be bound. `Debug` writes the same sentence as `Display`, because a program
/// whose `main` returns an error prints it with `Debug`.
pub struct BindError {
    /// The address, as it was given.
    pub address: ListenAddr,
    /// The resolved address that failed, if it is known.
    pub resolved: Option<SocketAddr>,
    /// Why. `AddrInUse`: another socket uses the address.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, source, .. } = self;
        match source.kind() {
            ErrorKind::AddrInUse => write!(f, "cannot listen on {address}: the address is in use"),
            _ => write!(f, "cannot listen on {address}: {source}"),
        }
    }
}

impl fmt::Debug for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Binds every address: TCP with one listener per worker, a Unix socket with one for all workers.
///
/// # Errors
///
/// [`BindError`] for the first address that fails. No address stays bound then.
pub fn bind_all(
    addresses: &[ListenAddr],
    workers: NonZeroUsize,
) -> Result<Vec<BoundListeners>, BindError> {
    let mut all = Vec::new();
    for address in addresses {
        let fail =
            |resolved| move |source| BindError { address: address.clone(), resolved, source };
        match address {
            ListenAddr::Unix(path) => all.push(bind_unix(path).map_err(fail(None))?),
            ListenAddr::Any(port) => all.push(bind_any(*port, workers).map_err(fail(None))?),
            ListenAddr::Host(host, port) => {
                let all_resolved: Vec<_> =
                    (host.as_str(), *port).to_socket_addrs().map_err(fail(None))?.collect();
                let bound = bind_resolved(&all_resolved, workers);
                all.extend(bound.map_err(|(at, error)| fail(Some(at))(error))?);
            }
        }
    }
    Ok(all)
}

/// Binds the addresses of a host name. Skips addresses that this machine does not have, such as the
/// IPv6 address of `localhost` on a machine without IPv6. Fails if the machine has none of the
/// addresses.
fn bind_resolved(
    resolved: &[SocketAddr],
    workers: NonZeroUsize,
) -> Result<Vec<BoundListeners>, (SocketAddr, io::Error)> {
    let (mut bound, mut missing) = (Vec::new(), None);
    for (index, one) in resolved.iter().enumerate() {
        if resolved[..index].contains(one) {
            continue;
        }
        match bind_tcp(*one, workers, false) {
            Ok(incoming) => bound.push(incoming),
            Err(error) if is_address_missing(&error) => missing = Some((*one, error)),
            Err(error) => return Err((*one, error)),
        }
    }
    match missing {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}

fn is_address_missing(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

/// Binds a port on all addresses: IPv6 and IPv4 with the same sockets, or only IPv4 if the machine
/// has no IPv6.
fn bind_any(port: u16, workers: NonZeroUsize) -> io::Result<BoundListeners> {
    match bind_tcp((Ipv6Addr::UNSPECIFIED, port).into(), workers, true) {
        Err(error) if is_address_missing(&error) => {
            bind_tcp((Ipv4Addr::UNSPECIFIED, port).into(), workers, false)
        }
        result => result,
    }
}

/// Listens on an address with one socket per worker. If the port is 0, all sockets share the port
/// that the kernel chooses for the first one.
fn bind_tcp(
    address: SocketAddr,
    workers: NonZeroUsize,
    dual_stack: bool,
) -> io::Result<BoundListeners> {
    // Without `SO_REUSEPORT`, this fails if another server listens there.
    drop(tcp_socket(address, dual_stack, false)?);
    let first = tcp_socket(address, dual_stack, true)?;
    let bound = first.local_addr()?.as_socket().ok_or(ErrorKind::AddrNotAvailable)?;
    let mut sockets = vec![first];
    for _ in 1..workers.get() {
        sockets.push(tcp_socket(bound, dual_stack, true)?);
    }
    let mut listeners = Vec::new();
    for socket in sockets {
        socket.listen(BACKLOG)?;
        listeners.push(Listener::tcp(OwnedFd::from(socket)));
    }
    Ok(BoundListeners { bound: Bound::Ip(bound), listeners })
}

/// A socket that is bound and doesn't listen yet. `dual_stack`: an IPv6 socket also serves IPv4.
/// `shared`: with `SO_REUSEPORT`.
fn tcp_socket(address: SocketAddr, dual_stack: bool, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    // Allows binding the address while connections of an earlier run are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    socket.set_reuse_port(shared)?;
    // Accepted sockets inherit this option.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_unix(path: &Path) -> io::Result<BoundListeners> {
    remove_stale_socket(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    let listeners = vec![Listener::unix(OwnedFd::from(socket), path)];
    Ok(BoundListeners { bound: Bound::Unix(path.to_owned()), listeners })
}

/// Removes the file of a Unix socket that no process listens on. Fails if a process listens on it,
/// or if `path` is another kind of file. An abstract socket has no file: its name starts with a
/// NUL, which no path contains.
fn remove_stale_socket(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        let reason = "the file exists and is not a socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, reason));
    }
    match connect(&Target::Unix(path.to_owned())) {
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            // A process listens, but its queue is full.
            ErrorKind::WouldBlock => Err(ErrorKind::AddrInUse.into()),
            _ => Err(error),
        },
    }
}

/// Creates a socket and starts to connect it.
pub(super) fn connect(target: &Target) -> io::Result<OwnedFd> {
    let (domain, address) = match target {
        Target::Ip(address) => (Domain::for_address(*address), SockAddr::from(*address)),
        Target::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
    };
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), None)?;
    if domain != Domain::UNIX {
        socket.set_tcp_nodelay(true)?;
    }
    match socket.connect(&address) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn a_host_name_needs_one_address_that_can_be_bound() {
        let [here, one, other] =
            ["127.0.0.1:0", "192.0.2.1:0", "198.51.100.1:0"].map(|text| text.parse().unwrap());
        assert_eq!(bind_resolved(&[one, here, here], workers(1)).unwrap().len(), 1);
        let (at, error) = bind_resolved(&[one, other], workers(1)).unwrap_err();
        assert_eq!((at, error.kind()), (other, ErrorKind::AddrNotAvailable));
    }

    #[test]
    fn all_workers_listen_on_the_same_free_port() {
        let any_port = [ListenAddr::Host("127.0.0.1".into(), 0)];
        let bound = bind_all(&any_port, workers(3)).unwrap();
        assert_eq!(bound.len(), 1);
        assert_eq!(bound[0].listeners.len(), 3);
        let Bound::Ip(address) = bound[0].bound else { panic!("not TCP") };
        assert_ne!(address.port(), 0);
        std::net::TcpStream::connect(address).unwrap();
    }

    #[test]
    fn a_second_server_at_the_same_address_fails() {
        let first = bind_all(&[ListenAddr::Host("127.0.0.1".into(), 0)], workers(2)).unwrap();
        let Bound::Ip(address) = first[0].bound else { panic!("not TCP") };
        let again = ListenAddr::Host("127.0.0.1".into(), address.port());
        let error = bind_all(std::slice::from_ref(&again), workers(2)).unwrap_err();
        assert_eq!(error.source.kind(), ErrorKind::AddrInUse);
        assert_eq!(error.to_string(), format!("cannot listen on {again}: the address is in use"));
    }

    #[test]
    fn an_abstract_socket_is_bound_once_and_connected_to() {
        let name = format!("unix:@sockeye-bind-{}", std::process::id());
        let address = [name.parse().unwrap()];
        let first = bind_all(&address, workers(2)).unwrap();
        assert_eq!(first[0].bound.to_string(), name);
        let in_use = bind_all(&address, workers(2)).unwrap_err();
        assert_eq!(in_use.source.kind(), ErrorKind::AddrInUse);
        let Bound::Unix(path) = &first[0].bound else { panic!("not a Unix socket") };
        drop(connect(&Target::Unix(path.clone())).unwrap());
        drop(first);
        drop(bind_all(&address, workers(2)).unwrap());
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_but_not_one_in_use_or_another_file() {
        let folder = std::env::temp_dir().join(format!("sockeye-bind-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("socket");
        let address = [ListenAddr::Unix(path.clone())];

        let first = bind_all(&address, workers(2)).unwrap();
        let in_use = bind_all(&address, workers(2)).unwrap_err();
        assert_eq!(in_use.source.kind(), ErrorKind::AddrInUse);
        drop(first);
        assert!(!path.exists(), "a server that stops removes its socket file");

        // The socket file of a server that was killed remains.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(bind_all(&address, workers(2)).unwrap());

        // A server that hangs, so that no more clients fit into its queue.
        let hung = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        hung.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        hung.listen(0).unwrap();
        let target = Target::Unix(path.clone());
        let clients: Vec<_> = std::iter::from_fn(|| connect(&target).ok()).take(100).collect();
        assert!(clients.len() < 100, "the queue is not full");
        let in_use = bind_all(&address, workers(2)).unwrap_err();
        assert_eq!(in_use.source.kind(), ErrorKind::AddrInUse);
        std::fs::remove_file(&path).unwrap();

        std::fs::write(&path, "precious").unwrap();
        let file = bind_all(&address, workers(2)).unwrap_err();
        assert_eq!(file.source.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
