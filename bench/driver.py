"""A plugin process behind a cheap driver, which sends requests, acts as Dify by a plan, and records what comes and when.

devhost imitates the faults of the real daemon, and computes for longer than the plugin. The driver does neither.
"""

import contextlib
import heapq
import os
import re
import select
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson
import psutil

READ_SIZE = 1_048_576
PIPE_SIZE = 65_536  # bytes; a plugin is kept busy while as many wait for it
STALL_S = 60  # without a message from the plugin, while runs are open
ENDPOINT = "0b9a8c7d-6e5f-4a3b-9c2d-1e0f9a8b7c6d"
STAMP = re.compile(rb"@(\d+) ")  # when an event was sent, in microseconds, as part of its text
IDS = {
    "conversation_id": "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901",
    "created_at": 1784000000,
    "message_id": "a41c2e7b-5d0f-4b8e-9c33-1f6a7d2b9e04",
    "task_id": "0f3c9d52-7a41-4c1e-9b7e-3a1d5e2f8c10",
}
MESSAGE = {**IDS, "event": "message", "from_variable_selector": [], "id": IDS["message_id"]}
END = orjson.dumps({**IDS, "event": "message_end", "files": [], "id": IDS["message_id"], "metadata": {}})
ANSWER = {**IDS, "answer": "The Pro plan costs 20 USD per month.", "event": "message", "metadata": {}, "mode": "chat"}
NO_QUERY = "invoke app failed: request failed with status code: 400 and respond with: " + '{"message":"missing query"}'
FORM = {"opening_statement": "", "suggested_questions": [], "user_input_form": []}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What each run of a load sends: `events` with a text, `interval_s` apart, or as fast as the plugin reads them if that is 0.

    The first `warm_up_s` seconds are not measured.
    """

    events: int
    interval_s: float = 0.0
    text: str = "token"
    warm_up_s: float = 0.0


@dataclass(slots=True)
class Run:
    """One request, its run and its answer. Times are `time.perf_counter`'s; `delays` are the events' ways through, in seconds."""

    requested: float
    reply_head: bytes = b""  # what comes before the data in each of Dify's replies
    sent: int = 0
    stamps: deque[float] = field(default_factory=deque)
    delays: list[float] = field(default_factory=list)
    chunks: int = 0
    size: int = 0
    status: int = 0
    first: float = 0.0
    ended: float = 0.0
    is_guest: bool = False  # answered at once, and not measured


@dataclass(frozen=True, slots=True)
class Outcome:
    """The runs of a load, and the CPU and time that they took after the warm-up, in seconds."""

    runs: list[Run]
    cpu_s: float
    wall_s: float

    @property
    def delays(self) -> list[float]:
        """The delays of all events, in seconds, sorted."""
        return sorted(delay for run in self.runs for delay in run.delays)


class Driver:
    """A plugin in a process of its own. It is made when the plugin has sent its first heartbeat."""

    def __init__(self, folder: Path, **environment: str) -> None:
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "main"],
            cwd=folder,
            env=os.environ | {"INSTALL_METHOD": "local"} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._watched = psutil.Process(self._process.pid)
        self._rest = b""
        self._due = bytearray()  # bytes that wait for the plugin to read them
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self.log: list[str] = []
        while not any(message.get("event") == "heartbeat" for message in self._messages(STALL_S)):
            pass
        self.start_s = time.perf_counter() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()

    @property
    def memory_mb(self) -> float:
        """The memory of the process now."""
        return float(self._watched.memory_info().rss) / 1e6

    def load(
        self, request: bytes, settings: Mapping[str, Any], plan: Plan, count: int = 1, between: Sequence[bytes] = ()
    ) -> Outcome:
        """Sends a request `count` times at once and waits until all runs have ended.

        The requests `between` are sent together after the warm-up, and Dify answers each at once. Raises `RuntimeError` if the
        plugin fails or stalls.
        """
        return _Load(self, request, settings, plan, count, between).outcome()

    @property
    def cpu_s(self) -> float:
        """The CPU time of the process so far."""
        times = self._watched.cpu_times()
        return float(times.user + times.system)

    @property
    def due(self) -> int:
        """How many bytes wait for the plugin to read them."""
        return len(self._due)

    def send(self, line: bytes) -> None:
        """Queues a line for the plugin."""
        self._due += line

    def exchange(self, patience_s: float) -> Iterator[dict[str, Any]]:
        """Writes as much as the plugin takes. Yields its messages, after at most `patience_s` seconds."""
        if self._due:
            with contextlib.suppress(BlockingIOError):
                del self._due[: os.write(self._in, self._due[:READ_SIZE])]
        return self._messages(patience_s)

    def _messages(self, patience_s: float) -> Iterator[dict[str, Any]]:
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        if self._due:
            poll.register(self._in, select.POLLOUT)
        if not any(fd == self._out for fd, _ in poll.poll(patience_s * 1000)):
            return
        data = os.read(self._out, READ_SIZE)
        if not data:
            raise RuntimeError("the plugin has ended")
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in filter(None, lines):
            message = orjson.loads(line)
            if message.get("event") == "log":
                self.log.append(message["data"]["message"])
            yield message


class _Load:
    """A load in progress."""

    def __init__(
        self,
        driver: Driver,
        request: bytes,
        settings: Mapping[str, Any],
        plan: Plan,
        count: int,
        between: Sequence[bytes],
    ) -> None:
        self._driver = driver
        self._plan = plan
        self._runs: dict[str, Run] = {}
        self._open_runs = count
        self._paced: list[tuple[float, int, Run]] = []
        self._eager: deque[Run] = deque()
        self._measured_from = time.perf_counter() + plan.warm_up_s
        self._cpu_before_s: float | None = None
        head, _, tail = orjson.dumps({**MESSAGE, "answer": "@@"}).partition(b"@@")
        self._text = head + b"@%d " + orjson.dumps(plan.text)[1:-1] + tail
        self._last_message = time.perf_counter()
        for _ in range(count):
            session = str(uuid.uuid4())
            self._runs[session] = Run(requested=time.perf_counter())
            driver.send(_request(session, request, settings))
        self._between = {session: _request(session, one, settings) for one in between if (session := str(uuid.uuid4()))}

    def outcome(self) -> Outcome:
        while self._open_runs:
            self._step()
        runs = [run for run in self._runs.values() if not run.is_guest]
        return Outcome(runs, self._driver.cpu_s - (self._cpu_before_s or 0), time.perf_counter() - self._measured_from)

    def _step(self) -> None:
        now = time.perf_counter()
        if self._cpu_before_s is None and now >= self._measured_from:
            self._cpu_before_s = self._driver.cpu_s
            for session, line in self._between.items():
                self._runs[session] = Run(requested=now, is_guest=True)
                self._open_runs += 1
                self._driver.send(line)
        while self._paced and self._paced[0][0] <= now:
            at, number, run = heapq.heappop(self._paced)
            if self._send_event(run):
                heapq.heappush(self._paced, (at + self._plan.interval_s, number, run))
        while self._eager and self._driver.due < PIPE_SIZE:
            run = self._eager.popleft()
            if self._send_event(run):
                self._eager.append(run)
        patience_s = max(0.0, self._paced[0][0] - time.perf_counter()) if self._paced else STALL_S
        for message in self._driver.exchange(patience_s):
            self._last_message = time.perf_counter()
            if message.get("session_id") in self._runs:
                self._take(self._runs[message["session_id"]], message)
        if time.perf_counter() - self._last_message > STALL_S:
            raise RuntimeError(f"nothing came for {STALL_S} s; {self._open_runs} runs are open")

    def _send_event(self, run: Run) -> bool:
        """Sends the next event or the end of the run. Returns whether there is more to send."""
        if run.sent == self._plan.events:
            self._driver.send(
                run.reply_head + END + b"}}\n" + run.reply_head.replace(b'"event":"response"', b'"event":"end"') + b"{}}}\n"
            )
            return False
        run.sent += 1
        now = time.perf_counter()
        run.stamps.append(now)
        self._driver.send(run.reply_head + self._text % int(now * 1e6) + b"}}\n")
        return True

    def _take(self, run: Run, message: dict[str, Any]) -> None:
        now, data = time.perf_counter(), message["data"]
        match data:
            case {"type": "stream", "data": part}:
                run.status = part.get("status", run.status)
                if "result" in part:
                    self._chunk(run, part["result"], now)
            case {"type": "end"}:
                run.ended = now
                self._open_runs -= 1
            case {"type": "invoke", "data": call}:
                self._answer(run, message["session_id"], call, now)
            case _:
                raise RuntimeError(f"{message}")

    def _chunk(self, run: Run, result: str, now: float) -> None:
        run.first = run.first or now
        run.chunks += 1
        chunk = bytes.fromhex(result)
        run.size += len(chunk)
        if chunk == b"x":  # a relay's chunk: one for each event, without a stamp
            sent = [run.stamps.popleft()] if run.stamps else []
        else:
            sent = [int(stamp) / 1e6 for stamp in STAMP.findall(chunk)]
        run.delays += [now - at for at in sent if at >= self._measured_from]

    def _answer(self, run: Run, session: str, call: dict[str, Any], now: float) -> None:
        template = {"backwards_request_id": call["backwards_request_id"], "event": "response", "message": "", "data": "@@"}
        if call["type"] == "app" and not call["request"].get("query"):
            self._driver.send(
                _line(session, "backwards_response", {**template, "event": "error", "message": NO_QUERY, "data": None})
            )
            self._driver.send(_line(session, "backwards_response", {**template, "event": "end", "data": None}))
            return
        head = _line(session, "backwards_response", template).partition(b'"@@"')[0]
        if call["type"] == "fetch_app" or call["request"]["response_mode"] == "blocking":
            answer = orjson.dumps(FORM if call["type"] == "fetch_app" else ANSWER)
            self._driver.send(head + answer + b"}}\n" + head.replace(b'"event":"response"', b'"event":"end"') + b"{}}}\n")
            return
        run.reply_head = head
        if run.is_guest:
            run.sent = self._plan.events
            self._send_event(run)
            return
        if self._plan.interval_s:
            phase_s = len(self._paced) * 0.618034 % 1 * self._plan.interval_s
            heapq.heappush(self._paced, (now + phase_s, id(run), run))
        else:
            self._eager.append(run)


def _request(session: str, request: bytes, settings: Mapping[str, Any]) -> bytes:
    data = {"user_id": "", "type": "endpoint", "action": "invoke_endpoint", "settings": settings}
    return _line(session, "request", {**data, "raw_http_request": request.hex()})


def _line(session: str, event: str, data: Mapping[str, Any]) -> bytes:
    """A message of the daemon, as one line."""
    head = {"session_id": session, "conversation_id": None, "message_id": None, "app_id": None, "endpoint_id": ENDPOINT}
    return orjson.dumps({**head, "context": None, "event": event, "data": data}) + b"\n"
