"""Signed ids of conversations."""

from dataclasses import replace

import pytest

from duck.faces.tokens import LENGTH, Signer

CONVERSATION, MESSAGE = "c7e1f2a3-0000-4000-8000-000000000001", "a41c0000-0000-4000-8000-000000000002"
HOLDER = Signer(face="resp", app_id="app", guest=False, endpoint_id="endpoint", keys=("first-key", "second-key"))
GUEST = replace(HOLDER, guest=True)


def test_a_token_gives_its_conversation_back() -> None:
    token = HOLDER.sign(CONVERSATION, MESSAGE)
    assert (len(token), HOLDER.verify(token)) == (LENGTH, CONVERSATION)
    assert HOLDER.sign(CONVERSATION) != token


def test_the_token_of_a_workflow_has_no_conversation() -> None:
    assert HOLDER.verify(HOLDER.sign("", "")) == ""


@pytest.mark.parametrize(
    "other",
    [
        replace(HOLDER, face="ctx"),
        replace(HOLDER, app_id="another"),
        replace(HOLDER, endpoint_id="another"),
        replace(HOLDER, keys=("third-key",)),
        GUEST,
    ],
)
def test_a_key_holders_token_is_valid_in_its_place_only(other: Signer) -> None:
    assert other.verify(HOLDER.sign(CONVERSATION, MESSAGE)) is None


def test_a_guests_token_is_valid_for_key_holders_too() -> None:
    token = GUEST.sign(CONVERSATION, MESSAGE)
    assert (GUEST.verify(token), HOLDER.verify(token)) == (CONVERSATION, CONVERSATION)


def test_a_token_survives_the_rotation_of_keys() -> None:
    token = HOLDER.sign(CONVERSATION, MESSAGE)
    assert replace(HOLDER, keys=("new-key", "first-key")).verify(token) == CONVERSATION
    assert replace(HOLDER, keys=("new-key",)).verify(token) is None


def test_without_a_key_the_endpoint_alone_tells() -> None:
    signer = replace(GUEST, keys=())
    assert signer.verify(signer.sign(CONVERSATION)) == CONVERSATION
    assert replace(signer, endpoint_id="another").verify(signer.sign(CONVERSATION)) is None


def test_no_bit_of_a_token_can_be_changed() -> None:
    token = HOLDER.sign(CONVERSATION, MESSAGE)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    changed = [
        token[:at] + alphabet[alphabet.index(letter) ^ (1 << bit)] + token[at + 1 :]
        for at, letter in enumerate(token)
        for bit in range(6)
    ]
    assert [text for text in changed if HOLDER.verify(text) is not None] == []


@pytest.mark.parametrize("text", ["", "x", "x" * LENGTH, "é" * LENGTH, "=" * LENGTH, "!" + "x" * (LENGTH - 1), CONVERSATION])
def test_what_is_no_token_is_not_valid(text: str) -> None:
    assert HOLDER.verify(text) is None
