"""What the gateway does to the session itself."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from duck.gateway import SessionGateway
from tests.support import Dify

type Wanted = Callable[[Any], bool]


class Reader:
    """The SDK's reader: keeps what it was asked to look for."""

    wanted: Wanted

    def read(self, wanted: Wanted) -> str:
        self.wanted = wanted
        return "the replies"


@pytest.mark.parametrize(
    ("data", "passes", "skipped"),
    [
        ({"event": "response", "data": {"event": "message"}}, True, 0),
        ({"event": "response", "data": {}}, True, 0),
        ({"event": "end", "data": None}, True, 0),
        ({"event": "error", "data": None}, True, 0),
        ({"event": "response", "data": None}, False, 1),
        ({"event": "response", "data": "ping"}, False, 1),
        ({"event": "response", "data": [1]}, False, 1),
        ({"event": "response"}, False, 1),
    ],
    ids=repr,
)
def test_the_sdk_sees_no_reply_that_is_no_object(data: dict[str, Any], *, passes: bool, skipped: int) -> None:
    dify, reader = Dify(), Reader()
    dify.reader = reader
    gateway = SessionGateway(dify)
    assert dify.reader.read(lambda line: line.session == "mine") == "the replies"
    assert reader.wanted(SimpleNamespace(session="mine", data=data)) is passes
    assert reader.wanted(SimpleNamespace(session="another", data=data)) is False
    assert gateway.skipped == skipped
