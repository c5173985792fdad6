//! The semantics of HTTP do not depend on the wire: one table of requests, handlers and responses,
//! over HTTP/1.1 and HTTP/2.

mod table;

use std::cell::RefCell;
use std::time::Duration;

use sockeye_proto::{Reason, WallTime};

use super::h2::client::{Client, END, block, head, raw};
use super::*;
use crate::h2::frame::{flags, kind, settings};
use crate::{Log, Outcome, RequestHead};

/// A request, and what happens after it.
#[derive(Clone, Copy, Debug)]
struct Sent<'a> {
    method: &'a str,
    path: &'a str,
    host: &'a str,
    fields: &'a [(&'a str, &'a str)],
    /// The pieces of its content. Its length is unknown, unless `fields` announce it.
    content: Option<&'a [&'a str]>,
    trailers: &'a [(&'a str, &'a str)],
    /// The content, if there is any, is not complete.
    is_cut: bool,
    then: Then,
}

/// What happens after a request.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Jobs run.
    Jobs,
    /// Jobs are lost.
    Drop,
    /// The client closes its sending side, and jobs run.
    Eof,
    /// Time passes, then jobs run.
    Pass(u64),
    /// The client closes its sending side, and time passes.
    EofPass(u64),
    /// The server drains.
    Drain,
    /// The client has left.
    Reset,
}

/// A response, and its entry of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Got {
    statuses: Vec<u16>,
    /// Sorted, without those about the connection and the date.
    fields: Vec<(String, String)>,
    content: Vec<u8>,
    trailers: Vec<(String, String)>,
    is_complete: bool,
    log: Vec<String>,
}

impl Got {
    /// Its text: the statuses, the content (or its length), the trailers, whether it was aborted,
    /// and the log entry if it is not `complete`.
    fn show(&self) -> String {
        let statuses: Vec<_> = self.statuses.iter().map(ToString::to_string).collect();
        let mut shown = statuses.join(" ");
        let content = String::from_utf8_lossy(&self.content);
        match self.content.len() {
            0 => {}
            len if len > 150 => shown += &format!(" [{len}]"),
            _ => shown += &format!(" {}", content.trim_end().replace('\n', "/")),
        }
        for (name, value) in &self.trailers {
            shown += &format!("|{name}={value}");
        }
        if !self.is_complete {
            shown += " ABORTED";
        }
        for entry in self.log.iter().filter(|entry| *entry != "complete") {
            shown += &format!(" ({entry})");
        }
        shown
    }
}

/// Records how requests ended.
#[derive(Debug, Default)]
struct Reasons(RefCell<Vec<String>>);

impl Log for Reasons {
    fn on_request(&self, _: RequestHead<'_>, _: &Peer, _: WallTime, notes: &mut Vec<u8>) {
        notes.push(b'r');
    }

    fn on_end(&self, notes: &[u8], outcome: &Outcome) {
        assert_eq!(notes, b"r");
        self.0.borrow_mut().push(outcome.end_reason.as_str().to_owned());
    }
}

type Fields2 = Vec<(String, String)>;

fn is_about_connection(name: &str) -> bool {
    ["date", "connection", "transfer-encoding"].contains(&name)
}

fn finish(harness: &mut Harness, then: Then) {
    match then {
        Then::Jobs => {}
        Then::Drop => harness.drop_jobs(),
        Then::Eof => harness.eof(),
        Then::Pass(secs) => harness.pass(Duration::from_secs(secs)),
        Then::EofPass(secs) => {
            harness.eof();
            harness.pass(Duration::from_secs(secs));
        }
        Then::Drain => harness.drain(),
        Then::Reset => harness.end_for(&Reason::Reset),
    }
}

/// Makes a server with a configuration.
type Make = dyn Fn(Rc<ServerConfig>) -> Harness;
/// Makes a configuration with a log.
type Configure = dyn Fn(Rc<Reasons>) -> ServerConfig;

fn over_http1(make: &Make, configure: &Configure, sent: &Sent<'_>) -> Got {
    let log = Rc::<Reasons>::default();
    let mut client = make(Rc::new(configure(log.clone())));
    let Sent { method, path, host, fields, content, trailers, is_cut, then } = *sent;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in fields {
        head += &format!("{name}: {value}\r\n");
    }
    let is_chunked = content.is_some() && !fields.iter().any(|(name, _)| *name == "content-length");
    head += if is_chunked { "transfer-encoding: chunked\r\n\r\n" } else { "\r\n" };
    client.input(head.as_bytes());
    let mut output = client.output();
    let mut send = |client: &mut Harness, bytes: &str| {
        if client.fault().is_none() && client.end().is_none() && !bytes.is_empty() {
            client.input(bytes.as_bytes());
        }
        while matches!(then, Then::Jobs) && client.run_jobs() > 0 {}
        output.extend(client.output());
    };
    for piece in content.unwrap_or_default() {
        match is_chunked {
            true => send(&mut client, &format!("{:x}\r\n{piece}\r\n", piece.len())),
            false => send(&mut client, piece),
        }
    }
    if is_chunked && !is_cut {
        let lines: String =
            trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        send(&mut client, &format!("0\r\n{lines}\r\n"));
    }
    finish(&mut client, then);
    loop {
        let more = client.output();
        output.extend(&more);
        if client.run_jobs() == 0 && more.is_empty() {
            break;
        }
    }
    let mut got = read_http1(&output, method == "HEAD");
    got.log = log.0.take();
    got
}

fn lower(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").expect("a field line");
    (name.to_lowercase(), value.to_owned())
}

/// Reads the responses to one request.
fn read_http1(mut output: &[u8], is_head: bool) -> Got {
    let mut got = Got::default();
    let mut all = Vec::new();
    loop {
        let Some(end) = output.windows(4).position(|four| four == b"\r\n\r\n") else { return got };
        let head = str::from_utf8(&output[..end]).unwrap();
        output = &output[end + 4..];
        let status: u16 = head[9..12].parse().unwrap();
        got.statuses.push(status);
        if status >= 200 {
            all.extend(head.lines().skip(1).map(lower));
            break;
        }
    }
    let value = |name: &str| all.iter().find(|field| field.0 == name).map(|field| field.1.clone());
    let (length, coding) = (value("content-length"), value("transfer-encoding"));
    got.fields = all.into_iter().filter(|(name, _)| !is_about_connection(name)).collect();
    got.fields.sort();
    got.is_complete = true;
    if is_head || matches!(got.statuses.last(), Some(204 | 304)) {
        assert_eq!(output, b"");
    } else if coding.is_some() {
        got.is_complete = false;
        while let Some(end) = output.windows(2).position(|two| two == b"\r\n") {
            let size = usize::from_str_radix(str::from_utf8(&output[..end]).unwrap(), 16).unwrap();
            output = &output[end + 2..];
            if size == 0 {
                let lines = str::from_utf8(output).unwrap();
                got.trailers = lines.lines().filter(|line| !line.is_empty()).map(lower).collect();
                got.is_complete = true;
                break;
            }
            got.content.extend_from_slice(&output[..size]);
            output = &output[size + 2..];
        }
    } else {
        let length: usize = length.expect("a length").parse().unwrap();
        got.content = output.to_vec();
        got.is_complete = output.len() == length;
    }
    got
}

fn over_http2(make: &Make, configure: &Configure, sent: &Sent<'_>) -> Got {
    let log = Rc::<Reasons>::default();
    let harness = make(Rc::new(configure(log.clone())));
    let large = i32::MAX as u32 / 2;
    let mut client = Client::with_settings(harness, &[(settings::INITIAL_WINDOW_SIZE, large)]);
    client.window_update(0, large);
    let Sent { method, path, host, fields, content, trailers, is_cut, then } = *sent;
    let mut all = head(method, path, fields);
    all[3].1 = host;
    let ends = if content.is_none() && !is_cut { flags::END_STREAM } else { 0 };
    let bytes = block(&all);
    let mut parts = bytes.chunks(16_000).peekable();
    let mut kind = kind::HEADERS;
    while let Some(part) = parts.next() {
        let last = if parts.peek().is_none() { flags::END_HEADERS } else { 0 };
        client.input(&raw(kind, ends & flags::END_STREAM | last, 1, part));
        kind = kind::CONTINUATION;
    }
    client.read();
    for piece in content.unwrap_or_default() {
        client.data(1, piece.as_bytes());
        while matches!(then, Then::Jobs) && client.harness.run_jobs() > 0 {}
        client.read();
    }
    let is_open = client.streams.get(&1).is_none_or(|got| got.reset.is_none());
    match content {
        Some(_) if !is_cut && is_open && !trailers.is_empty() => client.headers(1, END, trailers),
        Some(_) if !is_cut && is_open => client.end(1, b""),
        _ => {}
    }
    client.read();
    match then {
        Then::Reset => client.reset(1),
        then => finish(&mut client.harness, then),
    }
    loop {
        let more = client.read();
        if client.harness.run_jobs() == 0 && more.is_empty() {
            break;
        }
    }
    let received = client.streams.remove(&1).unwrap_or_default();
    let mut fields: Fields2 =
        received.fields.into_iter().filter(|(name, _)| !is_about_connection(name)).collect();
    fields.sort();
    let statuses = received.statuses;
    Got {
        statuses,
        fields,
        content: received.content,
        trailers: received.trailers.unwrap_or_default(),
        is_complete: received.has_ended,
        log: log.0.take(),
    }
}

/// Checks that both wires give this response.
#[track_caller]
fn check(make: &Make, configure: &Configure, sent: &Sent<'_>, expected: &str) -> Got {
    let (first, second) = (over_http1(make, configure, sent), over_http2(make, configure, sent));
    assert_eq!(first.show(), expected, "over HTTP/1.1: {sent:?}");
    if !first.is_complete {
        // HTTP/2 resets the stream, and drops what was not sent.
        assert!(!second.is_complete && first.content.starts_with(&second.content), "{sent:?}");
        assert_eq!(first.log, second.log, "{sent:?}");
        return first;
    }
    assert_eq!(second.show(), expected, "over HTTP/2: {sent:?}");
    assert_eq!(first, second, "{sent:?}");
    first
}
