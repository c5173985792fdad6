//! What goes on beside a load: connections that do nothing, and threads that do something.

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

/// What was counted beside a load, by what it says.
pub(super) type Counts = BTreeMap<&'static str, u64>;

/// Goes on beside a load until [`Strain::end`].
#[derive(Debug, Default)]
pub(super) struct Strain {
    /// Connections that are held open.
    _held: Vec<TcpStream>,
    thread: Option<Thread>,
}

/// Runs until this value goes.
#[derive(Debug)]
struct Thread {
    stop: Arc<AtomicBool>,
    handle: JoinHandle<std::result::Result<Counts, String>>,
}

impl Strain {
    /// Does `work`, which asks now and then whether it is to stop, on a thread of the client's core.
    pub(super) fn thread(
        work: impl FnOnce(&AtomicBool) -> Result<Counts> + Send + 'static,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let handle = thread::spawn(move || work(&stopped).map_err(|error| error.to_string()));
        Self { _held: Vec::new(), thread: Some(Thread { stop, handle }) }
    }

    /// Stops, and says what was counted.
    pub(super) fn end(self) -> Result<Counts> {
        let Some(thread) = self.thread else { return Ok(Counts::new()) };
        thread.stop.store(true, Ordering::Relaxed);
        let counted = thread.handle.join();
        Ok(counted.map_err(|_| "a thread beside the load has panicked")??)
    }
}

/// Opens connections that make one request and then nothing.
pub(super) fn idle(address: SocketAddr, count: usize) -> Result<Strain> {
    const REQUEST: &[u8] = b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let open = |at| memory::open(address, REQUEST, at / 10_000);
    Ok(Strain { _held: (0..count).map(open).collect::<Result<_>>()?, thread: None })
}

/// How slow readers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Not at all.
    Nothing,
    /// So many bytes each second.
    Some(usize),
}

/// Opens connections that ask for a huge file, and read of it as `reads` says, into small buffers.
///
/// Their segments are those of an Ethernet. With loopback's of 64 KiB the kernel would take 3 MiB of
/// a response for each of them from the beginning, and 1,000 of them bring a machine of 24 GiB to where
/// it is short of memory for TCP: that is a cliff, but no server's.
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
        // The response has begun: else there would be nothing to be slow about.
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

/// Each socket has its turn once a second, spread over it.
fn read_slowly(sockets: &mut [TcpStream], bytes: usize, stop: &AtomicBool) -> std::io::Result<()> {
    const PARTS: u32 = 20;
    let mut buffer = vec![0; bytes];
    let share = sockets.len().div_ceil(PARTS as usize).max(1);
    loop {
        for part in sockets.chunks_mut(share) {
            for socket in part {
                match socket.read(&mut buffer) {
                    Ok(_) => {}
                    // One that was cut is counted by the server's descriptors.
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
            thread::sleep(Duration::from_secs(1) / PARTS);
        }
    }
}
