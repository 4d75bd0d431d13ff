"""Runs an app's script: its steps become replies, and what Dify stores of the run is recorded."""

from collections.abc import Callable, Generator, Iterator
from typing import Any

from devhost.apps import App, Call, Event, Failure, Pause, Step, fold, proceed
from devhost.asking import Ask, Awaiting, Filled, WaitingForm
from devhost.flows import FlowRun
from devhost.recording import Recording
from devhost.run import Replies
from devhost.wire import Reply

QUEUE_S = 0.3  # until a worker takes up a run that goes on

type Opens = Callable[[Ask, FlowRun], WaitingForm]


class Execution:
    """One run of an app's script. `opens` makes the form of an `Ask`."""

    def __init__(self, app: App, call: Call, recording: Recording, opens: Opens) -> None:
        self._app = app
        self._call = call
        self._recording = recording
        self._opens = opens
        self._streams = call.response_mode == "streaming"
        self._seen: list[Event] = []  # of a blocking run, until it is answered
        self._is_answered = False
        self._has_failed = False

    def replies(self) -> Replies:
        """The script's events one by one, or for a blocking run the answer into which they are folded."""
        steps = self._app.steps(self._call)
        filled: Filled | None = None
        try:
            while (step := _next(steps, filled)) is not _END:
                filled = None
                match step:
                    case Failure():
                        self._recording.fail(step.text)
                        yield Reply("error", step.text)
                        return
                    case Pause():
                        yield step
                    case Ask():
                        form = yield from self._ask(step)
                        if form.filled is None:
                            return
                        filled = form.filled
                    case _:
                        yield from self._send(step)
            yield from self._answer()
            self._recording.end()
        except Exception as error:
            self._recording.fail(str(error))
            raise
        finally:
            getattr(steps, "close", lambda: None)()

    def _send(self, event: Event) -> Replies:
        """One event. After a failed chatflow Dify 1.16 sends an `error` event to plugins, but not to callers by key.

        A script may send what is no event, as a broken Dify would: that goes on as it is.
        """
        if not is_event(event):
            if self._streams:
                yield Reply("response", "stream", event)
            return
        self._recording.add(event)
        is_hidden = self._has_failed and self._call.by_key and event.get("event") == "error"
        if self._streams and not is_hidden:
            yield Reply("response", "stream", event)
        elif not self._streams and not self._is_answered:
            self._seen.append(event)
        self._has_failed = self._has_failed or self._is_failed_chatflow(event)

    def _ask(self, ask: Ask) -> Generator[Reply | Pause | Awaiting, None, WaitingForm]:
        """Pauses the run for the form, and returns the form. If it is not filled in, nobody has waited for it."""
        run = self._recording.run
        if run is None:
            raise TypeError("a script has to yield `workflow_started` before it asks")
        form = self._opens(ask, run)
        self._recording.ask(form)
        for event in form.opening(run.paused(form.opened_at)):
            yield from self._send(event)
        yield from self._answer()
        yield Awaiting(form)
        if form.filled is not None:
            yield Pause(QUEUE_S)
            for event in [*run.resumed(ask.node_id), form.closing()]:
                yield from self._send(event)
        return form

    def _answer(self) -> Replies:
        """The answer of a blocking run, once."""
        if self._streams or self._is_answered:
            return
        self._is_answered = True
        result = fold(self._app.mode, self._seen, by_key=self._call.by_key)
        yield Reply("error", result.text) if isinstance(result, Failure) else Reply("response", "struct", result)

    def _is_failed_chatflow(self, event: Event) -> bool:
        is_end = self._app.mode == "advanced-chat" and event.get("event") == "workflow_finished"
        return is_end and event["data"].get("status") == "failed"


def is_event(value: object) -> bool:
    """Whether a value has the shape of an event."""
    return isinstance(value, dict) and isinstance(value.get("event"), str) and isinstance(value.get("data", {}), dict)


_END = object()  # a script may yield None as a step


def _next(steps: Iterator[Step], filled: Filled | None) -> Any:
    try:
        return proceed(steps, filled)
    except StopIteration:
        return _END
