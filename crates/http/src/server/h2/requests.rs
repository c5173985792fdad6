//! Header blocks: requests and trailers (RFC 9113, 6.2, 6.10 and 8).

use std::num::NonZeroU32;

use sockeye_proto::{Fault, Reason, Time, Turn};

use super::connection::{GoAway, H2Connection, PartialBlock};
use super::error::H2Error;
use super::limits::{MAX_CONTINUATIONS, MAX_STREAM_OUTPUT, MAX_STREAMS, QUANTUM, UNCHARGED};
use super::receive::RequestContent;
use super::stream::{ActiveStream, RequestProgress, State, follow_answers};
use crate::h2::exchange::H2Exchange;
use crate::h2::frame::{self, FrameHeader, HeadersError, flags};
use crate::h2::head::{Head, HeadBuffer, HeadError};
use crate::h2::head_memory::{BlockContext, HeadMemory};
use crate::handling::answer::AnswerKind;
use crate::handling::connection::Connection;
use crate::handling::in_flight::InFlight;
use crate::semantics::exchange::{Exchange, Incoming, MAX_REQUESTED, UpgradeProtocols};
use crate::semantics::method::MethodKind;
use crate::semantics::refusal::Refusal;
use crate::{Handler, Handlers, HostCheck, Request, RequestHead, UnparsedHead};

impl<S: Handlers> H2Connection<S> {
    /// Handles a HEADERS frame.
    pub(super) fn on_headers(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        let stream = header.stream;
        if stream.is_multiple_of(2) {
            return Err(H2Error::protocol("sent a request on a stream that is not its own"));
        }
        let block = frame::block_in_headers(header, payload).map_err(|error| match error {
            HeadersError::TooShort => H2Error::frame_size("sent a HEADERS frame that is too short"),
            HeadersError::TooMuchPadding => {
                H2Error::protocol("sent more padding than a frame has room for")
            }
        })?;
        let ends_stream = header.has(flags::END_STREAM);
        if header.has(flags::END_HEADERS) {
            return self.on_block(stream, ends_stream, block, turn);
        }
        let (bytes, continuations) = (block.to_vec(), 0);
        self.block = Some(Box::new(PartialBlock { stream, ends_stream, bytes, continuations }));
        Ok(())
    }

    /// Handles a CONTINUATION frame.
    pub(super) fn on_continuation(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        let Some(mut block) = self.block.take().filter(|block| block.stream == header.stream)
        else {
            return Err(H2Error::protocol("sent a CONTINUATION frame without its HEADERS frame"));
        };
        block.continuations += 1;
        block.bytes.extend_from_slice(payload);
        // A block of up to `excess` times the limit is decoded, even if its request gets a 431 for
        // its size: the block may change HPACK's dynamic table. A longer block ends the connection.
        let excess = if turn.is_over_budget() { 1 } else { 4 };
        let is_too_long = block.bytes.len() > self.config.limits.head.saturating_mul(excess);
        if block.continuations > MAX_CONTINUATIONS || is_too_long {
            return Err(H2Error::HEADER_FLOOD);
        }
        if !header.has(flags::END_HEADERS) {
            self.block = Some(block);
            return Ok(());
        }
        self.on_block(block.stream, block.ends_stream, &block.bytes, turn)
    }

    /// Handles a complete header block. `ends`: its HEADERS frame has the flag END_STREAM.
    fn on_block(
        &mut self,
        id: u32,
        ends: bool,
        block: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        let mut memory = self.config.head_memory.take().unwrap_or_default();
        let result = if id > self.last_id {
            self.budgets.on_request(block.len());
            self.read_request(ends, block, &mut memory)
                .and_then(|request| self.open_stream(id, ends, &memory.head, request, turn))
        } else {
            self.decode(block, &mut memory)
                .and_then(|()| self.on_trailers(id, ends, &memory.head, turn))
        };
        self.config.head_memory.set(Some(memory));
        result
    }

    /// Reads a request. A block is not decoded again if the last block that this worker (event
    /// loop) decoded was equal and came from the same connection, and the dynamic table has not
    /// changed since: clients often repeat blocks.
    fn read_request(
        &mut self,
        ends: bool,
        block: &[u8],
        memory: &mut HeadMemory,
    ) -> Result<Result<Head, HeadError>, H2Error> {
        let generation = self.decoder.generation();
        let source = BlockContext { connection: self.number, generation, ends };
        if let Some(head) = memory.find(block, source) {
            return Ok(Ok(head));
        }
        self.decode(block, memory)?;
        let request = memory.head.request(ends, &self.config.limits);
        if let Ok(head) = request
            && self.decoder.generation() == generation
        {
            memory.store(block, source, head);
        }
        Ok(request)
    }

    /// Decodes a header block. Every block that may change the dynamic table must be decoded, even
    /// if its request is ignored.
    fn decode(&mut self, block: &[u8], memory: &mut HeadMemory) -> Result<(), H2Error> {
        memory.clear();
        let HeadMemory { head, huffman, .. } = memory;
        let limits = &self.config.limits;
        let checks_all = self.checks_all_fields;
        self.decoder
            .decode(block, huffman, |field| {
                // A field from a table needs no check, unless the dynamic table may contain
                // invalid fields (`checks_all`).
                head.take(field, field.is_from_table && !checks_all, limits)
            })
            .map_err(H2Error::of_block)?;
        self.checks_all_fields |= head.has_unchecked_fields();
        Ok(())
    }

    /// Handles a request on a new stream.
    fn open_stream(
        &mut self,
        id: u32,
        ends: bool,
        head: &HeadBuffer,
        request: Result<Head, HeadError>,
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        self.has_skipped |= id > self.last_id + 2;
        if self.goaway_sent == GoAway::Last {
            // The request is ignored: the client repeats it on another connection (RFC 9113, 6.8).
            self.last_id = id;
            return Ok(());
        }
        (self.last_id, self.last_answered) = (id, id);
        self.timers.idle = Time::NEVER;
        if self.streams.len() >= MAX_STREAMS {
            return self.fail_stream(id, H2Error::REFUSED, turn);
        }
        if turn.is_over_budget() && self.held > UNCHARGED {
            // The client may repeat the request when it has received the earlier responses.
            self.reset(id, H2Error::REFUSED.code, turn);
            return Ok(());
        }
        match request {
            Ok(request) if request.is_extended_connect && self.connection.is_stopping() => {
                // The client may repeat the request on another connection.
                self.reset(id, H2Error::REFUSED.code, turn);
                Ok(())
            }
            Ok(request) => self.start_request(id, ends, head, &request, turn),
            Err(HeadError::Malformed(what)) => {
                let error = H2Error::protocol(what);
                self.log_unparsed(head, turn);
                if let Some(log) = &mut self.connection.log {
                    let fault = error.fault();
                    log.set_fault(fault.code, turn.now());
                    log.split_last().on_closed(&Reason::Fault(fault), turn);
                }
                self.fail_stream(id, error, turn)
            }
            Err(HeadError::Refused(refusal)) => {
                self.log_unparsed(head, turn);
                let request = (Incoming::Ended, &head.refused());
                self.answer(id, ends, request, turn, |in_flight, connection, turn| {
                    in_flight.refuse(refusal, connection, turn);
                    Ok(AnswerKind::Done)
                })
            }
        }
    }

    /// Adds to the access log a request that is malformed or refused.
    #[cold]
    fn log_unparsed(&mut self, head: &HeadBuffer, turn: &Turn<'_>) {
        if let Some(log) = &mut self.connection.log {
            let line = head.as_lines();
            log.add_request(RequestHead::Unparsed(UnparsedHead::of(&line)), turn);
        }
    }

    /// Calls the handler of a request, unless the request's method, host or `:protocol` is refused.
    fn start_request(
        &mut self,
        id: u32,
        ends: bool,
        buffer: &HeadBuffer,
        head: &Head,
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        let mut request = buffer.view(&head.control, head.content);
        if let Some(log) = &mut self.connection.log {
            log.add_request(RequestHead::Parsed(&request), turn);
        }
        let (content, expects_continue) = (head.content, head.expects_continue);
        let incoming = Incoming::NotRequested { content, expects_continue };
        self.answer(id, ends, (incoming, head), turn, |in_flight, connection, turn| {
            let is_special = matches!(head.control.method, MethodKind::Connect | MethodKind::Trace);
            if is_special && !head.is_extended_connect {
                in_flight.refuse(Refusal::REFUSED_METHOD, connection, turn);
                return Ok(AnswerKind::Done);
            }
            if let Some(check) = &connection.config.host_check
                && connection.checks_host
                && !is_allowed(check, buffer, &request)
            {
                let what = check.report_refusal(&request);
                in_flight.refuse(Refusal::host_not_allowed(&what), connection, turn);
                return Ok(AnswerKind::Done);
            }
            // An extended CONNECT.
            if is_special {
                (request.upgrade, in_flight.wire.upgrade) = (true, true);
                let requested = request.upgrade().unwrap_or_default();
                let protocols =
                    UpgradeProtocols { requested: requested.to_vec(), ..Default::default() };
                in_flight.exchange.protocols = Some(Box::new(protocols));
                if requested.len() > MAX_REQUESTED
                    || !in_flight.can_upgrade(requested, connection, turn)?
                {
                    in_flight.refuse(Refusal::UNKNOWN_PROTOCOL, connection, turn);
                    return Ok(AnswerKind::Done);
                }
            }
            in_flight.call(connection, turn, |handler, responder| {
                handler.on_request(&request, responder)
            })
        })
    }

    /// Answers a request by calling `call`. No [`ActiveStream`] is created if the request has no
    /// content, its response is complete at once and has at most [`QUANTUM`] bytes of content, no
    /// other stream waits to send, and the peer's windows and the output have room.
    fn answer(
        &mut self,
        id: u32,
        ends: bool,
        (incoming, head): (Incoming, &Head),
        turn: &mut Turn<'_>,
        call: impl FnOnce(
            &mut InFlight<S::Handler, H2Exchange>,
            &mut Connection,
            &mut Turn<'_>,
        ) -> Result<AnswerKind, Fault>,
    ) -> Result<(), H2Error> {
        let priority = self.take_early_priority(id).unwrap_or(head.priority);
        let number = NonZeroU32::new(id).unwrap_or(NonZeroU32::MIN);
        let mut stream = self.config.lend_stream(number, MAX_STREAM_OUTPUT);
        let mut receive = None;
        let head_only = head.control.method == MethodKind::Head;
        let mut in_flight = InFlight {
            handler: self.handlers.handler(turn.peer()),
            exchange: Exchange::new(head_only, incoming),
            wire: H2Exchange::default(),
        };
        let connection = &mut self.connection;
        let mut own = stream.turn(turn);
        let answer = call(&mut in_flight, connection, &mut own);
        let answer = match answer {
            // Most requests are answered at once.
            Ok(AnswerKind::Done) => Ok(RequestProgress::Complete),
            answer => {
                let receive = receive.insert(RequestContent::new(head, ends));
                follow_answers(&mut in_flight, receive, answer, connection, &mut own)
            }
        };
        let is_answered = matches!(answer, Ok(RequestProgress::Complete));
        if is_answered && let Some(log) = &mut connection.log {
            log.set_response_end(own.written());
        }
        let (mut send_window, mut is_moved) = (self.sender.initial_window, false);
        if is_answered && self.scheduler.is_empty() && !self.is_full(turn) {
            let wire = &mut in_flight.wire;
            // The stream's window, whether the response is whole, and whether it may be sent in
            // small parts.
            let window = (&mut send_window, true, false);
            let context = (&mut self.budgets, &mut *turn);
            let moved = self.sender.move_frames(&mut stream, wire, window, QUANTUM, context)?;
            if moved.is_complete && ends {
                self.budgets.on_response();
                if let Some(log) = &mut self.connection.log {
                    log.finish(turn.mark());
                }
                self.config.take_back_stream(stream);
                return Ok(());
            }
            is_moved = moved.is_complete;
        }
        let active = ActiveStream {
            stream,
            connection: self.connection.split(),
            state: match is_answered {
                true => State::Sending(in_flight.wire),
                false => State::InFlight(in_flight),
            },
            priority,
            send_window,
            receive: receive.unwrap_or_else(|| RequestContent::new(head, ends)),
            waits_for_connection: false,
            counted: 0,
            is_queued: false,
            sends_small: false,
            small_deadline: Time::NEVER,
            reset_deadline: Time::NEVER,
        };
        self.streams.push(active);
        if !is_answered && let Some(active) = self.streams.get_mut(id) {
            match answer {
                Ok(RequestProgress::Switched) => active.start_tunnel(turn),
                Ok(_) => {}
                Err(fault) => active.on_fault(fault, turn),
            }
        }
        match is_moved {
            true => self.complete(id, turn),
            false => self.update_stream(id, turn),
        }
        Ok(())
    }

    /// Handles a header block on a stream that isn't new: trailers, or an error such as a second
    /// request.
    fn on_trailers(
        &mut self,
        id: u32,
        ends: bool,
        head: &HeadBuffer,
        turn: &mut Turn<'_>,
    ) -> Result<(), H2Error> {
        self.budgets.on_control(turn.now())?;
        let Some(active) = self.streams.get_mut(id) else {
            if self.streams.reset_window(id).is_some() || self.is_ignored(id) {
                return Ok(());
            }
            if self.has_skipped {
                // Perhaps the client skipped this number before and opens the stream only now: that
                // is an error (RFC 9113, 5.1.1).
                return Err(H2Error::protocol("sent a header block on a stream that is not open"));
            }
            return Err(H2Error::stream_closed("sent a header block on a stream that has ended"));
        };
        if active.receive.is_connect {
            // After CONNECT, a client must not send a header block (RFC 9113, 8.5).
            let error = H2Error::protocol("sent a header block after CONNECT");
            return self.fail_stream(id, error, turn);
        }
        if active.receive.has_ended {
            let error = H2Error::stream_closed("sent a header block after the end of a request");
            return self.fail_stream(id, error, turn);
        }
        let trailers = match head.trailers() {
            Ok(trailers) if ends => Ok(trailers),
            Ok(_) => Err("sent trailers that do not end the stream"),
            Err(HeadError::Malformed(what)) => Err(what),
            Err(HeadError::Refused(refusal)) => Err(refusal.what),
        };
        match trailers {
            Ok(trailers) => self.end_request(id, trailers, turn),
            Err(what) => self.fail_stream(id, H2Error::protocol(what), turn),
        }
    }
}

/// Whether the host of the request in `buffer` is allowed.
fn is_allowed(check: &HostCheck, buffer: &HeadBuffer, request: &Request<'_>) -> bool {
    let is_allowed = buffer.host_allowed.get().unwrap_or_else(|| check.allows(request));
    buffer.host_allowed.set(Some(is_allowed));
    is_allowed
}
