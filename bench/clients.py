"""Clients. Each sends one request and returns the answer."""

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from bench.host import KEY
from bench.runs import Spec

DEADLINE_S = 120  # of one request: if it takes longer, something hangs
READ_SIZE = 65_536
STUMBLE_SHARE = 0.05  # of the reads of a client that stumbles
SMALL_WINDOW = 4_096  # bytes, so that a client that stalls fills the daemon's queue, and not the sockets in between

type Pause = Callable[[int], Awaitable[None]]


@dataclass(slots=True)
class Answer:
    """What a client received. `first_s` and `total_s` are the seconds to the first byte of the body and to its end."""

    status: int = 0
    body: bytes = b""
    first_s: float = 0.0
    total_s: float = 0.0
    retry_after: str | None = None


async def no_pause(_size: int) -> None:
    """The pause of a client that reads as fast as it can."""


def stumbling(seed: int) -> Pause:
    """The pause of a client that now and then reads nothing for a while."""
    dice = random.Random(seed)

    async def pause(_size: int) -> None:
        if dice.random() < STUMBLE_SHARE:
            await asyncio.sleep(dice.choice((0.05, 0.3, 1.0)))

    return pause


async def fetch(url: str, spec: Spec, format_: str, *, pause: Pause = no_pause, hang_up_after: float = float("inf")) -> Answer:
    """Runs the app `run`. `pause` is awaited after each read, with the size of the body so far.

    The client hangs up after `hang_up_after` bytes of the body. Raises `TimeoutError` after `DEADLINE_S`.
    """
    answer, began = Answer(), time.monotonic()
    async with asyncio.timeout(DEADLINE_S), _opened(url, spec, format_) as (reader, connection):
        while True:
            event = connection.next_event()
            match event:
                case h11.NEED_DATA:
                    connection.receive_data(await reader.read(READ_SIZE))
                case h11.Response():
                    answer.status = event.status_code
                    answer.retry_after = next((value.decode() for name, value in event.headers if name == b"retry-after"), None)
                case h11.Data():
                    answer.first_s = answer.first_s or time.monotonic() - began
                    answer.body += event.data
                    if len(answer.body) >= hang_up_after:
                        break
                    await pause(len(answer.body))
                case h11.EndOfMessage():
                    break
    answer.total_s = time.monotonic() - began
    answer.first_s = answer.first_s or answer.total_s
    return answer


@asynccontextmanager
async def _opened(url: str, spec: Spec, format_: str) -> AsyncIterator[tuple[asyncio.StreamReader, h11.Connection]]:
    target = urlsplit(url)
    connected = socket.socket()
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
    connected.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connected, (target.hostname, target.port))
    reader, writer = await asyncio.open_connection(sock=connected, limit=SMALL_WINDOW)
    body = json.dumps({"query": spec.query(), "response_mode": "streaming"}).encode()
    head = (
        f"POST {target.path}/chat/run?format={format_} HTTP/1.1\r\nHost: {target.netloc}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "h")]))
    connection.send(h11.EndOfMessage())
    writer.write(head.encode() + body)
    try:
        yield reader, connection
    finally:
        writer.transport.abort()  # closes at once, as a browser does with a tab
