"""A file system that hangs. It implements the part of the FUSE protocol that this needs.

<linux/fuse.h> defines the protocol. The prefix of a file's name says which operation hangs: with
`read-`, reading it; with `stat-`, looking it up. As with NFS, a request that hangs fails with EINTR
when the waiting process gets a signal or ends.

This process must not access the mounted folder, or it hangs, too.
"""

import errno
import os
import shutil
import socket
import stat
import struct
import subprocess
import threading

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH = 1, 2, 3, 14, 15, 17, 18, 25
INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, DESTROY, BATCH_FORGET = 26, 27, 28, 29, 36, 38, 42
UNANSWERED = {FORGET, BATCH_FORGET}
REQUEST = struct.Struct("<IIQQ16x")
ROOT = 1
TIME = 1_700_000_000
VALID = 3600  # seconds for which the kernel may cache an answer


def missing():
    """The reason why mounting is impossible here, or None."""
    if not shutil.which("fusermount3"):
        return "fusermount3 is not installed"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse can't be opened"
    return None


class Mount:
    """A mounted folder, for a `with` statement. `files` has names and sizes; the content is zeros."""

    def __init__(self, mount_point, files):
        self.mount_point = mount_point
        self.names = [None, None, *files]  # by inode
        self.sizes = [0, 0, *files.values()]
        self.hanging = set()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            done = subprocess.run(
                ["fusermount3", "-o", "ro,fsname=hangs", "--", mount_point],
                env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
                pass_fds=[theirs.fileno()], capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"fusermount3: {done.stderr.strip()}")
            self.device = socket.recv_fds(ours, 1, 1)[1][0]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Answer all hanging requests, so that the kernel can unmount at once.
        for unique in list(self.hanging):
            self._answer(unique, error=errno.EIO)
        subprocess.run(["fusermount3", "-u", "-z", "--", self.mount_point], capture_output=True)
        self.thread.join(5)
        os.close(self.device)

    def _serve(self):
        while True:
            try:
                request = os.read(self.device, 1 << 18)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                return  # unmounted (ENODEV)
            _, kind, unique, inode = REQUEST.unpack_from(request)
            self._request(kind, unique, inode, request[REQUEST.size:])

    def _request(self, kind, unique, inode, more):
        hangs = {LOOKUP: b"stat-", READ: b"read-"}.get(kind)
        if kind == INTERRUPT:
            waiting, = struct.unpack_from("<Q", more)
            if waiting in self.hanging:
                self._answer(waiting, error=errno.EINTR)
        elif kind in UNANSWERED:
            pass
        elif hangs and (more if kind == LOOKUP else self.names[inode].encode()).startswith(hangs):
            self.hanging.add(unique)
        elif kind == INIT:
            major, minor, ahead = struct.unpack_from("<III", more)
            self._answer(unique, struct.pack("<IIIIHHIIHHI28x", major, min(minor, 31), ahead, 0, 64, 48,
                                             1 << 17, 1, 0, 0, 0))
        elif kind == LOOKUP:
            name = more.rstrip(b"\0").decode()
            if name not in self.names:
                return self._answer(unique, error=errno.ENOENT)
            found = self.names.index(name)
            self._answer(unique, struct.pack("<QQQQII", found, 0, VALID, VALID, 0, 0)
                         + self._attributes(found))
        elif kind == GETATTR:
            self._answer(unique, struct.pack("<QII", VALID, 0, 0) + self._attributes(inode))
        elif kind in (OPEN, OPENDIR):
            self._answer(unique, struct.pack("<QII", 0, 0, 0))
        elif kind in (READ, READDIR):
            _, offset, size = struct.unpack_from("<QQI", more)
            self._answer(unique, bytes(max(0, min(size, self.sizes[inode] - offset)))
                         if kind == READ else self._entries(offset))
        elif kind == STATFS:
            self._answer(unique, struct.pack("<5QIIII24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0))
        elif kind in (RELEASE, RELEASEDIR, FLUSH, DESTROY):
            self._answer(unique)
        else:
            self._answer(unique, error=errno.ENOSYS)

    def _answer(self, unique, content=b"", error=0):
        self.hanging.discard(unique)
        try:
            os.write(self.device, struct.pack("<IiQ", 16 + len(content), -error, unique) + content)
        except OSError:
            pass  # the process that waited is gone

    def _attributes(self, inode):
        size = self.sizes[inode]
        mode = stat.S_IFDIR | 0o755 if inode == ROOT else stat.S_IFREG | 0o644
        return struct.pack("<6Q10I", inode, size, -(-size // 512), TIME, TIME, TIME, 0, 0, 0, mode, 1,
                           os.getuid(), os.getgid(), 0, 4096, 0)

    def _entries(self, offset):
        """The folder's entries, all at once."""
        if offset:
            return b""
        content = b""
        for inode, name in list(enumerate(self.names))[2:]:
            entry = struct.pack("<QQII", inode, inode, len(name), stat.S_IFREG >> 12) + name.encode()
            content += entry + bytes(-len(entry) % 8)
        return content[:4096]
