//! Finds the process that listens at an address, by reading `/proc`. Processes of other users are
//! usually not found.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::text;

/// The owner of a listener.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The name and id of a process.
    Process(String),
    /// A process whose files this user may not see.
    Unseen,
}

/// Who has the listener that prevents another listener at `address`. `None` if no listener is
/// found.
pub(crate) fn at(address: SocketAddr) -> Option<Owner> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| tcp_listener(&table, address))?;
    Some(process_with_socket(inode).map_or(Owner::Unseen, Owner::Process))
}

/// The name and id of the process that listens on a Unix socket. `name` is a path, or `@` and an
/// abstract name.
pub(crate) fn at_socket(name: &str) -> Option<String> {
    let table = fs::read("/proc/net/unix").ok()?;
    process_with_socket(unix_listener(&String::from_utf8_lossy(&table), name)?)
}

/// The inode of the listening socket that prevents a listener at `address`. `table` is the content
/// of `/proc/net/tcp` or `/proc/net/tcp6`.
fn tcp_listener(table: &str, address: SocketAddr) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = socket_address(fields.next()?)?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok()?;
        (state == LISTEN && conflicts(local, address)).then_some(inode)
    })
}

/// The inode of the socket that listens at `name`. `table` is the content of `/proc/net/unix`.
fn unix_listener(table: &str, name: &str) -> Option<u64> {
    /// `__SO_ACCEPTCON`, the kernel's flag of a listening socket.
    const ACCEPTING: u32 = 1 << 16;
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(3);
        let flags = u32::from_str_radix(fields.next()?, 16).ok()?;
        let inode = fields.nth(2)?;
        // The name is the rest of the line after the inode. It may contain spaces.
        let (_, bound) = line.split_once(&format!(" {inode} "))?;
        (flags & ACCEPTING != 0 && bound == name).then(|| inode.parse().ok())?
    })
}

/// Parses an address and port, such as `0100007F:1F40` for 127.0.0.1:8000. All numbers are
/// hexadecimal. The address consists of 32-bit words in this machine's byte order.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for at in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let ip: IpAddr = match *bytes.as_slice() {
        [a, b, c, d] => Ipv4Addr::new(a, b, c, d).into(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
    };
    Some(SocketAddr::new(ip, port))
}

/// Whether a listener at `one` prevents a listener at `two`. Assumes that an unspecified address
/// conflicts with all addresses of both families: `::` also accepts IPv4, unless `IPV6_V6ONLY` is
/// set.
fn conflicts(one: SocketAddr, two: SocketAddr) -> bool {
    let everywhere = |address: SocketAddr| address.ip().is_unspecified();
    one.port() == two.port() && (one.ip() == two.ip() || everywhere(one) || everywhere(two))
}

/// The name and id of the process that has the socket with this inode open. Usually `None` for
/// processes of other users.
fn process_with_socket(inode: u64) -> Option<String> {
    let socket = format!("socket:[{inode}]");
    let id = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .find(|id| has_open(*id, &socket))?;
    let name = fs::read(format!("/proc/{id}/comm")).ok()?;
    let name = text::escape_controls(String::from_utf8_lossy(&name).trim_end());
    Some(format!("{name} (pid {id})"))
}

/// Whether a descriptor of `process` links to `link`.
fn has_open(process: u32, link: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    descriptors
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|target| target.as_os_str() == link)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};

    use super::*;

    fn this_process() -> Option<String> {
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        Some(format!("{} (pid {})", name.trim_end(), std::process::id()))
    }

    #[test]
    fn the_process_that_listens_on_a_tcp_address_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(at(address), this_process().map(Owner::Process));
        let everywhere = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port());
        assert_eq!(at(everywhere), this_process().map(Owner::Process));
        drop(listener);
        assert_eq!(at(address), None);
    }

    #[test]
    fn the_process_that_listens_on_a_unix_socket_is_found() {
        let path = std::env::temp_dir().join(format!("sockeye who {}", std::process::id()));
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let name = path.to_str().unwrap();
        assert_eq!(at_socket(name), this_process());
        drop(listener);
        assert_eq!(at_socket(name), None);
        fs::remove_file(&path).unwrap();
        let name = format!("sockeye who @ {}", std::process::id());
        let address = UnixAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        assert_eq!(at_socket(&format!("@{name}")), this_process());
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn kernel_tables_are_parsed() {
        const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F41 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0 0 10 0
nonsense
   2: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
";
        for (address, inode) in [
            ("127.0.0.1:8000", Some(4711)),
            ("0.0.0.0:8000", Some(4711)),
            ("127.0.0.2:8000", None),
            ("127.0.0.1:8001", None),
            ("[::1]:80", Some(4713)),
        ] {
            assert_eq!(tcp_listener(TCP, address.parse().unwrap()), inode, "{address}");
        }
    }
}
