//! How many bytes written to a socket have not been acknowledged (`SIOCOUTQ`).
#![allow(unsafe_code, reason = "the ioctl has no safe wrapper")]

use std::io;
use std::os::fd::BorrowedFd;

use rustix::ioctl::{Getter, Opcode, ioctl};

/// `SIOCOUTQ`, which equals `TIOCOUTQ` on all supported architectures.
const SIOCOUTQ: Opcode = 0x5411;

/// For TCP, the number of bytes that were written to the socket and not acknowledged, also if the
/// kernel has not sent them yet. A FIN counts as one byte. For a Unix stream socket, 0 if the other
/// end has read everything; otherwise the size of the memory that holds the unread bytes, which is
/// larger than their number.
pub(super) fn bytes(socket: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: SIOCOUTQ writes one C int through its argument (tcp(7); the kernel does the same for
    // Unix sockets), which is the type given as the getter's output.
    let getter = unsafe { Getter::<SIOCOUTQ, std::ffi::c_int>::new() };
    // SAFETY: the getter describes the call correctly, see above.
    let bytes = unsafe { ioctl(socket, getter) }?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn bytes_are_counted_until_the_peer_has_read_them() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        assert_eq!(super::bytes(here.as_fd()).unwrap(), 0);
        here.write_all(&[7; 100]).unwrap();
        assert!(super::bytes(here.as_fd()).unwrap() >= 100);
        there.read_exact(&mut [0; 100]).unwrap();
        assert_eq!(super::bytes(here.as_fd()).unwrap(), 0);
    }
}
