//! A blocking HTTPS client that limits how long a certificate authority (CA) can make it wait, and
//! how much memory a CA can make it use.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use sockeye_http::client::{Piece, RequestKind, ResponseReader};

use crate::failure::{Failure, FailureKind};
use crate::request::{Method, Request, Response, checked_url};

/// The time limit of an exchange, from resolving the name to the end of the response. Resolving is
/// not interrupted: `getaddrinfo` has only the resolver's own time limit (resolv.conf, by default
/// 10 s for each of up to three name servers). On a thread of its own, the call could be abandoned,
/// but each attempt might leave a thread behind. Waiting is harmless, because only the thread that
/// orders certificates waits for this client.
const DEADLINE: Duration = Duration::from_secs(60);

/// The time limit of one attempt to connect to one address.
const CONNECT: Duration = Duration::from_secs(10);

/// At most this many addresses of a name are tried.
const MAX_ADDRESSES: usize = 8;

/// The longest content of a response. A chain of certificates has about 5 KB. ([`ResponseReader`]
/// limits heads to 64 KiB.)
const MAX_CONTENT: usize = 256 * 1024;

/// The value of the field `User-Agent`, which ACME clients have to send (RFC 8555, 6.1).
const USER_AGENT: &str = concat!("sockeye-acme/", env!("CARGO_PKG_VERSION"));

/// A blocking HTTPS client. Each request has a connection of its own, which ends within 60 s. A
/// response has at most 256 KiB of content. Redirects are not followed, because ACME has none.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a client that trusts the root certificates of this configuration.
    #[must_use]
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self { config }
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Untrusted`] if the server's certificate is not trusted,
    /// [`FailureKind::Malformed`] if the URL is malformed, or if the response isn't HTTP, is too
    /// long or incomplete, and [`FailureKind::Unreachable`] for other errors of the connection.
    pub fn send(&self, request: &Request) -> Result<Response, Failure> {
        checked_url(&request.url)?;
        let (authority, path) = split(&request.url);
        let unreachable = |error: io::Error| unreachable(authority, &error);
        let (host, port) = host_and_port(authority)?;
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| Failure::malformed(format!("{host} is no host name")))?;
        let deadline = Instant::now() + DEADLINE;
        let stream = connect(host, port, deadline).map_err(unreachable)?;
        let tls = ClientConnection::new(Arc::clone(&self.config), name);
        let tls = tls.map_err(|error| Failure::malformed(format!("{authority}: {error}")))?;
        let mut stream = StreamOwned::new(tls, Timed { stream, deadline });
        let head = head(request, authority, path);
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.flush());
        sent.map_err(unreachable)?;
        read(&mut stream, request.method, authority)
    }
}

fn head(request: &Request, authority: &str, path: &str) -> String {
    let method = match request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
    };
    let content = match request.method {
        Method::Post => format!(
            "Content-Type: application/jose+json\r\nContent-Length: {}\r\n",
            request.content.len()
        ),
        _ => String::new(),
    };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {USER_AGENT}\r\n\
         Accept: */*\r\nAccept-Language: en\r\n{content}Connection: close\r\n\r\n{}",
        request.content
    )
}

/// The authority (host and port) of an https URL, and its path with the query. The fragment is left
/// out, because clients don't send it.
fn split(url: &str) -> (&str, &str) {
    let rest = &url["https://".len()..];
    let rest = rest.split('#').next().unwrap_or_default();
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    }
}

fn host_and_port(authority: &str) -> Result<(&str, u16), Failure> {
    let malformed = || {
        Failure::malformed(format!(
            "the URL of the CA has no valid host and port, but {authority:?}"
        ))
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| malformed())?)
        }
        _ => (authority, 443),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || host.contains(['?', '@']) { Err(malformed()) } else { Ok((host, port)) }
}

fn connect(host: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()?.take(MAX_ADDRESSES) {
        let left = left_until(deadline)?;
        match TcpStream::connect_timeout(&address, left.min(CONNECT)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The time until the deadline. Fails if the deadline has passed.
fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(timed_out()) } else { Ok(left) }
}

/// A stream whose reads and writes fail when a deadline has passed.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        left_until(self.deadline).map(Some)
    }
}

fn timed_out() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, format!("no response within {} s", DEADLINE.as_secs()))
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        let read = self.stream.read(buffer);
        // After a timeout of the socket, the kernel returns EAGAIN.
        read.map_err(
            |error| if error.kind() == ErrorKind::WouldBlock { timed_out() } else { error },
        )
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        let written = self.stream.write(buffer);
        written.map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => timed_out(),
            _ => error,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Reads one response.
fn read(stream: &mut impl Read, method: Method, authority: &str) -> Result<Response, Failure> {
    let kind = if method == Method::Head { RequestKind::Head } else { RequestKind::Other };
    let malformed = |what: &dyn fmt::Display| Failure::malformed(format!("{authority}: {what}"));
    let mut reader = ResponseReader::default();
    let mut response = Response::default();
    // Input that the reader has not used yet, such as an incomplete head (at most 64 KiB).
    let mut input = Vec::new();
    let mut buffer = [0; 8 * 1024];
    loop {
        let mut used = 0;
        loop {
            let (len, piece) =
                reader.read(&input[used..], kind, None).map_err(|bad| malformed(&bad))?;
            used += len;
            match piece {
                Piece::NeedMore => break,
                Piece::Head(head) => {
                    response.status = head.status;
                    response.location = field(head.bytes, "location");
                    response.nonce = field(head.bytes, "replay-nonce");
                    response.retry_after = field(head.bytes, "retry-after");
                }
                Piece::Content(bytes) => {
                    if response.content.len() + bytes.len() > MAX_CONTENT {
                        let limit = MAX_CONTENT / 1024;
                        return Err(malformed(&format!("sent more than {limit} KiB")));
                    }
                    response.content.extend_from_slice(bytes);
                }
                Piece::End { .. } => return Ok(response),
            }
        }
        input.drain(..used);
        match stream.read(&mut buffer).map_err(|error| unreachable(authority, &error))? {
            0 => {
                let complete = reader.end_of_input().map_err(|bad| malformed(&bad))?;
                if complete {
                    return Ok(response);
                }
                let closed = io::Error::new(ErrorKind::UnexpectedEof, "closed without a response");
                return Err(unreachable(authority, &closed));
            }
            len => input.extend_from_slice(&buffer[..len]),
        }
    }
}

/// The value of a field of a head. A space replaces each line break inside a folded value (RFC
/// 9112, 5.2). A URL or nonce with a space then fails its check. `None` if the head doesn't have
/// the field or is not UTF-8.
fn field(head: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.lines().skip(1).peekable();
    while let Some(line) = lines.next() {
        let mut folded = Vec::new();
        while let Some(more) = lines.next_if(|line| line.starts_with([' ', '\t'])) {
            folded.push(more.trim());
        }
        if let Some((found, value)) = line.split_once(':')
            && found.eq_ignore_ascii_case(name)
        {
            folded.insert(0, value.trim());
            return Some(folded.join(" ").trim().to_owned());
        }
    }
    None
}

fn unreachable(authority: &str, error: &io::Error) -> Failure {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(reason)) => {
            let text = format!("the TLS certificate of {authority} is not trusted: {reason}");
            Failure::new(FailureKind::Untrusted, text)
        }
        _ => {
            let text = format!("cannot reach the CA at {authority}: {error}");
            Failure::new(FailureKind::Unreachable, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::checked_nonce;

    /// Returns these bytes in pieces of this size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = self.0.len().min(self.1);
            buffer[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    #[test]
    fn responses_are_read_however_they_are_cut() {
        let response =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nLocation: https://ca/1\r\n\
            replay-nonce:  abc \r\nRetry-After: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        for size in [1, 2, 7, 8192] {
            let read = read(&mut Pieces(response, size), Method::Post, "ca").unwrap();
            assert_eq!(
                read,
                Response {
                    status: 201,
                    location: Some("https://ca/1".into()),
                    nonce: Some("abc".into()),
                    retry_after: Some("5".into()),
                    content: b"abcd".into(),
                }
            );
        }
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(read(&mut Pieces(head, 9), Method::Head, "ca").unwrap().content, b"");
        let until_close = b"HTTP/1.0 200 OK\r\n\r\nabc";
        assert_eq!(read(&mut Pieces(until_close, 9), Method::Get, "ca").unwrap().content, b"abc");
    }

    #[test]
    fn a_folded_value_has_a_space_in_place_of_the_line_break() {
        for (head, expected) in [
            ("H\r\nLocation: https://ca/1\r\n\r\n", Some("https://ca/1")),
            ("H\r\nLocation: https://ca/\r\n 1\r\n\t2\r\nA: b\r\n\r\n", Some("https://ca/ 1 2")),
            // A break before the value is common, and harmless.
            ("H\r\nLocation:\r\n https://ca/1\r\n\r\n", Some("https://ca/1")),
            ("H\r\nA: b\r\n Location: https://evil/\r\n\r\n", None),
            ("H\n\tLocation: https://evil/\nA: b\n\n", None),
        ] {
            let found = field(head.as_bytes(), "location");
            assert_eq!(found.as_deref(), expected, "{head:?}");
        }
        assert!(checked_url("https://ca/ 1 2").is_err());
        assert_eq!(checked_nonce("abc def"), None);
    }

    #[test]
    fn a_connection_that_comes_too_late_is_not_begun() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(connect("127.0.0.1", port, Instant::now() + DEADLINE).is_ok());
        // Resolving the name has taken all the time.
        let error = connect("127.0.0.1", port, Instant::now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn what_an_authority_sends_is_bounded() {
        let long = |length: usize| {
            let content = vec![b'a'; length];
            [format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes(), &content]
                .concat()
        };
        let answer = |bytes: &[u8]| read(&mut Pieces(bytes, 8192), Method::Get, "ca");
        assert_eq!(answer(&long(MAX_CONTENT)).unwrap().content.len(), MAX_CONTENT);
        let too_long = answer(&long(MAX_CONTENT + 1)).unwrap_err();
        assert_eq!(too_long.text, "ca: sent more than 256 KiB");
        let endless = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &vec![b'a'; 70_000]].concat();
        assert_eq!(answer(&endless).unwrap_err().kind, FailureKind::Malformed);
        for cut in [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"] {
            assert!(answer(cut).is_err());
        }
    }

    #[test]
    fn urls_are_split() {
        for (url, expected) in [
            ("https://ca.example/dir?a#b", Ok(("ca.example", 443, "/dir?a"))),
            ("https://ca.example", Ok(("ca.example", 443, "/"))),
            ("https://127.0.0.1:14000/dir", Ok(("127.0.0.1", 14_000, "/dir"))),
            ("https://[::1]:14000/dir", Ok(("::1", 14_000, "/dir"))),
            ("https://[::1]/dir", Ok(("::1", 443, "/dir"))),
            ("https://a@b/", Err(())),
            ("https:///", Err(())),
            ("https://a:x/", Err(())),
        ] {
            let (authority, path) = split(url);
            let found = host_and_port(authority).map(|(host, port)| (host, port, path));
            assert_eq!(found.map_err(|_| ()), expected, "{url}");
        }
    }
}
