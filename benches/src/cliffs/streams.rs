//! A service whose responses are written in pieces, for the cliffs `writes` and `corking` (see
//! [`super`]). This command runs it alone:
//!
//! ```text
//! sockeye-benches cliffs streams
//! ```
//!
//! | path | content of the response |
//! |---|---|
//! | `/whole` | 2,000 bytes in one piece |
//! | `/pieces` | 2,000 bytes in 100 pieces, at once |
//! | `/turns` | 2,000 bytes in 100 pieces, each from a job of the thread pool |
//! | `/echo` | the request's content |

use std::num::NonZeroUsize;

use sockeye::http::{
    self, Body, BodySource, Bytes, Options, Reply, Request, Response, SourceNext, StatusCode,
};

use crate::Result;

const PIECE: &[u8] = b"twenty bytes of text";
/// Number of pieces of a response.
pub(super) const PIECES: usize = 100;

/// Runs the service until the process is killed.
pub(super) fn run() -> Result<()> {
    let options = Options { workers: NonZeroUsize::MIN, ..Options::default() };
    let serving = http::serve(&["127.0.0.1:0".parse()?], options, answer)?;
    println!("http://{}", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}

fn answer(request: Request<Body>) -> Reply {
    let head = Response::new(());
    match request.uri().path() {
        "/whole" => Reply::pieces(head, [PIECE.repeat(PIECES)]),
        "/pieces" => Reply::pieces(head, [PIECE; PIECES]),
        "/turns" => Reply::pull(head, Turns(PIECES)),
        "/echo" => request.into_body().collect(1 << 20, |body| body),
        _ => StatusCode::NOT_FOUND.into(),
    }
}

/// The content of `/turns`: how many pieces are left to send.
struct Turns(usize);

impl BodySource for Turns {
    fn next(self: Box<Self>) -> SourceNext {
        let Some(left) = self.0.checked_sub(1) else { return SourceNext::End };
        SourceNext::run(move || SourceNext::Piece(Bytes::from_static(PIECE), Box::new(Self(left))))
    }
}
