//! A client that sends raw requests and parses responses.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use sockeye::Config;
use sockeye::Linger;
use sockeye::http::{self, Body, Limits, Options, Reply, Request, Serving};

/// Timeout of each wait of a test: far longer than any should take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Starts a server with one worker. When it closes a connection, it reads on only until no input
/// arrives for 20 ms.
pub(crate) fn serve<R: Into<Reply>>(
    response: impl Fn(Request<Body>) -> R + Send + Sync + 'static,
) -> (Serving, String) {
    serve_with(Limits::default(), response)
}

/// Like [`serve`], with `limits`.
pub(crate) fn serve_with<R: Into<Reply>>(
    limits: Limits,
    response: impl Fn(Request<Body>) -> R + Send + Sync + 'static,
) -> (Serving, String) {
    let linger = Linger { quiet: Duration::from_millis(20), ..Linger::default() };
    let config = Config { linger, ..Config::default() };
    let options = Options { workers: NonZeroUsize::MIN, limits, config, ..Options::default() };
    let serving = http::serve(&["127.0.0.1:0".parse().unwrap()], options, response).unwrap();
    let address = serving.addresses()[0].to_string();
    (serving, address)
}

/// Waits until `done` returns `true`.
pub(crate) fn wait_until(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < TIMEOUT, "timed out");
        thread::yield_now();
    }
}

/// Drains the service, and checks that no connection was cut.
pub(crate) fn stop(serving: Serving) -> sockeye::Stats {
    serving.handle().drain();
    let stats = serving.join().unwrap();
    assert_eq!(stats.cut, 0);
    stats
}

/// A client's connection.
pub(crate) struct Client(BufReader<TcpStream>);

/// A response.
#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    /// The field lines.
    pub(crate) fields: String,
    pub(crate) body: Vec<u8>,
    /// The field lines of the trailers.
    pub(crate) trailers: String,
}

impl TestResponse {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.fields.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(this, _)| this.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request head. `line` is the method and target, such as `GET /`.
    pub(crate) fn head(&mut self, line: &str, fields: &[&str]) {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        self.send(format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
    }

    /// Sends a request without a body, and reads the response.
    pub(crate) fn request(&mut self, line: &str) -> TestResponse {
        self.head(line, &[]);
        self.response_to(line)
    }

    /// Sends a request with a body and its Content-Length, and reads the response.
    pub(crate) fn request_with_body(&mut self, line: &str, body: &[u8]) -> TestResponse {
        self.head(line, &[&format!("Content-Length: {}", body.len())]);
        self.send(body);
        self.response_to(line)
    }

    /// Reads the response to a method other than HEAD.
    pub(crate) fn response(&mut self) -> TestResponse {
        self.response_to("")
    }

    fn response_to(&mut self, line: &str) -> TestResponse {
        let mut response = self.response_head();
        if line.starts_with("HEAD ") || matches!(response.status, 204 | 304) {
            return response;
        }
        if response.field("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk() {
                response.body.extend(chunk);
            }
            response.trailers = self.lines();
        } else if let Some(length) = response.field("content-length") {
            response.body = vec![0; length.parse().unwrap()];
            self.0.read_exact(&mut response.body).unwrap();
        } else {
            self.0.read_to_end(&mut response.body).unwrap();
        }
        response
    }

    pub(crate) fn response_head(&mut self) -> TestResponse {
        let line = self.line();
        let status = line.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        TestResponse { status, fields: self.lines(), body: Vec::new(), trailers: String::new() }
    }

    /// Reads a chunk. Returns `None` for the last one, which is empty.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(self.line().trim_end(), 16).unwrap();
        let mut data = vec![0; size];
        self.0.read_exact(&mut data).unwrap();
        if size == 0 {
            return None;
        }
        assert_eq!(self.line(), "\r\n");
        Some(data)
    }

    /// Waits until bytes have arrived, and leaves them unread.
    pub(crate) fn wait(&self) {
        assert_eq!(self.0.get_ref().peek(&mut [0]).unwrap(), 1);
    }

    /// Resets the connection: it is closed with unread bytes.
    pub(crate) fn reset(self) {
        self.wait();
    }

    /// Closes the sending side (FIN).
    pub(crate) fn end(&mut self) {
        self.0.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    /// Waits for bytes or the end. Returns whether the server has closed or reset the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.0.fill_buf() {
            Ok(rest) => rest.is_empty(),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Reads until the connection is closed or reset.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut rest) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        }
        rest
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// Reads lines until a blank one.
    fn lines(&mut self) -> String {
        let mut lines = String::new();
        loop {
            let line = self.line();
            if matches!(&*line, "\r\n" | "") {
                return lines;
            }
            lines += &line;
        }
    }
}
