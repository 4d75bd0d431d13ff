"""The runs of workflows and chatflows: how they stand, and their further events."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime

from starlette.responses import JSONResponse, Response, StreamingResponse

from devhost.apps import FLOW_MODES, Event
from devhost.flows import BROKEN_OFF, FlowRun
from devhost.service.requests import AppRequest, invalid, not_found
from devhost.service.streams import PING, PING_S, event_block

WATCH_S = 0.02  # between two looks for further events
STATUSES = {"succeeded", "failed", "stopped"}  # by which logs can be filtered


async def run(request: AppRequest) -> Response:
    """How a run stands, of whichever user, and however it was begun."""
    request.require(FLOW_MODES, "not_workflow_app")
    found = request.dify.runs.find(request.app_id, request.path("workflow_run_id"))
    if found is None:
        raise not_found("Workflow run not found.")
    about: Event = {"id": found.id, "workflow_id": found.workflow_id, "status": found.status}
    about |= {"inputs": json.dumps(found.inputs, ensure_ascii=False), "outputs": found.outputs or {}, "error": found.error}
    return JSONResponse({**about, **_numbers(found)})


async def logs(request: AppRequest) -> Response:
    """A page of the app's runs, latest first."""
    request.require(FLOW_MODES, "not_workflow_app")
    query, found = request.http.query_params, request.dify.runs.of(request.app_id)
    number, limit = request.number("page", 1, 99_999), request.limit()
    if account := query.get("created_by_account"):
        raise invalid(f"Account not found: {account}")
    if status := query.get("status"):
        if status not in STATUSES:
            raise invalid(f"status must be one of {', '.join(sorted(STATUSES))}")
        found = [each for each in found if each.status == status]
    if keyword := query.get("keyword"):
        found = [each for each in found if keyword in json.dumps([each.inputs, each.outputs, each.id], ensure_ascii=False)]
    if user := query.get("created_by_end_user_session_id"):
        found = [each for each in found if _user(request, each) == user]
    if before := query.get("created_at__before"):
        found = [each for each in found if each.created_at <= _time(before)]
    if since := query.get("created_at__after"):
        found = [each for each in found if each.created_at >= _time(since)]
    first = (number - 1) * limit
    shown = found[first : first + limit]
    sizes = {"page": number, "limit": limit, "total": len(found), "has_more": len(found) > first + limit}
    return JSONResponse({**sizes, "data": [_log(request, each) for each in shown]})


async def events(request: AppRequest) -> Response:
    """The further events of a run, for the end user who has begun it by the app's own key."""
    end_user = await request.user_in_query(required=True)
    request.require(FLOW_MODES, "not_workflow_app")
    found = request.dify.runs.find(request.app_id, request.path("workflow_run_id"))
    if found is None or not found.call.by_key or found.call.end_user != end_user:
        raise not_found("Workflow run not found")
    query = request.http.query_params
    snapshot, goes_on = (query.get(name, "").lower() == "true" for name in ("include_state_snapshot", "continue_on_pause"))
    batch = found.events  # before the look at the end: a run that ends now still adds its last event to this list
    if found.finished_at is not None:
        return StreamingResponse(iter([event_block(found.finish(_user(request, found)))]), media_type="text/event-stream")
    shown = list(found.snapshot()) if snapshot else []
    at = 0 if found.pauses and not snapshot else len(batch)
    return StreamingResponse(_further(found, shown, batch, at, goes_on=goes_on), media_type="text/event-stream")


async def _further(found: FlowRun, shown: list[Event], batch: list[Event], at: int, *, goes_on: bool) -> AsyncIterator[bytes]:
    """The events that are `shown`, and those of the `batch` from `at` on. They end with the run, or with its next pause."""
    yield PING
    for event in shown:
        yield event_block(event)
    silent_s = 0.0
    while True:
        while at < len(batch):
            event, at, silent_s = batch[at], at + 1, 0.0
            if event is BROKEN_OFF:
                return
            yield event_block(event)
            if event["event"] == "workflow_finished" or (event["event"] == "workflow_paused" and not goes_on):
                return
            if event["event"] == "workflow_paused":
                batch, at = found.events, 0
        await asyncio.sleep(WATCH_S)
        silent_s += WATCH_S
        if silent_s >= PING_S:
            silent_s = 0.0
            yield PING


def _numbers(found: FlowRun) -> Event:
    times = {"created_at": int(found.created_at), "finished_at": None if found.finished_at is None else int(found.finished_at)}
    return {"total_steps": found.steps, "total_tokens": found.tokens, "elapsed_time": found.elapsed, **times}


def _log(request: AppRequest, found: FlowRun) -> Event:
    about: Event = {"id": found.id, "version": "published", "status": found.status, "error": found.error, **_numbers(found)}
    about |= {"exceptions_count": found.exceptions, "triggered_from": "app-run"}
    entry: Event = {"id": found.id, "workflow_run": about, "created_from": "service-api", "created_by_role": "end_user"}
    if user := found.call.end_user:  # a plugin's workflows have none here
        names = {"id": user, "type": "service_api", "is_anonymous": False, "session_id": _user(request, found)}
        entry["created_by_end_user"] = names
    return {**entry, "created_at": int(found.created_at), "details": None}


def _user(request: AppRequest, found: FlowRun) -> str:
    """The name of the run's user."""
    about = request.dify.end_users.about(found.call.end_user)
    return "" if about is None else about.user


def _time(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise invalid(f"Invalid isoformat string: {text!r}") from error
