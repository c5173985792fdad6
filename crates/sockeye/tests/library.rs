//! What a program needs of the library it finds in this one crate: nothing here names another.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use sockeye::http::{self, Body, Options, Request};
use sockeye::{Config, Linger, ListenAddr, files, message};

/// A free port.
fn any_port() -> ListenAddr {
    SocketAddr::from(([127, 0, 0, 1], 0)).into()
}

#[test]
fn options_are_built_by_struct_update() {
    let minute = Duration::from_secs(60);
    let config = Config {
        max_connections: 100,
        linger: Linger { quiet: minute, ..Linger::default() },
        ..Config::default()
    };
    let limits = http::Limits { idle_timeout: minute, ..http::Limits::default() };
    let options = Options { workers: NonZeroUsize::MIN, limits, config, ..Options::default() };
    let serving =
        http::serve(&[any_port()], options, |_: Request<Body>| "Hello").expect("a free port");
    assert!(serving.ip_addresses().next().is_some());

    let limits = message::Limits { idle_timeout: minute, ..message::Limits::default() };
    assert_eq!(limits.idle_timeout, minute);
    let options = files::Options { spa: true, ..files::Options::default() };
    assert!(options.spa && options.clean_urls);
    let limits = files::BudgetLimits { open_files: 7, ..files::BudgetLimits::default() };
    assert_eq!(limits.open_files, 7);
    let limits = files::CacheLimits { entries: 7, ..files::CacheLimits::default() };
    assert_eq!(limits.entries, 7);
}
