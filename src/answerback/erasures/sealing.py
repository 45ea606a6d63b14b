"""A number that waits to be erased is written down encrypted: what is left of that in a file tells nothing by itself."""

import hmac
import os
from hashlib import blake2b

_NONCE_BYTES = 16  # blake2b takes so much as salt
_TAG_BYTES = 16
_PADDED_BYTES = 32  # a number with its country code has less


def seal(key: bytes, number: str) -> bytes:
    """Encrypt a number under `key`."""
    nonce = os.urandom(_NONCE_BYTES)
    hidden = _combine(key, nonce, number.encode().ljust(_PADDED_BYTES))
    return nonce + _tag(key, nonce, hidden) + hidden


def unseal(key: bytes, sealed: bytes) -> str | None:
    """Decrypt it again; None where it was encrypted under another key."""
    nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    tag, hidden = rest[:_TAG_BYTES], rest[_TAG_BYTES:]
    return _combine(key, nonce, hidden).decode().strip() if hmac.compare_digest(tag, _tag(key, nonce, hidden)) else None


def _combine(key: bytes, nonce: bytes, data: bytes) -> bytes:
    stream = blake2b(key=key, salt=nonce, digest_size=_PADDED_BYTES).digest()
    return bytes(one ^ other for one, other in zip(data, stream, strict=True))


def _tag(key: bytes, nonce: bytes, hidden: bytes) -> bytes:
    return blake2b(hidden, key=key, salt=nonce, person=b"tag", digest_size=_TAG_BYTES).digest()
