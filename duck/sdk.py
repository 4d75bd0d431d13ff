"""What is mended of the SDK (0.10) and its router, each with its reason. Applied by `main.py` at the start; imports the SDK.

No unit test imports this module, since the SDK patches the process that imports it: the real process shows that it works.
"""

import functools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
from dify_plugin.core import runtime
from dify_plugin.core.server.stdio import request_reader as stdio
from dify_plugin.core.server.tcp import request_reader as tcp
from pydantic import TypeAdapter
from werkzeug.routing import PathConverter

from duck import parsing


def mend() -> None:
    """Mends the SDK of this process."""
    runtime.httpx = SimpleNamespace(Client=_Client)
    # The SDK builds a validator for each line. This counts where `transport`, which does better, has no part.
    runtime.TypeAdapter = stdio.TypeAdapter = tcp.TypeAdapter = functools.cache(TypeAdapter)
    # In Werkzeug's pattern "." is no newline: the SDK itself would answer for a path with "%0A", past the catch-all routes.
    PathConverter.regex = "(?s:[^/].*?)"


class _Client(httpx.Client):
    """Reads the daemon's replies to a serverless plugin, which are JSON on lines of their own.

    The SDK reads them by httpx's `iter_lines`, for which U+0085 ends a line, too: an answer with that character in it (the "…"
    of old Windows files, read as Latin-1) would break off there.
    """

    def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
        """See httpx."""
        response = super().send(*args, **kwargs)
        response.iter_lines = lambda: _lines(response)  # type: ignore[method-assign]
        return response


def _lines(response: httpx.Response) -> Iterator[str]:
    return (line.decode() for line in parsing.lines(response.iter_bytes()))
