//! A protocol that writes frames as HTTP/2 does: headers of 9 bytes, with plain bytes, shared bytes
//! and ranges of files between them. The bytes that arrive don't depend on faults.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use sockeye_engine::Config;
use sockeye_proto::{
    Access, Consumed, End, Event, Fault, FileRange, Output, Protocol, Time, Turn, Validity,
};
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::checked::{SendClient, assert_no_violations, checked, service};
use crate::files::{File, byte};
use crate::tls::TLS;
use crate::{here, secs};

const HEADER: usize = 9;

/// Writes frames as soon as it is open, and whenever there is room.
struct Frames {
    rng: Rng,
    /// How many contents are still to be written.
    left: usize,
    /// The unframed rest of a content, of which the byte at an offset is a function.
    content: Output,
    offset: u64,
    /// The largest content, the largest frame, and how many bytes may be unsent.
    max_content: usize,
    max_frame: u64,
    max_unsent: u64,
    unsent_limit: Option<u32>,
    written: Rc<RefCell<Vec<u8>>>,
}

impl Frames {
    fn begin_content(&mut self) {
        self.left -= 1;
        self.offset = 0;
        let len = self.rng.between(1, self.max_content);
        let bytes = (0..len as u64).map(byte).collect::<Vec<u8>>();
        match self.rng.below(3) {
            0 => self.content.write(&bytes),
            1 => self.content.write_shared(bytes.into()),
            _ => {
                let access = self.rng.pick(&[Access::Direct, Access::Direct, Access::Thread]);
                let validity = self.rng.pick(&[Validity::Valid, Validity::Unknown]);
                let source = Arc::new(File::new(len as u64, access).with(validity));
                self.content.write_file(FileRange { source, offset: 0, len: len as u64 });
            }
        }
    }

    fn write(&mut self, turn: &mut Turn<'_>) {
        while turn.unsent() < self.max_unsent {
            if self.content.is_empty() {
                if self.left == 0 {
                    return turn.end(End::Finish);
                }
                self.begin_content();
            }
            let len = self.content.unsent().min(self.max_frame);
            let header = [(len >> 16) as u8, (len >> 8) as u8, len as u8, 0, 0, 0, 0, 0, 1];
            turn.out.write(&header);
            self.content.move_front(turn.out, len);
            let mut written = self.written.borrow_mut();
            written.extend(header);
            written.extend((self.offset..self.offset + len).map(byte));
            self.offset += len;
        }
        turn.want_room();
    }
}

impl Protocol for Frames {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                if let Some(bytes) = self.unsent_limit {
                    turn.limit_unsent(bytes);
                }
                self.write(turn);
            }
            Event::Room => self.write(turn),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// Runs one connection, and returns what was written and what has arrived.
fn run(seed: u64, faults: Faults, has_tls: bool) -> (Vec<u8>, Vec<u8>) {
    let mut rng = Rng::new(seed ^ 0xF4A3);
    let is_tiny = faults.send_buffer.min(faults.receive_buffer) < 4096;
    let scale = if is_tiny { 128 } else { 1 };
    // One of a few bytes would take as many deliveries as there are bytes.
    let unsent_limit = rng.pick(&[None, Some(16 * 1024 / scale), Some(4000 / scale)]);
    let left = rng.between(1, 6);
    let written = Rc::new(RefCell::new(Vec::new()));
    let ours = Rc::clone(&written);
    let mut world = World::new(seed, faults);
    let (frames, logs) = service(move |_| Frames {
        rng: Rng::new(seed),
        left,
        content: Output::new(),
        offset: 0,
        max_content: 200_000 / scale as usize,
        max_frame: 16 * 1024 / u64::from(scale),
        max_unsent: 256 * 1024 / u64::from(scale),
        unsent_limit,
        written: Rc::clone(&ours),
    });
    let arrived = if has_tls {
        // Some networks take minutes for a handshake.
        let config = Config { handshake_timeout: secs(300), ..Config::default() };
        world.server_with_tls(&[here()], &TLS.0, config.clone(), frames);
        let client = world.client(config, None);
        let (protocol, log) = checked(SendClient::then_read(b""));
        world.worker_mut(client).connect_tls(&here(), &TLS.1, protocol, 0);
        world.settle();
        std::mem::take(&mut log.borrow_mut().bytes)
    } else {
        world.server(&[here()], Config::default(), frames);
        let peer = world.peer(&here(), Script::new());
        world.settle();
        world.peer_state(peer).bytes
    };
    world.finish();
    assert_no_violations(&logs.borrow());
    (written.take(), arrived)
}

fn assert_all_frames_arrive(has_tls: bool) {
    seeds(0..100, |seed| {
        let faults = Faults { no_descriptor: 0, ..Faults::lossless(&mut Rng::new(seed)) };
        let (written, arrived) = run(seed, faults, has_tls);
        assert!(written.len() > HEADER);
        assert!(written == arrived, "{} of {} bytes", arrived.len(), written.len());
    });
}

#[test]
fn frames_do_not_depend_on_faults() {
    assert_all_frames_arrive(false);
}

#[test]
fn frames_over_tls_do_not_depend_on_faults() {
    assert_all_frames_arrive(true);
}

#[test]
fn the_kernel_holds_no_more_than_the_limit_of_unsent_bytes() {
    // It is writable again when a third of that is free.
    for (limit, expected) in [(None, 60_000), (Some(10_000), 10_000 + 5_000)] {
        let faults = Faults { send_buffer: 60_000, receive_buffer: 5_000, ..Faults::none() };
        let mut world = World::new(1, faults);
        let (frames, logs) = service(move |_| Frames {
            rng: Rng::new(1),
            left: 100,
            content: Output::new(),
            offset: 0,
            max_content: 100_000,
            max_frame: 16 * 1024,
            max_unsent: 256 * 1024,
            unsent_limit: limit,
            written: Rc::default(),
        });
        let server = world.server(&[here()], Config::default(), frames);
        world.peer(&here(), Script::new().stop_reading().wait(secs(20)).close());
        world.run(secs(10));
        assert_eq!(world.worker(server).stats().sent, expected, "{limit:?}");
        world.finish();
        assert_no_violations(&logs.borrow());
    }
}
