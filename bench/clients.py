"""Clients: each makes one request and says what it got."""

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

DEADLINE_S = 120  # of one request: a client that waits longer has found something that hangs
READ = 65_536
STUMBLES = 0.05  # of the reads of a client that stumbles
SMALL_WINDOW = 4_096  # bytes: a client that stalls is to fill the daemon's queue, and not the sockets between

type Pause = Callable[[int], Awaitable[None]]


@dataclass(slots=True)
class Got:
    """What a client got: the status, the body and the seconds to its first byte and to its end."""

    status: int = 0
    body: bytes = b""
    first_s: float = 0.0
    total_s: float = 0.0
    retry_after: str | None = None


async def no_pause(_size: int) -> None:
    """A client that reads as fast as it can."""


def stumbling(seed: int) -> Pause:
    """A client that reads nothing for a while, now and then."""
    dice = random.Random(seed)

    async def pause(_size: int) -> None:
        if dice.random() < STUMBLES:
            await asyncio.sleep(dice.choice((0.05, 0.3, 1.0)))

    return pause


async def ask(url: str, spec: Spec, style: str, *, pause: Pause = no_pause, hang_up_after: float = float("inf")) -> Got:
    """Asks the app `run`; `pause` is awaited after each read with the size of the body so far; hangs up after so many bytes."""
    got, began = Got(), time.monotonic()
    async with asyncio.timeout(DEADLINE_S), _opened(url, spec, style) as (reader, connection):
        while True:
            event = connection.next_event()
            match event:
                case h11.NEED_DATA:
                    connection.receive_data(await reader.read(READ))
                case h11.Response():
                    got.status = event.status_code
                    got.retry_after = next((value.decode() for name, value in event.headers if name == b"retry-after"), None)
                case h11.Data():
                    got.first_s = got.first_s or time.monotonic() - began
                    got.body += event.data
                    if len(got.body) >= hang_up_after:
                        break
                    await pause(len(got.body))
                case h11.EndOfMessage():
                    break
    got.total_s = time.monotonic() - began
    got.first_s = got.first_s or got.total_s
    return got


@asynccontextmanager
async def _opened(url: str, spec: Spec, style: str) -> AsyncIterator[tuple[asyncio.StreamReader, h11.Connection]]:
    target = urlsplit(url)
    connected = socket.socket()
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
    connected.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connected, (target.hostname, target.port))
    reader, writer = await asyncio.open_connection(sock=connected, limit=SMALL_WINDOW)
    body = json.dumps({"query": spec.query(), "response_mode": "streaming"}).encode()
    head = (
        f"POST {target.path}/chat/run?format={style} HTTP/1.1\r\nHost: {target.netloc}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "h")]))
    connection.send(h11.EndOfMessage())
    writer.write(head.encode() + body)
    try:
        yield reader, connection
    finally:
        writer.transport.abort()  # at once, as a browser does when its tab is closed
