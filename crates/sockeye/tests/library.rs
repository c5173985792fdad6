//! What a program needs of the library it finds in this one crate: nothing here names another.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::time::Duration;

use sockeye::http::{self, Body, Options, Request};
use sockeye::{
    Config, End, Event, Fault, Linger, ListenAddr, Peer, Protocol, SendError, Serving, Ticket,
    Time, Took, Turn, files, message,
};

/// What a test waits at the most: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A free port.
fn any_port() -> ListenAddr {
    SocketAddr::from(([127, 0, 0, 1], 0)).into()
}

#[test]
fn options_are_built_by_struct_update() {
    let minute = Duration::from_secs(60);
    let config = Config {
        max_connections: 100,
        linger: Linger { quiet: minute, ..Linger::default() },
        ..Config::default()
    };
    let limits = http::Limits { idle_timeout: minute, ..http::Limits::default() };
    let options = Options { workers: NonZeroUsize::MIN, limits, config, ..Options::default() };
    let serving =
        http::serve(&[any_port()], options, |_: Request<Body>| "Hello").expect("a free port");
    assert!(serving.ip_addresses().next().is_some());

    let limits = message::Limits { idle_timeout: minute, ..message::Limits::default() };
    assert_eq!(limits.idle_timeout, minute);
    let options = files::Options { spa: true, ..files::Options::default() };
    assert!(options.spa && options.clean_urls);
    let limits = files::BudgetLimits { open_files: 7, ..files::BudgetLimits::default() };
    assert_eq!(limits.open_files, 7);
    let limits = files::CacheLimits { entries: 7, ..files::CacheLimits::default() };
    assert_eq!(limits.entries, 7);
}

/// Sends itself as many messages as it is sent bytes, in a way that waits where it may.
struct ToItself;

impl Protocol for ToItself {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Took, Fault> {
        let remote = turn.remote();
        for byte in input {
            match remote.send(Box::new(*byte)) {
                Err(SendError::OnEventLoop(message)) => {
                    let byte = message.downcast::<u8>().expect("it comes back");
                    turn.out.write(&[*byte]);
                }
                other => turn.out.write(format!("{other:?}").as_bytes()),
            }
        }
        // Elsewhere it waits, and all of it comes.
        let bytes = input.to_vec();
        turn.run(move || {
            bytes.into_iter().all(|byte| remote.send(Box::new(byte.to_ascii_uppercase())).is_ok())
        });
        Ok(Took::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Message(Ticket::REMOTE, Ok(message)) => {
                turn.out.write(&[*message.downcast::<u8>().expect("a byte")]);
            }
            Event::Message(_, all_sent) => {
                assert!(*all_sent.expect("kept").downcast::<bool>().expect("a bool"));
                turn.end(End::Finish);
            }
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn to_send_where_it_would_wait_for_itself_fails_at_once() {
    let serving = Serving::begin(&[any_port()], NonZeroUsize::MIN, Config::default(), |_| {
        |_: &Peer| Box::new(ToItself) as Box<dyn Protocol>
    });
    let serving = serving.expect("a free port");
    let mut peer = TcpStream::connect(serving.ip_addresses().next().expect("TCP")).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let said = "abc".repeat(40);
    peer.write_all(said.as_bytes()).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    peer.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, format!("{said}{}", said.to_uppercase()));
    serving.handle().drain();
    let tally = serving.join().unwrap();
    assert_eq!((tally.accepted, tally.cut), (1, 0));
}
