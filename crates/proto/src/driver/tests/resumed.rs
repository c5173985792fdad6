//! Input and its end are offered after each event in which a protocol resumes, or switches to
//! another one.

use super::*;
use crate::echo::Echo;

/// What a [`Scripted`] protocol does when it gets input or an event. The event's name is the first
/// word of its `Debug` format; that of input is the input.
type Act = fn(&str, &mut Turn<'_>) -> Consumed;

/// Does what a function says.
struct Scripted(Act);

impl Protocol for Scripted {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(self.0(str::from_utf8(input).unwrap(), turn))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let name = format!("{event:?}");
        self.0(name.split([' ', '(']).next().unwrap(), turn);
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// Writes input and the event Eof to its output.
fn record(what: &str, turn: &mut Turn<'_>) -> Consumed {
    if what == "Eof" || what.starts_with(|first: char| first.is_ascii_digit()) {
        turn.out.write(what.as_bytes());
    }
    Consumed::more(what.len())
}

/// As [`record`]. Resumes in Open, although it has not paused.
fn resume_and_record(what: &str, turn: &mut Turn<'_>) -> Consumed {
    if what == "Open" {
        turn.resume();
    }
    record(what, turn)
}

#[test]
fn a_pause_may_end_when_output_is_sent() {
    let mut peer = Harness::new(Scripted(|what, turn| match what {
        "Sent" => {
            turn.resume();
            Consumed::more(0)
        }
        "Eof" => {
            turn.out.write(b"end");
            Consumed::more(0)
        }
        "12" | "2" => {
            turn.out.write(b"x");
            turn.mark();
            Consumed::pause(1)
        }
        _ => Consumed::more(0),
    }));
    peer.input(b"12");
    peer.eof();
    assert_eq!(peer.output(), b"xxend");
    assert_eq!(peer.unused(), 0);
}

#[test]
fn a_protocol_may_switch_when_output_is_sent() {
    let mut peer = Harness::new(Scripted(|what, turn| match what {
        "Sent" => {
            turn.switch_to(Box::new(Scripted(record)));
            Consumed::more(0)
        }
        "123" => {
            turn.out.write(b"x");
            turn.mark();
            Consumed::pause(1)
        }
        _ => Consumed::more(0),
    }));
    peer.input(b"123");
    peer.eof();
    assert_eq!(peer.output(), b"x23Eof");
    assert_eq!(peer.unused(), 0);
}

#[test]
fn a_protocol_gets_the_end_of_input_that_its_predecessor_got() {
    let mut peer = Harness::new(Scripted(|what, turn| {
        if what == "Eof" {
            turn.switch_to(Box::new(Echo::default()));
        }
        Consumed::more(what.len())
    }));
    peer.input(b"12");
    peer.eof();
    peer.output();
    assert_eq!(peer.end(), Some(End::Finish));
}

/// Starts a job for `1`, and pauses until then. Switches at other input.
fn wait(what: &str, turn: &mut Turn<'_>) -> Consumed {
    match what {
        "123" => {
            let _ = turn.run(|| ());
            Consumed::pause(1)
        }
        "Message" => {
            turn.resume();
            Consumed::more(0)
        }
        "23" => {
            turn.switch_to(Box::new(Scripted(resume_and_record)));
            Consumed::more(0)
        }
        _ => Consumed::more(0),
    }
}

#[test]
fn input_comes_before_its_end_even_if_a_protocol_resumes_in_open() {
    let mut peer = Harness::new(Scripted(wait));
    peer.input(b"123");
    peer.eof();
    peer.run_jobs();
    assert_eq!(peer.output(), b"23Eof");
}

/// How many bytes were unsent in each [`Event::Sent`].
type Unsent = Rc<RefCell<Vec<u64>>>;

/// Opens a stream at any input. Its protocol writes 20 bytes, and is replaced by a [`Greeter`].
struct Opener(Unsent);

/// Writes five bytes, and notes what is unsent until they are sent.
struct Greeter(Unsent);

impl Protocol for Opener {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut stream = Stream::new(NonZeroU32::MIN, 100);
        let mut own = stream.turn(turn);
        own.out.write(&[b'-'; 20]);
        own.switch_to(Box::new(Greeter(Rc::clone(&self.0))));
        let mut session = NestedSession::in_stream(&mut stream, turn).unwrap();
        session.open(turn);
        for _ in 0..2 {
            session.move_to_stream(&mut stream);
            session.progress(turn);
            stream.move_to(turn.out, 20);
            session.move_to_stream(&mut stream);
            session.progress(turn);
        }
        session.close(&Reason::Finished, turn);
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

impl Protocol for Greeter {
    fn on_bytes(&mut self, _: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        unreachable!("it gets no input")
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                assert_eq!((turn.unsent(), turn.written()), (20, Mark(20)));
                turn.out.write(b"hello");
                assert_eq!(turn.mark(), Mark(25));
            }
            Event::Sent(sent) => {
                assert_eq!(sent, turn.sent());
                self.0.borrow_mut().push(turn.unsent());
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
fn what_a_stream_held_when_it_was_taken_over_counts_as_unsent() {
    let unsent = Unsent::default();
    let mut peer = Harness::new(Opener(Rc::clone(&unsent)));
    peer.input(b"x");
    assert_eq!(unsent.take(), [5, 0]);
    assert_eq!(peer.output(), [&[b'-'; 20][..], b"hello"].concat());
}
