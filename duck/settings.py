"""What the owner of an endpoint has set, parsed. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from duck.errors import DuckError, setting

DEFAULT = "default"  # the name of `default_app` in routes
PUBLIC_RATE = 60  # runs a minute for all guests together, where nothing else is set: what a handful of people ask

_UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_ALIAS = re.compile(r"[A-Za-z0-9._-]{1,64}")
_RATE = re.compile(r"[1-9][0-9]{0,5}")
_PLAIN = re.compile(r"[!-~]+")  # what a URL is made of
_APP_KEY = re.compile(r"app-[A-Za-z0-9_-]+")
_PORTS = {"http": 80, "https": 443}
_SEPARATORS = re.compile(r"[\s,]+")
_AROUND_EQUALS = re.compile(r"\s*=\s*")
_SCHEMES = {"bearer", "basic"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An endpoint's settings.

    `keys` open it; without one only guests may call. `names` are the routes' names of apps (aliases and `default`), each with the
    app's id. `reachable` are the ids that may be called, None for every app of the workspace. All ids are in `canonical` form.
    `presets` are the owner's values for inputs of the default app. `public` are the ids of the apps that need no key,
    `public_rate` is how many runs of them there may be in a minute. Pages of the `origins` may call, and with `any_origin` those
    of all others may call public apps. Apps that have `app_keys`, by their ids, are reached at `service_url`, the base of Dify's
    Service API, without a slash at its end.
    """

    keys: tuple[str, ...]
    names: Mapping[str, str]
    reachable: frozenset[str] | None
    presets: Mapping[str, Any] = field(default_factory=dict)
    public: frozenset[str] = frozenset()
    public_rate: int = PUBLIC_RATE
    origins: frozenset[str] = frozenset()
    any_origin: bool = False
    service_url: str = ""
    app_keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    def lists(self, origin: str | None) -> bool:
        """Whether an origin, as a browser sends it, is listed by its name."""
        return origin is not None and origin.lower() in self.origins


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
    origins = _words(values, "allowed_origins")
    service_url = _service_url(_text(values, "service_api_url").strip())
    app_keys = _app_keys(_text(values, "app_keys"), names, reachable)
    if app_keys and not service_url:
        raise _invalid("service_api_url", f"needed for what is in {setting('app_keys')}")
    return Settings(
        keys=_keys(_text(values, "api_key")),
        names=names,
        reachable=reachable,
        presets=_presets(values.get("default_app")),
        public=_public(_words(values, "public_apps"), names, reachable),
        public_rate=_rate(_text(values, "public_rate").strip()),
        origins=frozenset(_origin(word, number) for number, word in enumerate(origins, start=1) if word != "*"),
        any_origin="*" in origins,
        service_url=service_url,
        app_keys=app_keys,
    )


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name) or ""
    if not isinstance(value, str):
        raise _invalid(name, "must be a text")
    return value


def _words(values: Mapping[str, Any], name: str) -> list[str]:
    return _split(_text(values, name))


def _split(text: str) -> list[str]:
    return [word for word in _SEPARATORS.split(text) if word]


def _keys(text: str) -> tuple[str, ...]:
    """The keys; a header's value is none, since each of its words would be one."""
    keys = tuple(_split(text))
    if any(key.lower() in _SCHEMES for key in keys):
        raise _invalid("api_key", "the key alone, without Bearer or Basic before it")
    return keys


def _public(words: Iterable[str], names: Mapping[str, str], reachable: frozenset[str] | None) -> frozenset[str]:
    public = set()
    for number, word in enumerate(words, start=1):
        app_id = names.get(word) or canonical(word)
        if not app_id or (reachable is not None and app_id not in reachable):
            raise _invalid("public_apps", f"entry {number} must be an alias or an id of one of the apps")
        public.add(app_id)
    return frozenset(public)


def _rate(text: str) -> int:
    if not text:
        return PUBLIC_RATE
    if not _RATE.fullmatch(text):
        raise _invalid("public_rate", "must be a whole number of runs a minute, from 1 to 999999")
    return int(text)


def _origin(text: str, number: int) -> str:
    """An origin as browsers write it: in lower case, and without the port that its scheme has anyway."""
    try:
        parts = urlsplit(text.removesuffix("/"))
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _no_origin(number) from None
    name = f"[{host}]" if ":" in (host or "") else host
    origin = f"{parts.scheme}://{name}" + ("" if port is None else f":{port}")
    if not host or "*" in host or parts.scheme not in _PORTS or origin != text.removesuffix("/").lower():  # a path, a user, …
        raise _no_origin(number)
    return origin.removesuffix(f":{_PORTS[parts.scheme]}")


def _no_origin(number: int) -> DuckError:
    return _invalid("allowed_origins", f"entry {number} must be like https://www.example.com, or *")


def _service_url(text: str) -> str:
    """The base of Dify's Service API. Where only a host is given, the path is the one that it has by default."""
    if not text:
        return ""
    wrong = _invalid("service_api_url", "must be like https://api.dify.ai/v1")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")  # as whoever looks it up does
    except ValueError:
        raise wrong from None
    if (
        not host
        or parts.scheme not in _PORTS
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
        or not _PLAIN.fullmatch(text)
    ):
        raise wrong
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"


def _app_keys(text: str, names: Mapping[str, str], reachable: frozenset[str] | None) -> dict[str, str]:
    keys: dict[str, str] = {}
    for number, word in enumerate(_split(_AROUND_EQUALS.sub("=", text)), start=1):
        name, _, key = word.rpartition("=")
        app_id = names.get(name) or canonical(name)
        if not _APP_KEY.fullmatch(key) or not app_id or (reachable is not None and app_id not in reachable):
            raise _invalid("app_keys", f"entry {number} must be alias=app-… or id=app-…, of one of the apps")
        if app_id in keys:
            raise _invalid("app_keys", f"the app in entry {number} has a key already")
        keys[app_id] = key
    return keys


def _apps(text: str) -> tuple[dict[str, str], list[str]]:
    names: dict[str, str] = {}
    ids: list[str] = []
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if text.strip() and not entries:
        raise _invalid("apps", "names no app")
    for number, entry in enumerate(entries, start=1):
        alias, equals, app = (part.strip() for part in entry.rpartition("="))
        app_id = canonical(app)
        if not app_id:
            raise _invalid(
                "apps", f"entry {number} must be an app's id, as in its address in Dify, or alias=id; commas separate them"
            )
        if equals:
            if not _ALIAS.fullmatch(alias) or canonical(alias) or alias == DEFAULT:
                rule = 'must be 1 to 64 letters, digits, ".", "_" or "-", and no id or "default"'
                raise _invalid("apps", f"the alias in entry {number} {rule}")
            if alias in names:
                raise _invalid("apps", f"the alias in entry {number} is taken by an entry before it")
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
        raise _invalid("default_app", "choose the app again")
    return found


def _presets(value: Any) -> Mapping[str, Any]:
    """What was typed into the console beside the app; files there are something of the console's own."""
    inputs = value.get("inputs") if isinstance(value, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}


def _invalid(name: str, message: str) -> DuckError:
    return DuckError(
        500, "invalid_settings", f"This endpoint's settings need their owner's attention. {setting(name)}: {message}."
    )
