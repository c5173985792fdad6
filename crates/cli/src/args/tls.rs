//! The TLS flags of servers.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sockeye::engine::ListenAddr;

use super::listen;
use crate::quantity::Span;
use crate::target::HTTP_PORT;

/// Maximum value of `--hsts`: ten years. Browsers may have lower limits of their own; Chromium's is
/// one year.
const MAX_HSTS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The flags of every server.
#[derive(Args, Clone, Debug)]
pub(crate) struct Tls {
    /// Use TLS, with a certificate and its key in PEM, as cert.pem,key.pem; or self-signed.
    ///
    /// The certificate is followed by the intermediate ones (fullchain.pem). One file with both the
    /// certificate and the key is written alone: both.pem. If a path contains commas, the first
    /// comma between two existing files separates them. Can be given several times: clients get the
    /// certificate for the name that they ask for, one with exactly this name before a wildcard.
    /// self-signed makes a certificate for this machine, for development, and keeps it in --state.
    ///
    /// All addresses of --listen use TLS then, except Unix sockets. The address and port stay the
    /// same: a certificate alone doesn't let other machines connect. For https:// URLs without a
    /// port, add --listen :443. Changed files are loaded within seconds, and at once on SIGHUP; if
    /// something is wrong with one, the old certificates stay in use. Default: no TLS.
    #[arg(long, value_name = "CERT,KEY", help_heading = "TLS")]
    pub(crate) tls: Vec<OsString>,

    /// Unknown names: send the first certificate (first), or end the handshake (refuse).
    ///
    /// A name is unknown if no certificate has it. Clients that ask for no name get the first
    /// certificate for an IP address, or else the first one.
    #[arg(long, value_name = "WHAT", help_heading = "TLS", default_value = "first")]
    #[arg(hide_possible_values = true)]
    pub(crate) tls_unknown_name: UnknownName,

    /// Accept only clients with a certificate of an authority in this PEM file.
    ///
    /// The file is loaded again like those of --tls. No session is resumed: each connection checks
    /// the certificate. Default: clients need no certificate.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(crate) client_ca: Option<PathBuf>,

    /// With --client-ca, also accept clients without a certificate. A sent one must be valid.
    #[arg(long, help_heading = "TLS")]
    pub(crate) client_ca_optional: bool,

    /// Folder for what the server itself makes and keeps, such as the self-signed certificate.
    ///
    /// It is created if it is missing, and refused if other users own it or can write to it.
    /// Default: the environment variable STATE_DIRECTORY, which StateDirectory= of a systemd unit
    /// sets; else $XDG_STATE_HOME/sockeye; else ~/.local/state/sockeye.
    #[arg(long, value_name = "FOLDER", help_heading = "TLS")]
    pub(crate) state: Option<PathBuf>,
}

/// How the server answers a TLS client that asks for a name that no certificate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnknownName {
    First,
    Refuse,
}

/// The flags of `sockeye http` with TLS.
#[derive(Args, Debug)]
pub(crate) struct Https {
    /// Redirect http:// URLs to https://, at this address. Without a value: port 80.
    ///
    /// The status is 308. The host of a URL stays the same, its port becomes that of TLS. With
    /// --host, other hosts get 421. Without a value, the redirects listen at port 80 of each host
    /// where --listen has port 443. If there is none, write the address. A value follows after an
    /// equals sign. (Where TLS is expected, plain GET and HEAD requests are always redirected.)
    /// Default: off; with --acme, port 80 unless --listen or --port is given.
    #[arg(long, value_name = "ADDR", help_heading = "TLS", num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "", value_parser = redirect)]
    pub(crate) https_redirect: Option<Redirect>,

    /// Tell browsers to use only HTTPS for this host, for this long. Without a value: a year.
    ///
    /// Adds Strict-Transport-Security to every response over TLS. Browsers can't be told otherwise
    /// by plain HTTP until the time is over, so begin with a short time, as --hsts=1h. --hsts=0
    /// revokes it. A value follows after an equals sign. Default: off.
    #[arg(long, value_name = "TIME", help_heading = "TLS", num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "365d", value_parser = hsts)]
    pub(crate) hsts: Option<Span>,
}

/// Where `--https-redirect` listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// At port 80 of the hosts where TLS has port 443.
    Default,
    At(ListenAddr),
}

fn redirect(text: &str) -> Result<Redirect, String> {
    // In environment variables, these words set flags that have no value. So somebody may also set
    // the variable of this flag to one of them.
    let is_switch = ["true", "false", "yes", "no", "on", "off"]
        .iter()
        .any(|value| value.eq_ignore_ascii_case(text));
    match text {
        "" => Ok(Redirect::Default),
        _ if is_switch => {
            Err("this is no address: write HOST:PORT or :PORT, as :8080, or nothing \
                               for port 80 of each host where --listen has port 443; to open no \
                               port for redirects, leave the flag out"
                .into())
        }
        _ => listen::parse(text, &["http"], HTTP_PORT).map(Redirect::At),
    }
}

fn hsts(text: &str) -> Result<Span, String> {
    match text {
        "0" => Ok(Span(Duration::ZERO)),
        _ => Span::parse_up_to(text, MAX_HSTS),
    }
}
