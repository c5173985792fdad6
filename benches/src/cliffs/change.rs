//! A file that changes. Each version of the file repeats one line, which is the number of the
//! version. So a response with parts of two versions can be detected.

use std::{
    io::{ErrorKind, Write},
    net::{SocketAddr, TcpStream},
};

use super::strain::Counts;
use crate::{Result, probe};

/// Length of a line in bytes, line break included.
const LINE: usize = 16;
const REQUEST: &[u8] = b"GET /changing.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The content of a version.
pub(super) fn version(number: u64, size: usize) -> Vec<u8> {
    let line = format!("{number:0width$}\n", width = LINE - 1);
    line.into_bytes().repeat(size.div_ceil(LINE))
}

/// The content of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Classified {
    /// A complete version.
    Whole,
    /// The beginning of a version, or nothing. The file has such content while it is overwritten.
    Part,
    /// Parts of two versions. The file never has such content.
    Torn,
}

fn classify(content: &[u8], size: usize) -> Classified {
    let mut lines = content.chunks(LINE);
    let first = lines.next().unwrap_or_default();
    if !lines.all(|line| first.starts_with(line)) {
        Classified::Torn
    } else if content.len() < size {
        Classified::Part
    } else {
        Classified::Whole
    }
}

/// Requests the file, and classifies the responses.
#[derive(Debug)]
pub(super) struct Checks {
    address: SocketAddr,
    size: usize,
    socket: Option<TcpStream>,
    whole: u64,
    part: u64,
    torn: u64,
    /// Number of responses that the server cut, because the file changed meanwhile.
    cut: u64,
}

impl Checks {
    pub(super) fn new(address: SocketAddr, size: usize) -> Self {
        Self { address, size, socket: None, whole: 0, part: 0, torn: 0, cut: 0 }
    }

    /// Makes one request.
    pub(super) fn check(&mut self) -> Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(probe::connect(self.address)?),
        };
        socket.write_all(REQUEST)?;
        match probe::exchange(socket, b"") {
            Ok(response) => match classify(&response.body, self.size) {
                Classified::Whole => self.whole += 1,
                Classified::Part => self.part += 1,
                Classified::Torn => self.torn += 1,
            },
            // The server cuts a response that it can't complete.
            Err(error) if is_cut(&*error) => {
                self.cut += 1;
                self.socket = None;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) fn counts(&self, versions: u64) -> Counts {
        Counts::from([
            ("versions", versions),
            ("responses of one version", self.whole),
            ("shorter than a version", self.part),
            ("cut", self.cut),
            ("of two versions", self.torn),
        ])
    }
}

fn is_cut(error: &(dyn std::error::Error + 'static)) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_of_two_versions_is_distinguished_from_a_part_of_one() {
        let (one, two) = (version(1, 64), version(2, 64));
        assert_eq!(one.len(), 64);
        for (content, made) in [
            (&one[..], Classified::Whole),
            (&one[..40], Classified::Part),
            (b"", Classified::Part),
            (&[&one[..32], &two[32..]].concat()[..], Classified::Torn),
            (&[&one[..40], &two[40..]].concat()[..], Classified::Torn),
        ] {
            assert_eq!(classify(content, 64), made);
        }
    }
}
