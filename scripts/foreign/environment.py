"""Programs of others, from Debian and from the Python Package Index."""

import os
import shutil
import subprocess
import sys

TIMEOUT = 600  # seconds


def need(*programs):
    """Installs programs that are missing, with apt: `name`, or `name:package`."""
    missing = [program.partition(":")[2] or program for program in programs
               if not shutil.which(program.partition(":")[0])]
    if not missing:
        return
    apt = ["apt-get", "-qq"] if os.getuid() == 0 else ["sudo", "apt-get", "-qq"]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "install", "-y", "--no-install-recommends", *missing], check=True)


def python_with(directory, versions, hashes=None):
    """The interpreter of a virtual environment that has packages of certain versions. None if they
    can't be installed. With `hashes`, the SHA-256 of the files of each package, nothing else is
    installed."""
    found = directory / "bin/python"
    probe = "; ".join([
        "import importlib.metadata as m, sys",
        f"sys.exit({versions} != {{name: m.version(name) for name in {list(versions)}}})"])
    if not found.exists() or subprocess.run(
            [found, "-c", probe], stderr=subprocess.DEVNULL).returncode:
        pinned = [f"{name}=={version}" for name, version in versions.items()]
        listed = "".join(line + "".join(f" --hash=sha256:{sha}" for sha in (hashes or {}).get(name, ()))
                         + "\n" for name, line in zip(versions, pinned))
        for step in [[sys.executable, "-m", "venv", directory],
                     [found, "-m", "pip", "install", "--quiet", "-r", "/dev/stdin"]]:
            if subprocess.run(step, timeout=TIMEOUT, input=listed, text=True).returncode:
                print(f"SKIPPED: {', '.join(pinned)} could not be installed")
                return None
    return found
