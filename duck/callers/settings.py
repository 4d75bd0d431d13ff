"""The settings of an endpoint, parsed. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from duck.callers import urls
from duck.errors import DuckError, setting
from duck.texts import Text

DEFAULT = "default"  # the name of `default_app` in routes
NO_KEY = "public"  # sent by clients that insist on a key, to apps that need none
MIN_KEY = 8  # characters: a passphrase with spaces becomes several keys, one of them its shortest word
PUBLIC_RATE = 60  # runs a minute of all guests together, unless the setting differs: enough for a handful of people

_UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_ALIAS = re.compile(r"[A-Za-z0-9._-]{1,64}")
_RATE = re.compile(r"[1-9][0-9]{0,5}")
_APP_KEY = re.compile(r"app-[A-Za-z0-9_-]+")
_SEPARATORS = re.compile(r"[\s,]+")
_FULL_WIDTH = str.maketrans("\uff0c\u3001\uff1d\u3000", ",,= ")  # comma, enumeration comma, equals sign, space
_COMMAS = re.compile(r"[,\n]")
_AROUND_EQUALS = re.compile(r"\s*=\s*")
_AUTH_SCHEMES = {"bearer", "basic"}
_QUOTES = "\"'\u201c\u201d\u2018\u2019"
_QUOTED = re.compile(rf"(^|[\s,])[{_QUOTES}]")
_UNQUOTED = Text("leave out the quotation marks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An endpoint's settings. All ids are in `canonical` form.

    `keys` are the valid API keys; without any, only guests may call. `names` has the app's id for each name that a route may use
    (aliases and `default`). `reachable` are the ids of the apps that may be called, None for every app of the workspace.
    `presets` are the owner's values for inputs of the default app. `public` are the ids of the apps that need no key, and
    `public_rate` limits the guests' runs per minute. Pages of the `origins` may call; with `any_origin` pages of all others may
    call public apps. `app_keys` has keys of apps for Dify's Service API, by app id. These apps are reached at `service_url`, the
    base of that API, without a slash at its end. `public_url` is the endpoint's URL as callers know it, with a slash at its end,
    "" if the owner has not set it. `webhook_secrets` are those of an app's senders, by the app's id.
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
    public_url: str = ""
    webhook_secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def lists_origin(self, origin: str | None) -> bool:
        """Whether `origins` has an origin, as a browser sends it, or a wildcard for a domain above it."""
        if origin is None or origin.lower() in self.origins:
            return origin is not None
        scheme, _, rest = origin.lower().partition("://")
        host, colon, port = rest.partition(":")
        labels = host.split(".") if urls.HOST.fullmatch(host) else []
        parents = (".".join(labels[count:]) for count in range(1, len(labels)))
        return any(f"{scheme}://*.{domain}{colon}{port}" in self.origins for domain in parents)


def canonical(text: str) -> str | None:
    """A UUID as Dify writes it, from one with or without hyphens and in any case; None for any other text."""
    if not _UUID.fullmatch(text):
        return None
    digits = text.replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def parse(values: Mapping[str, Any]) -> Settings:
    """Parses settings as Dify gives them: each may be absent, None or "".

    Raises `DuckError` `invalid_settings`. Its message is for the owner. It names the setting but quotes nothing of it, because
    any caller can read it.
    """
    names, ids = _apps(_list(values, "apps"))
    default = _default_app(values.get("default_app"))
    if default:
        names[DEFAULT] = default
    reachable = frozenset([*ids, *([default] if default else [])]) if ids else None
    origins = _words(values, "allowed_origins")
    service_url = _service_url(_text(values, "service_api_url").strip())
    app_keys = _app_keys(_list(values, "app_keys"), names, reachable)
    if app_keys and not service_url:
        raise _invalid("service_api_url", Text("needed for what is in {setting}", setting=setting("app_keys")))
    return Settings(
        keys=_keys(_list(values, "api_key")),
        names=names,
        reachable=reachable,
        presets=_presets(values.get("default_app")),
        public=_public(_words(values, "public_apps"), names, reachable),
        public_rate=_rate(_text(values, "public_rate").strip()),
        origins=frozenset(_origin(word, number) for number, word in enumerate(origins, start=1) if word != "*"),
        any_origin="*" in origins,
        service_url=service_url,
        app_keys=app_keys,
        public_url=_public_url(_text(values, "public_url").strip()),
        webhook_secrets=_webhook_secrets(_list(values, "webhook_secrets"), names, reachable),
    )


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float) and not isinstance(value, bool):  # YAML and JSON have numbers
        return str(value)
    raise _invalid(name, Text("must be a text"))


def _list(values: Mapping[str, Any], name: str) -> str:
    """A setting that lists something. Input methods for Chinese and Japanese type separators of their own."""
    text = _text(values, name).translate(_FULL_WIDTH)
    if _QUOTED.search(text):  # they would become part of a key, which nobody could then send
        raise _invalid(name, _UNQUOTED)
    return text


def _words(values: Mapping[str, Any], name: str) -> list[str]:
    return _split(_list(values, name))


def _split(text: str) -> list[str]:
    return [word for word in _SEPARATORS.split(text) if word]


def _keys(text: str) -> tuple[str, ...]:
    """The keys. The value of a header is refused, because each of its words would become a key."""
    keys = tuple(_split(text))
    if any(key.lower() in _AUTH_SCHEMES for key in keys):
        raise _invalid("api_key", Text("enter the key alone, without Bearer or Basic before it"))
    if any(key.lower() == NO_KEY for key in keys):
        raise _invalid("api_key", Text('"{word}" is what callers send who have no key', word=NO_KEY))
    if any(len(key) < MIN_KEY for key in keys):
        message = "each key needs {count} characters or more; spaces and commas separate keys"
        raise _invalid("api_key", Text(message, count=MIN_KEY))
    return keys


def _public(words: Iterable[str], names: Mapping[str, str], reachable: frozenset[str] | None) -> frozenset[str]:
    public = set()
    for number, word in enumerate(words, start=1):
        app_id = names.get(word) or canonical(word)
        if not app_id or (reachable is not None and app_id not in reachable):
            raise _invalid("public_apps", _no_app(number))
        public.add(app_id)
    return frozenset(public)


def _rate(text: str) -> int:
    if not text:
        return PUBLIC_RATE
    if not _RATE.fullmatch(text):
        raise _invalid("public_rate", Text("must be a whole number of runs a minute, from 1 to 999999"))
    return int(text)


def _origin(text: str, number: int) -> str:
    try:
        return urls.origin(text)
    except ValueError:
        message = Text("entry {number} must be like https://www.example.com or https://*.example.com, or *", number=number)
        raise _invalid("allowed_origins", message) from None


def _service_url(text: str) -> str:
    """The base of Dify's Service API. A host alone gets the default path."""
    return _url("service_api_url", text, Text("must be like https://api.dify.ai/v1"), path="/v1")


def _public_url(text: str) -> str:
    base = _url("public_url", text, Text("must be like https://dify.example.com/e/abc123/"))
    return base and f"{base}/"


def _url(name: str, text: str, fault: Text, *, path: str = "") -> str:
    """The URL in a setting, without a slash at its end; "" for none. `path` is the default for a URL without one."""
    try:
        return urls.base(text, path=path) if text else ""
    except ValueError:
        raise _invalid(name, fault) from None


def _app_keys(text: str, names: Mapping[str, str], reachable: frozenset[str] | None) -> dict[str, str]:
    keys: dict[str, str] = {}
    entries = _split(_AROUND_EQUALS.sub("=", text))
    for number, (app_id, key) in enumerate(_by_app(entries, names, reachable), start=1):
        if not _APP_KEY.fullmatch(key):
            raise _invalid("app_keys", Text("entry {number} must be alias=app-… or id=app-…", number=number))
        if not app_id:
            raise _invalid("app_keys", _no_app(number))
        if app_id in keys:
            raise _invalid("app_keys", Text("the app in entry {number} has a key already", number=number))
        keys[app_id] = key
    return keys


def _webhook_secrets(text: str, names: Mapping[str, str], reachable: frozenset[str] | None) -> dict[str, tuple[str, ...]]:
    """An app may have several secrets: each of its senders has its own, and changes it."""
    secrets: dict[str, tuple[str, ...]] = {}
    entries = filter(None, map(str.strip, _COMMAS.split(text)))  # a secret in base64 may end in "="
    for number, (app_id, secret) in enumerate(_by_app(entries, names, reachable), start=1):
        if len(secret) < MIN_KEY or len(secret.split()) > 1:
            message = (
                "entry {number} must be alias=secret or id=secret, and a secret of {count} characters or more, without blanks; "
                "commas separate them"
            )
            raise _invalid("webhook_secrets", Text(message, number=number, count=MIN_KEY))
        if secret[0] in _QUOTES and secret[-1] in _QUOTES:
            raise _invalid("webhook_secrets", _UNQUOTED)
        if not app_id:
            raise _invalid("webhook_secrets", _no_app(number))
        secrets[app_id] = (*secrets.get(app_id, ()), secret)
    return secrets


def _by_app(
    entries: Iterable[str], names: Mapping[str, str], reachable: frozenset[str] | None
) -> Iterator[tuple[str | None, str]]:
    """Of entries like name=value the app's id, None if it is none of the apps, and the value."""
    for entry in entries:
        name, _, value = (part.strip() for part in entry.partition("="))
        app_id = names.get(name) or canonical(name)
        yield (app_id if app_id and (reachable is None or app_id in reachable) else None), value


def _apps(text: str) -> tuple[dict[str, str], list[str]]:
    names: dict[str, str] = {}
    ids: list[str] = []
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if text.strip() and not entries:
        raise _invalid("apps", Text("names no app"))
    for number, entry in enumerate(entries, start=1):
        if entry.count("=") > 1:
            raise _invalid("apps", Text("entry {number} has more than one equals sign; commas separate entries", number=number))
        alias, equals, app = (part.strip() for part in entry.rpartition("="))
        app_id = canonical(app)
        if not app_id:
            message = "entry {number} must be an app's id, as in its address in Dify, or alias=id; commas separate them"
            raise _invalid("apps", Text(message, number=number))
        if equals:
            if not _ALIAS.fullmatch(alias) or canonical(alias) or alias == DEFAULT or not alias.strip("."):
                message = (
                    'the alias in entry {number} must be 1 to 64 letters, digits, ".", "_" or "-", not dots alone, and no id or '
                    '"default"'
                )
                raise _invalid("apps", Text(message, number=number))
            if alias in names:
                raise _invalid("apps", Text("the alias in entry {number} is taken by an entry before it", number=number))
            names[alias] = app_id
        ids.append(app_id)
    return names, ids


def _default_app(value: Any) -> str | None:
    if not value:
        return None
    app_id = value.get("app_id") if isinstance(value, Mapping) else None
    if app_id == "":  # what the console stores after a choice was removed
        return None
    found = canonical(app_id) if isinstance(app_id, str) else None
    if not found:
        raise _invalid("default_app", Text("choose the app again"))
    return found


def _presets(value: Any) -> Mapping[str, Any]:
    """The inputs that were typed into the console beside the app. Files are there in a form of the console's own."""
    inputs = value.get("inputs") if isinstance(value, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}


def _no_app(number: int) -> Text:
    return Text("the app of entry {number} is not in {setting}", number=number, setting=setting("apps"))


def _invalid(name: str, fault: Text) -> DuckError:
    message = "This endpoint's settings need their owner's attention. {setting}: {fault}."
    return DuckError(500, "invalid_settings", Text(message, setting=setting(name), fault=fault))
