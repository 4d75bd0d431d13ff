"""The page at `/`, in the place of Dify's console: the endpoint's settings as a form, the routes, and the apps. Pure."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from devhost.apps import App
from devhost.declaration import Declaration
from devhost.schema import Setting

STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "td,th{padding:.2rem 1rem .2rem 0;text-align:left;vertical-align:top}code{overflow-wrap:anywhere}"
    "label{display:block;margin-top:1rem}small{display:block}[role=alert]{font-weight:bold}"
    "input,select{box-sizing:border-box;width:100%;font:inherit;padding:.2rem .4rem}button{font:inherit;margin-top:1rem}"
)


def render(
    declaration: Declaration | None,
    url: str,
    settings: Mapping[str, Any],
    apps: Mapping[str, App],
    *,
    api_url: str,
    app_keys: Mapping[str, str],
    fault: str = "",
) -> str:
    """The HTML document. Secrets are masked as in Dify's console. `fault` says why the settings were not saved."""
    if declaration is None:
        return _document("devhost", f"<p>No plugin has connected yet. It will be served at <code>{escape(url)}/</code>.</p>")
    fields = "".join(_field(setting, settings.get(setting.name), apps) for setting in declaration.settings)
    form = f'<form method="post">{fields}<button>Save</button></form>' if fields else "<p>There are none.</p>"
    routes = [(route.method, _linked(url, route.method, route.path)) for route in declaration.routes if not route.hidden]
    keys = {app_id: key for key, app_id in app_keys.items()}
    rows = [
        (escape(app.name), app.mode, f"<code>{escape(app_id)}</code>", f"<code>{escape(keys.get(app_id, ''))}</code>")
        for app_id, app in apps.items()
    ]
    return _document(
        f"{declaration.manifest.name} {declaration.manifest.version}",
        f"<p>Served at <code>{escape(url)}/</code> by a stand-in for Dify's plugin daemon.</p>"
        f"<h2>Settings</h2>{_alert(fault)}{form}"
        f"<h2>Apps</h2><p>The Service API is at <code>{escape(api_url)}</code>.</p>"
        f"{_table(rows, '<tr><th>Name</th><th>Mode</th><th>Id</th><th>API key</th></tr>')}"
        f"<h2>Routes</h2>{_table(routes)}",
    )


def entered(declared: Iterable[Setting], form: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a submitted form gives, not validated yet. A setting without a field in the form keeps its value.

    As in Dify's console, the mask of a secret stands for the secret, and a text that nobody has entered is no value.
    """
    values = {
        setting.name: _entered(setting, form[setting.name], settings.get(setting.name))
        for setting in declared
        if setting.name in form
    }
    return {name: value for name, value in (dict(settings) | values).items() if value is not None}


def _entered(setting: Setting, text: str, old: Any) -> Any:
    match setting.type:
        case "secret-input" if old and text == _mask(old):
            return old
        case "text-input" | "secret-input":
            return text or (None if old is None else "")
        case "select":
            return text or None
        case "boolean":
            return {"true": True, "false": False}.get(text)
        case "app-selector":
            is_same = isinstance(old, dict) and old.get("app_id") == text
            return old if is_same else {"app_id": text} if text else None
        case _:
            return old


def _field(setting: Setting, value: Any, apps: Mapping[str, App]) -> str:
    """The label, the control and the help of a setting. A default is shown where there is no value, as in Dify's console."""
    name = escape(setting.name)
    if value is None and not isinstance(setting.default, list):
        value = setting.default
    match setting.type:
        case "text-input" | "secret-input":
            text = "" if value is None else _mask(value) if setting.type == "secret-input" else str(value)
            hint = escape(setting.placeholder.en if setting.placeholder else "")
            control = f'<input id="{name}" name="{name}" value="{escape(text)}" placeholder="{hint}" autocomplete="off">'
        case "select":
            control = _select(name, str(value), {option.value: option.label for option in setting.options or ()})
        case "boolean":
            control = _select(name, str(value).lower(), {"true": "True", "false": "False"})
        case "app-selector":
            chosen = value.get("app_id") if isinstance(value, Mapping) else None
            control = _select(name, str(chosen), {app_id: f"{app.name or app_id} ({app.mode})" for app_id, app in apps.items()})
        case _:
            control = f"<code>{escape(str(value))}</code> (only by <code>--settings</code>)"
    link = f' <a href="{escape(setting.url)}">How to get</a>' if setting.url else ""
    help_text = escape(setting.help.en) if setting.help else ""
    star = " *" if setting.required else ""
    return (
        f'<label for="{name}">{escape(setting.label)}{star} <code>{name}</code></label>{control}<small>{help_text}{link}</small>'
    )


def _select(name: str, chosen: str, options: Mapping[str, str]) -> str:
    rows = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(label)}</option>'
        for value, label in {"": "", **options}.items()
    )
    return f'<select id="{name}" name="{name}">{rows}</select>'


def _mask(secret: object) -> str:
    text = str(secret)
    return f"{text[:2]}***{text[-2:]}" if len(text) > len("******") else "*" * len(text)


def _alert(fault: str) -> str:
    return f'<p role="alert">{escape(fault)}</p>' if fault else ""


def _document(name: str, body: str) -> str:
    head = f'<meta charset="utf-8"><title>{escape(name)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{escape(name)}</h1>{body}</body></html>\n'


def _linked(url: str, method: str, path: str) -> str:
    code = f"<code>{escape(url + path)}</code>"
    return f'<a href="{escape(url + path)}">{code}</a>' if method == "GET" and "<" not in path else code


def _table(rows: Iterable[tuple[str, ...]], head: str = "") -> str:
    return f"<table>{head}{''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows)}</table>"
