"""A machine to throw away: a private copy of the file system, the processes and the network.

`unshare` gives this process namespaces of its own. Everything that is written here goes to memory,
except to the folder `target`.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STAND_INS = ROOT / "scripts/docs/bin"
HOME = pathlib.Path("/home/you")
COPY = HOME / "sockeye"
# What documents use, besides the addresses of the loopback interface.
ADDRESSES = ("192.168.1.20/24", "10.0.0.1/24", "10.0.0.11/24", "10.0.0.12/24")
NAMES = "\n127.0.0.1 localhost example.org www.example.org\n"
# Empty at first, as on a new machine.
EMPTY = ("/run", "/srv")
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")


def run(*words):
    subprocess.run(words, check=True)


def cargo_folders():
    """Where cargo and rustup keep their files, by their variables."""
    home = pathlib.Path(os.environ.get("HOME", "/root"))
    return {name: pathlib.Path(os.environ.get(name, home / folder))
            for name, folder in (("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup"))}


def enter():
    """Replaces the root of this process, which `unshare` has started."""
    memory = pathlib.Path(tempfile.mkdtemp(prefix="sockeye-docs-"))
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
    with open("/etc/hosts", "w", encoding="utf-8") as hosts:
        hosts.write(NAMES)


def furnish(binary, page):
    """Makes the folder in which a page starts. Returns it, and the environment of its shell."""
    text = "\n".join(command.text for command in page.commands())
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    folder = HOME
    if any(word in text for word in ("cargo ", "scripts/", "git ")):
        folder = COPY
        copy_repository(COPY)
    else:
        shutil.copytree(ROOT / "site", HOME / "site")
    cargo = cargo_folders()
    (HOME / ".cargo").symlink_to(cargo["CARGO_HOME"])
    for path in (cargo["CARGO_HOME"] / "bin/sockeye", pathlib.Path("/usr/local/bin/sockeye")):
        path.unlink(missing_ok=True)
    if not any(word in text for word in ("cargo install", "dpkg -i", "install ./")):
        shutil.copy(binary, "/usr/local/bin/sockeye")
    python = pathlib.Path(sys.executable).parent
    path = (STAND_INS, cargo["CARGO_HOME"] / "bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
            "/usr/bin", "/sbin", "/bin", python)
    return folder, {
        "HOME": str(HOME), "USER": "you", "LOGNAME": "you", "LANG": "C.UTF-8", "TERM": "dumb",
        "SHELL": "/bin/bash", "PATH": ":".join(map(str, path)), "PAGER": "cat",
        "CARGO_TARGET_DIR": str(ROOT / "target"), "CARGO_NET_OFFLINE": "true",
        **{name: str(path) for name, path in cargo.items()},
    }


def copy_repository(folder):
    """Copies the files that git knows, with their times, so that builds find them unchanged."""
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
