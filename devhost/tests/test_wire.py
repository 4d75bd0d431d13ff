"""devhost's lines compared with a captured dialogue between a daemon and the SDK."""

import json
from typing import Any

import pytest

from devhost.tests.support import HERE
from devhost.wire import END, Reply, dumps, reply_line, request_line, through_go

SESSION = [json.loads(line) for line in (HERE / "stdio-session.ndjson").read_text().splitlines()]
SENT = [row["line"] for row in SESSION if row["dir"] == "daemon->plugin"]


@pytest.mark.parametrize("captured", SENT, ids=lambda line: line["event"])
def test_a_line_is_the_captured_one(captured: dict[str, Any]) -> None:
    data, ids = captured["data"], (captured["session_id"], captured["endpoint_id"])
    if captured["event"] == "request":
        line = request_line(*ids, bytes.fromhex(data["raw_http_request"]), data["settings"])
    else:
        line = reply_line(*ids, data["backwards_request_id"], Reply(data["event"], data["message"], data["data"]))
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == captured
    assert list(json.loads(line)) == list(captured)


def test_the_captured_calls_end_as_devhost_ends_them() -> None:
    last = [line["data"] for line in SENT if line["data"].get("event") == "end"]
    assert {(reply["event"], reply["message"], reply["data"]) for reply in last} == {(END.event, END.message, END.data)}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": {"d": [], "c": None}}, '{"a":{"c":null,"d":[]},"b":1}'),
        ([2.0, 0.5, True, -3.0, 2**53], "[2,0.5,true,-3,9007199254740992]"),
        (2**53 + 1, "9007199254740992"),
        ("<é&\u2028\ud800>", '"\\u003cé\\u0026\\u2028\ufffd\\u003e"'),
    ],
)
def test_json_passes_through_go(value: object, text: str) -> None:
    assert dumps(through_go(value)) == text
