//! What the WebSockets of a worker (event loop) share.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use sockeye_http::AllowedOrigins;
#[cfg(feature = "deflate")]
use sockeye_http::ws::DeflateOptions;
use sockeye_http::ws::{Config, Limits};

/// How WebSockets are opened: the values of [`ws::Options`](super::ws::Options).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) limits: Limits,
    pub(super) origins: AllowedOrigins,
    /// Subprotocols, the preferred one first.
    pub(super) protocols: Vec<String>,
    #[cfg(feature = "deflate")]
    pub(super) deflate: Option<DeflateOptions>,
}

impl Settings {
    /// Makes a configuration with these values except `protocols`, and with its own memory for
    /// messages.
    pub(super) fn config(&self) -> Config {
        let config = Config::new(self.limits.clone()).allowing_origins(self.origins.clone());
        #[cfg(feature = "deflate")]
        if let Some(options) = &self.deflate {
            return config.deflating(options.clone());
        }
        config
    }
}

/// The latest configurations that a worker has made, one for each different
/// [`ws::Options`](super::ws::Options). The worker keeps them, because a configuration also has
/// memory that its WebSockets share.
#[derive(Default)]
pub(super) struct WebSocketConfigs(RefCell<Vec<(Arc<Settings>, Rc<Config>)>>);

/// Maximum number of configurations. A program needs one for each kind of WebSocket that it opens.
const MAX_CONFIGS: usize = 16;

impl WebSocketConfigs {
    /// The configuration for `settings`. If there is none, makes it. Before that, removes the
    /// oldest configuration if there are [`MAX_CONFIGS`].
    pub(super) fn get(&self, settings: &Arc<Settings>) -> Rc<Config> {
        let mut configs = self.0.borrow_mut();
        let known =
            configs.iter().find(|(known, _)| Arc::ptr_eq(known, settings) || known == settings);
        if let Some((_, config)) = known {
            return Rc::clone(config);
        }
        if configs.len() == MAX_CONFIGS {
            configs.remove(0);
        }
        let config = Rc::new(settings.config());
        configs.push((Arc::clone(settings), Rc::clone(&config)));
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_options_share_their_memory_and_few_are_remembered() {
        let configs = WebSocketConfigs::default();
        let settings = |message| {
            let limits = Limits { message, ..Limits::default() };
            Arc::new(Settings { limits, ..Settings::default() })
        };
        let first = configs.get(&settings(0));
        assert!(Rc::ptr_eq(&first, &configs.get(&settings(0))));
        for message in 1..100 {
            assert_eq!(configs.get(&settings(message)).limits().message, message);
        }
        assert_eq!(configs.0.borrow().len(), MAX_CONFIGS);
        assert!(!Rc::ptr_eq(&first, &configs.get(&settings(0))));
    }
}
