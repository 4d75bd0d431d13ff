"""What apps are: their gateways, names, forms and kinds, as far as a caller may know them."""

import functools
from collections.abc import Iterable, Mapping
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from duck import errors, limits
from duck.dify import guests
from duck.dify.gateway import Gateway
from duck.dify.service import ServiceGateway
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
    """An app's name, and what can be done with it. `takes_files` tells whether a chat takes files besides its inputs."""

    title: str
    description: str
    takes_files: bool
    can_stop: bool


def describe(dify: Gateway) -> App:
    """The app's name, and what its gateway can do."""
    names = _names(dify.info())
    return App(title=names["name"], description=names["description"], takes_files=dify.takes_files, can_stop=dify.can_stop)


def parameters(exchange: Exchange, dify: Gateway) -> Mapping[str, Any]:
    """The app's form as Dify's `GET /parameters` gives it, for guests filtered. Raises `DuckError`."""
    dify = gateway_for(exchange, dify)
    before = functools.partial(exchange.count, dify.endpoint_id)
    whole = dify.parameters(exchange.entry.app_id, before=before)
    return guests.parameters(whole) if exchange.caller.guest else whole


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
    exchange: Exchange, dify: Gateway, app_ids: Iterable[str], *, with_forms: bool = False
) -> Mapping[str, Mapping[str, Any]]:
    """The `kind` of each app, by its id, and `name` and `description` of those that have a key of their own; also the `form`.

    Dify is asked about several apps at once. What it has not told after two seconds is left out.
    """

    def info(app_id: str) -> dict[str, Any]:
        gateway = _gateway(exchange, dify, app_id, "")
        about, kind = gateway.info(), gateway.kind(app_id)
        form = {"form": gateway.form(app_id)[0]} if with_forms else {}
        return {**(_names(about) if about else {}), **({"kind": kind} if kind else {}), **form}

    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        jobs = {pool.submit(info, app_id): app_id for app_id in app_ids}
        done, _ = futures.wait(jobs, timeout=limits.LISTING_S)
        return {jobs[job]: job.result() for job in done}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _names(info: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(info.get(name) or "") for name in ("name", "description")}
