"""What a run sends, by a seed, and what a client must get of it in each format. Pure.

None of Duck's code is used here, so that what is expected does not come from the code under test.
"""

import html
import json
import random
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from devhost import Failure, Pause

type Step = dict[str, Any] | Pause | Failure
type Fate = Literal["ends", "refused", "fails", "breaks", "cut"]

STREAMS = ("ndjson", "sse", "html", "text")
LETTERS = 'abc äß 漢字 🦆 \n\t"\\<b>&amp;</b> \u2028'
BLOCK = 1_000  # characters, which large deltas repeat: a script that computes for long would slow down all others
KEEP_ALIVES = {"ndjson": b'{"event":"ping"}\n', "html": b"<!---->"}
NO_EVENTS = re.compile(rb"^(: ping\n\n?|id: \d+\n)", re.MULTILINE)  # pings and ids in a stream of server-sent events
FAILURE = {"event": "error", "code": "completion_request_error", "status": 400, "message": "the model is gone"}
# The code of the error at the end of the stream. For `fails` it is Dify's, otherwise Duck's.
CODES: dict[Fate, str] = {"fails": "completion_request_error", "breaks": "timeout", "cut": "stream_interrupted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A run of a chat: `events` deltas of `size` characters each, `pace` seconds apart, after `silence` seconds.

    `fate` is how it ends: normally (`ends`), `refused` at once, by an error event (`fails`), by a broken connection (`breaks`),
    or without its last event (`cut`).
    """

    seed: int
    events: int
    size: int = 12
    pace: float = 0
    silence: float = 0
    fate: Fate = "ends"

    @classmethod
    def parse(cls, query: str) -> Self:
        """The spec that `query` has written."""
        return cls(**json.loads(query))

    def query(self) -> str:
        """The spec as text, for the query of a chat."""
        return json.dumps(asdict(self))

    def sent(self) -> list[dict[str, Any]]:
        """The events that Dify sends."""
        dice = random.Random(self.seed)
        ids = {
            "conversation_id": f"c{self.seed}",
            "message_id": f"m{self.seed}",
            "created_at": self.seed,
            "task_id": f"t{self.seed}",
        }
        block = min(self.size, BLOCK)
        deltas = ["".join(dice.choices(LETTERS, k=block)) * (self.size // block) for _ in range(self.events)]
        sent: list[dict[str, Any]] = [{"event": "message", **ids, "id": ids["message_id"], "answer": delta} for delta in deltas]
        if self.fate == "ends":
            sent.append({"event": "message_end", **ids, "metadata": {"usage": {"total_tokens": self.events}}, "files": []})
        if self.fate == "fails":
            sent.append({**FAILURE, **ids})
        return sent

    def steps(self) -> Iterator[Step]:
        """The script of the run."""
        if self.silence:
            yield Pause(self.silence)
        if self.fate == "refused":
            yield Failure.http(400, "invalid_param", "app not found")
            return
        for event in self.sent():
            yield event
            if self.pace:
                yield Pause(self.pace)
        if self.fate == "breaks":
            yield Failure("read app failed: http: read on closed response body\nfailed to read header")

    def text(self) -> str:
        """The whole answer."""
        return "".join(event["answer"] for event in self.sent() if event["event"] == "message")


def difference(spec: Spec, format_: str, status: int, body: bytes) -> str | None:
    """The fault of an answer in this format, None for a valid answer."""
    if spec.fate == "refused" or (not spec.events and spec.fate != "ends"):
        code, right = _code(body), "app_not_found" if spec.fate == "refused" else CODES[spec.fate]
        return None if status >= 400 and (format_ == "html" or code == right) else f"{status} {code} where {right} was due"
    if format_ == "json":
        return _json_difference(spec, status, body)
    if status != 200:
        return f"status {status}: {body[:200]!r}"
    return _stream_difference(spec, format_, body)


def _json_difference(spec: Spec, status: int, body: bytes) -> str | None:
    if spec.fate != "ends":
        code = _code(body)
        return None if code == CODES[spec.fate] else f"{status} {code} where {CODES[spec.fate]} was due"
    answer = json.loads(body)
    return None if status == 200 and answer.get("answer") == spec.text() else f"another answer: {status} {body[:200]!r}"


def _stream_difference(spec: Spec, format_: str, body: bytes) -> str | None:
    if format_ == "html":
        return _html_difference(spec, body)
    if format_ == "text":
        actual, expected = body, spec.text().encode()
        error = b"" if spec.fate == "ends" else b"error: "
    else:
        before, after = (b"data: ", b"\n\n") if format_ == "sse" else (b"", b"\n")
        actual = NO_EVENTS.sub(b"", body) if format_ == "sse" else body.replace(KEEP_ALIVES[format_], b"")
        expected = b"".join(before + _compact(event) + after for event in spec.sent())
        error = before + b'{"event":"error"' if spec.fate in {"breaks", "cut"} else b""
    if not actual.startswith(expected):
        at = next(
            (at for at, (one, other) in enumerate(zip(actual, expected, strict=False)) if one != other),
            min(len(actual), len(expected)),
        )
        return f"differs from byte {at} of {len(expected)} on ({len(actual)} came): {actual[at : at + 80]!r}"
    rest = actual[len(expected) :].lstrip(b"\n")
    if not error:
        return f"more than was sent: {rest[:80]!r}" if rest else None
    right = rest.startswith(error) and (format_ == "text" or CODES[spec.fate].encode() in rest)
    return None if right else f"no {CODES[spec.fate]} at the end: {rest[:200]!r}"


def _html_difference(spec: Spec, body: bytes) -> str | None:
    document = body.replace(KEEP_ALIVES["html"], b"").decode()
    text = html.unescape("".join(re.findall(r'<x-t slot="text">(.*?)</x-t>', document, re.DOTALL)))
    if text != spec.text():
        return f"another text: {text[:80]!r}"
    if not document.endswith("</html>"):
        return f"no end: {document[-80:]!r}"
    return None if ('role="alert"' in document) == (spec.fate != "ends") else "an alert is missing, or too much"


def _compact(event: dict[str, Any]) -> bytes:
    return json.dumps(event, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _code(body: bytes) -> Any:
    try:
        return json.loads(body).get("code")
    except ValueError:
        return None
