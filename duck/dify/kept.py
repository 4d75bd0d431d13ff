"""What Dify keeps of an app's runs: how they stand, their answers, their further events, and the forms for which they wait."""

import contextlib
import json
from collections.abc import Generator, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from pydantic_core import from_json

from duck import limits
from duck.clock import Clock
from duck.dify import events, failures, human_forms, run_ids
from duck.dify.forwarding import Passage
from duck.dify.gateway import Gateway
from duck.dify.human_forms import HumanForm
from duck.dify.readings import Readings
from duck.dify.run_ids import RunId
from duck.errors import DuckError, invalid
from duck.runs.run import Kind
from duck.streams.format import Event
from duck.texts import Text

type Status = Literal["running", "paused", "over"]

MAX_PAGES = 10  # of a conversation's messages, in which a run's message is looked for
_PAGE = 100  # messages
_UNKNOWN_PATH = "The requested URL was not found"  # how Dify's message begins for a path that an older version does not have


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run stands. `began_at` is in seconds since the epoch.

    `answer` is what blocking mode would have given, empty until the run is over. `pause` is the event of a run that waits for a
    person, if Dify still tells it.
    """

    status: Status
    began_at: float = 0.0
    answer: Mapping[str, Any] = field(default_factory=dict)
    pause: Event = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptRuns:
    """The runs of one app of this `kind` for one end user, who is the `owner` of all that this process reads for them."""

    service: Gateway
    kind: Kind
    owner: Hashable
    readings: Readings

    def watched(self, stream: Generator[Event]) -> Generator[Event]:
        """A run's events. Until they end, the run counts as one that is read."""
        key: Hashable = None
        seen: list[Event] = []
        outcome: Mapping[str, Any] | DuckError | None = None
        try:
            with contextlib.closing(stream):
                for event in stream:
                    if key is None:
                        key = (self.owner, str(run_ids.of(event)))
                        self.readings.begin(key)
                    if self.kind == "completion":
                        seen.append(event)
                    yield event
            if seen:
                outcome = events.fold(seen, self.kind)
        except DuckError as error:
            outcome = error.again() if seen else None
            raise
        finally:
            if key is not None:
                self.readings.end(key, outcome)

    def standing(self, run_id: RunId) -> Standing:
        """How a run stands.

        Raises `DuckError`: 404 for a run that this user does not have, 410 for a lost one, 502 for a failed chat.
        """
        return self._of_workflow(run_id) if run_id.workflow_run_id else self._of_message(run_id)

    def further(self, run_id: RunId, clock: Clock) -> Generator[Event]:
        """The further events of a run until its end or its next pause. Raises `DuckError`.

        Where Dify does not stream them, they are the closing events of a run that is over.
        """
        while (standing := self.standing(run_id)).status != "over":
            progress = events.Progress(self.kind)
            if run_id.workflow_run_id:
                with contextlib.closing(self._stream(run_id.workflow_run_id)) as stream:
                    for event in stream:
                        is_over = progress.add(event)
                        yield event
                        if is_over:
                            break
                if failure := progress.failure():
                    yield failure
                if progress.has_end:
                    return
            clock.sleep(limits.POLL_S)
        yield from events.unfold(standing.answer, self.kind)

    def form(self, token: str) -> HumanForm:
        """The form with this token. Raises `DuckError`: 404, 409 if it was filled in, 410 if it has expired."""
        return human_forms.read(self._fetch("GET", _form_path(token)))

    def submit(self, token: str, inputs: Mapping[str, Any], action: str) -> None:
        """Fills in the form with this token. Raises `DuckError` as `form` does, and 400 if Dify refuses the inputs."""
        self._fetch("POST", _form_path(token), body={"inputs": dict(inputs), "action": action})

    def _of_workflow(self, run_id: RunId) -> Standing:
        run = self._fetch("GET", f"/workflows/run/{run_id.workflow_run_id}")
        pause = self._pause(run_id.workflow_run_id, is_paused=run.get("status") == "paused")
        status, began_at = run.get("status"), float(run.get("created_at") or 0)
        if status in {"running", "scheduled"}:
            return Standing(status="running", began_at=began_at)
        if status == "paused":
            return Standing(status="paused", began_at=began_at, pause=pause)
        run = {**run, "outputs": _object(run.get("outputs"))}
        if self.kind == "workflow":
            return Standing(status="over", began_at=began_at, answer=_workflow_answer(run))
        if status == "failed" and run.get("error") != events.STOPPED:
            raise _failed(f"Run failed: {run.get('error')}")
        text = run["outputs"].get("answer") or ""
        if run_id.conversation_id:
            answer = self._chat_answer(self._message(run_id))
        else:
            answer = {"event": "message", "task_id": run.get("id"), "metadata": {}, "created_at": run.get("created_at")}
        answer |= {**run_id.as_dict(), "mode": "advanced-chat", "answer": answer.get("answer") or text}
        return Standing(status="over", began_at=began_at, answer=answer)

    def _of_message(self, run_id: RunId) -> Standing:
        reading = self.readings.find((self.owner, str(run_id)))
        if reading and reading.outcome is None:
            return Standing(status="running", began_at=reading.began_at)
        if reading and isinstance(reading.outcome, DuckError):
            raise reading.outcome.again()
        if reading and isinstance(reading.outcome, Mapping):
            return Standing(status="over", began_at=reading.began_at, answer=reading.outcome)
        if self.kind == "completion":
            raise _lost()
        message = self._message(run_id)
        if message.get("status") == "error":
            raise _failed(str(message.get("error") or ""))
        if not message.get("answer"):
            raise _lost()
        return Standing(status="over", began_at=float(message.get("created_at") or 0), answer=self._chat_answer(message))

    def _pause(self, workflow_run_id: str, *, is_paused: bool) -> Event:
        """The event of the run's pause, {} if there is none. Raises `DuckError` 404 if the run belongs to another user."""
        with contextlib.closing(self._stream(workflow_run_id, ("include_state_snapshot", "true"))) as stream:
            try:
                for event in stream:
                    if not is_paused or event["event"] in {"workflow_paused", "workflow_finished"}:
                        return event if event["event"] == "workflow_paused" else {}
            except DuckError as error:
                if error.status == 404:
                    raise
        return {}

    def _stream(self, workflow_run_id: str, *query: tuple[str, str]) -> Generator[Event]:
        """The run's further events; none from a version of Dify that does not have them. Raises `DuckError`."""
        passage = Passage(method="GET", path=f"/workflow/{workflow_run_id}/events", query=query)
        try:
            yield from self.service.forward_events(passage)
        except DuckError as error:
            if error.status != 404:
                raise
            if not error.message.startswith(_UNKNOWN_PATH):
                raise no_run() from None

    def _message(self, run_id: RunId) -> Mapping[str, Any]:
        """The message of a run. Raises `DuckError` 404 if the conversation does not have it."""
        query = [("conversation_id", run_id.conversation_id), ("limit", str(_PAGE))]
        first: list[tuple[str, str]] = []
        for _ in range(MAX_PAGES):
            page = self._fetch("GET", "/messages", [*query, *first])
            messages = [each for each in page.get("data") or [] if isinstance(each, dict)]
            if found := next((each for each in messages if each.get("id") == run_id.message_id), None):
                return found
            if not page.get("has_more") or not messages:
                break
            oldest = min(messages, key=lambda each: float(each.get("created_at") or 0))
            first = [("first_id", str(oldest.get("id")))]
        raise no_run()

    def _chat_answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A message as blocking mode would have given it. Its task is over: the id of the message stands in its place."""
        usage = {
            "prompt_tokens": message.get("message_tokens"),
            "completion_tokens": message.get("answer_tokens"),
            "total_tokens": message.get("total_tokens"),
            "total_price": message.get("total_price"),
            "currency": message.get("currency"),
            "latency": message.get("provider_response_latency"),
        }
        made = [each for each in message.get("message_files") or [] if each.get("belongs_to") != "user"]
        return {
            "event": "message",
            "task_id": message.get("id"),
            "id": message.get("id"),
            "message_id": message.get("id"),
            "conversation_id": message.get("conversation_id"),
            "mode": str(self.service.info().get("mode") or "chat"),
            "answer": message.get("answer"),
            "metadata": {"usage": usage, "retriever_resources": message.get("retriever_resources") or []},
            "created_at": message.get("created_at"),
            **({"files": made} if made else {}),
            **({"agent_thoughts": message["agent_thoughts"]} if message.get("agent_thoughts") else {}),
        }

    def _fetch(
        self,
        method: Literal["GET", "POST"],
        path: str,
        query: list[tuple[str, str]] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        try:
            passed = self.service.forward(Passage(method=method, path=path, query=query or (), body=body))
        except DuckError as error:
            raise _refusal(error) from None
        fields: Mapping[str, Any] = from_json(passed.content or b"{}")
        return fields


def _form_path(token: str) -> str:
    return f"/form/human_input/{quote(token, safe='')}"


def _workflow_answer(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """A workflow's run as blocking mode would have given it. Its task is over, and Dify, too, gives the run's id for it then."""
    names = ("id", "workflow_id", "status", "outputs", "error", "elapsed_time", "total_tokens", "total_steps")
    data = {name: run.get(name) for name in (*names, "created_at", "finished_at")}
    return {"task_id": run.get("id"), "workflow_run_id": run.get("id"), "data": data}


def _object(value: Any) -> Mapping[str, Any]:
    """Outputs, which some versions of Dify write as a text."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    return value if isinstance(value, dict) else {}


def _refusal(error: DuckError) -> DuckError:
    """What Dify's refusals mean here."""
    match error.code:
        case "human_input_form_submitted":
            return DuckError(409, "already_answered", Text("This form has been filled in already."))
        case "human_input_form_expired":
            return DuckError(410, "expired", Text("This form can no longer be filled in: its time is over."))
        case "invalid_form_data" | "invalid_param":
            return invalid(error.message)
        case "not_found" | "not_workflow_app" | "not_chat_app":
            return no_run()
    return error


def _failed(message: str) -> DuckError:
    return failures.from_event({"event": "error", "code": "invalid_param", "status": 400, "message": message}, kind="chat")


def no_run() -> DuckError:
    """There is no such run or form for this user."""
    message = Text("This app has no such run and no such form, or they belong to another user.")
    return DuckError(404, "not_found", message)


def _lost() -> DuckError:
    message = Text("The answer of this run is lost: Duck was started anew before its end, or it broke off. Run the app again.")
    return DuckError(410, "run_lost", message)
