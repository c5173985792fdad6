//! A protocol that runs one other protocol, and passes everything on to it.

use super::*;

/// Passes everything on to another protocol, as WebSocket does that carries one.
struct Wrap(NestedSession);

impl Wrap {
    fn finish(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.0.move_to(turn.out, u64::MAX);
        self.0.progress(turn);
        Ok(())
    }
}

impl Protocol for Wrap {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        self.0.input(input, turn);
        self.finish(turn).map(|()| Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Message(..) | Event::Woken => self.0.deliver(event, turn),
            Event::Closed(reason) => self.0.close(reason, turn),
            _ => {}
        }
        self.finish(turn)
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// Switches to [`Wrap`], in a turn.
struct Start(Rc<Seen>);

impl Protocol for Start {
    fn on_bytes(&mut self, _: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        unreachable!("it has switched")
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Open(_) = event {
            let (streams, seen) = (BTreeMap::new(), Rc::clone(&self.0));
            let frames = Frames { streams, has_streams: true, seen };
            let mut session = NestedSession::new(Box::new(frames), 1000, turn);
            session.open(turn);
            turn.switch_to(Box::new(Wrap(session)));
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// Runs [`Listening`] in it, and never closes it.
struct Careless(Option<NestedSession>, Listening);

/// Keeps a remote to itself.
#[derive(Clone, Default)]
struct Listening(Rc<RefCell<Option<Remote>>>);

impl Protocol for Listening {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Open(_) = event {
            *self.0.borrow_mut() = Some(turn.remote());
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

impl Protocol for Careless {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Open(_) = event {
            let mut session = NestedSession::new(Box::new(self.1.clone()), 1000, turn);
            session.open(turn);
            self.0 = Some(session);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn who_sends_to_a_session_is_told_when_it_is_dropped() {
    let listening = Listening::default();
    let peer = Harness::new(Careless(None, listening.clone()));
    let remote = listening.0.take().unwrap();
    assert!(!remote.is_gone());
    drop(peer);
    assert!(remote.is_gone(), "a thread would wait forever");
}

#[test]
fn a_protocol_with_streams_can_run_inside_one_without() {
    let seen = Rc::<Seen>::default();
    let mut scene = Scene { peer: Harness::new(Start(Rc::clone(&seen))), seen };
    scene.check(b"+a +b wb1>bX>bp>aR", b"<bX", &["a Open", "b Open"]);
    scene.seen.promises.take().remove(0).fulfill(Box::new(()));
    scene.peer.deliver();
    assert_eq!(scene.events(), ["b promise"]);
    scene.peer.end_for(&Reason::Reset);
    assert_eq!(scene.events(), ["a reset", "b reset"]);
}
