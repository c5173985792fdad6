"""A TLS 1.3 client that sends any record: Python's ssl shakes hands, and libcrypto encrypts with the
keys of that handshake. It reads nothing."""

import ctypes
import ctypes.util
import hashlib
import hmac
import os
import pathlib
import socket
import ssl
import tempfile

ALERT, HANDSHAKE, APPLICATION_DATA = 21, 22, 23
TAG = 16
GET_TAG = 0x10  # EVP_CTRL_AEAD_GET_TAG

_crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"):
    getattr(_crypto, _name).restype = ctypes.c_void_p


def hello(tls, name="localhost"):
    """A client hello, in one record."""
    outgoing = ssl.MemoryBIO()
    client = tls.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("the handshake needs no server")


class Client:
    """The client's side of a connection, whose socket is `socket`."""

    def __init__(self, authority, plain):
        # Not shared with other threads: two that write keys at once wait for each other forever.
        tls = ssl.create_default_context(cafile=authority)
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
        with tempfile.TemporaryDirectory() as directory:
            keys = pathlib.Path(directory) / "keys"
            tls.keylog_filename = keys
            # Kept, because its end would close the socket.
            self._handshaken = tls.wrap_socket(plain, server_hostname="localhost")
            lines = [line.split() for line in keys.read_text().splitlines()]
        self.socket = socket.socket(fileno=os.dup(self._handshaken.fileno()))
        self.socket.settimeout(self._handshaken.gettimeout())
        if self._handshaken.cipher()[0] != "TLS_AES_256_GCM_SHA384":
            raise RuntimeError(f"unexpected: {self._handshaken.cipher()}")
        secrets = [line[2] for line in lines if line[0] == "CLIENT_TRAFFIC_SECRET_0"]
        self._use(bytes.fromhex(secrets[-1]))

    def _use(self, secret):
        self._secret = secret
        self._key, self._iv = expand(secret, b"key", 32), expand(secret, b"iv", 12)
        self._sequence = 0

    def record(self, kind, content=b""):
        """An encrypted record."""
        plain = content + bytes([kind])
        head = b"\x17\x03\x03" + (len(plain) + TAG).to_bytes(2, "big")
        number = int.from_bytes(self._iv, "big") ^ self._sequence
        self._sequence += 1
        return head + seal(self._key, number.to_bytes(12, "big"), head, plain)

    def key_update(self, requested):
        """A KeyUpdate (RFC 8446, 4.6.3). Records after it have the next key."""
        made = self.record(HANDSHAKE, bytes([24, 0, 0, 1, requested]))
        self._use(expand(self._secret, b"traffic upd", len(self._secret)))
        return made

    def close(self):
        self.socket.close()
        self._handshaken.close()


def expand(secret, label, length):
    """HKDF-Expand-Label with SHA-384 (RFC 8446, 7.1), for up to one block."""
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    return hmac.new(secret, info + b"\x01", hashlib.sha384).digest()[:length]


def seal(key, nonce, associated, plain):
    """AES-256-GCM: the ciphertext and its tag."""
    context = ctypes.c_void_p(_crypto.EVP_CIPHER_CTX_new())
    out, tag, length = ctypes.create_string_buffer(len(plain)), ctypes.create_string_buffer(TAG), \
        ctypes.c_int()
    cipher = ctypes.c_void_p(_crypto.EVP_aes_256_gcm())
    try:
        done = [
            _crypto.EVP_EncryptInit_ex(context, cipher, None, key, nonce),
            _crypto.EVP_EncryptUpdate(
                context, None, ctypes.byref(length), associated, len(associated)),
            _crypto.EVP_EncryptUpdate(context, out, ctypes.byref(length), plain, len(plain)),
            _crypto.EVP_EncryptFinal_ex(context, out, ctypes.byref(length)),
            _crypto.EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG, tag),
        ]
    finally:
        _crypto.EVP_CIPHER_CTX_free(context)
    assert done == [1] * 5, done
    return out.raw + tag.raw
