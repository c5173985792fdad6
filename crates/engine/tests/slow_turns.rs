//! Warnings about code that blocks an event loop. This test has a process of its own: `tracing`
//! caches for the whole process whether anybody wants a warning, and a test on another thread could
//! decide that.

use std::cell::Cell;
use std::fmt::Debug;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye_engine::driver::{Driver, IoEvent, Received, Sending, Target, Wake};
use sockeye_engine::{Config, ConnectionCounts, Mailbox, Service, Worker, WorkerParts};
use sockeye_proto::driver::Key;
use sockeye_proto::echo::Echo;
use sockeye_proto::{Address, Job, Output, Peer, Protocol, Spawn, Time, WallTime};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Collects the fields of each warning.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

/// The clock, and the events of the test.
#[derive(Default)]
struct Scene {
    now: Cell<Time>,
    /// Connections that wait to be accepted.
    incoming: Cell<usize>,
    /// How long a wait without a timeout takes.
    idle: Cell<Duration>,
    /// The service's deadline.
    deadline: Cell<Option<Time>>,
    /// How long the service blocks when it is called.
    blocks: Cell<Duration>,
}

impl Scene {
    fn advance(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }
}

/// A driver whose clock moves when it waits. [`BlockingService`] moves the clock, too.
struct TestDriver(Rc<Scene>);

struct NoThreads;

impl Wake for NoThreads {
    fn wake(&self) {}
}

impl Spawn for NoThreads {
    fn spawn(&self, job: Job) -> Result<(), Job> {
        Err(job)
    }
}

impl Driver for TestDriver {
    type Socket = ();
    type Listener = ();

    const KEEPS_OUTPUT: bool = false;

    fn now(&self) -> Time {
        self.0.now.get()
    }

    fn wall(&self) -> WallTime {
        WallTime::from_secs(0)
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(NoThreads)
    }

    fn wait(
        &mut self,
        now: Time,
        until: Option<Time>,
        io_events: &mut Vec<IoEvent>,
    ) -> io::Result<()> {
        if self.0.incoming.get() > 0 {
            io_events.push(IoEvent::ListenerReady(0));
        } else {
            self.0.advance(until.map_or(self.0.idle.get(), |until| until.since(now)));
        }
        Ok(())
    }

    fn watch_listener(&mut self, (): &mut (), _: u32) -> io::Result<()> {
        Ok(())
    }

    fn unwatch_listener(&mut self, (): &mut ()) {}

    fn accept(&mut self, (): &mut ()) -> io::Result<((), Address)> {
        match self.0.incoming.get() {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            incoming => {
                self.0.incoming.set(incoming - 1);
                Ok(((), Address::Unix))
            }
        }
    }

    fn block_new_clients(&mut self, (): &mut ()) {}

    fn close_listener(&mut self, (): ()) {}

    fn set_key(&mut self, (): &mut (), _: Key) {}

    fn watch(&mut self, (): &mut ()) -> io::Result<()> {
        Ok(())
    }

    fn connect(&mut self, _: &Target, _: Key) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn connected(&mut self, (): &mut ()) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, (): &mut ()) -> io::Result<Received<'_>> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn send(&mut self, (): &mut (), _: Box<Output>) -> Sending {
        Sending::Pending
    }

    fn limit_unsent(&mut self, (): &mut (), _: u32) {}

    fn unacknowledged(&self, (): &()) -> io::Result<u64> {
        Ok(0)
    }

    fn finish(&mut self, (): &mut ()) -> io::Result<()> {
        Ok(())
    }

    fn failure(&self, (): &()) -> Option<io::Error> {
        None
    }

    fn close(&mut self, (): ()) {}
}

/// A service that blocks whenever it is called.
struct BlockingService(Rc<Scene>);

impl Service for BlockingService {
    fn open(&mut self, _: &Peer) -> Box<dyn Protocol> {
        self.0.advance(self.0.blocks.get());
        Box::new(Echo::default())
    }

    fn deadline(&self) -> Option<Time> {
        self.0.deadline.get()
    }

    fn on_deadline(&mut self, _: Time) {
        self.0.deadline.set(None);
        self.0.advance(self.0.blocks.get());
    }
}

#[test]
fn code_that_blocks_the_loop_is_reported_at_most_every_ten_seconds() {
    const MS: Duration = Duration::from_millis(1);
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let scene = Rc::new(Scene::default());
    scene.advance(1000 * MS);
    let driver = TestDriver(Rc::clone(&scene));
    let mailbox = Arc::new(Mailbox::new(driver.waker()));
    let mut worker = Worker::new(WorkerParts {
        driver,
        listeners: vec![(0, ())],
        service: Box::new(BlockingService(Rc::clone(&scene))),
        config: Arc::new(Config::default()),
        counts: Arc::new(ConnectionCounts::default()),
        mailbox,
        spawn: Arc::new(NoThreads),
        handover: None,
        tls: [].into(),
    })
    .unwrap();
    let due = |blocks: Duration| {
        scene.blocks.set(blocks);
        scene.deadline.set(Some(scene.now.get()));
    };

    // Nothing happens for hours.
    scene.idle.set(3_600_000 * MS);
    (0..3).for_each(|_| worker.turn().unwrap());
    // A turn of 100 ms is not too long.
    due(100 * MS);
    (0..3).for_each(|_| worker.turn().unwrap());
    assert_eq!(warnings.take(), [""; 0]);

    // A slow turn is reported before the next wait, with or without a timeout.
    due(3000 * MS);
    worker.turn().unwrap(); // Reads the service's deadline at its end.
    worker.turn().unwrap();
    assert_eq!(warnings.take(), [""; 0], "the turn has just ended");
    scene.deadline.set(Some(scene.now.get() + 500 * MS));
    worker.turn().unwrap();
    let lines = warnings.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("turns=1 longest_ms=3000 "), "{lines:?}");
    assert!(lines[0].contains("(Reply::run, Responder::run, Turn::run)"), "{lines:?}");

    // Slow turns within ten seconds of a report are part of the next one. No wait takes time here.
    scene.idle.set(Duration::ZERO);
    scene.deadline.set(None);
    scene.blocks.set(30 * MS);
    scene.incoming.set(1000);
    while scene.incoming.get() > 0 {
        worker.turn().unwrap();
    }
    worker.turn().unwrap();
    let lines = warnings.take();
    let turns: Vec<u64> = lines
        .iter()
        .map(|line| {
            let (_, rest) = line.split_once("turns=").unwrap();
            rest.split_once(' ').unwrap().0.parse().unwrap()
        })
        .collect();
    // Each turn accepts twice as many connections as the last one. The seventh and later ones
    // accept as many as they may, which takes two seconds.
    assert_eq!(turns, [1, 8, 6], "{lines:?}");
}
