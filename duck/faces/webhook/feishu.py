"""What Feishu (Lark) has of its own: bodies that are encrypted, and a token that it repeats in each of them. Pure."""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from duck.runs import parsing
from duck.runs.parsing import ParseError

HANDSHAKE = "url_verification"  # the type of a request that asks for its `challenge`
_BLOCK = 16  # bytes
_TYPES = {HANDSHAKE, "event_callback"}


def decrypted(value: Any, secrets: Sequence[str]) -> tuple[Any, str]:
    """An encrypted JSON body in plain text, and the secret that has decrypted it; else the unchanged value and ""."""
    match value:
        case {"encrypt": str() as encrypted} if len(value) == 1:
            data = _decoded(encrypted)
            for secret in secrets if data else ():
                plain = _decrypted(data, secret)
                if isinstance(plain, Mapping):
                    return plain, secret
    return value, ""


def token_of(value: Any) -> str:
    """The verification token in a JSON body, "" if there is none."""
    match value:
        case {"schema": "2.0", "header": {"token": str() as token}}:
            return token
        case {"type": str() as type_, "token": str() as token} if type_ in _TYPES:
            return token
    return ""


def without_token(value: Mapping[str, Any]) -> dict[str, Any]:
    """A body without the token, which lets its sender in."""
    header = value.get("header")
    found = {name: inner for name, inner in value.items() if name != "token"}
    if isinstance(header, Mapping):
        found["header"] = {name: inner for name, inner in header.items() if name != "token"}
    return found


def _decoded(encrypted: str) -> bytes:
    """Initialization vector and blocks, b"" if they are broken."""
    try:
        data = base64.b64decode(encrypted, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return b"" if len(data) <= _BLOCK or len(data) % _BLOCK else data


def _decrypted(data: bytes, secret: str) -> Any:
    """The JSON value in AES-256-CBC with PKCS #7, None if there is none."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - few endpoints need it

    vector, blocks = data[:_BLOCK], data[_BLOCK:]
    key = hashlib.sha256(secret.encode()).digest()
    decryptor = Cipher(algorithms.AES256(key), modes.CBC(vector)).decryptor()
    padded = decryptor.update(blocks) + decryptor.finalize()
    try:
        return parsing.json(padded[: -padded[-1]].decode())
    except (UnicodeDecodeError, ParseError):
        return None
