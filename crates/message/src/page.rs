//! The responses to `GET /`: plain text, or for browsers a page that sends messages over a
//! WebSocket.

use sockeye_http::{Body, Fields, Request};

macro_rules! help {
    ($http:literal, $ws:literal) => {
        concat!(
            "\
This port answers messages, over HTTP, over WebSocket, and in frames of its own over TCP.

Over HTTP, POST a message to /. Its Content-Type is the message's type (for JSON,
application/json or text/json), and the body is its content:

    curl -H 'content-type: application/json' -d '{\"some\": \"JSON\"}' ",
            $http,
            "://HOST:PORT/

Over WebSocket, at ",
            $ws,
            "://HOST:PORT/, a text message is JSON, and so is its response.
Open this URL in a browser to try it.

An invalid message gets a JSON object, over HTTP with a status of 400 or above:
\"result\" is a sentence for people, \"error\".\"code\" a code for programs.
"
        )
    };
}

/// The text for programs other than browsers: without TLS, and with TLS.
const HELP: [&str; 2] = [help!("http", "ws"), help!("https", "wss")];

/// The page for browsers.
const PAGE: &str = include_str!("page.html");

/// The `Content-Security-Policy` of [`PAGE`]. It allows the WebSocket, the empty icon (`data:`),
/// and the style and the script by their hashes. A test checks the hashes.
const POLICY: &str = "default-src 'none'; style-src 'sha256-uiL7eGV/nPmqVwjjDQ77vx8OonpxYo7Q5bv3+U22BW0='; \
    script-src 'sha256-3CqMBlM3EtknEbSkvRYmmLOKwXn+vtWLym1EkaSB9Oc='; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The fields and the content of the response. `is_tls`: the connection has TLS.
pub(super) fn description(request: &Request<'_>, is_tls: bool) -> (Fields, Body<'static>) {
    let mut fields = Fields::new();
    let (content_type, text) = match accepts_html(request) {
        true => ("text/html; charset=utf-8", PAGE),
        false => ("text/plain; charset=utf-8", HELP[usize::from(is_tls)]),
    };
    let mut push = |name, value: &str| {
        // Never fails: all names and values are valid constants.
        let _ = fields.push(name, value.as_bytes());
    };
    push("X-Content-Type-Options", "nosniff");
    push("Content-Type", content_type);
    push("Vary", "Accept");
    if text == PAGE {
        push("Content-Security-Policy", POLICY);
        push("Cache-Control", "no-cache");
    }
    (fields, Body::Static(text.as_bytes()))
}

/// Whether `Accept` names HTML, as browsers do. Other programs accept `*/*`.
fn accepts_html(request: &Request<'_>) -> bool {
    let lists = request.fields_named("accept");
    lists.flat_map(|list| list.split(|byte| *byte == b',')).any(|range| {
        let essence = range.split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"text/html")
    })
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_allows_the_style_and_the_script_of_the_page() {
        for (begin, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
            let (_, rest) = PAGE.split_once(begin).unwrap();
            let (source, _) = rest.split_once(end).unwrap();
            let hash = BASE64.encode(&Sha256::digest(source));
            assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{begin} {hash}");
        }
    }
}
