//! Finds, builds or installs the programs of the servers that are compared. `benches/peers` has
//! small servers that we wrote with other libraries.

mod cargo;
mod node;
mod peers;
mod system;

use std::path::PathBuf;

pub(crate) use self::cargo::build_ours;
pub(crate) use self::system::version_output;
use crate::{
    Result,
    kind::{Kind, Origin},
};

/// One of our programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// `sockeye`.
    Sockeye,
    /// `sockeye-benches`, which contains the services that some rows of the report measure.
    Bench,
}

/// A server to compare with: another project's program, or one of ours in `benches/peers`.
#[derive(Debug)]
pub(crate) struct OtherServer {
    pub(crate) kind: Kind,
    pub(crate) program: PathBuf,
    /// The name and version of the program or its library, such as `nginx 1.22.1`.
    pub(crate) version: String,
}

/// Finds a server, or builds it. A quick run builds only servers that were built before.
pub(crate) fn other_server(kind: Kind, quick: bool) -> Result<OtherServer> {
    let (program, version) = match kind.origin() {
        Origin::Tree => return Err("it is part of this tree".into()),
        Origin::System { .. } => {
            let flag = if kind == Kind::Nghttpd { "--version" } else { "-v" };
            let output = version_output(kind.name(), flag);
            let version = output.as_deref().and_then(system::version).map(str::to_owned);
            (kind.name().into(), version.ok_or("it is not installed; use --install")?)
        }
        Origin::Install { .. } => {
            let programs = [peers::installed(kind)?, kind.name().into()];
            let found = programs.into_iter().find_map(|program: PathBuf| {
                let output = version_output(program.to_str()?, "--version")?;
                Some((program, system::version(&output)?.to_owned()))
            });
            found.ok_or("it is not installed; use --install, which takes some minutes")?
        }
        Origin::Node { version } => (node::script(version)?, version.to_owned()),
        Origin::Peers { library } => {
            let program = peers::path(kind)?;
            if quick && !program.exists() {
                return Err("it is not built yet, and a quick run builds no other servers".into());
            }
            // This also builds a program that exists, because its source may have changed.
            peers::build(kind)?;
            (program, peers::version_of(library).unwrap_or("of unknown version").to_owned())
        }
    };
    let name = match kind.origin() {
        Origin::Peers { library } => library,
        _ => kind.name(),
    };
    Ok(OtherServer { kind, program, version: format!("{name} {version}") })
}

/// Installs missing servers. If a server can't be installed, prints why; the benchmark then leaves
/// out that server.
pub(crate) fn install(wanted: &[Kind]) {
    if let Err(error) = system::install(wanted) {
        eprintln!("{error}");
    }
    for kind in wanted {
        if let Origin::Install { version } = kind.origin()
            && other_server(*kind, true).is_err()
            && let Err(error) = peers::install(*kind, version)
        {
            eprintln!("{error}");
        }
        if let Origin::Node { version } = kind.origin()
            && other_server(*kind, true).is_err()
            && let Err(error) = node::install(version)
        {
            eprintln!("{error}");
        }
    }
}
