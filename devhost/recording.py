"""What Dify stores of one run: the workflow's run, and the message in its conversation. No I/O.

Whoever reads the stream of a chatbot, an agent or a completion app to its end makes Dify store the answer. If the caller hangs
up, the message stays without one. The runs of workflows and chatflows go on, and their ends are stored.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from devhost.apps import FLOW_MODES, App, Call, Event
from devhost.asking import WaitingForm
from devhost.flows import FlowRun, FlowRuns
from devhost.history import History, Message
from devhost.run import Caller
from devhost.timeline import Timeline

INTERNAL = "Internal Server Error, please contact support."


class Recording:
    """Stores one run, as its events come. `call` names the end user to whom it belongs."""

    def __init__(self, app: App, call: Call, caller: Caller, history: History, runs: FlowRuns, timeline: Timeline) -> None:
        self._app = app
        self._call = call
        self._caller = caller
        self._history = history
        self._runs = runs
        self._timeline = timeline
        self._text = ""
        self._message: Message | None = None
        self._run: FlowRun | None = None
        self._is_over = False
        self._has_paused = False

    @property
    def run(self) -> FlowRun | None:
        """The workflow's run, from its first event on."""
        return self._run

    def add(self, event: Event) -> None:
        """Takes an event of the run."""
        if self._is_over:
            return
        self._begin(event)
        match event:
            case {"event": "message" | "agent_message" | "message_file", "answer": str() as delta}:
                self._text += delta
            case {"event": "message_replace", "answer": str() as whole}:
                self._text = whole
            case {"event": "error"}:
                self._set_status("error", str(event.get("message")))
        if self._message is not None:
            self._message.add(event)
        if self._run is not None:
            self._run.add(event, self._timeline.now())
        if event.get("event") == "workflow_paused":
            self._store()
            self._set_status("paused")
        elif event.get("event") == "workflow_started":
            self._set_status("normal")

    def ask(self, form: WaitingForm) -> None:
        """Takes a form for which the run waits from now on."""
        self._has_paused = True
        if self._message is not None:
            self._message.forms.append(form)

    def answered(self, answer: Mapping[str, Any]) -> None:
        """Takes the answer of a blocking run without events."""
        self._begin(dict(answer))
        self._text = str(answer.get("answer", ""))
        match answer:
            case {"workflow_run_id": str(), "data": {"status": _} as data}:
                began: Event = {"event": "workflow_started", **answer, "data": {**data, "inputs": self._call.inputs}}
                self.add(began)
                self.add(
                    {**began, "event": "workflow_finished" if data["status"] != "paused" else "workflow_paused", "data": data}
                )

    def fail(self, text: str) -> None:
        """Takes the error with which the run breaks off."""
        self._set_status("error", text)
        if self._run is not None:
            self._run.break_off(self._timeline.now(), INTERNAL)

    def end(self) -> None:
        """Stores the answer at the end of the script, unless it has to be read first. A workflow without an end has failed."""
        if self._run is not None and self._run.status == "running":
            self._run.break_off(self._timeline.now(), INTERNAL)
        if self._call.response_mode != "streaming" or self._has_paused:
            is_stored = True
        elif self._call.by_key:
            is_stored = self._app.mode in FLOW_MODES
        else:
            is_stored = not self._caller.has_left
        if is_stored:
            self._store()

    def read(self) -> None:
        """Stores the answer, which has been read to its end."""
        if not self._is_over:
            self._store()

    def stop(self, events: Iterable[Event]) -> None:
        """Ends the recording of a stopped run: adds its last events, and stores the answer so far."""
        for event in events:
            self.add(event)
        self._store()
        self._is_over = True

    def _begin(self, event: Event) -> None:
        """Begins to store the message and the workflow's run, each at the first event with its id."""
        if self._message is None and (message_id := event.get("message_id")):
            self._message = self._history.begin(self._call, message_id, event.get("conversation_id") or "", self._timeline.now())
            self._history.declare(self._message, self._app.variables)
        if self._run is None and event.get("event") == "workflow_started" and event.get("workflow_run_id"):
            self._run = self._runs.begin(self._app.mode, self._call, event, self._timeline.now())
            if self._message is not None:
                self._message.run_id = self._run.id

    def _set_status(self, status: str, error: str | None = None) -> None:
        if self._message is not None:
            self._message.status, self._message.error = status, error

    def _store(self) -> None:
        if self._message is not None:
            self._message.answer = self._text
            self._history.touch(self._message, self._timeline.now(), named=self._caller.named)
