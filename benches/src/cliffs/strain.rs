//! Strains on a server during a load: idle connections, slow readers, and threads of this process
//! that send other requests or change files.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use crate::{Result, memory};

/// What a thread counted during a load. The key says what the number counts, such as `other
/// requests`.
pub(super) type Counts = BTreeMap<&'static str, u64>;

/// A strain on the server. It lasts until [`Strain::end`].
#[derive(Debug, Default)]
pub(super) struct Strain {
    /// Connections that stay open until this value is dropped.
    _held: Vec<TcpStream>,
    thread: Option<Thread>,
}

/// A thread that runs until [`Strain::end`] stops it.
#[derive(Debug)]
struct Thread {
    stop: Arc<AtomicBool>,
    handle: JoinHandle<std::result::Result<Counts, String>>,
}

impl Strain {
    /// Runs `work` on a new thread. The thread inherits the CPU affinity of the calling thread, so
    /// it runs on the load client's core. `work` has to return soon after its argument has become
    /// `true`.
    pub(super) fn thread(
        work: impl FnOnce(&AtomicBool) -> Result<Counts> + Send + 'static,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let handle = thread::spawn(move || work(&stopped).map_err(|error| error.to_string()));
        Self { _held: Vec::new(), thread: Some(Thread { stop, handle }) }
    }

    /// Stops the thread, if there is one, and returns its counts. Closes the connections.
    pub(super) fn end(self) -> Result<Counts> {
        let Some(thread) = self.thread else { return Ok(Counts::new()) };
        thread.stop.store(true, Ordering::Relaxed);
        let counted = thread.handle.join();
        Ok(counted.map_err(|_| "a thread of the strain panicked")??)
    }
}

/// Opens connections that make one request and are then idle.
pub(super) fn idle(address: SocketAddr, count: usize) -> Result<Strain> {
    const REQUEST: &[u8] = b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let open = |at| memory::open(address, REQUEST, at);
    Ok(Strain { _held: (0..count).map(open).collect::<Result<_>>()?, thread: None })
}

/// How much each slow reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Nothing: the client's receive buffer stays full.
    Nothing,
    /// This number of bytes per second.
    Some(usize),
}

/// Opens connections that request a huge file, and read it as `reads` says, with small receive
/// buffers.
///
/// The segments are as small as on Ethernet. With loopback's segments of 64 KiB, the kernel would
/// buffer 3 MiB of each response, and 1,000 such responses would exhaust the kernel's memory for
/// TCP on a machine with 24 GiB.
pub(super) fn readers(address: SocketAddr, count: usize, reads: Reads) -> Result<Strain> {
    const BUFFER: usize = 16 << 10;
    const SEGMENT: u32 = 1_448;
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_recv_buffer_size(BUFFER)?;
        socket.set_tcp_mss(SEGMENT)?;
        socket.connect(&address.into())?;
        let mut socket = TcpStream::from(socket);
        socket.write_all(b"GET /huge.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        // Wait until the response has started.
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.read_exact(&mut [0; 64])?;
        socket.set_nonblocking(true)?;
        held.push(socket);
    }
    let bytes = match reads {
        Reads::Some(bytes) if count > 0 => bytes,
        _ => return Ok(Strain { _held: held, thread: None }),
    };
    let mut own: Vec<_> = held.iter().map(TcpStream::try_clone).collect::<std::io::Result<_>>()?;
    let strain = Strain::thread(move |stop| {
        read_slowly(&mut own, bytes, stop)?;
        Ok(Counts::new())
    });
    Ok(Strain { _held: held, ..strain })
}

/// Reads at most `bytes` from each socket once per second, until `stop` is set. Reads the sockets
/// in parts with pauses between them, so that the reads are spread over the second.
fn read_slowly(sockets: &mut [TcpStream], bytes: usize, stop: &AtomicBool) -> std::io::Result<()> {
    const MAX_PARTS: usize = 20;
    let mut buffer = vec![0; bytes];
    let share = sockets.len().div_ceil(MAX_PARTS).max(1);
    let pause = Duration::from_secs(1) / sockets.len().div_ceil(share).max(1) as u32;
    loop {
        for part in sockets.chunks_mut(share) {
            for socket in part {
                match socket.read(&mut buffer) {
                    Ok(_) => {}
                    // A connection that the server has cut is no error here. The module `waiting`
                    // counts the connections that are left.
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::WouldBlock | ErrorKind::ConnectionReset
                        ) => {}
                    Err(error) => return Err(error),
                }
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            thread::sleep(pause);
        }
    }
}
