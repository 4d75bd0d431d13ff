"""Ids that carry a conversation from one request to the next, so that nothing has to be stored. Pure.

A token is base64url without padding of conversation id (16 bytes), message id (16 bytes) and MAC (12 bytes): 59 characters.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

MAC_SIZE = 12  # bytes: a guess is right once in 2**96
LENGTH = 59  # characters
_NONE = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Signs the tokens of one `face` for one app and caller, and verifies them.

    `keys` are the endpoint's API keys: the first one signs, and each of them verifies, so that keys can be rotated. A token that
    was made for a guest is valid for holders of a key, too, but not the other way round.
    """

    face: str
    app_id: str
    guest: bool
    endpoint_id: str
    keys: Sequence[str]

    def sign(self, conversation_id: str, message_id: str = "") -> str:
        """The token of a conversation, after one of its messages. An id that is no UUID counts as none."""
        ids = _uuid(conversation_id).bytes + _uuid(message_id).bytes
        return urlsafe_b64encode(ids + self._mac(self._secrets[0], ids, guest=self.guest)).decode().rstrip("=")

    def verify(self, token: str) -> str | None:
        """The conversation id of a token, "" for the token of a workflow; None if the token is not valid here."""
        try:
            data = urlsafe_b64decode(token + "=") if len(token) == LENGTH and token.isascii() else b""
        except ValueError:
            return None
        ids, mac = data[:32], data[32:]
        if len(mac) != MAC_SIZE or token != urlsafe_b64encode(data).decode().rstrip("="):
            return None
        minted_for = (True,) if self.guest else (True, False)
        expected = [self._mac(secret, ids, guest=guest) for secret in self._secrets for guest in minted_for]
        if sum(hmac.compare_digest(mac, each) for each in expected) == 0:
            return None
        conversation = UUID(bytes=ids[:16])
        return "" if conversation == _NONE else str(conversation)

    def verify_id(self, start: str, id_: str) -> str | None:
        """The same for an id that is a token after `start`."""
        return self.verify(id_.removeprefix(start)) if id_.startswith(start) else None

    @property
    def _secrets(self) -> list[bytes]:
        """Without a key the secret is the endpoint's id alone, which is in no answer."""
        return [hashlib.sha256(f"duck\0{self.endpoint_id}\0{key}".encode()).digest() for key in self.keys or ("",)]

    def _mac(self, secret: bytes, ids: bytes, *, guest: bool) -> bytes:
        about = f"{self.face}\0{self.app_id}\0{'g' if guest else 'k'}\0".encode()
        return hmac.digest(secret, about + ids, "sha256")[:MAC_SIZE]


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return _NONE
