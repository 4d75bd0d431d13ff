"""Chunks for a client that does not read, and answers with a wrong Content-Length."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.types import Message

from devhost.clock import TICK_S, Clock
from devhost.limits import Limits
from devhost.response import Answer

GET = {"type": "http", "method": "GET"}


async def receive() -> Message:
    raise AssertionError("an answer does not read the request")


def chunk(text: str) -> dict[str, Any]:
    return {"result": text.encode().hex()}


def head(**headers: str) -> dict[str, Any]:
    return {"status": 200, "headers": {name.replace("_", "-"): value for name, value in headers.items()}}


def test_128_chunks_wait_for_a_client_that_does_not_read_and_the_next_are_lost() -> None:
    written: list[bytes] = []

    async def run() -> None:
        first_written, reads_on = asyncio.Event(), asyncio.Event()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                written.append(message["body"])
                first_written.set()
                await reads_on.wait()

        answer = Answer(Limits(race_s=0), Clock())
        answer.feed(head())
        answer.feed(chunk("first "))
        writing = asyncio.create_task(answer.write(GET, receive, send))
        await first_written.wait()
        for number in range(200):
            answer.feed(chunk(f"{number} "))
        reads_on.set()
        while len(written) < 129:
            await asyncio.sleep(0)
        answer.feed(chunk("after the hole"))
        answer.end()
        await writing

    asyncio.run(run())
    assert b"".join(written).decode() == "first " + "".join(f"{n} " for n in range(128)) + "after the hole"


def written(messages: Sequence[dict[str, Any]]) -> list[Message]:
    """The messages for the client of a plugin that sends these messages and ends."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        answer = Answer(Limits(race_s=0), Clock())
        for message in messages:
            answer.feed(message)
        answer.end()
        await answer.write(GET, receive, send)

    asyncio.run(run())
    return sent


@pytest.mark.parametrize(
    ("length", "body", "ended"), [("2", b"ab", True), ("3", b"abc", True), ("4", b"abc", False), ("x", b"abc", True)]
)
def test_a_body_keeps_to_the_plugins_content_length(length: str, body: bytes, *, ended: bool) -> None:
    sent = written([head(content_length=length), chunk("ab"), chunk("c")])
    assert b"".join(message["body"] for message in sent[1:]) == body
    assert (sent[-1]["more_body"] is False) is ended


def test_a_304_loses_its_type_and_its_length() -> None:
    sent = written([{"status": 304, "headers": {"content-type": "text/plain", "content-length": "1", "etag": "x"}}, chunk("a")])
    assert sent == [
        {"type": "http.response.start", "status": 304, "headers": [(b"Etag", b"x")]},
        {"type": "http.response.body", "body": b"", "more_body": False},
    ]


def test_a_line_break_cannot_leave_a_header_value() -> None:
    [start, *_] = written([head(x_a="1\r\nX-B: 2"), chunk("a")])
    assert start["headers"] == [(b"X-A", b"1 X-B: 2")]


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_message_read_after_a_standstill_may_have_arrived_before_it(turns: int) -> None:
    async def run() -> float:
        clock, loop = Clock(), asyncio.get_running_loop()
        ticking = asyncio.create_task(clock.run())
        await asyncio.sleep(3 * TICK_S)
        before = loop.time()
        time.sleep(20 * TICK_S)
        for _ in range(turns):  # of the loop, from the socket to the reader
            await asyncio.sleep(0)
        ticking.cancel()
        return clock.earliest() - before

    assert asyncio.run(run()) < TICK_S


def test_the_clock_moves_on() -> None:
    async def run() -> float:
        clock = Clock()
        began = clock.earliest()
        ticking = asyncio.create_task(clock.run())
        while clock.earliest() == began:
            await asyncio.sleep(TICK_S)
        ticking.cancel()
        return clock.earliest() - began

    assert asyncio.run(run()) > 0
