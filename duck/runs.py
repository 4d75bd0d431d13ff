"""What a caller asks for: a `Run`, parsed and checked from a request."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

from werkzeug import Request

from duck import bodies
from duck import inputs as checks
from duck.errors import invalid_fields
from duck.events import Kind
from duck.fields import Texts
from duck.files import File, Upload
from duck.forms import Form, Variable
from duck.settings import canonical
from duck.texts import Fault, Text

Mode = Literal["blocking", "streaming"]

_FIELDS = {"chat": {"query", "conversation_id", "strict_conversation"}, "workflow": set[str](), "completion": set[str]()}
_TURNS = "duck.turns"
_SHARED_FIELDS = {"inputs", "response_mode", "user", "files", _TURNS}
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
class Asked:
    """A request for a run, before it has been held against the app's form.

    Of the `run` inputs are still values as JSON has them, `Texts` and `Files`. `others` are the fields of a JSON body that are
    none of a request, `in_url` those in the URL of a POST; `files` is what is under that name. `turns` is what a page has kept of
    the conversation. `faults` are what is wrong already.
    """

    run: Run
    others: frozenset[str] = frozenset()
    in_url: frozenset[str] = frozenset()
    files: Any = None
    turns: str = ""
    faults: tuple[Fault, ...] = ()


def parse(request: Request, kind: Kind, app_id: str) -> Asked:
    """Reads what is asked from a request: from its body, or for a GET from its query string.

    Raises `DuckError`: 400 for what cannot be read, 413 for a body that the daemon has cut, 415 for another type.
    """
    fields = bodies.read(request, _FIELDS[kind] | _SHARED_FIELDS)
    faults: list[Fault] = []
    inputs = _inputs(fields.get("inputs"), faults)
    mode = _mode(_text(fields, "response_mode", faults), faults)
    user = _text(fields, "user", faults)
    chat = _chat_fields(fields, faults) if kind == "chat" else {}
    return Asked(
        run=Run(kind=kind, app_id=app_id, inputs=inputs, mode=mode, user=user, **chat),
        others=frozenset(fields) - _FIELDS[kind] - _SHARED_FIELDS,
        in_url=frozenset(bodies.names_in_url(request)) if request.method == "POST" else frozenset(),
        files=None if fields.get("files") in (None, [], "", {}, [{}]) else fields["files"],
        turns=_text(fields, _TURNS, faults) if request.method == "POST" else "",  # a link could make them up
        faults=tuple(faults),
    )


def parse_stop(request: Request) -> tuple[str, str]:
    """The `task_id` of the run that is to end, and whose it is, if that is said. Raises `DuckError` as `parse` does."""
    fields = bodies.read(request, {"task_id", "user"})
    faults: list[Fault] = []
    task_id, user = (_text(fields, name, faults) for name in ("task_id", "user"))
    if not task_id and not faults:
        faults.append(Fault("task_id", Text("required; each event of a run has it")))
    if faults:
        raise invalid_fields(faults)
    return task_id, user


def hold(
    asked: Asked, form: Form | None, presets: Mapping[str, Any], *, guest: bool = False, takes_files: bool = False
) -> tuple[Run, list[Fault]]:
    """Holds a request against the app's form: the run that it makes, and all that is wrong with it.

    Without a form Dify judges. `presets` are the owner's values for inputs that are not given; `takes_files` tells whether there
    is a way for files besides the inputs. A `guest` learns nothing of inputs that are hidden. Files of the run are still to be
    uploaded.
    """
    given = {**_presets(presets, form), **asked.run.inputs}
    inputs, faults = checks.unchecked(given) if form is None else checks.check(form, given)
    preset = {f"inputs.{name}" for name in given.keys() - asked.run.inputs.keys()}
    faults = [_as_set(fault) if fault.field in preset else fault for fault in faults]
    if form:
        hidden = {f"inputs.{variable.name}": variable for variable in form.variables if variable.hidden} if guest else {}
        faults = [_for_guest(fault, form, hidden[fault.field], asked) if fault.field in hidden else fault for fault in faults]
        faults += [Fault(name, Text("put it under inputs")) for name in sorted(asked.others) if _names_input(name, form, guest)]
        faults += [Fault(name, bodies.IN_THE_BODY) for name in sorted(asked.in_url) if _names_input(name, form, guest)]
    files: list[Any] = []
    if asked.files is not None and takes_files and asked.run.kind != "workflow":
        files, more = checks.check_files(form, asked.files)
        faults += more
    elif asked.files is not None:
        faults.append(Fault("files", _where_files_go(form)))
    return replace(asked.run, inputs=inputs, files=tuple(files)), [*asked.faults, *faults]


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

    by_id, by_url = ({name: replaced(value, by_url=way) for name, value in run.inputs.items()} for way in (False, True))
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


def _for_guest(fault: Fault, form: Form, variable: Variable, asked: Asked) -> Fault:
    """What is wrong with an input that is hidden, for one who is not to know of it, but may have guessed its name."""
    if variable.name in asked.run.inputs:
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


def _chat_fields(fields: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    query = _text(fields, "query", faults)
    if not query.strip() and isinstance(fields.get("query") or "", str):
        faults.append(Fault("query", checks.REQUIRED))
    conversation_id = _text(fields, "conversation_id", faults)
    if conversation_id and not canonical(conversation_id):
        faults.append(Fault("conversation_id", Text("must be the UUID from an earlier answer, or empty to start a conversation")))
    strict = _flag(fields, "strict_conversation", faults)
    return {"query": query, "conversation_id": canonical(conversation_id) or "", "strict": strict}


def _mode(value: str, faults: list[Fault]) -> Mode | None:
    match value:
        case "blocking" | "streaming":
            return value
        case "":
            return None
    faults.append(Fault("response_mode", Text("must be blocking or streaming")))
    return None


def _inputs(value: Any, faults: list[Fault]) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if value not in (None, [], ""):  # as PHP writes an empty object
        faults.append(Fault("inputs", Text('must be an object, like {"city": "Oslo"}')))
    return {}


def _flag(fields: Mapping[str, Any], name: str, faults: list[Fault]) -> bool:
    value = fields.get(name) or False
    if isinstance(value, str):
        value = checks.BOOLEANS.get(value.strip().lower())
    if isinstance(value, bool):
        return value
    faults.append(Fault(name, checks.NO_FLAG))
    return False


def _text(fields: Mapping[str, Any], name: str, faults: list[Fault]) -> str:
    value = fields.get(name)
    if isinstance(value, str):
        return value
    if value is not None:
        faults.append(Fault(name, Text("must be a text")))
    return ""
