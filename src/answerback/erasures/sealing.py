"""A number that waits to be erased is written down encrypted: what is left of that in a file tells nothing by itself."""

import os
from hashlib import blake2b

_NONCE_BYTES = 16  # blake2b takes so much as salt
_MAX_BYTES = 64  # what its digest has at most; a number with its country code has less than half of that


def seal(key: bytes, number: str) -> bytes:
    """Encrypt a number under `key`."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _combine(key, nonce, number.encode().ljust(_MAX_BYTES // 2))


def unseal(key: bytes, sealed: bytes) -> str:
    """Decrypt it again; of another key nothing that is a number comes out."""
    return _combine(key, sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]).decode("utf-8", "replace").strip()


def _combine(key: bytes, nonce: bytes, data: bytes) -> bytes:
    stream = blake2b(key=key, salt=nonce, digest_size=_MAX_BYTES).digest()
    return bytes(one ^ other for one, other in zip(data, stream, strict=False))
