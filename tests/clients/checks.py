"""Checks of one client, each a function. Runs in the environment of that client, which has nothing of Duck's."""

import os
import sys
from collections.abc import Callable
from typing import Any

URL, KEY = os.environ.get("OPENAI_BASE_URL", ""), os.environ.get("OPENAI_API_KEY", "")
QUESTION, NEXT = "What is a duck?", "And a goose?"
FIRST, SECOND = "This was turn 1", "This was turn 2"  # in the answers of the app `chatbot`


def said(*texts: str) -> list[dict[str, Any]]:
    """The messages of a chat: the user's and the assistant's in turn."""
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]


def expect(text: str, *parts: str) -> None:
    """Raises `AssertionError` if a part is not in the text."""
    for part in parts:
        if part not in text:
            raise AssertionError(f"no {part!r} in {text!r}")


def fails(act: Callable[[], Any], error: type[Exception] | tuple[type[Exception], ...], words: str) -> None:
    """Raises `AssertionError` unless `act` raises this error with these words."""
    try:
        result = act()
    except error as raised:
        expect(str(raised), words)
    else:
        raise AssertionError(f"no error, but {result!r}")


def run(checks: dict[str, Callable[[], None]]) -> None:
    """Runs the checks, and prints a line for each. Exits with status 1 if one has failed."""
    failed = 0
    for name, check in checks.items():
        try:
            check()
        except Exception as error:  # noqa: BLE001 - a client may raise anything
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {str(error)[:500]}", flush=True)
        else:
            print(f"ok      {name}", flush=True)
    sys.exit(1 if failed else 0)
