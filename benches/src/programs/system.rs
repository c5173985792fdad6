//! System packages: nginx, lighttpd, h2o and nghttpd, and the programs that compress the files of
//! the page that the benchmark requests (`pages.rs`).

use std::process::Command;

use crate::{
    Result,
    kind::{Kind, Origin},
};

/// The programs that compress the page's files. Their packages have the same names.
const COMPRESSORS: [&str; 2] = ["brotli", "gzip"];

/// A shell script that installs the packages that its arguments name. It keeps their services from
/// starting: now, by a `policy-rc.d` that exits with 101 (forbidden) if the system has none, and at
/// boot, by `systemctl disable`.
const INSTALL: &str = "\
set -e
exec >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\\nexit 101\\n' > $policy
  trap 'rm -f $policy' EXIT
  chmod +x $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends \"$@\"
for service in nginx lighttpd h2o; do
  case \" $* \" in
    *\" $service\"*) systemctl --quiet disable $service 2>/dev/null || true ;;
  esac
done
";

/// Installs missing servers and compression programs.
pub(super) fn install(wanted: &[Kind]) -> Result<()> {
    let servers = wanted.iter().filter_map(|kind| match kind.origin() {
        Origin::System { package } => Some((kind.name(), package)),
        _ => None,
    });
    let all = servers.chain(COMPRESSORS.map(|name| (name, name)));
    let missing = all.filter(|(program, _)| version_output(program, "--version").is_none());
    let missing: Vec<&str> = missing.map(|(_, package)| package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("sh")
    } else {
        let mut command = Command::new("sudo");
        command.arg("sh");
        command
    };
    let message = format!("{} can't be installed", missing.join(", "));
    command.args(["-c", INSTALL, "install"]).args(missing);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{message}: {status}").into()),
        Err(error) => Err(format!("{message}: {error}").into()),
    }
}

/// The version output of a program, on stdout or stderr, or `None` if it isn't installed.
pub(crate) fn version_output(program: &str, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    String::from_utf8([output.stdout, output.stderr].concat()).ok()
}

/// The first word that looks like a version.
pub(super) fn version(output: &str) -> Option<&str> {
    let words = output.split(|c: char| c.is_whitespace() || "/()".contains(c));
    let looks = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    words.into_iter().find(looks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_the_output_of_servers() {
        for (output, found) in [
            ("nginx version: nginx/1.22.1\n", Some("1.22.1")),
            ("lighttpd/1.4.69 (ssl) - a light and fast webserver\n", Some("1.4.69")),
            ("h2o version 2.2.5\nOpenSSL: OpenSSL 3.0\n", Some("2.2.5")),
            ("no such thing", None),
        ] {
            assert_eq!(version(output), found);
        }
    }
}
