"""What a delivery would fill in, without a run."""

from collections.abc import Mapping
from typing import Any

from duck import invocation
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import Exchange
from duck.faces.webhook import payloads
from duck.runs.files import File
from duck.runs.run import RunRequest


def of(exchange: Exchange, wanted: RunRequest, dify: Gateway) -> Mapping[str, Any]:
    """The run that a delivery would begin, as a document: the app's `kind`, its `inputs`, the `query` of a chat, and `faults`.

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
    return {"kind": run.kind, **query, "inputs": inputs, "faults": faults}


def _shown(value: Any) -> Any:
    """An input in JSON: a file by its name, type and size."""
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if isinstance(value, File):
        return {"name": value.name, "type": value.mimetype, "size": len(value.content)}
    return value
