//! Step 6: connects, and resets the connection. Usage: `step6-reset ADDRESS`.

use std::env;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let connection = TcpStream::connect(address)?;
    // With SO_LINGER and a time of 0, closing sends RST, not FIN.
    set_socket_linger(&connection, Some(Duration::ZERO))?;
    Ok(())
}
