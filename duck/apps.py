"""What apps are: their gateways, names, forms and kinds, as far as a caller may know them."""

import functools
from collections.abc import Container, Iterable, Mapping
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from duck import errors, limits
from duck.dify import guests
from duck.dify import site as sites
from duck.dify.gateway import Gateway
from duck.dify.service import ServiceGateway
from duck.dify.site import Site
from duck.exchange import Exchange
from duck.runs.forms import Form
from duck.runs.run import Kind

_AT_ONCE = 8  # requests about apps of a list


def gateway_for(exchange: Exchange, dify: Gateway, user: str = "") -> Gateway:
    """The gateway to the app: the Service API, if the settings have the app's own key, else `dify`, the plugin's session.

    `user` is the end user that the caller has named; guests are all one user.
    """
    exchange.entry.dify = gateway = _gateway(exchange, dify, exchange.entry.app_id, user)
    return gateway


def _gateway(exchange: Exchange, dify: Gateway, app_id: str, user: str) -> Gateway:
    dify.memory = exchange.state.memory
    settings, caller = exchange.settings, exchange.caller
    key = settings.app_keys.get(app_id)
    if not key:
        return dify
    user = caller.user if caller.guest else user or caller.user
    return ServiceGateway(settings.service_url, key, endpoint_id=dify.endpoint_id, user=user, memory=dify.memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app's name, how its owner wants it to look, and what can be done with it.

    `takes_files` tells whether a chat takes files besides its inputs.
    """

    title: str
    description: str
    site: Site
    takes_files: bool
    can_stop: bool


def describe(dify: Gateway) -> App:
    """The app's names and looks, which guests may know, too, and what its gateway can do."""
    info, fetched = dify.about()
    names, site = _names(info), sites.read(fetched)
    return App(
        title=site.title or names["name"],
        description=site.description or names["description"],
        site=site,
        takes_files=dify.takes_files,
        can_stop=dify.can_stop,
    )


def parameters(exchange: Exchange, dify: Gateway) -> Mapping[str, Any]:
    """The app's form as Dify's `GET /parameters` gives it, for guests filtered. Raises `DuckError`."""
    dify = gateway_for(exchange, dify)
    before = functools.partial(exchange.count, dify.endpoint_id)
    whole = dify.parameters(exchange.entry.app_id, before=before)
    return guests.parameters(whole) if exchange.caller.guest else whole


def info(exchange: Exchange, dify: Gateway, name: str) -> Mapping[str, Any]:
    """Dify's `GET /info`, for guests filtered. Without the app's own key it is made of what the caller calls it and its kind.

    Raises `DuckError` 429 for too many guests.
    """
    if whole := gateway_for(exchange, dify).info():
        return guests.info(whole) if exchange.caller.guest else whole
    mode = kind_of(exchange, dify) or "chat"
    return {"name": name, "description": "", "tags": [], "mode": mode, "author_name": ""}


def site_document(exchange: Exchange, dify: Gateway, name: str) -> Mapping[str, Any]:
    """Dify's `GET /site`, for guests filtered. Without the app's own key it has only what the caller calls the app."""
    if whole := gateway_for(exchange, dify).site():
        return guests.site(whole) if exchange.caller.guest else whole
    return {"title": name, "default_language": "en-US"}


def form(exchange: Exchange, dify: Gateway, *, anew: bool = False) -> Form | None:
    """The app's form, None if it cannot be fetched or read. With `anew` it is not from the cache.

    Raises `DuckError` 429 for too many guests.
    """
    gateway, before = gateway_for(exchange, dify), functools.partial(exchange.count, dify.endpoint_id)
    exchange.form, _ = gateway.form(exchange.entry.app_id, anew=anew, before=before)
    return exchange.form


def kind_of(exchange: Exchange, dify: Gateway) -> Kind | None:
    """The app's kind, found out without a run; None if it is not known. Raises `DuckError` 429 for too many guests."""
    before = functools.partial(exchange.count, dify.endpoint_id)
    return gateway_for(exchange, dify).kind(exchange.entry.app_id, before=before)


def fetch_form(exchange: Exchange, kind: Kind, dify: Gateway) -> None:
    """Fetches the app's form to show it. Raises `DuckError` 400 for an app that is known to be of another kind."""
    exchange.form, _ = dify.form(exchange.entry.app_id)
    check_kind(exchange, dify, kind)


def check_kind(exchange: Exchange, dify: Gateway, kind: Kind) -> None:
    """Raises `DuckError` 400 for an app that is known to be of another kind, which explains all other faults."""
    actual = dify.kind(exchange.entry.app_id)
    if actual and actual != kind:
        raise errors.wrong_route(kind, actual)


def infos(
    exchange: Exchange, dify: Gateway, app_ids: Iterable[str], *, forms_of: Container[str] = (), with_sites: bool = False
) -> Mapping[str, Mapping[str, Any]]:
    """The `kind` of each app, by its id, and `name` and `description` of those that have a key of their own.

    Also the `form` of the apps with the ids in `forms_of`, and the `site` of all. Dify is asked about several apps at once. What
    it has not told after two seconds is left out.
    """

    def info(gateway: Gateway, app_id: str) -> dict[str, Any]:
        about, kind = gateway.info(), gateway.kind(app_id)
        form = {"form": gateway.form(app_id)[0]} if app_id in forms_of else {}
        return {**(_names(about) if about else {}), **({"kind": kind} if kind else {}), **form}

    def site(gateway: Gateway) -> dict[str, Any]:
        return {"site": sites.read(gateway.site())}

    gateways = {app_id: _gateway(exchange, dify, app_id, "") for app_id in app_ids}
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        jobs = {pool.submit(info, gateway, app_id): app_id for app_id, gateway in gateways.items()}
        if with_sites:
            jobs |= {pool.submit(site, gateway): app_id for app_id, gateway in gateways.items()}
        done, _ = futures.wait(jobs, timeout=limits.LISTING_S)
        found: dict[str, dict[str, Any]] = {}
        for job in done:
            found[jobs[job]] = found.get(jobs[job], {}) | job.result()
        return found
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _names(info: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(info.get(name) or "") for name in ("name", "description")}
