//! Opens WebSockets.

use std::sync::{Arc, LazyLock};

use http::Request;
use sockeye_http::AllowedOrigins;
#[cfg(feature = "deflate")]
use sockeye_http::ws::DeflateOptions;
use sockeye_http::ws::{Handler, Handshake, Limits, Message, Refused, Sender, Socket};

use super::channel::{ChannelHandler, Receiver};
use crate::http::reply::{Reply, ReplyKind};
use crate::http::upgrade::Upgrade;
use crate::http::websockets::Settings;

/// How WebSockets are opened: limits, origins, subprotocols and compression. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options(Arc<Settings>);

impl Default for Options {
    /// The default limits, no subprotocol, and no WebSockets for pages of other origins.
    fn default() -> Self {
        static DEFAULT: LazyLock<Arc<Settings>> = LazyLock::new(Arc::default);
        Self(Arc::clone(&DEFAULT))
    }
}

impl Options {
    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        Arc::make_mut(&mut self.0).limits = limits;
        self
    }

    /// Allows pages of these origins to open WebSockets, besides pages of the server's own origin.
    /// Clients that aren't browsers send no origin, and are allowed.
    #[must_use]
    pub fn allowed_origins(mut self, origins: AllowedOrigins) -> Self {
        Arc::make_mut(&mut self.0).origins = origins;
        self
    }

    /// Sets the subprotocols (`Sec-WebSocket-Protocol`), the preferred one first. The server
    /// selects the first of them that the client offers. If the client offers none of them, the
    /// WebSocket has no subprotocol.
    #[must_use]
    pub fn protocols<P: Into<String>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols = protocols.into_iter().map(Into::into).collect();
        Arc::make_mut(&mut self.0).protocols = protocols;
        self
    }

    /// Compresses messages if the peer supports it (permessage-deflate, RFC 7692). Default: off,
    /// since it costs time and memory, and compressed secrets can be guessed from their length.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, options: DeflateOptions) -> Self {
        Arc::make_mut(&mut self.0).deflate = Some(options);
        self
    }

    /// The subprotocol that the server selects for a request.
    #[must_use]
    pub fn protocol<B>(&self, request: &Request<B>) -> Option<&str> {
        let lists = request.headers().get_all("sec-websocket-protocol").iter();
        let offered: Vec<&str> = lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .collect();
        self.0.protocols.iter().map(String::as_str).find(|name| offered.contains(name))
    }

    /// As [`upgrade`](fn@upgrade), with these options.
    pub fn upgrade<B>(
        &self,
        request: &Request<B>,
        handler: impl Handler + Send + 'static,
    ) -> Reply {
        let settings = Arc::clone(&self.0);
        let config = settings.config();
        let handshake = match request.extensions().get::<Upgrade>() {
            Some(upgrade) => Handshake::read(&upgrade.request(), upgrade.has_tls(), &config),
            None => Err(Refused::not_a_websocket_request()),
        };
        let handshake = match handshake {
            Ok(handshake) => handshake,
            Err(refused) => {
                return Reply(ReplyKind::Respond(Box::new(move |_, responder| {
                    refused.answer(responder)
                })));
            }
        };
        let protocol = self.protocol(request).map(str::to_owned);
        Reply(ReplyKind::Respond(Box::new(move |configs, responder| {
            let config = configs.get(&settings);
            handshake.accept(protocol.as_deref(), &config, handler, responder)
        })))
    }

    /// As [`on_message`](fn@on_message), with these options.
    pub fn on_message<B>(
        &self,
        request: &Request<B>,
        answer: impl FnMut(Message<'_>, &mut Socket<'_, '_>) + Send + 'static,
    ) -> Reply {
        self.upgrade(request, answer)
    }

    /// As [`channel`](fn@channel), with these options.
    pub fn channel<B>(
        &self,
        request: &Request<B>,
        start: impl FnOnce(Receiver, Sender) + Send + 'static,
    ) -> Reply {
        self.upgrade(request, ChannelHandler::new(start))
    }
}

/// Switches to a WebSocket. `handler` answers its messages, on the event loop.
///
/// A request is refused with 400 if it doesn't ask for a WebSocket (over HTTP/2: by an extended
/// CONNECT, RFC 8441) or is malformed, with 405 if its method over HTTP/1.1 is not GET, with 403 if
/// it comes from a page of another origin (see [`Options::allowed_origins`]), and with 503 while
/// the server is stopping.
///
/// ```
/// # use sockeye::http::{Body, Reply, Request, StatusCode, ws};
/// struct Greeter { name: String }
///
/// impl ws::Handler for Greeter {
///     fn on_open(&mut self, socket: &mut ws::Socket<'_, '_>) {
///         socket.send(&format!("Hello, {}!", self.name));
///     }
///
///     fn on_message(&mut self, _: ws::Message<'_>, socket: &mut ws::Socket<'_, '_>) {
///         socket.close(ws::CloseCode::NORMAL, "that's all");
///     }
/// }
///
/// fn answer(request: Request<Body>) -> Reply {
///     match request.uri().path().strip_prefix("/greet/") {
///         Some(name) => ws::upgrade(&request, Greeter { name: name.into() }),
///         None => StatusCode::NOT_FOUND.into(),
///     }
/// }
/// ```
pub fn upgrade<B>(request: &Request<B>, handler: impl Handler + Send + 'static) -> Reply {
    Options::default().upgrade(request, handler)
}

/// As [`upgrade`](fn@upgrade), with a closure that answers each message.
pub fn on_message<B>(
    request: &Request<B>,
    answer: impl FnMut(Message<'_>, &mut Socket<'_, '_>) + Send + 'static,
) -> Reply {
    upgrade(request, answer)
}

/// Switches to a WebSocket that another thread uses. When it is open, `start` gets a [`Receiver`]
/// and a [`Sender`], and passes them to that thread. `start` runs on the event loop: don't block.
///
/// ```
/// # use sockeye::http::{Body, Reply, Request, ws};
/// fn answer(request: Request<Body>) -> Reply {
///     ws::channel(&request, |receiver, sender| {
///         std::thread::spawn(move || {
///             for message in receiver {
///                 // This may block. Then at most 16 more messages are read from the peer.
///                 if sender.send(message).is_err() {
///                     break; // The peer has left.
///                 }
///             }
///         });
///     })
/// }
/// ```
pub fn channel<B>(
    request: &Request<B>,
    start: impl FnOnce(Receiver, Sender) + Send + 'static,
) -> Reply {
    Options::default().channel(request, start)
}
