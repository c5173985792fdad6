"""A machine to throw away: a private copy of the file system, the processes and the network.

`unshare` gives this process namespaces of its own. Everything that is written here goes to memory,
except to the folder `target`.
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# The reader, an ordinary user.
USER, USER_ID = "you", 4321
HOME = pathlib.Path("/home", USER)
# Commands that can't run here, in forms that can. And what `git clone` gets.
STAND_INS = pathlib.Path("/opt/docs/bin")
REPOSITORY = pathlib.Path("/opt/repository")
# What a reader may do with sudo, and where it finds commands.
SUDOERS = f"{USER} ALL=(ALL:ALL) NOPASSWD: ALL\nDefaults secure_path=\"{{path}}\"\n"
# What documents use, besides the addresses of the loopback interface.
ADDRESSES = ("192.168.1.20/24", "10.0.0.1/24", "10.0.0.11/24", "10.0.0.12/24")
NAMES = f"127.0.0.1 localhost example.org www.example.org {socket.gethostname()}\n::1 localhost\n"
# Pages of the tour, whose commands are for the folder of its programs.
TOUR = "docs/tour/"
# Empty at first, as on a new machine.
EMPTY = ("/run", "/srv")
SERVICE = re.compile(r"systemctl .*\bsockeye")
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")


def run(*words):
    subprocess.run(words, check=True, stdout=sys.stderr)


def cargo_folders():
    """Where cargo and rustup keep their files, by their variables."""
    home = pathlib.Path(os.environ.get("HOME", "/root"))
    return {name: pathlib.Path(os.environ.get(name, home / folder))
            for name, folder in (("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup"))}


def enter():
    """Replaces the root of this process, which `unshare` has started."""
    # Over the folder of this name, for the processes in this namespace only.
    memory = pathlib.Path("/run")
    run("mount", "-t", "tmpfs", "tmpfs", str(memory))
    upper, work, root = (memory / name for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        folder.mkdir()
    options = f"lowerdir=/,upperdir={upper},workdir={work}"
    run("mount", "-t", "overlay", "overlay", "-o", options, str(root))
    # The copy has none of the file systems that are mounted below the root.
    own = [path for path in (ROOT, *cargo_folders().values())
           if path.exists() and path.stat().st_dev != os.stat("/").st_dev]
    (ROOT / "target").mkdir(exist_ok=True)
    for path in ("/dev", "/sys", *own, ROOT / "target"):
        target = root / str(path).lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        run("mount", "--rbind", str(path), str(target))
    run("mount", "-t", "proc", "proc", str(root / "proc"))
    for path in EMPTY:
        (root / path[1:]).mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root / path[1:]))
    os.chroot(root)
    os.chdir("/")
    os.umask(0o022)
    run("ip", "link", "set", "lo", "up")
    for address in ADDRESSES:
        run("ip", "address", "add", address, "dev", "lo")
    pathlib.Path("/etc/hosts").write_text(NAMES, encoding="utf-8")
    run("useradd", "--no-create-home", "--shell=/bin/bash", f"--uid={USER_ID}", USER)
    os.mkdir("/run/systemd")


def furnish(binary, page):
    """Makes the folder in which a page starts. Returns it, the user, and the environment."""
    text = "\n".join(command.text for command in page.commands())

    def uses(*words):
        return any(word in text for word in words)

    # Only root may write to the folder `target`, and read what cargo has stored.
    builds = uses("cargo ", "scripts/", "git clone ")
    shutil.rmtree(HOME, ignore_errors=True)
    folder = HOME
    if uses("git clone "):
        copy_repository(REPOSITORY)
    elif builds or uses("packaging/", "target/") or TOUR in page.name:
        folder = HOME / "sockeye"
        copy_repository(folder)
    else:
        shutil.copytree(ROOT / "site", HOME / "site")
    HOME.mkdir(exist_ok=True)
    if TOUR in page.name:
        folder = folder / "examples/tour"
    shutil.copytree(ROOT / "scripts/docs", STAND_INS.parent)
    install(binary, page, builds, has_none=uses("cargo install", "dpkg -i", "install ./"))
    cargo = cargo_folders()
    places = (STAND_INS, HOME / ".cargo/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
              "/usr/bin", "/sbin", "/bin", pathlib.Path(sys.executable).parent)
    path = ":".join(map(str, places))
    pathlib.Path("/etc/sudoers.d", USER).write_text(SUDOERS.format(path=path), encoding="utf-8")
    if not builds:
        run("chown", "-R", f"{USER_ID}:{USER_ID}", str(HOME))
    return folder, 0 if builds else USER_ID, {
        "HOME": str(HOME), "USER": USER, "LOGNAME": USER, "LANG": "C.UTF-8", "TERM": "dumb",
        "SHELL": "/bin/bash", "PATH": path, "PAGER": "cat", "EDITOR": "true",
        "CARGO_TARGET_DIR": str(ROOT / "target"), "CARGO_NET_OFFLINE": "true",
        **{name: str(at) for name, at in cargo.items()},
    }


def install(binary, page, builds, has_none):
    """Installs Sockeye, and removes what this machine has of it."""
    cargo = HOME / ".cargo"
    if builds:
        cargo.symlink_to(cargo_folders()["CARGO_HOME"])
    else:
        (cargo / "bin").mkdir(parents=True)
    here = pathlib.Path("/usr/local/bin/sockeye"), cargo / "bin/sockeye"
    for path in here:
        path.unlink(missing_ok=True)
        if not has_none:
            shutil.copy(binary, path)
    # A page about the service of the package, which it doesn't install by itself.
    own_unit = any("systemd/system" in file.name for file in page.files())
    if not has_none and not own_unit and any(SERVICE.search(each.text) for each in page.commands()):
        if not (package := newest_package()):
            sys.exit("target/package has no package: run scripts/package --check")
        run("dpkg", "-i", str(package))


def newest_package():
    """The Debian package that was built last, also by a check. None if none was built."""
    packages = (ROOT / "target/package").glob("**/sockeye_*.deb")
    return max(packages, key=lambda path: path.stat().st_mtime, default=None)


def copy_repository(folder):
    """Copies the files that git knows, with their times, so that builds find them unchanged."""
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    # What was built. The package is where scripts/package puts it without --check.
    (folder / "target/package").mkdir(parents=True)
    for name in ("debug", "release"):
        (folder / "target" / name).symlink_to(ROOT / "target" / name)
    if package := newest_package():
        shutil.copy(package, folder / "target/package")
