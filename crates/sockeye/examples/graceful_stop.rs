//! Ctrl-C and SIGTERM stop the server without losing a response. A second signal stops it at once.
//!
//! ```console
//! $ cargo run --example graceful_stop 127.0.0.1:8080 &
//! $ curl http://127.0.0.1:8080/ &
//! $ pkill graceful_stop    # curl still gets its response
//! ```

use std::error::Error;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sockeye::http::{self, Options, Reply, ServeError, Serving};
use sockeye::{Config, Handle, ListenAddr};

/// How long the responses in flight may take after the first signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn serve(address: ListenAddr, work: Duration) -> Result<Serving, ServeError> {
    let config = Config { drain_timeout: DRAIN_TIMEOUT, ..Config::default() };
    http::serve(&[address], Options { config, ..Options::default() }, move |_| {
        Reply::run(move || {
            thread::sleep(work); // On a thread of the pool.
            "done\n"
        })
    })
}

/// Waits for signals, on a thread of its own.
pub(crate) fn stop_on(mut signals: Signals, server: Handle) {
    thread::spawn(move || {
        for (count, _) in signals.forever().enumerate() {
            if count == 0 {
                eprintln!("Finishing {} connections", server.connections());
                server.drain();
            } else {
                server.stop();
            }
        }
    });
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?, Duration::from_secs(5))?;
    stop_on(Signals::new([SIGINT, SIGTERM])?, serving.handle());
    let address = &serving.addresses()[0];
    println!("Listening at http://{address} - try: curl http://{address}/ and Ctrl-C meanwhile");
    let stats = serving.join()?; // Returns when all connections are closed.
    eprintln!("Stopped after {} connections; {} were cut", stats.accepted, stats.cut);
    Ok(())
}
