"""A plugin without the SDK, which starts in a moment: it answers every request with a word and its process id."""

import json
import os
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORD = "hello"


def answers(line: str | bytes) -> Iterator[bytes]:
    message = json.loads(line)
    chunk = f"{WORD} {os.getpid()}".encode().hex()
    for data in ({"type": "stream", "data": {"status": 200, "headers": {}, "result": chunk}}, {"type": "end", "data": {}}):
        yield json.dumps({"event": "session", "session_id": message["session_id"], "data": data}).encode() + b"\n"


class Function(BaseHTTPRequestHandler):
    """The plugin as a serverless function."""

    def do_GET(self) -> None:
        self.reply(b"OK")

    def do_POST(self) -> None:
        self.reply(*answers(self.rfile.read(int(self.headers["Content-Length"]))))

    def reply(self, *chunks: bytes) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.writelines(chunks)


if __name__ == "__main__":
    if os.environ["INSTALL_METHOD"] == "serverless":
        address = os.environ["SERVERLESS_HOST"], int(os.environ["SERVERLESS_PORT"])
        ThreadingHTTPServer(address, Function).serve_forever()
    sys.stdout.buffer.write(b'{"event": "heartbeat"}\n')
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.buffer.writelines(answers(line))
        sys.stdout.flush()
