"""A `Run`, and how a request for one is checked against the app's form. Pure, except for uploads."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

from duck.runs import bodies
from duck.runs import inputs as checks
from duck.runs.fields import Texts
from duck.runs.files import File, Upload
from duck.runs.forms import Form, Variable
from duck.texts import Fault, Text

Kind = Literal["chat", "workflow", "completion"]
Mode = Literal["blocking", "streaming"]

_UPLOADS_AT_ONCE = 4  # of one request


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One invocation of an app.

    `mode` is the response mode, None if the caller leaves it to the format. `query` and `conversation_id` are only for chats.
    An empty `conversation_id` starts a conversation; a `strict` run fails if Dify does not know it. All texts may be empty.
    `files` are the files besides the inputs. `inputs_by_url` are the inputs for an app that may not read the uploads, None if
    there are none. `version` is the id of an earlier version of a workflow or chatflow; "" is the published one.
    """

    kind: Kind
    app_id: str
    inputs: Mapping[str, Any]
    query: str = ""
    conversation_id: str = ""
    strict: bool = False
    mode: Mode | None = None
    user: str = ""
    files: Sequence[Any] = ()
    inputs_by_url: Mapping[str, Any] | None = None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A request for a run that has not been checked against the app's form yet.

    The inputs of the `run` are still JSON values, `Texts` and `Files`. `unknown_fields` are the fields of a JSON body that no
    request has, `url_fields` those in the URL of a POST. `files` is the value of the field of that name. With `takes_ids` files
    may be given by the ids of uploads, where these belong to a user of the app. With `drops_unknown` inputs that the app does not
    have are left out, as Dify does, and else they are faults. `faults` are those that have been found so far.
    """

    run: Run
    unknown_fields: frozenset[str] = frozenset()
    url_fields: frozenset[str] = frozenset()
    files: Any = None
    takes_ids: bool = False
    drops_unknown: bool = False
    faults: tuple[Fault, ...] = ()


def check(
    wanted: RunRequest, form: Form | None, presets: Mapping[str, Any], *, guest: bool = False, takes_files: bool = False
) -> tuple[Run, list[Fault]]:
    """Checks a request against the app's form. Returns the run, whose files still have to be uploaded, and all faults.

    Without a form Dify does the checks. `presets` are the owner's values for inputs that are not given; `takes_files` tells
    whether the gateway takes files besides the inputs. A `guest` learns nothing of hidden inputs.
    """
    given = {**_preset_inputs(presets, form), **wanted.run.inputs}
    if form and wanted.drops_unknown:
        given = {name: value for name, value in given.items() if form.find(name)}
    takes_ids = wanted.takes_ids and takes_files and not guest
    if form and takes_ids:
        form = replace(form, takes_ids=True)
    inputs, faults = checks.unchecked(given, takes_ids=takes_ids) if form is None else checks.check(form, given)
    preset_fields = {f"inputs.{name}" for name in given.keys() - wanted.run.inputs.keys()}
    faults = [_preset_fault(fault) if fault.field in preset_fields else fault for fault in faults]
    if form:
        hidden = {f"inputs.{variable.name}": variable for variable in form.variables if variable.hidden} if guest else {}
        faults = [_guest_fault(fault, form, hidden[fault.field], wanted) if fault.field in hidden else fault for fault in faults]
        faults += [
            Fault(name, Text("put it under inputs")) for name in sorted(wanted.unknown_fields) if _names_input(name, form, guest)
        ]
        faults += [Fault(name, bodies.IN_THE_BODY) for name in sorted(wanted.url_fields) if _names_input(name, form, guest)]
    files: list[Any] = []
    if wanted.files is not None and takes_files and wanted.run.kind != "workflow":
        files, more = checks.check_files(form, wanted.files, takes_ids=takes_ids)
        faults += more
    elif wanted.files is not None:
        faults.append(Fault("files", _where_files_go(form)))
    return replace(wanted.run, inputs=inputs, files=tuple(files)), [*wanted.faults, *faults]


def upload(run: Run, send: Callable[[File], Upload]) -> Run:
    """The run with its files uploaded by `send`, a few at a time. Raises what `send` raises."""
    given = (*run.inputs.values(), [*run.files])
    sent = [file for value in given for file in (value if isinstance(value, list) else [value])]
    sent = [file for file in sent if isinstance(file, File)]
    if not sent:
        return run
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        uploads = dict(zip(map(id, sent), pool.map(send, sent), strict=True))

    def replaced(value: Any, *, by_url: bool) -> Any:
        if isinstance(value, list):
            return [replaced(item, by_url=by_url) for item in value]
        if not isinstance(value, File):
            return value
        upload_ = uploads[id(value)]
        return (upload_.by_url if by_url else None) or upload_.by_id

    by_id, by_url = ({name: replaced(value, by_url=by_url) for name, value in run.inputs.items()} for by_url in (False, True))
    return replace(run, inputs=by_id, inputs_by_url=by_url, files=tuple(replaced([*run.files], by_url=False)))


def _preset_inputs(presets: Mapping[str, Any], form: Form | None) -> dict[str, Any]:
    """The owner's presets as inputs. The console stores numbers as texts, and files in its own way, so files are left out."""
    variables = {name: form.find(name) if form else None for name in presets}
    usable = {name for name, variable in variables.items() if form is None or (variable and not variable.takes_files)}
    values = {
        name: value for name, value in presets.items() if name in usable and isinstance(value, str | int | float) and value != ""
    }
    return {name: Texts((value,)) if isinstance(value, str) else value for name, value in values.items()}


def _preset_fault(fault: Fault) -> Fault:
    return Fault(fault.field, Text("{fault} (this is the owner's preset)", fault=fault.text))


def _guest_fault(fault: Fault, form: Form, variable: Variable, wanted: RunRequest) -> Fault:
    """The fault of a hidden input for guests, who must not learn of the input but may have guessed its name."""
    if variable.name in wanted.run.inputs:
        return Fault(fault.field, checks.no_such_input(form, variable.name))
    return Fault("", Text("This app is not set up for runs without a key: an input that callers cannot see is missing or wrong."))


def _names_input(name: str, form: Form, guest: bool) -> bool:
    variable = form.find(name)
    return variable is not None and not (guest and variable.hidden)


def _where_files_go(form: Form | None) -> Text:
    if form is None:
        return Text("Dify takes none from plugins; give the app a file variable and send the file under inputs")
    if names := ", ".join(form.file_names):
        return Text("Dify takes none from plugins; this app takes them as inputs {names}", names=names)
    return Text("Dify takes none from plugins, and this app has no variable for one")
