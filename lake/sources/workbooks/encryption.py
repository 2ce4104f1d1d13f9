"""Old workbooks that Excel encrypted with its own, published password: it does so for 'protected' ones, and opens them unasked.

[MS-OFFCRYPTO] 2.3.5 to 2.3.7, [MS-XLS] 2.2.10. A workbook with any other password stays as it is, and is refused later.
"""

import hashlib
import struct
from collections.abc import Callable

from lake.sources.workbooks.compound import joined, stream_pieces
from lake.sources.workbooks.xls import STREAMS, records

_PASSWORD = "VelvetSweatshop"
_FILEPASS, _BOUNDSHEET, _IGNORED = 0x2F, 0x85, 0x0FFF
_IN_CLEAR = {0x809, 0x2F, 0xE1, 0x194, 0x195, 0x196, 0x138}
"""Records whose content is never encrypted."""
_BLOCK_BYTES = 1024
_PADDING = bytes.fromhex("bbffffbaffffb98000be0f00bf0f00")

Decrypt = Callable[[int, bytes], bytes]
"""(offset in the stream, content of a record) -> its content in clear."""


def without_own_password(data: bytes) -> bytes:
    """Return an old workbook in clear if Excel's own password opens it, else as it is."""
    pieces = stream_pieces(data, STREAMS)
    stream = bytearray(joined(data, pieces))
    found = next(
        ((at, n) for kind, at, n in list(records(bytes(stream[:4096])))[:8] if kind == _FILEPASS), None
    )
    if found is None:
        return data
    at, length = found
    try:
        decrypt = _cipher(bytes(stream[at : at + length]))
    except struct.error:
        decrypt = None
    if decrypt is None:
        return data
    for kind, offset, size in list(records(bytes(stream))):
        if kind not in _IN_CLEAR:
            clear = 4 if kind == _BOUNDSHEET else 0
            stream[offset + clear : offset + size] = decrypt(offset, bytes(stream[offset : offset + size]))[
                clear:
            ]
    struct.pack_into("<H", stream, at - 4, _IGNORED)
    copy = bytearray(data)
    done = 0
    for start, size in pieces:
        copy[start : start + size] = stream[done : done + size]
        done += size
    return bytes(copy)


def _cipher(header: bytes) -> Decrypt | None:
    """Return how to decrypt, if Excel's own password is the one; `header` is the content of the FILEPASS record."""
    if len(header) == 4:
        return _obfuscated(*struct.unpack("<HH", header))
    method, major, minor = struct.unpack_from("<3H", header)
    if method == 0:
        return _obfuscated(*struct.unpack_from("<HH", header, 2))
    if (major, minor) == (1, 1):
        salt, verifier, expected = header[6:22], header[22:38], header[38:54]
        digest = hashlib.md5(_PASSWORD.encode("utf-16-le"), usedforsecurity=False).digest()[:5]
        secret = hashlib.md5((digest + salt) * 16, usedforsecurity=False).digest()[:5]
        return _checked(lambda block: _md5(secret + block)[:16], verifier, expected, _md5)
    if minor == 2:
        size = struct.unpack_from("<I", header, 10)[0]
        key_bits = struct.unpack_from("<I", header, 14 + 16)[0] or 40
        rest = header[14 + size :]
        salt, verifier, expected = rest[4:20], rest[20:36], rest[40:60]
        secret = _sha1(salt + _PASSWORD.encode("utf-16-le"))
        return _checked(lambda block: _sha1_key(secret + block, key_bits // 8), verifier, expected, _sha1)
    return None


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def _sha1(content: bytes) -> bytes:
    return hashlib.sha1(content, usedforsecurity=False).digest()


def _sha1_key(content: bytes, size: int) -> bytes:
    key = _sha1(content)[:size]
    return key.ljust(16, b"\0") if size == 5 else key


def _checked(
    key: Callable[[bytes], bytes], verifier: bytes, expected: bytes, digest: Callable[[bytes], bytes]
) -> Decrypt | None:
    """Return RC4 with a new key for every 1,024 bytes of the stream, if it decrypts the verifier."""
    clear = _rc4(key(b"\0\0\0\0"), verifier + expected)
    if digest(clear[:16]) != clear[16:]:
        return None

    def decrypt(offset: int, content: bytes) -> bytes:
        found = b""
        while content:
            block, skipped = divmod(offset, _BLOCK_BYTES)
            part = content[: _BLOCK_BYTES - skipped]
            found += _rc4(key(struct.pack("<I", block)), bytes(skipped) + part)[skipped:]
            content, offset = content[len(part) :], offset + len(part)
        return found

    return decrypt


def _rc4(key: bytes, content: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) & 0xFF
        state[i], state[j] = state[j], state[i]
    found = bytearray(len(content))
    i = j = 0
    for at, byte in enumerate(content):
        i = (i + 1) & 0xFF
        j = (j + state[i]) & 0xFF
        state[i], state[j] = state[j], state[i]
        found[at] = byte ^ state[(state[i] + state[j]) & 0xFF]
    return bytes(found)


def _obfuscated(key: int, verifier: int) -> Decrypt | None:
    """Return the decryption of XOR obfuscation, method 1."""
    password = _PASSWORD.encode("ascii")
    found = 0
    for byte in reversed(bytes([len(password)]) + password):
        found = (((found >> 14) & 1) | ((found << 1) & 0x7FFF)) ^ byte
    if found ^ 0xCE4B != verifier:
        return None
    padded = (password + _PADDING)[:16]
    array = [_rotated(byte ^ (key >> 8 if i % 2 else key & 0xFF), 7) for i, byte in enumerate(padded)]

    def decrypt(offset: int, content: bytes) -> bytes:
        return bytes(
            _rotated(byte ^ array[(offset + len(content) + i) % 16], 3) for i, byte in enumerate(content)
        )

    return decrypt


def _rotated(byte: int, left: int) -> int:
    return ((byte << left) | (byte >> (8 - left))) & 0xFF
