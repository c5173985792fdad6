//! The plan for TLS of the servers: certificates, redirects, and where private keys may be.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use sockeye::engine::ListenAddr;
use sockeye::http_core::AllowedHosts;
use sockeye::tls::{Challenges, ClientCa, Problem, SelfSigned, Settings, UnknownName};

use super::Folders;
use crate::acme::Acme;
use crate::args::{self, Redirect};
use crate::error::{Error, OrUsage};
use crate::hosts;
use crate::state;
use crate::target::{HTTP_PORT, HTTPS_PORT};
use crate::text;
use crate::tls::Certificates;

/// The value of `--tls` that asks for a self-signed certificate, for development.
const SELF_SIGNED: &str = "self-signed";

/// Whether `--tls self-signed` is given.
pub(crate) fn uses_self_signed(flags: &args::Tls) -> bool {
    flags.tls.iter().any(|value| value == SELF_SIGNED)
}

/// Reads the certificates of `--tls` and of `acme`. Returns `None` if there is neither. If `alpn`
/// is not empty, a client that offers protocols (ALPN) must offer one of those in `alpn`. A
/// self-signed certificate includes `names`, and is created if necessary.
pub(crate) fn certificates(
    flags: &args::Tls,
    alpn: &[&[u8]],
    names: &[String],
    acme: Option<&Acme>,
) -> Result<Option<Certificates>, Error> {
    let args::Tls { tls, tls_unknown_name, client_ca, client_ca_optional, state } = flags;
    if *client_ca_optional && client_ca.is_none() {
        return Err(Error::usage("--client-ca-optional needs --client-ca FILE"));
    }
    if tls.is_empty() && acme.is_none() {
        return match (tls_unknown_name, client_ca) {
            (args::UnknownName::Refuse, _) => Err(needs_tls("--tls-unknown-name")),
            (_, Some(_)) => Err(needs_tls("--client-ca")),
            (args::UnknownName::First, None) => Ok(None),
        };
    }
    let settings = Settings {
        alpn: alpn.iter().map(|protocol| protocol.to_vec()).collect(),
        unknown_name: match tls_unknown_name {
            args::UnknownName::First => UnknownName::FirstCertificate,
            args::UnknownName::Refuse => UnknownName::Refuse,
        },
        client_ca: client_ca.clone().map(|path| ClientCa { path, required: !client_ca_optional }),
        challenges: acme.map(|acme| acme.challenges() as Arc<dyn Challenges>),
    };
    let is_self_signed = |value: &&OsString| *value == SELF_SIGNED;
    let self_signed = match tls.iter().find(is_self_signed) {
        Some(_) => Some(self_signed(state.as_deref(), names)?),
        None => None,
    };
    let pairs = tls.iter().map(|value| match &self_signed {
        Some(certificate) if value == SELF_SIGNED => certificate.pair(),
        _ => split_cert_and_key(value),
    });
    let acme_pairs = acme.map(Acme::pairs).unwrap_or_default();
    let given: Vec<_> = pairs.collect();
    check_parts(&given)?;
    let all = [&given[..], &acme_pairs].concat();
    let certificates = Certificates::open(given, acme_pairs, settings, self_signed);
    let explained = |error| Error::Failure(with_advice(&error, &all, client_ca.as_deref()));
    certificates.map(Some).map_err(explained)
}

/// Reads the certificates in the files of `--tls`, without the self-signed one and those of
/// `--acme`. Returns `None` if `--tls` names no files.
pub(crate) fn given_certificates(flags: &args::Tls) -> Result<Option<Certificates>, Error> {
    let is_file = |value: &&OsString| *value != SELF_SIGNED;
    let tls: Vec<_> = flags.tls.iter().filter(is_file).cloned().collect();
    match tls.is_empty() {
        true => Ok(None),
        false => certificates(&args::Tls { tls, ..flags.clone() }, &[], &[], None),
    }
}

/// Reads the self-signed certificate in the state folder, or creates it there.
fn self_signed(state: Option<&Path>, names: &[String]) -> Result<SelfSigned, Error> {
    let folder = state::folder(state)?;
    SelfSigned::open(&folder, names).map_err(|error| {
        let advice = "--state FOLDER names another folder for it (a systemd unit needs \
                      StateDirectory=sockeye)";
        Error::Failure(anyhow!("--tls self-signed: {error}; {advice}"))
    })
}

/// Whether the self-signed certificate of a server with these flags is for `host`. Creates nothing.
pub(crate) fn is_self_signed_for(flags: &args::Http, host: &str) -> Result<bool, Error> {
    let hosts = hosts::allowed(&flags.hosts.host).or_usage()?;
    let folder = state::folder(flags.tls.state.as_deref())?;
    let is_for = SelfSigned::would_be_for(&folder, &names(&flags.listen, &hosts), host);
    is_for.map_err(|error| Error::Failure(error.into()))
}

/// Fails if a part of `CERT,KEY` is empty.
fn check_parts(pairs: &[[PathBuf; 2]]) -> Result<(), Error> {
    let help = "write --tls cert.pem,key.pem, or --tls both.pem for one file with both";
    for [certificate, key] in pairs {
        let missing = match (certificate.as_os_str().is_empty(), key.as_os_str().is_empty()) {
            (true, true) => "the files are missing",
            (true, false) => "the certificate is missing before the comma",
            (false, true) => "the key is missing after the comma",
            (false, false) => continue,
        };
        return Err(Error::usage(format!("--tls: {missing}: {help}")));
    }
    Ok(())
}

/// Extends an error about certificates by the flag and by what to type instead. `pairs` has the
/// files of each certificate and its key.
fn with_advice(
    error: &sockeye::tls::Error,
    pairs: &[[PathBuf; 2]],
    client_ca: Option<&Path>,
) -> anyhow::Error {
    use io::ErrorKind::{NotFound, PermissionDenied};
    let sockeye::tls::Error::File(path, problem) = error else { return anyhow!("--tls: {error}") };
    // Whether the flag named one file for both the certificate and the key.
    let is_alone = pairs.iter().any(|pair| pair.iter().all(|part| part == path));
    let flag = match client_ca == Some(path) && !pairs.iter().flatten().any(|part| part == path) {
        true => "--client-ca",
        false => "--tls",
    };
    match problem {
        Problem::CertificateInsteadOfKey if is_alone => {
            // The text of `error` ends with "name the file of the key". The words after `{error}`
            // continue this sentence.
            anyhow!("--tls: {error} after a comma, --tls {},KEY", path.display())
        }
        Problem::Unreadable(cause) if cause.kind() == NotFound && path.starts_with("~") => anyhow!(
            "{flag}: {error}; shells replace ~ only where a word begins: write $HOME in its place"
        ),
        Problem::Unreadable(cause) if cause.kind() == NotFound && has_blank_at_end(path) => {
            let pair = pairs.iter().find(|pair| pair.contains(path));
            let parts = pair.map_or(std::slice::from_ref(path), <[PathBuf; 2]>::as_slice);
            let parts = parts.iter().map(|part| part.to_string_lossy().trim().to_owned());
            let value = parts.collect::<Vec<_>>().join(",");
            let (name, value) = (path.to_string_lossy(), text::shell_word(Path::new(&value)));
            anyhow!("{flag}: cannot read {name:?}: {cause}; remove the blank: write {flag} {value}")
        }
        Problem::Unreadable(cause)
            if cause.kind() == NotFound && path == Path::new(SELF_SIGNED) =>
        {
            anyhow!(
                "--tls: {error}; write --tls self-signed alone for a certificate for development: its \
             key is made, too"
            )
        }
        Problem::Unreadable(cause) if cause.kind() == NotFound && is_alone => anyhow!(
            "--tls: {error}; write --tls cert.pem,key.pem, or --tls self-signed for a certificate \
             for development"
        ),
        Problem::Unreadable(cause) if cause.kind() == PermissionDenied => {
            let text = format!(
                "{flag}: {error}; the user that runs the server must be allowed to read it, and to \
                 open its folders"
            );
            // `sockeye explain` recognizes this error by its kind.
            anyhow::Error::new(io::Error::new(PermissionDenied, text))
        }
        _ => anyhow!("{flag}: {error}"),
    }
}

/// Whether a path begins or ends with a blank, which an error doesn't show without quotes.
fn has_blank_at_end(path: &Path) -> bool {
    let path = path.to_string_lossy();
    path.trim() != path
}

fn needs_tls(flag: &str) -> Error {
    Error::usage(format!("{flag} needs TLS: add --tls CERT,KEY, or --tls self-signed"))
}

/// Splits `CERT,KEY` into the file of the certificate and that of its key. Without a comma, one
/// file has both, and is returned twice. Paths may contain commas, so a value that is an existing
/// path isn't split. Another value is split at the first comma that has existing files on both
/// sides, or if there is none, at its first comma.
pub(super) fn split_cert_and_key(value: &OsStr) -> [PathBuf; 2] {
    let path = |bytes| PathBuf::from(OsStr::from_bytes(bytes));
    let bytes = value.as_bytes();
    let commas = bytes.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(at, _)| at);
    let splits = commas.map(|at| [path(&bytes[..at]), path(&bytes[at + 1..])]);
    let splits: Vec<_> = splits.collect();
    let exist = |pair: &&[PathBuf; 2]| pair.iter().all(|path| path.exists());
    match splits.iter().find(exist).or(splits.first()) {
        Some(pair) if !path(bytes).exists() => pair.clone(),
        _ => [value.into(), value.into()],
    }
}

/// The names and addresses by which clients may reach a server, to include in a self-signed
/// certificate.
pub(super) fn names(listen: &[ListenAddr], hosts: &AllowedHosts) -> Vec<String> {
    let host = |address: &ListenAddr| match address {
        ListenAddr::Host(host, _) => {
            let is_specific = host.parse().is_ok_and(|ip: IpAddr| !ip.is_unspecified());
            let is_name = !host.contains(':') && host.contains(char::is_alphabetic);
            (is_specific || is_name).then(|| host.clone())
        }
        ListenAddr::Any(_) | ListenAddr::Unix(_) => None,
    };
    let named = hosts.names().map(|name| name.trim_matches(['[', ']']).to_owned());
    listen.iter().filter_map(host).chain(named).collect()
}

/// Whether a server with these flags uses TLS.
pub(crate) fn is_used(flags: &args::Http) -> bool {
    !(flags.tls.tls.is_empty() && flags.acme.acme.is_empty())
}

/// Checks the TLS flags that only `sockeye http` has. Returns the addresses at which requests are
/// redirected to HTTPS.
pub(crate) fn redirects(flags: &args::Http) -> Result<Vec<ListenAddr>, Error> {
    let args::Https { https_redirect, hsts } = &flags.https;
    if !is_used(flags) {
        return match (https_redirect, hsts) {
            (Some(_), _) => Err(needs_tls("--https-redirect")),
            (_, Some(_)) => Err(Error::usage(
                "--hsts needs TLS: add --tls CERT,KEY; behind a proxy with TLS, write --header \
                 'Strict-Transport-Security: max-age=31536000'",
            )),
            (None, None) => Ok(Vec::new()),
        };
    }
    let is_hsts = |rule: &args::HeaderRule| {
        rule.name.eq_ignore_ascii_case("strict-transport-security") && rule.value.is_some()
    };
    if hsts.is_some() && flags.folders.header.iter().any(is_hsts) {
        return Err(Error::usage(
            "--hsts and --header both set Strict-Transport-Security: remove one of them",
        ));
    }
    let addresses = match https_redirect {
        None => return Ok(Vec::new()),
        Some(Redirect::At(address)) => vec![address.clone()],
        Some(Redirect::Default) => {
            let usual = flags.listen.iter().filter_map(|address| match address {
                ListenAddr::Any(HTTPS_PORT) => Some(ListenAddr::Any(HTTP_PORT)),
                ListenAddr::Host(host, HTTPS_PORT) => {
                    Some(ListenAddr::Host(host.clone(), HTTP_PORT))
                }
                _ => None,
            });
            usual.collect()
        }
    };
    if addresses.is_empty() {
        let listen = text_of(&flags.listen);
        return Err(Error::usage(format!(
            "--https-redirect listens on port 80 if TLS has port 443, but --listen is {listen}: name \
             an address, as --https-redirect=:8080"
        )));
    }
    if let Some(address) = addresses.iter().find(|address| {
        let picks_a_port = matches!(address, ListenAddr::Any(0) | ListenAddr::Host(_, 0));
        !picks_a_port && flags.listen.contains(address)
    }) {
        return Err(Error::usage(format!(
            "--https-redirect={address} is the address of a --listen, which uses TLS and redirects \
             plain GET and HEAD requests anyway; name another address, or remove the flag"
        )));
    }
    Ok(addresses)
}

fn text_of(addresses: &[ListenAddr]) -> String {
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    texts.join(" and ")
}

/// Fails if the state folder, where the server would store private keys, is in a served folder or
/// in one of `--links-into`, so that the keys could be downloaded.
pub(super) fn check_state(
    flags: &args::Tls,
    acme: &args::Acme,
    folders: &Folders,
) -> Result<(), Error> {
    if !uses_self_signed(flags) && acme.acme.is_empty() {
        return Ok(());
    }
    // If the state folder can't be used, a later step reports the error.
    let Ok(folder) = state::folder(flags.state.as_deref()) else { return Ok(()) };
    let Some(publisher) = publisher(&folder, folders) else { return Ok(()) };
    Err(Error::usage(format!(
        "{} is {publisher} could download the private keys that are kept there: name another folder \
         with --state FOLDER{}",
        folder.display(),
        publisher.other_advice()
    )))
}

/// A folder that makes a file public.
enum Publisher<'a> {
    /// The file is in this served folder.
    Served(&'a Path),
    /// The file is in this folder of `--links-into`, so that a symbolic link may lead to it.
    LinksInto(&'a Path),
}

impl Publisher<'_> {
    /// The end of the error message, after the advice to use another folder for the file: another
    /// way to keep the file private, if there is one.
    fn other_advice(&self) -> &'static str {
        match self {
            Self::Served(_) => "",
            Self::LinksInto(_) => ", or give --links-into a narrower folder",
        }
    }
}

/// The middle of an error message: `FILE is {publisher} could download it`.
impl fmt::Display for Publisher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served(path) => {
                write!(f, "in the served folder {}, so that everyone", path.display())
            }
            Self::LinksInto(path) => {
                let path = path.display();
                write!(f, "in the folder {path} of --links-into, so that by a link everyone")
            }
        }
    }
}

/// The folder because of which the file or folder `path` could be downloaded, if any. `path` need
/// not exist.
fn publisher<'a>(path: &Path, folders: &'a Folders) -> Option<Publisher<'a>> {
    let path = std::path::absolute(path).ok()?;
    let existing = path.ancestors().find(|folder| folder.exists())?;
    let found = existing.canonicalize().ok()?.join(path.strip_prefix(existing).ok()?);
    // `prefix`: the URL path at which `root` is served, or empty for a folder of `--links-into`. Of
    // the names that begin with a dot, only `/.well-known/` is served.
    let is_public_in = |root: &Path, prefix: &str| {
        let Ok(root) = root.canonicalize() else { return false };
        let Ok(inside) = found.strip_prefix(root) else { return false };
        inside.iter().enumerate().all(|(at, name)| {
            let is_well_known = at == 0 && prefix == "/" && name == ".well-known";
            is_well_known || !name.as_bytes().starts_with(b".")
        })
    };
    let served = folders.mounted.iter().find(|it| is_public_in(&it.path, &it.prefix));
    let linked = || folders.links_into.iter().find(|folder| is_public_in(folder, ""));
    served
        .map(|mounted| Publisher::Served(&mounted.path))
        .or_else(|| linked().map(|folder| Publisher::LinksInto(folder)))
}

/// Checks the state folder and the keys of `--tls`, for `sockeye explain`: fails if a server with
/// these flags would not start because a private key could be downloaded.
pub(crate) fn check_private(
    flags: &args::Tls,
    acme: &args::Acme,
    folders: &Folders,
) -> Result<(), Error> {
    check_state(flags, acme, folders)?;
    let files = flags.tls.iter().filter(|value| **value != SELF_SIGNED);
    check_keys(&files.map(|value| split_cert_and_key(value)).collect::<Vec<_>>(), folders)
}

/// Fails if a private key is in a served folder or in one of `--links-into`, so that it could be
/// downloaded. `pairs` has the files of each certificate and its key.
pub(super) fn check_keys(pairs: &[[PathBuf; 2]], folders: &Folders) -> Result<(), Error> {
    for [_, key] in pairs {
        if let Some(publisher) = publisher(key, folders) {
            return Err(Error::usage(format!(
                "the private key {} is {publisher} could download it: move it to another folder{}",
                key.display(),
                publisher.other_advice()
            )));
        }
    }
    Ok(())
}
