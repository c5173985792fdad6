"""A private certificate authority for tests, made with openssl."""

import pathlib
import subprocess

EXTENSIONS = """\
subjectAltName={names}
basicConstraints=critical,CA:FALSE
extendedKeyUsage=serverAuth
keyUsage=critical,digitalSignature
"""
DAYS = "90"


def openssl(*words):
    return subprocess.run(["openssl", *map(str, words)], stdin=subprocess.DEVNULL, check=True,
                          capture_output=True).stdout


class Authority:
    """Issues certificates. `certificate` is its own, which clients have to trust."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate = self.directory / "authority.pem"
        self._key = self._make_key("authority")
        openssl("req", "-x509", "-new", "-key", self._key, "-subj", "/CN=Sockeye's test authority",
                "-days", DAYS, "-out", self.certificate,
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, *names, kind="ec"):
        """The files of a certificate for these DNS names and IP addresses, and of its key: `ec` for
        P-256, or `rsa` for 2,048 bits."""
        key = self._make_key(names[0], kind)
        request, extensions, certificate = (
            self.directory / f"{names[0]}.{kind}" for kind in ("csr", "ext", "pem"))
        kinds = ["IP" if name.replace(".", "").isdigit() else "DNS" for name in names]
        extensions.write_text(EXTENSIONS.format(
            names=",".join(f"{kind}:{name}" for kind, name in zip(kinds, names))))
        openssl("req", "-new", "-key", key, "-subj", f"/CN={names[0]}", "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key,
                "-CAcreateserial", "-days", DAYS, "-extfile", extensions, "-out", certificate)
        return certificate, key

    def flags(self, kind="ec"):
        """The flags with which `sockeye` serves a certificate for localhost."""
        certificate, key = self.issue("localhost", "127.0.0.1", kind=kind)
        return "--tls", f"{certificate},{key}"

    def _make_key(self, name, kind="ec"):
        key = self.directory / f"{name}.key"
        of_kind = {"ec": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
                   "rsa": ("RSA", "-pkeyopt", "rsa_keygen_bits:2048")}[kind]
        openssl("genpkey", "-algorithm", *of_kind, "-out", key)
        return key
