//! Cases of [`cliffs`](crate::cliffs) about long request heads, and about responses that a handler
//! writes in pieces. The plain side of each case has a short head, or a response in one piece.

use sockeye_load::{HttpRequest, PreparedRequest};

use super::plans::{get, load};
use crate::{
    Result,
    cliffs::{
        fixture::Fixture,
        scene::{Case, Figures, Scene, Side},
    },
};

/// Number of connections.
const BUSY: usize = 64;
/// Number of different heads, which are sent in turn.
const HEADS: usize = 64;
/// Size of a browser's head with many cookies, in bytes.
const LONG: usize = 1536;

pub(super) const CASES: &[Case] = &[
    Case {
        cliff: "heads",
        title: "a head of 44 bytes, and a browser's of 1.5 KiB",
        make: |fixture, side| heads(fixture, side, 1),
        figures: Figures::CpuTimeAndSyscalls,
    },
    Case {
        cliff: "heads",
        title: "a head of 44 bytes, and those of 64 different browsers",
        make: |fixture, side| heads(fixture, side, HEADS),
        figures: Figures::CpuTimeAndSyscalls,
    },
    Case {
        cliff: "writes",
        title: "2,000 bytes from a handler, in one piece and in 100 pieces at once",
        make: |fixture, side| writes(fixture, side, "/pieces"),
        figures: Figures::CpuTimeAndSyscalls,
    },
    Case {
        cliff: "writes",
        title: "2,000 bytes from a handler, in one piece and in 100, each from a job of the pool",
        make: |fixture, side| writes(fixture, side, "/turns"),
        figures: Figures::CpuTimeAndSyscalls,
    },
];

/// A request like a browser's, [`LONG`] bytes long. Each `number` gives different fields.
fn browser(number: usize) -> Result<PreparedRequest> {
    let fields = [
        ("sec-ch-ua", format!(r#""Chromium";v="{number}", "Not_A Brand";v="99""#)),
        ("sec-ch-ua-mobile", "?0".to_owned()),
        ("sec-ch-ua-platform", r#""Linux""#.to_owned()),
        ("Upgrade-Insecure-Requests", "1".to_owned()),
        (
            "User-Agent",
            format!(
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/{number}.0.0.0 Safari/537.36"
            ),
        ),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8".to_owned()),
        ("Sec-Fetch-Site", "same-origin".to_owned()),
        ("Sec-Fetch-Mode", "navigate".to_owned()),
        ("Sec-Fetch-User", "?1".to_owned()),
        ("Sec-Fetch-Dest", "document".to_owned()),
        ("Referer", format!("http://localhost/from/{number}")),
        ("Accept-Encoding", "gzip, deflate, br, zstd".to_owned()),
        ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8".to_owned()),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let mut request = HttpRequest { fields, ..HttpRequest::get("localhost", "/small.txt") };
    let length = request.prepare()?.keep_alive().len();
    // A session cookie, padded so that the head is LONG bytes long.
    let cookie = format!("session={number:08x}; ");
    let rest = LONG.saturating_sub(length + "Cookie: \r\n".len() + cookie.len());
    let filling = format!("{number:04}").repeat(rest.div_ceil(4));
    request.fields.push(("Cookie".to_owned(), cookie + &filling[..rest]));
    Ok(request.prepare()?)
}

fn heads(fixture: &Fixture, side: Side, different: usize) -> Result<Scene> {
    let prepared = match side {
        Side::Plain => get("/small.txt")?,
        Side::Strained => (0..different).map(browser).collect::<Result<_>>()?,
    };
    let server = fixture.serve("site", &[])?;
    let client = fixture.client(&server, load(BUSY, prepared)?)?;
    Ok(Scene::new(server, client))
}

fn writes(fixture: &Fixture, side: Side, path: &str) -> Result<Scene> {
    let path = if side == Side::Strained { path } else { "/whole" };
    let server = fixture.streams()?;
    let client = fixture.client(&server, load(BUSY, get(path)?)?)?;
    Ok(Scene::new(server, client))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browsers_head_has_its_length_whatever_its_number() {
        for number in [0, 7, 63] {
            assert_eq!(browser(number).unwrap().keep_alive().len(), LONG);
        }
    }
}
