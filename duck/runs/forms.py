"""An app's form: which inputs it takes. Pure.

`fetch_app` tells it in two dialects, that of workflows and chatflows and that of basic apps; what is read here is alike in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MEGABYTE = 1024 * 1024

# Which of Dify's limits holds for a kind of file; documents and all others have a common one.
_SIZES = {"image": "image_file_size_limit", "video": "video_file_size_limit", "audio": "audio_file_size_limit"}


class InputError(Exception):
    """The value for a variable is wrong. `text` says what is wrong with it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One input that an app takes.

    `control` is Dify's type for it: text-input, paragraph, select, number, checkbox, file, file-list, json_object,
    external_data_tool, or one of tomorrow. `max_length` is in characters, and for a file-list the number of files.
    `file_types` are kinds of files, of which `custom` means those with one of the `file_extensions`.
    """

    name: str
    control: str
    label: str = ""
    required: bool = False
    hidden: bool = False
    default: Any = None
    max_length: int | None = None
    options: tuple[str, ...] = ()
    hint: str = ""
    placeholder: str = ""
    file_types: tuple[str, ...] = ()
    file_extensions: tuple[str, ...] = ()
    file_methods: tuple[str, ...] = ()

    @property
    def takes_files(self) -> bool:
        """Whether its values are files."""
        return self.control in {"file", "file-list"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """All inputs that an app takes. `sizes` are how many bytes a file may have, by its kind.

    A chat opens with the Markdown in `opening`; `suggestions` are questions that may be asked. `files` tells which files it takes
    besides its inputs, None if none.
    """

    variables: tuple[Variable, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    opening: str = ""
    suggestions: tuple[str, ...] = ()
    files: Variable | None = None

    def find(self, name: str) -> Variable | None:
        """The variable of this name."""
        return next((variable for variable in self.variables if variable.name == name), None)

    @property
    def file_names(self) -> list[str]:
        """The names of the variables that take files, and are not hidden."""
        return [variable.name for variable in self.variables if variable.takes_files and not variable.hidden]


def read(parameters: Any) -> Form | None:
    """The form in what `fetch_app` gives; None where it cannot be understood, so that nothing is refused by it."""
    rows = parameters.get("user_input_form") if isinstance(parameters, Mapping) else None
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        return None
    variables = [_variable(row) for row in rows]
    if None in variables:
        return None
    limits = parameters.get("system_parameters")
    opening = parameters.get("opening_statement")
    return Form(
        variables=tuple(filter(None, variables)),
        sizes=_sizes(limits if isinstance(limits, Mapping) else {}),
        opening=opening if isinstance(opening, str) else "",
        suggestions=_strings(parameters, "suggested_questions"),
        files=_files(parameters.get("file_upload")),
    )


def _files(about: Any) -> Variable | None:
    """Reads `file_upload`: {image: {enabled, number_limits, transfer_methods}} of old, and today's beside it."""
    if not isinstance(about, Mapping):
        return None
    images = about.get("image")
    if about.get("enabled") is True:
        about = {**about, "max_length": about.get("number_limits")}
    elif isinstance(images, Mapping) and images.get("enabled") is True:
        methods = images.get("transfer_methods")
        about = {
            "allowed_file_types": ["image"],
            "allowed_file_upload_methods": methods,
            "max_length": images.get("number_limits"),
        }
    else:
        return None
    return _variable({"file-list": {**about, "variable": "files"}})


def _variable(row: Any) -> Variable | None:
    """Reads {control: {variable, label, …}}; keys that are missing or odd are as good as absent."""
    if not isinstance(row, Mapping) or len(row) != 1:
        return None
    [(control, about)] = row.items()
    if not isinstance(about, Mapping) or not isinstance(about.get("variable"), str):
        return None
    length = about.get("max_length")
    options = _strings(about, "options")
    # Of workflows and chatflows, whose rows have a `type`, Dify 1.16 takes the default for the value, even if it is no option.
    default = about.get("default")
    is_due = control == "select" and "type" in about and isinstance(default, str) and default not in options
    return Variable(
        name=about["variable"],
        control=str(control),
        required=about.get("required") is True or is_due,
        hidden=about.get("hide") is True,
        default=default,
        max_length=length if isinstance(length, int) and length > 0 else None,
        options=options,
        **{name: value for name in ("label", "hint", "placeholder") if isinstance(value := about.get(name), str)},
        file_types=_strings(about, "allowed_file_types"),
        file_extensions=tuple(name.removeprefix(".").lower() for name in _strings(about, "allowed_file_extensions")),
        file_methods=_strings(about, "allowed_file_upload_methods"),
    )


def _strings(about: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = about.get(name)
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list | tuple) else ()


def _sizes(limits: Mapping[str, Any]) -> dict[str, int]:
    kinds = ("image", "document", "audio", "video", "custom")
    sizes = {kind: limits.get(_SIZES.get(kind, "file_size_limit")) for kind in kinds}
    return {kind: int(size * MEGABYTE) for kind, size in sizes.items() if isinstance(size, int | float)}
