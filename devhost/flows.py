"""The runs of workflows and chatflows as Dify stores them, and their events for whoever reads on. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from devhost.apps import Call, Event, Mode

KEPT = 2_000  # runs; beyond it the oldest are evicted
BROKEN_OFF: Event = {"event": ""}  # the last event of a run that has broken off; it is not sent


@dataclass(slots=True, kw_only=True)
class FlowRun:
    """One run. `events` has those since its beginning or its last pause, in a list that another replaces at the end or a pause.

    Times are in seconds since the epoch.
    """

    mode: Mode
    call: Call
    first: Event
    created_at: float
    status: str = "running"
    outputs: Any = None
    error: str | None = None
    tokens: int = 0
    steps: int = 0
    exceptions: int = 0
    finished_at: float | None = None
    pauses: int = 0
    events: list[Event] = field(default_factory=list)
    nodes: dict[str, list[Event]] = field(default_factory=dict)
    pause: Event | None = None

    @property
    def id(self) -> str:
        """The id of the run."""
        return str(self.first["workflow_run_id"])

    @property
    def workflow_id(self) -> str:
        """The id of the workflow's version."""
        return str(self.first["data"].get("workflow_id"))

    @property
    def inputs(self) -> Event:
        """What the run was given, with Dify's own variables."""
        inputs: Event = self.first["data"].get("inputs") or {}
        return inputs

    @property
    def elapsed(self) -> float:
        """The seconds that the run took so far; 0 while it runs, as Dify tells it."""
        return 0.0 if self.finished_at is None else round(self.finished_at - self.created_at, 6)

    def common(self) -> Event:
        """The ids that the run's events have."""
        return {name: value for name, value in self.first.items() if name not in {"event", "data"}}

    def add(self, event: Event, now: float) -> None:
        """Takes an event."""
        data = event.get("data") or {}
        match event.get("event"):
            case "workflow_started" if self.status == "paused":
                self.status, self.pause = "running", None
            case "node_started":
                self.steps += data.get("id") not in self.nodes
                self.nodes.setdefault(str(data.get("id")), [event])
            case "node_finished":
                self.nodes[str(data.get("id"))] = [*self.nodes.get(str(data.get("id")), [])[:1], event]
        watched = self.events  # the event comes last: who watches looks at the run as soon as there is one
        if event.get("event") == "workflow_paused":
            self.status, self.pause, self.events = "paused", event, []
            self.pauses += 1
        elif event.get("event") == "workflow_finished":
            self.tokens, self.exceptions = data.get("total_tokens") or 0, data.get("exceptions_count") or 0
            self.steps = data.get("total_steps") or self.steps
            self.end(now, str(data.get("status")), data.get("error"), data.get("outputs"))
        watched.append(event)

    def end(self, now: float, status: str, error: str | None, outputs: Any = None) -> None:
        """Ends the run, unless it has ended."""
        if self.finished_at is None:
            self.status, self.error, self.outputs, self.finished_at, self.events = status, error, outputs, now, []

    def break_off(self, now: float, error: str) -> None:
        """Ends the run without an event of its end."""
        watched = self.events
        self.end(now, "failed", error)
        watched.append(BROKEN_OFF)

    def paused(self, now: float) -> Event:
        """What `workflow_paused` tells of the run."""
        elapsed = round(now - self.created_at, 6)
        data = {"workflow_run_id": self.id, "created_at": int(self.created_at), "elapsed_time": elapsed}
        return data | {"total_tokens": self.tokens, "total_steps": self.steps}

    def resumed(self, node_id: str) -> Iterator[Event]:
        """The events that begin the run again, in the node that has paused it: as in Dify, the node begins a second time."""
        yield {**self.first, "data": {**self.first["data"], "reason": "resumption"}}
        yield from [events[0] for events in self.nodes.values() if len(events) == 1 and events[0]["data"]["node_id"] == node_id]

    def finish(self, user: str) -> Event:
        """The only event that somebody gets who comes after the end."""
        data: Event = {"id": self.id, "workflow_id": self.workflow_id, "status": self.status, "outputs": self.outputs or {}}
        data |= {"error": self.error, "elapsed_time": self.elapsed, "total_tokens": self.tokens, "total_steps": self.steps}
        data |= {"created_by": {"id": self.call.end_user, "user": user}, "created_at": int(self.created_at)}
        data |= {"finished_at": int(self.finished_at or 0), "exceptions_count": self.exceptions, "files": []}
        return {"event": "workflow_finished", "workflow_run_id": self.id, "task_id": self.id, "data": data}

    def snapshot(self) -> Iterator[Event]:
        """The state of the run as events: nodes without their inputs and outputs, and the pause."""
        yield self.first
        hidden = dict.fromkeys(("inputs", "process_data", "outputs", "execution_metadata"))
        for events in list(self.nodes.values()):
            for event in events:
                yield {**event, "data": event["data"] | {name: hidden[name] for name in hidden if name in event["data"]}}
        if self.pause is not None:
            yield self.pause


class FlowRuns:
    """The runs of a workspace's workflows and chatflows."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], FlowRun] = {}

    def begin(self, mode: Mode, call: Call, first: Event, now: float) -> FlowRun:
        """Stores a run that begins with this event."""
        run = FlowRun(mode=mode, call=call, first=first, created_at=now)
        self._runs.pop((call.app_id, run.id), None)
        self._runs[call.app_id, run.id] = run
        if len(self._runs) > KEPT:
            del self._runs[next(iter(self._runs))]
        return run

    def find(self, app_id: str, run_id: str) -> FlowRun | None:
        """The app's run with this id."""
        return self._runs.get((app_id, run_id))

    def of(self, app_id: str) -> list[FlowRun]:
        """The app's runs, latest first."""
        return [run for (app, _), run in reversed(list(self._runs.items())) if app == app_id]
