"""Apps as models, for faces whose requests name the app in the field `model`."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from duck import apps, errors, routes
from duck.callers import access
from duck.callers import settings as settings_
from duck.dify.gateway import Gateway
from duck.dify.parts import Begun
from duck.errors import DuckError
from duck.exchange import Exchange
from duck.faces import asking, fields
from duck.faces.asking import Request
from duck.runs import bodies


@dataclass(frozen=True, slots=True)
class Listed:
    """An app by the `id` that clients call it by. Its name and description are Dify's, "" without the app's own key."""

    id: str
    name: str = ""
    description: str = ""


def body(exchange: Exchange, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body of a request from a caller who may use the model that it names. Raises `DuckError`."""
    exchange.admit(settings)
    found = bodies.read_json(exchange.request)
    exchange.reach(fields.text(found, "model", required=True))
    return found


def conversation(exchange: Exchange, given: str | None, dify: Gateway, face: str) -> str | None:
    """Dify's id of the conversation that a request names, None if it names none. Raises `DuckError` 400."""
    if given is None:
        return None
    found = asking.conversation(given, asking.signer(exchange, dify, face))
    if found is None:
        raise errors.invalid_field("conversation_id", "no such conversation. Leave it out to start one")
    return found


def shown(begun: Begun, request: Request) -> str | None:
    """The id by which the client can continue the conversation. Dify's own is for holders of a key only."""
    if not begun.conversation_id:
        return None
    signer = request.signer
    return signer.sign(begun.conversation_id, begun.message_id) if signer.guest else begun.conversation_id


def listed(exchange: Exchange, settings: Mapping[str, Any], dify: Gateway) -> list[Listed]:
    """The apps that the caller may use. Raises `DuckError`."""
    parsed = exchange.admit(settings)
    return _models(exchange, dify, access.visible_apps(parsed, exchange.caller))


def named(exchange: Exchange, name: str, settings: Mapping[str, Any], dify: Gateway) -> Listed:
    """The app that a route names. Raises `DuckError`, also for an app that Dify does not have."""
    parsed = exchange.admit(settings, name)
    app_id = exchange.entry.app_id
    is_listed = app_id in {app_id for _, app_id in access.visible_apps(parsed, exchange.caller)}
    if not is_listed and apps.form(exchange, dify) is None:
        raise DuckError(404, "app_not_found", errors.NO_APP)
    return _models(exchange, dify, [(name, app_id)])[0]


def base_url(exchange: Exchange, settings: Mapping[str, Any]) -> str:
    """The endpoint's address without a slash at its end, as far as it is known, even if the settings cannot be read."""
    with contextlib.suppress(DuckError):
        exchange.parsed = settings_.parse(settings)
    return (exchange.public_url or "https://…/").rstrip("/")


def is_difys_own(route: str) -> bool:
    """Whether a route below /v1 is one of Dify's own: with another method it is none of OpenAI's or Anthropic's."""
    return f"/dify/<app_id>{route}" in routes.METHODS


def no_retry(error: DuckError) -> dict[str, str]:
    """A header for clients that send a request again after any error of the server, and would run and pay for the app thrice."""
    return {"X-Should-Retry": "false"} if error.status >= 500 and error.status != 503 else {}


def _models(exchange: Exchange, dify: Gateway, visible: list[tuple[str, str]]) -> list[Listed]:
    infos = apps.infos(exchange, dify, [app_id for _, app_id in visible if app_id in exchange.settings.app_keys])

    def about(app_id: str) -> dict[str, str]:
        info = infos.get(app_id, {})
        return {key: info[key] for key in ("name", "description") if info.get(key)}

    return [Listed(name, **about(app_id)) for name, app_id in visible]
