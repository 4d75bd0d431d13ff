"""The answers of the real daemon to 48 requests, compared with devhost's."""

import json
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from devhost import Devhost

RECORDED = [json.loads(line) for line in (Path(__file__).parent / "recorded.ndjson").read_text().splitlines()]

# Dify ends the body of an error with a newline; the stand-in for Dify at the time of the recording did not.
WITHOUT_NEWLINE = {"chat missing app", "chat refused", "chat broken"}
FRAMING = {"date", "connection", "content-length", "transfer-encoding"}
DEADLINE_S = 30


@dataclass
class Answered:
    status: int
    headers: list[list[str]]
    framing: str
    body: str


def exchange(host: Devhost, text: str) -> Answered:
    """Sends one recorded request, with the `Connection: close` that was added then, and reads all of the answer."""
    head, _, body = text.replace("{hook}", "/e/{hook_id}").replace("{hook_id}", host.hook).partition("\r\n\r\n")
    head = head.replace("{host}", f"127.0.0.1:{host.port}") + "\r\nConnection: close\r\n\r\n"
    if body.startswith("*"):
        body = "x" * int(body[1:])
    with socket.create_connection(("127.0.0.1", host.port), timeout=DEADLINE_S) as connection:
        connection.sendall((head + body).encode())
        received = b""
        while block := connection.recv(65536):
            received += block
    return read(received, bodiless=head.startswith("HEAD "))


def read(received: bytes, *, bodiless: bool) -> Answered:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    fields = [line.partition(": ")[::2] for line in rest]
    names = {name.lower(): value for name, value in fields}
    status = int(first.split(" ")[1])
    if bodiless or status == 204:
        framing = "none"
    elif names.get("transfer-encoding") == "chunked":
        framing, body = "chunked", dechunk(body)
    else:
        framing = "length"
        assert int(names["content-length"]) == len(body)
    spelled = ["-".join(part.capitalize() for part in name.split("-")) for name, _ in fields]
    kept = sorted([name, value] for name, (_, value) in zip(spelled, fields, strict=True) if name.lower() not in FRAMING)
    return Answered(status, kept, framing, body.decode())


def dechunk(body: bytes) -> bytes:
    data = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        if int(size, 16) == 0:
            assert body == b"\r\n"
            return data
        data, body = data + body[: int(size, 16)], body[int(size, 16) + 2 :]


def without_traceback(text: str) -> str:
    return re.sub(r'Traceback \(most recent call last\).*?\\n(\\*"\})', r"…\1", text, flags=re.DOTALL)


@pytest.mark.parametrize("recorded", RECORDED, ids=[row["name"] for row in RECORDED])
def test_an_exchange_goes_as_with_the_real_daemon(recorded: dict[str, object], served: Devhost, witness: Path) -> None:
    answered = exchange(served, str(recorded["send"]))

    expected = json.dumps(recorded).replace("{hook_id}", served.hook).replace("{host}", f"127.0.0.1:{served.port}")
    expected = expected.replace("{plugin}{python}", sys.prefix).replace("{plugin}", str(witness))
    row = json.loads(expected)
    if recorded["name"] in WITHOUT_NEWLINE:
        row["body"] += "\n"
    expected_answer = Answered(row["status"], row["headers"], row["framing"], without_traceback(row["body"]))
    answered.body = without_traceback(answered.body)
    assert answered == expected_answer
