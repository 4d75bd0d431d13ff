"""Runs whose callers do not wait for the answer, and the forms for which runs wait.

Dify keeps the runs: Duck remembers only which ones it reads on, since Dify stores the answer of a chat for its reader alone.
"""

import contextlib
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from duck import apps, errors, invocation, limits
from duck.dify import events, failures, guests, human_forms, run_ids
from duck.dify.gateway import Gateway
from duck.dify.human_forms import HumanForm
from duck.dify.kept import KeptRuns, Standing, Status, no_run
from duck.dify.run_ids import RunId
from duck.errors import DuckError
from duck.exchange import Exchange
from duck.invocation import Invocation
from duck.journal import Entry
from duck.runs.files import File
from duck.runs.run import Kind, Run, RunRequest
from duck.streams.format import Event
from duck.texts import Text

_AGE_PER_RETRY = 10  # a run of ten minutes is asked for every minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A run that is not over. `ids` are Dify's by their names. The caller should ask again after `retry_s` seconds, at `url`.

    `forms` are those for which a `paused` run waits, as in `human_forms.named`; guests see none.
    """

    status: Status
    run_id: str
    url: str
    ids: Mapping[str, str]
    retry_s: int = limits.MIN_RETRY_S
    forms: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A run whose caller wants no answer. `status` is `running`, or how the run has ended. `ids` are Dify's, if known by now.

    A running one that can be fetched has a `run_id` among them.
    """

    status: str
    ids: Mapping[str, str]


def start(exchange: Exchange, wanted: RunRequest, dify: Gateway) -> Pending:
    """Begins a run, and returns after its first event. Raises `DuckError` as `invocation.prepare` does, and 400 without a key."""
    exchange.refuse_other_sites()
    run = replace(wanted.run, mode="streaming")
    kept = _kept(exchange, dify, run.user, run.kind)
    if not _goes_on(exchange, kept.service):
        raise DuckError(400, "async_unavailable", _NOT_AS_FUNCTION)
    first = invocation.prepare(exchange, replace(wanted, run=run), dify).begin(kept.watched) or {}
    return _pending(exchange, run_ids.of(first), "running", _ids(first))


def accept(exchange: Exchange, wanted: RunRequest, dify: Gateway, failed: Callable[[], None]) -> Accepted:
    """Runs an app for a caller who wants no answer. If the run does not begin after all, `failed` is called.

    If the app has its own key, it returns within a second after the checks, and the run goes on; else at the end of the run.
    A workflow that has failed by then was accepted. Raises `DuckError` as `invocation.prepare` does, and for other failed runs.
    """
    service = apps.gateway_for(exchange, dify, wanted.run.user)
    if not service.keeps_runs or not _goes_on(exchange, service):
        answer = invocation.prepare(exchange, replace(wanted, run=replace(wanted.run, mode="blocking")), dify).answer()
        return Accepted(status=_status(answer), ids=_ids(answer))
    kept = _kept(exchange, dify, wanted.run.user, wanted.run.kind)
    call = invocation.prepare(exchange, replace(wanted, run=replace(wanted.run, mode="streaming")), dify)
    first = call.begin(lambda stream: _noted(kept.watched(stream), exchange.entry, failed), limits.ACCEPTED_S)
    ids = {"run_id": str(run_ids.of(first)), **_ids(first)} if first else {}
    return Accepted(status="running", ids=ids)


def fetch(exchange: Exchange, dify: Gateway, run_id: str, user: str = "") -> Pending | Mapping[str, Any]:
    """The answer of a run as blocking mode would have given it, or how the run stands. `user` is the one who began it.

    Raises `DuckError`: 400 without the app's own key, 404 for a run that this user does not have, 410 for a lost one, 502 for a
    failed chat.
    """
    kept = _kept(exchange, dify, user)
    id_ = _parsed(run_id, kept)
    standing = kept.standing(id_)
    if standing.status == "over":
        return guests.answer(standing.answer) if exchange.caller.guest else standing.answer
    return _standing(exchange, id_, standing)


def resumed(exchange: Exchange, dify: Gateway, run_id: str, user: str = "") -> Invocation:
    """A run that was begun before, to be streamed from here on. Raises `DuckError` as `fetch` does, also while it is streamed."""
    kept = _kept(exchange, dify, user)
    id_ = _parsed(run_id, kept)
    run = Run(kind=kept.kind, app_id=exchange.entry.app_id, inputs={}, mode="streaming")
    return Invocation(run, exchange, kept.service, lambda: kept.further(id_, exchange.state.clock))


def fetch_form(exchange: Exchange, dify: Gateway, token: str, user: str = "") -> HumanForm:
    """The form with this token. Raises `DuckError`: 400 without the app's own key, 404, 409 `already_answered`, 410 `expired`."""
    return _kept(exchange, dify, user).form(token)


def answer_form(exchange: Exchange, dify: Gateway, token: str, inputs: Mapping[str, Any], action: str, user: str = "") -> None:
    """Fills in the form with this token, after which its run goes on. What is not given gets its default; files are uploaded.

    Raises `DuckError` as `fetch_form` does, 400 with all that does not fit the form, and 403 for a page of another site.
    """
    exchange.refuse_other_sites()
    kept = _kept(exchange, dify, user)
    filled = human_forms.fill(kept.form(token), inputs, action)
    kept.submit(token, {name: _uploaded(kept, value) for name, value in filled.items()}, action)


def _uploaded(kept: KeptRuns, value: Any) -> Any:
    if isinstance(value, list):
        return [_uploaded(kept, each) for each in value]
    return kept.service.upload(value).by_id if isinstance(value, File) else value


def _goes_on(exchange: Exchange, service: Gateway) -> bool:
    """Whether a run goes on after its request: in Dify, or because this process reads it, unless it ends with the request."""
    return math.isinf(exchange.state.run_s) or service.info().get("mode") in {"workflow", "advanced-chat"}


def _noted(stream: Generator[Event], entry: Entry, failed: Callable[[], None]) -> Generator[Event]:
    has_begun = False
    with contextlib.closing(stream):
        try:
            for event in stream:
                has_begun = True
                yield event
        except DuckError as error:
            entry.fail_later(error.code)
            if not has_begun:
                failed()
            raise


def _status(answer: Mapping[str, Any]) -> str:
    return "paused" if answer.get("event") == "workflow_paused" else str(events.data_of(answer).get("status") or "succeeded")


def _ids(event: Event) -> Mapping[str, str]:
    return {**run_ids.of(event).as_dict(), "task_id": str(event.get("task_id") or "")}


def _kept(exchange: Exchange, dify: Gateway, user: str, kind: Kind | None = None) -> KeptRuns:
    """The app's runs. `kind` is what the app is called as.

    Raises `DuckError`: 400 without the app's own key, 429 for too many guests.
    """
    caller, app_id = exchange.caller, exchange.entry.app_id
    service = apps.gateway_for(exchange, dify, user)
    if not service.keeps_runs:
        message = Text(
            "Runs of this app can be fetched later, and its forms filled in, once its own key is in the setting {setting}.",
            setting=errors.setting("app_keys"),
        )
        raise DuckError(400, "async_unavailable", message, for_guests=Text("Runs of this app cannot be fetched later."))
    exchange.count(service.endpoint_id)
    kind = kind or service.kind(app_id)
    if kind is None:
        raise failures.no_service()
    owner = (service.endpoint_id, app_id, caller.user if caller.guest else user or caller.user)
    return KeptRuns(service, kind, owner, exchange.state.memory.readings)


def _parsed(run_id: str, kept: KeptRuns) -> RunId:
    if (found := run_ids.parse(run_id, kept.kind)) is None:
        raise no_run()
    return found


def _standing(exchange: Exchange, run_id: RunId, standing: Standing) -> Pending:
    age = time.time() - standing.began_at
    retry_s = int(min(max(age / _AGE_PER_RETRY, limits.MIN_RETRY_S), limits.MAX_RETRY_S))
    pending = _pending(exchange, run_id, standing.status, run_id.as_dict())
    if exchange.caller.guest:
        return replace(pending, retry_s=retry_s)
    ids = {**run_ids.of(standing.pause).as_dict(), **pending.ids}
    named = human_forms.named(standing.pause, lambda token: exchange.link("form", exchange.entry.app_id, token))
    return replace(pending, retry_s=retry_s, ids=ids, forms=named.get(human_forms.FORMS, ()))


def _pending(exchange: Exchange, run_id: RunId, status: Status, ids: Mapping[str, str]) -> Pending:
    url = exchange.link("runs", exchange.entry.app_id, str(run_id))
    return Pending(status=status, run_id=str(run_id), url=url, ids={name: value for name, value in ids.items() if value})


_NOT_AS_FUNCTION = Text(
    "Dify runs this plugin as a function, which ends with its answer, and stores the answer of this app only for whoever reads "
    "it. Send the request without Prefer: respond-async."
)
