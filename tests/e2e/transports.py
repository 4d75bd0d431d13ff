"""Duck's transport next to the SDK's, in a process of its own: importing the SDK patches the whole process.

`deliver SEED`   hands both readers the same lines and says where they differ
`obstacle`       says why this process would not use Duck's, an empty line if it would
`sdk`            says which SDK this is, and the same for people
`write WHOSE`    writes a long message to stdout, interrupted by signals
`long`           says what becomes of messages, of all kinds and by all writers, for which the daemon would end the process
"""

import json
import logging
import os
import random
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from dify_plugin.core.entities.plugin.io import PluginInStreamEvent
from dify_plugin.core.server.stdio.request_reader import StdioRequestReader
from dify_plugin.core.server.stdio.response_writer import StdioResponseWriter
from dify_plugin.core.server.tcp.request_reader import TCPReaderWriter

from duck import limits
from duck.errors import DuckError
from duck.sdk import patches, transport
from duck.streams.slots import Slots

STEPS = 15_000  # of which each but a few is a line
IDS = [f"id{number}" for number in range(12)]
LONG = "x" * 1_000_000
DATA: list[Any] = [None, [], "text", 7, {}, {"backwards_request_id": None}, {"backwards_request_id": ["id1"]}]


def main() -> None:
    """Does what the command line says."""
    match sys.argv[1:]:
        case ["deliver", seed]:
            print(json.dumps(differences(random.Random(int(seed)))))
        case ["obstacle"]:
            print(transport.obstacle(StdioRequestReader()) or "")
        case ["sdk"]:
            reason = transport.obstacle(StdioRequestReader())
            print(
                f"dify_plugin {version('dify_plugin')}: Duck's own transport", f"steps aside: {reason}" if reason else "is used"
            )
        case ["long"]:
            patches.apply()
            print(json.dumps(long_lines()))
        case ["write", whose]:
            signal.signal(signal.SIGUSR1, lambda *_: None)
            writer = transport.PipeWriter(1) if whose == "duck" else StdioResponseWriter()
            print("ready", file=sys.stderr, flush=True)
            writer.session_message("s", writer.stream_object({"result": LONG}))


class Sent:
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        self.data = b""

    def sendall(self, data: bytes) -> None:
        self.data += data


def long_lines() -> dict[str, Any]:
    """By writer and kind of message the error that it is; what else was written; and the length of a long line of a log."""
    socket, (reading, writing) = Sent(), os.pipe()
    tcp = TCPReaderWriter(host="", port=0, key="")
    tcp.sock, tcp.alive = socket, True
    text = "\x01" * (limits.MAX_LINE // 6)
    found: dict[str, Any] = {}
    for name, writer in (("pipe", transport.PipeWriter(writing)), ("stdio", StdioResponseWriter()), ("tcp", tcp)):
        ways: list[tuple[str, Callable[..., Any], Any]] = [
            ("a part of an answer", writer.session_message, writer.stream_object({"result": text})),
            ("a run", writer.session_message, writer.stream_invoke_object({"request": {"query": text}})),
            ("an error", writer.error, {"error": text}),
            ("a run of a serverless plugin", writer.session_message_text, {"request": {"query": text}}),
        ]
        for way, write, data in ways:
            try:
                write("s", data)
                found[f"{name}: {way}"] = "written"
            except DuckError as error:
                found[f"{name}: {way}"] = [error.status, error.code]
        writer.session_message("s", {"result": "short"})
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": "%s", "args": (text,)})
    return {
        **found,
        "written": [os.read(reading, limits.MAX_LINE).decode(), socket.data.decode()],
        "log": len(patches.LogFormatter().format(record)),
    }


class Side:
    """One reader, and what those who read from it have got."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader
        self.open: dict[str, Any] = {}

    def begin(self, name: str, wants: Callable[[Any], bool]) -> None:
        self.open[name] = self.reader.read(wants)

    def end(self, name: str) -> list[Any]:
        reader = self.open.pop(name)
        reader.close()
        return [(line.session_id, line.event, line.data) for line in reader.read()]


def differences(dice: random.Random) -> list[str]:
    """Readers that come and go as runs do, and lines for those that are there, were there, or never will be."""
    sides = [Side(transport.PipeReader(0, StdioResponseWriter(), Slots())), Side(StdioRequestReader())]
    found = []

    def wants(name: str) -> Callable[[Any], bool]:
        if name == "requests":
            return lambda line: line.event == PluginInStreamEvent.Request
        return lambda line: (
            line.event == PluginInStreamEvent.BackwardInvocationResponse
            and line.data.get("backwards_request_id") == name
            and line.data.get("event") != "unsound"
        )

    for side in sides:
        side.begin("requests", wants("requests"))
    for step in range(STEPS):
        name = dice.choice(IDS)
        match dice.random():
            case chance if chance < 0.1 and name not in sides[0].open:
                for side in sides:
                    side.begin(name, wants(name))
            case chance if chance < 0.15 and name in sides[0].open:
                one, other = (side.end(name) for side in sides)
                found += [f"{name} got {one} and {other}"] if one != other else []
            case _:
                event = dice.choice(["request", *["backwards_response"] * 5])
                reply = {"backwards_request_id": name, "event": dice.choice(["response", "unsound"])}
                data = dice.choice(DATA) if dice.random() < 0.1 else reply
                fields = {"session_id": f"s{step}", "event": event, "data": data}
                for side in sides:
                    side.reader._process_line(transport.Message(fields, side.reader, None))
    for name in list(sides[0].open):
        one, other = (side.end(name) for side in sides)
        found += [f"{name} got {one} and {other}"] if one != other else []
    assert not sides[0].reader._readers_by_request, "a closed reader is remembered"
    return found


if __name__ == "__main__":
    main()
