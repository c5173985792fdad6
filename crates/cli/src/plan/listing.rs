//! Whether folders without an `index.html` are listed.

use crate::stdout::Stdout;
use crate::{args, hosts};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    On,
    Off,
    /// On, because only this machine can connect and standard output is a terminal: a person is
    /// trying a folder out, and wants to see what is in it.
    Automatic,
}

impl Listing {
    /// What a server with these flags and this standard output does.
    pub(crate) fn of(flags: &args::Http, stdout: Stdout) -> Self {
        let args::FolderArgs { listing, no_listing, .. } = flags.folders;
        // A proxy on this machine connects for clients elsewhere. A proxy that isn't trusted passes
        // on the clients' Host, which is refused without `--host`. So `--host` suggests a proxy.
        let is_private = flags.trusted_proxy.is_empty()
            && flags.hosts.host.is_empty()
            && flags.listen.iter().all(hosts::is_loopback);
        match stdout {
            _ if listing => Self::On,
            Stdout::Terminal { .. } if is_private && !no_listing => Self::Automatic,
            _ => Self::Off,
        }
    }

    pub(crate) fn is_on(self) -> bool {
        self != Self::Off
    }
}
