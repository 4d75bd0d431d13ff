"""The page at `/` with the plugin's routes, settings and apps. Pure."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from devhost.apps import App
from devhost.declaration import Declaration

STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "td,th{padding:.2rem 1rem .2rem 0;text-align:left;vertical-align:top}code{overflow-wrap:anywhere}"
)


def render(declaration: Declaration | None, url: str, settings: Mapping[str, Any], apps: Mapping[str, App]) -> str:
    """The HTML document. Secrets are masked as in Dify's console."""
    if declaration is None:
        return _document("devhost", f"<p>No plugin has connected yet. It will be served at <code>{escape(url)}/</code>.</p>")
    routes = [(route.method, _linked(url, route.method, route.path)) for route in declaration.routes if not route.hidden]
    values = [(setting.name, setting.type, _shown(setting.type, settings.get(setting.name))) for setting in declaration.settings]
    behind = [(f"<code>{escape(app_id)}</code>", app.mode) for app_id, app in apps.items()]
    return _document(
        f"{declaration.manifest.name} {declaration.manifest.version}",
        f"<p>Served at <code>{escape(url)}/</code> by a stand-in for Dify's plugin daemon.</p><h2>Routes</h2>{_table(routes)}"
        f"<h2>Settings</h2>{_table(values)}<h2>Apps</h2>{_table(behind)}",
    )


def _document(name: str, body: str) -> str:
    head = f'<meta charset="utf-8"><title>{escape(name)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{escape(name)}</h1>{body}</body></html>\n'


def _linked(url: str, method: str, path: str) -> str:
    code = f"<code>{escape(url + path)}</code>"
    return f'<a href="{escape(url + path)}">{code}</a>' if method == "GET" and "<" not in path else code


def _shown(kind: str, value: object) -> str:
    if value is None:
        return "not set"
    text = str(value)
    if kind == "secret-input":
        text = f"{text[:2]}***{text[-2:]}" if len(text) > len("******") else "*" * len(text)
    return f"<code>{escape(text)}</code>"


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    return f"<table>{''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows)}</table>"
