"""Runs the binary under a system call filter (seccomp), as in a container."""

import ctypes
import errno
import platform

from running import Checks, expect, receive_all

OPENAT2 = 437
STATX = {"x86_64": 332, "aarch64": 291}.get(platform.machine())

# From linux/prctl.h, linux/bpf_common.h and linux/seccomp.h.
SET_NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
RETURN_ERRNO, ALLOW = 0x00050000, 0x7FFF0000


class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("then", ctypes.c_ubyte), ("otherwise", ctypes.c_ubyte),
                ("value", ctypes.c_uint)]


class Filter(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction))]


def refusing(call, error):
    """Returns a `preexec_fn` that makes one system call fail with an error."""
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = (Instruction * 4)(
        Instruction(LOAD_WORD, 0, 0, 0),  # the call's number
        Instruction(JUMP_IF_EQUAL, 0, 1, call),
        Instruction(RETURN, 0, 0, RETURN_ERRNO | error),
        Instruction(RETURN, 0, 0, ALLOW),
    )
    program = Filter(len(instructions), instructions)

    def install():
        if libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
                SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")

    return install


def run(checks: Checks, folder):
    for name, call in [("openat2", OPENAT2), ("statx", STATX)]:
        if call is None:
            print(f"SKIPPED: a sandbox without {name}: its number is unknown on this machine")
            continue
        with checks.check(f"sandbox: if {name} is not permitted, the error names it"):
            done = checks.run("http", folder.root, "--listen", "127.0.0.1:0",
                              preexec_fn=refusing(call, errno.EPERM))
            expect(done.returncode, 1)
            message = f"sockeye: {name} is not permitted here (a seccomp sandbox?)"
            assert message in done.stderr, done.stderr
            expect(done.stdout, "")
    with checks.check("sandbox: without openat2, files are served and links out are not followed"), \
            checks.start("http", folder.root, "--listing", "--listen", "127.0.0.1:0",
                         preexec_fn=refusing(OPENAT2, errno.ENOSYS)) as server:
        for path, status in [("/hello.txt", b"200"), ("/sub/", b"200"), ("/way-out.txt", b"404")]:
            with server.connect() as peer:
                peer.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                expect(receive_all(peer)[9:12], status, path)
        with server.connect() as peer:
            peer.sendall(b"GET /?format=json HTTP/1.0\r\n\r\n")
            expect(b'"complete":false,"omitted":{"outside":2}' in receive_all(peer), True)
