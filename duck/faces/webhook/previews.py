"""What a delivery would fill in, without a run."""

from collections.abc import Mapping
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
from duck.runs.run import Kind, RunRequest
from duck.texts import Fault


def of(exchange: Exchange, wanted: RunRequest, dify: Gateway, kind: Kind | None) -> Mapping[str, Any]:
    """The run that a delivery would begin, as a document: the app's `kind`, its `inputs`, the `query` of a chat, and `faults`.

    The `kind` of some apps without inputs is not known before their first run. Then it is null, and the `query` is what the app
    is asked if it is a chat.

    Raises `DuckError` for an app that cannot be reached.
    """
    faults = []
    try:
        run = invocation.rehearse(exchange, wanted, dify)
    except DuckError as error:
        if not error.faults:
            raise
        run, faults = wanted.run, [{"field": fault.field, "message": fault.text} for fault in error.faults]
    query = {"query": run.query} if run.kind == "chat" else {}
    inputs = {name: _shown(value) for name, value in payloads.plain(run.inputs).items()}
    return {"kind": kind, **query, "inputs": inputs, "faults": faults}


def for_page(document: Mapping[str, Any], form: Form, request: Request) -> Preview:
    """The same for the page: of the request that a sample stands for. `form` is the app's."""
    return Preview(
        kind=document["kind"],
        mimetype=request.mimetype,
        query=document.get("query"),
        inputs=document["inputs"],
        faults=[Fault(fault["field"], fault["message"]) for fault in document["faults"]],
        fault=samples.fault_of(request),
        form=form,
    )


def _shown(value: Any) -> Any:
    """An input in JSON: a file by its name, type and size."""
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if isinstance(value, File):
        return {"name": value.name, "type": value.mimetype, "size": len(value.content)}
    return value
