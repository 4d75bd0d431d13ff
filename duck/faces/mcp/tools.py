"""Apps as tools: names, descriptions and schemas, and the arguments of a call. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from duck.callers.settings import DEFAULT
from duck.runs.forms import Form, Variable
from duck.runs.run import Kind
from duck.texts import Fault

MAX_DESCRIPTION = 500  # characters of an opening statement
_OWN = ("query", "conversation_id")  # a chat's arguments besides its inputs


class Named(NamedTuple):
    """The name of an app's tool, what the owner calls the app, and its id."""

    name: str
    alias: str
    app_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """An app as a tool. `title` and `description` are Dify's, "" if not known; the settings give values for the `presets`."""

    named: Named
    title: str = ""
    description: str = ""
    kind: Kind | None = None
    form: Form | None = None
    presets: frozenset[str] = frozenset()

    @property
    def is_chat(self) -> bool:
        """Whether it is described as a chat. An app of unknown kind is, too."""
        return self.kind not in {"workflow", "completion"}

    @property
    def variables(self) -> dict[str, Variable]:
        """The inputs that a call may give, by their names. None is hidden, can have no value, or is called as a chat's own."""
        variables = self.form.variables if self.form else ()
        own = _OWN if self.is_chat else ()
        return {
            variable.name: variable
            for variable in variables
            if not (variable.hidden or variable.name in own or (variable.control == "select" and not variable.options))
        }

    def definition(self) -> dict[str, Any]:
        """The tool as `tools/list` gives it."""
        opening = self.form.opening[:MAX_DESCRIPTION].strip() if self.form else ""
        return {
            "name": self.named.name,
            "title": self.title or self.named.alias,
            "description": self.description.strip() or opening or f"Runs the app {self.named.alias} in Dify.",
            "inputSchema": self.input_schema(),
            "outputSchema": _CHAT_OUTPUT if self.is_chat else _WORKFLOW_OUTPUT,
        }

    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of a call's arguments."""
        properties = {name: _schema(variable) for name, variable in self.variables.items()}
        required = [
            name
            for name, variable in self.variables.items()
            if variable.required and (variable.takes_files or name not in self.presets)
        ]
        if self.is_chat:
            query = {"type": "string", "description": "The message to the app."}
            about = "The conversation_id of an earlier answer, to go on with that conversation."
            properties = {
                "query": {**query, "pattern": r"\S"} if self.kind == "chat" else query,
                **properties,
                "conversation_id": {"type": "string", "description": about},
            }
            required = ["query", *required]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def faults(self, arguments: Mapping[str, Any]) -> list[Fault]:
        """What of the arguments the schema does not allow. Values that it allows may still be refused by the app's form."""
        variables, names = self.variables, ", ".join(self.input_schema()["properties"])
        faults = []
        for name, value in arguments.items():
            if self.is_chat and name in _OWN:
                if not isinstance(value, str):
                    faults.append(Fault(name, "must be a text"))
                elif name == "query" and self.kind == "chat" and not value.strip():
                    faults.append(Fault(name, "must not be blank"))
            elif name not in variables:
                faults.append(Fault(name, f"no such argument; this tool takes {names}" if names else "this tool takes none"))
            elif wrong := _wrong_type(variables[name], value):
                faults.append(Fault(name, wrong))
        if self.is_chat and "query" not in arguments:
            faults.append(Fault("query", "required"))
        return faults

    def inputs(self, arguments: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
        """The inputs among the arguments of a run of this kind, which may not have been known before."""
        own = _OWN if self.is_chat else ()
        variables = {variable.name for variable in self.form.variables} if self.form and kind != "chat" else set()
        return {name: value for name, value in arguments.items() if name not in own or name in variables}


def named(apps: Iterable[tuple[str, str]]) -> list[Named]:
    """The tools of the apps, given by their names and ids. An app has one tool, however many names it has."""
    apps = list(apps)
    aliased = {app_id for alias, app_id in apps if alias != DEFAULT}
    found: dict[str, Named] = {}  # by the app's id
    for alias, app_id in apps:
        if app_id in found or (alias == DEFAULT and app_id in aliased):
            continue
        name = alias.replace(".", "_")  # then it has but letters, digits, "_" and "-", 64 of them at most, as clients demand
        is_taken = any(name == other.name for other in found.values())
        found[app_id] = Named(app_id if is_taken else name, alias, app_id)
    return [*found.values()]


def _schema(variable: Variable) -> dict[str, Any]:
    about = variable.hint or variable.label
    schema = _type(variable)
    return {**schema, "description": about} if about else schema


def _type(variable: Variable) -> dict[str, Any]:
    link = {"type": "string", "format": "uri"}
    match variable.control:
        case "text-input" | "paragraph":
            return {"type": "string", "maxLength": variable.max_length} if variable.max_length else {"type": "string"}
        case "select":
            return {"type": "string", "enum": [*dict.fromkeys(variable.options)]}
        case "number":
            return {"type": "number"}
        case "checkbox":
            return {"type": "boolean"}
        case "file":
            return link
        case "file-list":
            return {"type": "array", "items": link, **({"maxItems": variable.max_length} if variable.max_length else {})}
        case "json_object":
            return {"type": "object"}
    return {"type": ["string", "number", "boolean", "object", "array"], **({"pattern": r"\S"} if variable.required else {})}


def _wrong_type(variable: Variable, value: Any) -> str:
    """The fault of a value's type, "" for a valid value."""
    match variable.control:
        case "text-input" | "paragraph" | "file":
            return "" if isinstance(value, str) else "must be a text"
        case "select":
            return "" if value in variable.options else f"must be one of {', '.join(variable.options)}"
        case "number":
            return "" if isinstance(value, int | float) and not isinstance(value, bool) else "must be a number"
        case "checkbox":
            return "" if isinstance(value, bool) else "must be true or false"
        case "file-list":
            return "" if isinstance(value, list) and all(isinstance(item, str) for item in value) else "must be a list of links"
        case "json_object":
            return "" if isinstance(value, dict) else "must be an object"
    return "must not be null" if value is None else ""


_TEXT = {"type": "string"}
_CHAT_OUTPUT = {"type": "object", "properties": {"answer": _TEXT, "conversation_id": _TEXT}, "required": ["answer"]}
_WORKFLOW_OUTPUT = {
    "type": "object",
    "properties": {"answer": _TEXT, "outputs": {"type": "object"}},
    "required": ["answer", "outputs"],
}
