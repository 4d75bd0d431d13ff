"""What a delivery would fill in, without a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from werkzeug import Request

from duck import invocation
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import Exchange
from duck.faces.page.hook import Preview
from duck.faces.webhook import payloads, samples
from duck.runs.files import File
from duck.runs.forms import Form
from duck.runs.run import Kind, Run, RunRequest
from duck.texts import Fault


def rehearsed(exchange: Exchange, wanted: RunRequest, dify: Gateway) -> tuple[Run, Sequence[Fault]]:
    """The run that a delivery would begin, and the faults of its inputs. Raises `DuckError` for an unreachable app."""
    try:
        return invocation.rehearse(exchange, wanted, dify), ()
    except DuckError as error:
        if not error.faults:
            raise
        return wanted.run, error.faults


def document(kind: Kind | None, run: Run, faults: Sequence[Fault]) -> Mapping[str, Any]:
    """The preview for programs: the app's `kind`, its `inputs`, the `query` of a chat, and `faults`.

    The `kind` of some apps without inputs is not known before their first run. Then it is null, and the `query` is what the app
    is asked if it is a chat.
    """
    query = {"query": run.query} if run.kind == "chat" else {}
    told = [{"field": fault.field, "message": fault.text} for fault in faults]
    return {"kind": kind, **query, "inputs": _inputs(run), "faults": told}


def for_page(kind: Kind | None, run: Run, faults: Sequence[Fault], form: Form, request: Request) -> Preview:
    """The preview for the webhook's page. `request` is the one that the sample stands for, `form` the app's."""
    return Preview(
        kind=kind,
        mimetype=request.mimetype,
        query=run.query if run.kind == "chat" else None,
        inputs=_inputs(run),
        faults=faults,
        fault=samples.fault_of(request),
        form=form,
    )


def _inputs(run: Run) -> Mapping[str, Any]:
    return {name: _shown(value) for name, value in payloads.plain(run.inputs).items()}


def _shown(value: Any) -> Any:
    """An input in JSON: a file by its name, type and size."""
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if isinstance(value, File):
        return {"name": value.name, "type": value.mimetype, "size": len(value.content)}
    return value
