"""A plain live document: the text as it grows, the steps as they come, the result at the end. Pure."""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from duck import events
from duck.errors import DuckError
from duck.events import Event

_STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}"
    "p,pre{white-space:pre-wrap;overflow-wrap:anywhere}small{opacity:.7}[role=alert]{color:#d33}"
)
_HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    f"<title>Duck</title><style>{_STYLE}</style></head><body>"
)
_TAIL = "</body></html>\n"
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors "


def headers(ancestors: Iterable[str] = ()) -> dict[str, str]:
    """The headers of a page. Pages of the origins that are its `ancestors` may embed it."""
    policy = _POLICY + (" ".join(sorted(ancestors)) or "'none'")
    return {**Html.headers, "Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}


class Html:
    """Writes a document that a browser shows while it comes. It lies on Dify's own origin: all text in it is escaped."""

    headers: ClassVar[Mapping[str, str]] = {
        "Content-Type": "text/html; charset=utf-8",
    }
    keep_alive: ClassVar[bytes] = b"<!---->"

    def __init__(self) -> None:
        self._open = ""  # the end tag of the text that is being written

    def head(self) -> bytes:
        """The document up to its first word."""
        return _HEAD.encode()

    def event(self, event: Event) -> bytes:
        """The part of the document that the event adds, often none."""
        return self._part(event).encode()

    def tail(self) -> bytes:
        """The end of the document."""
        return (self._close() + _TAIL).encode()

    def _part(self, event: Event) -> str:
        data = events.data_of(event)
        replacement = events.replacement_of(event)
        if replacement is not None:
            return self._close() + "<hr>" + self._text(replacement)
        match event["event"]:
            case "node_finished":
                return self._block(f"<small>{_escape(data.get('title'))}: {_escape(data.get('status'))}</small><br>")
            case "message_file" if str(event.get("url")).startswith(("https://", "http://")):
                return self._block(f'<p><a href="{_escape(event["url"])}">{_escape(event.get("type"))}</a></p>')
            case "workflow_finished" if events.kind_of(event) == "workflow":
                return self._block(_result(data))
            case "workflow_paused":
                return self._block('<p role="status">Paused: waiting for a person in Dify.</p>')
            case "error":
                return self._block(_alert(event.get("message") or event.get("code")))
            case _:
                return self._text(events.delta_of(event))

    def _text(self, text: str) -> str:
        start, self._open = "" if self._open or not text else '<p dir="auto">', "</p>" if text else self._open
        return start + _escape(text)

    def _block(self, markup: str) -> str:
        return self._close() + markup

    def _close(self) -> str:
        end, self._open = self._open, ""
        return end


def start_page(action: str, fields: Iterable[tuple[str, str]], *, asks: bool) -> bytes:
    """A whole document with a button that runs the app by a POST to `action`, with these fields; `asks` for the query, too."""
    hidden = "".join(f'<input type="hidden" name="{_escape(name)}" value="{_escape(value)}">' for name, value in fields)
    query = '<p><label>Message <input name="query" required></label></p>' if asks else ""
    form = f'<form method="post" action="{_escape(action)}">{hidden}{query}<p><button>Run this app</button></p></form>'
    return (_HEAD + form + _TAIL).encode()


def error_page(error: DuckError) -> bytes:
    """A whole document that tells of an error."""
    return (_HEAD + _alert(error.message) + _TAIL).encode()


def _result(data: Mapping[str, Any]) -> str:
    if data.get("status") in {"failed", "stopped"}:
        return _alert(data.get("error") or data["status"])
    return f"<h2>Result</h2><pre>{_escape(json.dumps(data.get('outputs'), indent=2, ensure_ascii=False))}</pre>"


def _alert(message: object) -> str:
    return f'<p role="alert">{_escape(message)}</p>'


def _escape(value: object) -> str:
    return html.escape(str(value)).replace("\0", "\N{REPLACEMENT CHARACTER}")
