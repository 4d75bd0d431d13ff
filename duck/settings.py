"""What the owner of an endpoint has set, parsed. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from duck.errors import DuckError

DEFAULT = "default"  # the name of `default_app` in routes

_UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_ALIAS = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SEPARATORS = re.compile(r"[\s,]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An endpoint's settings.

    `keys` open it; none: nobody may call. `names` are the routes' names of apps (aliases and `default`), each with the app's id.
    `reachable` are the ids that may be called, None for every app of the workspace. All ids are in `canonical` form. `presets`
    are the owner's values for inputs of the default app.
    """

    keys: tuple[str, ...]
    names: Mapping[str, str]
    reachable: frozenset[str] | None
    presets: Mapping[str, Any] = field(default_factory=dict)


def canonical(text: str) -> str | None:
    """A UUID, with or without hyphens and in any case, as Dify writes it; None for any other text."""
    if not _UUID.fullmatch(text):
        return None
    digits = text.replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def parse(values: Mapping[str, Any]) -> Settings:
    """Parses settings as Dify gives them: any may be absent, None or "".

    Raises `DuckError` `invalid_settings`, with a message for the owner that names the setting and quotes nothing of it: anyone
    can read it.
    """
    names, ids = _apps(_text(values, "apps"))
    default = _default_app(values.get("default_app"))
    if default:
        names[DEFAULT] = default
    reachable = frozenset([*ids, *([default] if default else [])]) if ids else None
    keys = tuple(filter(None, _SEPARATORS.split(_text(values, "api_key"))))
    return Settings(keys=keys, names=names, reachable=reachable, presets=_presets(values.get("default_app")))


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name) or ""
    if not isinstance(value, str):
        raise _invalid(f"{name}: must be a text")
    return value


def _apps(text: str) -> tuple[dict[str, str], list[str]]:
    names: dict[str, str] = {}
    ids: list[str] = []
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if text.strip() and not entries:
        raise _invalid("apps: names no app")
    for number, entry in enumerate(entries, start=1):
        alias, equals, app = (part.strip() for part in entry.rpartition("="))
        app_id = canonical(app)
        if not app_id:
            raise _invalid(f"apps: entry {number} must be an app's id, or alias=id")
        if equals:
            if not _ALIAS.fullmatch(alias) or canonical(alias) or alias == DEFAULT:
                raise _invalid(
                    f'apps: the alias in entry {number} must be 1 to 64 letters, digits, ".", "_" or "-", and no id or "default"'
                )
            if alias in names:
                raise _invalid(f"apps: the alias in entry {number} is taken by an entry before it")
            names[alias] = app_id
        ids.append(app_id)
    return names, ids


def _default_app(value: Any) -> str | None:
    if not value:
        return None
    app_id = value.get("app_id") if isinstance(value, Mapping) else None
    if app_id == "":  # what the console stores once a choice has been taken back
        return None
    found = canonical(app_id) if isinstance(app_id, str) else None
    if not found:
        raise _invalid("default_app: choose the app again")
    return found


def _presets(value: Any) -> Mapping[str, Any]:
    """What was typed into the console beside the app; files there are something of the console's own."""
    inputs = value.get("inputs") if isinstance(value, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}


def _invalid(message: str) -> DuckError:
    return DuckError(500, "invalid_settings", f"This endpoint's settings need their owner's attention. {message}.")
