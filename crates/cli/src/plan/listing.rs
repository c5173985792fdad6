//! Whether folders without an `index.html` are listed.

use crate::stdout::Stdout;
use crate::{args, hosts};

/// Whether folders are listed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    On,
    Off,
    /// On by default, because only this machine can connect and standard output is a terminal:
    /// somebody is looking at a folder of their own.
    Automatic,
}

impl Listing {
    /// Decides for a server with these flags and this standard output.
    pub(crate) fn of(flags: &args::Http, stdout: Stdout) -> Self {
        let args::FolderArgs { listing, no_listing, .. } = flags.folders;
        // False if a proxy on this machine may forward requests of other machines. Such a proxy is
        // likely with `--trusted-proxy`, but also with `--host`: a proxy forwards the public host
        // name, which is refused at a loopback address unless `--host` allows it.
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
