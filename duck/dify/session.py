"""The gateway to apps through the plugin's session. No other module uses the session.

All failures leave this module as `DuckError`. The SDK (0.10) raises plain `Exception`s only.
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
    """Runs apps through the plugin's session. `invoke` is its method for one kind of app; without it, that for the run's kind."""

    def __init__(self, session: Session, invoke: Callable[..., Any] | None = None) -> None:
        super().__init__(str(session.endpoint_id))
        session.reader = ObjectReader(session.reader, self._skip)
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

    def _fetch_parameters(self, app_id: str) -> Mapping[str, Any]:
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
            raise self._run_error(error, run) from error

    def _answer(self, run: Run) -> Mapping[str, Any]:
        invoke = self._invocation(run, "blocking")
        self._session.max_invocation_timeout = limits.BLOCKING_SILENCE_S
        try:
            answer: Mapping[str, Any] = invoke()
        except Exception as error:
            raise self._run_error(error, run) from error
        return answer

    def _run_error(self, error: Exception, run: Run) -> DuckError:
        """Translates an exception of a run. If it gives no reason, the app may be a text generator, called as another kind."""
        translated = _translated(error, run)
        if run.kind != "completion" and failures.has_no_reason(str(error)) and self.kind(run.app_id) == "completion":
            return errors.wrong_route(run.kind, "completion")
        return translated

    def kind(self, app_id: str, *, before: Callable[[], None] = lambda: None) -> Kind | None:
        """See `Gateway`. An app whose kind a probe has not shown is not probed again for a minute."""
        if kind := super().kind(app_id):
            return kind
        self.memory.probes.answer_if_any(self._cache_key(app_id), lambda: self._probe(app_id, before))
        return super().kind(app_id)

    def _probe(self, app_id: str, before: Callable[[], None]) -> Mapping[str, Any]:
        """Finds out the app's kind by a request that cannot start a run, and remembers it.

        The request has no query and an input of a wrong type. Dify 1.16 answers it for a chat with an error about the query, for
        a workflow with one about the input, and for a text generator with one without a reason. It starts no run.
        """
        form, _ = self.form(app_id, before=before)
        if form is None or not (wrong := checks.wrong_input(form)):
            return {}
        before()
        self._session.max_invocation_timeout = limits.PARAMETERS_SILENCE_S
        try:
            self._session.app.workflow.invoke(app_id=app_id, inputs=wrong, response_mode="blocking")
        except Exception as error:  # noqa: BLE001 - the SDK raises nothing finer
            if kind := failures.kind_from_probe(str(error)):
                self.memory.kinds[app_id] = kind
        return {}

    def _invocation(self, run: Run, mode: Mode) -> Callable[[], Any]:
        """The call that starts a run. Raises `DuckError` 413 for a run that is too large for the session."""
        chat = {"query": run.query, "conversation_id": run.conversation_id} if run.kind == "chat" else {}
        arguments = {"app_id": run.app_id, "inputs": dict(run.inputs), "response_mode": mode, "user": run.user, **chat}
        check_size(arguments, limits.MAX_RUN)
        invoke = self._invoke or getattr(self._session.app, run.kind).invoke
        return functools.partial(invoke, **arguments)


class ObjectReader:
    """A session's reader that skips replies whose data are not an object. The SDK would end the run at the first of them."""

    def __init__(self, reader: Any, skip: Callable[[object], None]) -> None:
        self._reader = reader
        self._skip = skip

    def read(self, matches: Callable[[Any], bool]) -> Any:
        """The SDK's reader of the replies to one call: the lines that match."""

        def is_valid(line: Any) -> bool:
            if not matches(line):
                return False
            if line.data.get("event") != "response" or isinstance(line.data.get("data"), dict):
                return True
            self._skip(line.data.get("data"))
            return False

        return self._reader.read(is_valid)


def _translated(error: Exception, run: Run | None = None) -> DuckError:
    """Translates an exception of the SDK by its text: it has nothing else."""
    context = failure_context(run) if run else {"kind": ""}
    translated = failures.from_text(str(error), **context)
    if translated.status >= 500:  # the caller may read less than the owner needs; the text may quote the request
        log.warning("Dify failed: %d %s", translated.status, journal.word(translated.code))
        log.debug("in its own words: %.*s", REASON_CHARACTERS, error)
    return translated
