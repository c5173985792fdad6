//! Servers to connect to, as people write them.

mod load;
mod socket;

pub(crate) use self::load::{LoadTarget, Rate};
pub(crate) use self::socket::SocketTarget;
