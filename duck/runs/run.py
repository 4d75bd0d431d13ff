"""What a caller asks for: a `Run`, and how a request for one is held against the app's form. Pure, but for what uploads."""

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

    `mode` is how Dify shall run it, None where the caller leaves that to the format. `query` and `conversation_id` are for
    chats alone; an empty `conversation_id` starts one, and a `strict` one must be known to Dify. All texts may be empty.
    `files` are those besides the inputs.
    `inputs_by_url` are the inputs for an app that may not read what was uploaded for it, None where nothing was.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A request for a run, before it has been held against the app's form.

    Of the `run` inputs are still values as JSON has them, `Texts` and `Files`. `others` are the fields of a JSON body that are
    none of a request, `in_url` those in the URL of a POST; `files` is what is under that name. `faults` are
    what is wrong already.
    """

    run: Run
    others: frozenset[str] = frozenset()
    in_url: frozenset[str] = frozenset()
    files: Any = None
    faults: tuple[Fault, ...] = ()


def check(
    wanted: RunRequest, form: Form | None, presets: Mapping[str, Any], *, guest: bool = False, takes_files: bool = False
) -> tuple[Run, list[Fault]]:
    """Holds a request against the app's form: the run that it makes, and all that is wrong with it.

    Without a form Dify judges. `presets` are the owner's values for inputs that are not given; `takes_files` tells whether there
    is a way for files besides the inputs. A `guest` learns nothing of inputs that are hidden. Files of the run are still to be
    uploaded.
    """
    given = {**_presets(presets, form), **wanted.run.inputs}
    inputs, faults = checks.unchecked(given) if form is None else checks.check(form, given)
    preset = {f"inputs.{name}" for name in given.keys() - wanted.run.inputs.keys()}
    faults = [_as_set(fault) if fault.field in preset else fault for fault in faults]
    if form:
        hidden = {f"inputs.{variable.name}": variable for variable in form.variables if variable.hidden} if guest else {}
        faults = [_for_guest(fault, form, hidden[fault.field], wanted) if fault.field in hidden else fault for fault in faults]
        faults += [Fault(name, Text("put it under inputs")) for name in sorted(wanted.others) if _names_input(name, form, guest)]
        faults += [Fault(name, bodies.IN_THE_BODY) for name in sorted(wanted.in_url) if _names_input(name, form, guest)]
    files: list[Any] = []
    if wanted.files is not None and takes_files and wanted.run.kind != "workflow":
        files, more = checks.check_files(form, wanted.files)
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


def _presets(presets: Mapping[str, Any], form: Form | None) -> dict[str, Any]:
    """What the owner has set, as the console stores it: numbers as texts, and for files something of its own."""
    known = {name: form.find(name) if form else None for name in presets}
    wanted = {name for name, variable in known.items() if form is None or (variable and not variable.takes_files)}
    values = {
        name: value for name, value in presets.items() if name in wanted and isinstance(value, str | int | float) and value != ""
    }
    return {name: Texts((value,)) if isinstance(value, str) else value for name, value in values.items()}


def _as_set(fault: Fault) -> Fault:
    return Fault(fault.field, Text("{fault} (this is the owner's preset)", fault=fault.text))


def _for_guest(fault: Fault, form: Form, variable: Variable, wanted: RunRequest) -> Fault:
    """What is wrong with an input that is hidden, for one who is not to know of it, but may have guessed its name."""
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
