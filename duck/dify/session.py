"""The way to apps by a plugin's session: the only module that touches it.

Whatever goes wrong on it is a `DuckError` when it leaves this module; the SDK (0.10) raises nothing finer than `Exception`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING, Any

from duck import errors, journal, limits
from duck.dify import failures
from duck.dify.gateway import Gateway, check_size, failure_context
from duck.runs import files
from duck.runs import inputs as checks
from duck.runs.files import Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from dify_plugin.core.runtime import Session

    from duck.errors import DuckError
    from duck.runs.files import File
    from duck.runs.run import Kind, Mode, Run

log = logging.getLogger("duck")

REASON_CHARACTERS = 1_000


class SessionGateway(Gateway):
    """Runs apps through a plugin's session. `invoke` is the session's call for one kind of app."""

    def __init__(self, session: Session, invoke: Callable[..., Any] | None = None) -> None:
        super().__init__(str(session.endpoint_id))
        session.reader = ObjectsOnly(session.reader, self._skip)
        self._session = session
        self._invoke = invoke

    def upload(self, file: File) -> Upload:
        """See `Gateway`."""
        self._session.max_invocation_timeout = limits.UPLOAD_SILENCE_S
        try:
            uploaded = self._session.file.upload(filename=file.name, content=file.content, mimetype=file.mimetype)
        except Exception as error:
            log.warning("an upload failed: %s", type(error).__name__)
            log.debug("its reason: %.*s", REASON_CHARACTERS, error)
            raise failures.upload_failed(str(error)) from error
        by_id = {**uploaded.to_app_parameter(), "type": file.kind}
        url = uploaded.preview_url
        return Upload(by_id=by_id, by_url=files.link(url, file.link_kind or file.kind) if url else None)

    def _fetch(self, app_id: str) -> Mapping[str, Any]:
        self._session.max_invocation_timeout = limits.PARAMETERS_SILENCE_S
        try:
            parameters: Mapping[str, Any] = self._session.app.fetch_app(app_id)
        except Exception as error:
            raise _translated(error) from error
        return parameters

    def _events(self, run: Run) -> Generator[Any]:
        invoke = self._invocation(run, "streaming")
        self._session.max_invocation_timeout = limits.SILENCE_S
        try:
            with contextlib.closing(invoke()) as source:
                yield from source
        except Exception as error:
            raise self._explained(error, run) from error

    def _answer(self, run: Run) -> Mapping[str, Any]:
        invoke = self._invocation(run, "blocking")
        self._session.max_invocation_timeout = limits.BLOCKING_SILENCE_S
        try:
            answer: Mapping[str, Any] = invoke()
        except Exception as error:
            raise self._explained(error, run) from error
        return answer

    def _explained(self, error: Exception, run: Run) -> DuckError:
        """What the SDK raised; a failure without a reason may come of an app of another kind, a text generator."""
        found = _translated(error, run)
        if run.kind != "completion" and failures.has_no_reason(str(error)) and self._kind_of(run) == "completion":
            return errors.wrong_route(run.kind, "completion")
        return found

    def _kind_of(self, run: Run) -> Kind | None:
        """An app's kind, found out by a call of which nothing can come; None where it cannot be.

        Without a query and with an input of a wrong type a chat misses the query, a workflow refuses the input, and a text
        generator fails without a reason (Dify 1.16; it makes no run of any of them).
        """
        if kind := self.memory.kinds.get(run.app_id):
            return kind
        form, _ = self.form(run.app_id)
        if form is None or not (wrong := checks.wrong_input(form)):
            return None
        self._session.max_invocation_timeout = limits.PARAMETERS_SILENCE_S
        try:
            self._session.app.workflow.invoke(app_id=run.app_id, inputs=wrong, response_mode="blocking", user=run.user)
        except Exception as error:  # noqa: BLE001 - the SDK raises nothing finer
            if kind := failures.kind_told_by(str(error)):
                self.memory.kinds[run.app_id] = kind
            return kind
        return None

    def _invocation(self, run: Run, mode: Mode) -> Callable[[], Any]:
        """The session's call for a run. Raises `DuckError` 413 for one that is too large for it."""
        if self._invoke is None:
            raise TypeError("this gateway was made without a call to run apps by")
        chat = {"query": run.query, "conversation_id": run.conversation_id} if run.kind == "chat" else {}
        call = {"app_id": run.app_id, "inputs": dict(run.inputs), "response_mode": mode, "user": run.user, **chat}
        check_size(call, limits.MAX_RUN)
        return functools.partial(self._invoke, **call)


class ObjectsOnly:
    """A session's reader without the replies that are no object: at the first of them the SDK would end the run."""

    def __init__(self, reader: Any, skip: Callable[[object], None]) -> None:
        self._reader = reader
        self._skip = skip

    def read(self, wanted: Callable[[Any], bool]) -> Any:
        """What the SDK reads its replies by, for one call."""

        def is_sound(line: Any) -> bool:
            if not wanted(line):
                return False
            if line.data.get("event") != "response" or isinstance(line.data.get("data"), dict):
                return True
            self._skip(line.data.get("data"))
            return False

        return self._reader.read(is_sound)


def _translated(error: Exception, run: Run | None = None) -> DuckError:
    """All that the SDK raises is a text."""
    about = failure_context(run) if run else {"kind": ""}
    found = failures.from_text(str(error), **about)
    if found.status >= 500:  # what the caller reads may leave out what the owner needs; a model's own words may quote the request
        log.warning("Dify failed: %d %s", found.status, journal.word(found.code))
        log.debug("in its own words: %.*s", REASON_CHARACTERS, error)
    return found
