//! The negotiation of permessage-deflate in the handshake (RFC 7692, 5 and 7.1).

use std::fmt;

use super::DeflateOptions;
use super::options::WINDOW_BITS;
use super::parameters::{BadExtensions, Extensions, NAME, Parameters};

/// The size of the window if no limit was negotiated, as a base-2 logarithm of bytes.
const MAX_WINDOW_BITS: u8 = *WINDOW_BITS.end();

/// What the server and the client have agreed on. `sends` is about the messages of the side that
/// holds this value, and `receives` about those of its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(super) sends: Direction,
    pub(super) receives: Direction,
    answer: Parameters,
}

/// What applies to the messages in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    /// How far back the sender may refer, as a base-2 logarithm of bytes: 8 to 15.
    pub(super) window_bits: u8,
    /// A message may refer to earlier messages.
    pub(super) context_takeover: bool,
}

impl Agreed {
    /// The value of the server's `Sec-WebSocket-Extensions`.
    pub(crate) fn answer(&self) -> impl fmt::Display {
        self.answer
    }
}

/// Server: accepts the first acceptable offer in the client's `Sec-WebSocket-Extensions` fields.
/// `None` if no offer is acceptable: messages aren't compressed then.
///
/// # Errors
///
/// If a field is malformed. The server then refuses the handshake.
pub(crate) fn accept<'a>(
    fields: impl Iterator<Item = &'a [u8]>,
    options: &DeflateOptions,
) -> Result<Option<Agreed>, BadExtensions> {
    let mut agreed = None;
    for extension in fields.flat_map(Extensions::new) {
        let extension = extension?;
        if agreed.is_none() && extension.name == NAME.as_bytes() {
            agreed = extension.parameters.and_then(|offer| accept_offer(&offer, options));
        }
    }
    Ok(agreed)
}

fn accept_offer(offer: &Parameters, options: &DeflateOptions) -> Option<Agreed> {
    // zlib doesn't support a window of 256 bytes (8 bits). A server declines what it doesn't
    // support (RFC 7692, 7.1.2.1).
    if offer.server_max_window_bits.is_some_and(|bits| !WINDOW_BITS.contains(&bits)) {
        return None;
    }
    // The server may limit the client's window only if the client's offer contains
    // `client_max_window_bits` (RFC 7692, 7.1.2.2). A client whose window stays larger than the
    // options allow gets no context takeover.
    let client_window_bits = match offer.client_max_window_bits {
        Some(bits) => bits.unwrap_or(MAX_WINDOW_BITS).min(options.window_bits),
        None => MAX_WINDOW_BITS,
    };
    let client_context_takeover = options.context_takeover
        && !offer.client_no_context_takeover
        && client_window_bits <= options.window_bits;
    let answer = Parameters {
        server_no_context_takeover: !options.context_takeover || offer.server_no_context_takeover,
        client_no_context_takeover: !client_context_takeover,
        server_max_window_bits: offer.server_max_window_bits,
        // Without context takeover, the window needs no limit: it is dropped after each message.
        client_max_window_bits: (client_context_takeover && offer.client_max_window_bits.is_some())
            .then_some(Some(client_window_bits)),
    };
    let (server, client) = directions(&answer);
    Some(Agreed { sends: server, receives: client, answer })
}

/// Client: the value of its `Sec-WebSocket-Extensions`.
pub(crate) fn offer(options: &DeflateOptions) -> String {
    let no_context_takeover = Parameters {
        server_no_context_takeover: true,
        client_no_context_takeover: !options.context_takeover,
        server_max_window_bits: None,
        client_max_window_bits: Some(None),
    };
    if !options.context_takeover {
        return no_context_takeover.to_string();
    }
    let limits_window = options.window_bits < MAX_WINDOW_BITS;
    let context_takeover = Parameters {
        server_no_context_takeover: false,
        server_max_window_bits: limits_window.then_some(options.window_bits),
        ..no_context_takeover
    };
    // The second offer has no limit of the window, for servers that can't limit theirs.
    format!("{context_takeover}, {no_context_takeover}")
}

/// Client: checks the answer to [`offer`] in the server's `Sec-WebSocket-Extensions` fields. `None`
/// if the server has accepted no offer: messages aren't compressed then.
///
/// # Errors
///
/// If the answer is malformed, or doesn't match the offer. The client then fails the connection
/// (RFC 7692, 5.1 and 7.1).
pub(crate) fn confirm<'a>(
    fields: impl Iterator<Item = &'a [u8]>,
    options: &DeflateOptions,
) -> Result<Option<Agreed>, BadExtensions> {
    let mut agreed = None;
    for extension in fields.flat_map(Extensions::new) {
        let extension = extension?;
        if extension.name != NAME.as_bytes() {
            return Err(BadExtensions("uses an extension that was not offered"));
        }
        let answer = extension.parameters.ok_or(BadExtensions(
            "uses permessage-deflate with a parameter that is unknown or invalid",
        ))?;
        if agreed.replace(confirm_answer(answer, options)?).is_some() {
            return Err(BadExtensions("uses permessage-deflate twice"));
        }
    }
    Ok(agreed)
}

fn confirm_answer(answer: Parameters, options: &DeflateOptions) -> Result<Agreed, BadExtensions> {
    if answer.client_max_window_bits == Some(None) {
        return Err(BadExtensions("answered client_max_window_bits without a value"));
    }
    let (server, client) = directions(&answer);
    if server.context_takeover {
        if !options.context_takeover {
            return Err(BadExtensions("did not accept server_no_context_takeover"));
        }
        if server.window_bits > options.window_bits {
            return Err(BadExtensions("did not accept server_max_window_bits"));
        }
    }
    let client = Direction {
        context_takeover: client.context_takeover && options.context_takeover,
        ..client
    };
    Ok(Agreed { sends: client, receives: server, answer })
}

/// What applies to the server's messages, and what to the client's, according to `answer`.
fn directions(answer: &Parameters) -> (Direction, Direction) {
    let server = Direction {
        window_bits: answer.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS),
        context_takeover: !answer.server_no_context_takeover,
    };
    let client = Direction {
        window_bits: answer.client_max_window_bits.flatten().unwrap_or(MAX_WINDOW_BITS),
        context_takeover: !answer.client_no_context_takeover,
    };
    (server, client)
}
