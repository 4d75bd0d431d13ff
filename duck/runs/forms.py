"""An app's form: which inputs it takes. Pure.

`fetch_app` describes workflows and chatflows in one dialect and basic apps in another. The fields read here are alike in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MEGABYTE = 1024 * 1024

# The names of Dify's size limits by kind of file. Documents and all other files share one.
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
    external_data_tool, or one that Dify adds later. `max_length` is a number of characters, for a file-list of files.
    `file_types` are kinds of files; `custom` means all files with one of the `file_extensions`.
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
    """All inputs that an app takes. `sizes` has the most bytes that a file may have, by its kind.

    A chat opens with the Markdown in `opening` and suggests the questions in `suggestions`. `files` tells which files it takes
    besides its inputs, None if none. With `takes_ids` a file may be the id of an earlier upload.
    """

    variables: tuple[Variable, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    opening: str = ""
    suggestions: tuple[str, ...] = ()
    files: Variable | None = None
    takes_ids: bool = False

    def find(self, name: str) -> Variable | None:
        """The variable of this name."""
        return next((variable for variable in self.variables if variable.name == name), None)

    @property
    def file_names(self) -> list[str]:
        """The names of the variables that take files, and are not hidden."""
        return [variable.name for variable in self.variables if variable.takes_files and not variable.hidden]


def read(parameters: Any) -> Form | None:
    """The form in what `fetch_app` returns; None if it cannot be understood, and then no request is checked against it."""
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


def _files(config: Any) -> Variable | None:
    """Reads `file_upload`: today's fields, or those of old under `image`, {enabled, number_limits, transfer_methods}."""
    if not isinstance(config, Mapping):
        return None
    images = config.get("image")
    if config.get("enabled") is True:
        config = {**config, "max_length": config.get("number_limits")}
    elif isinstance(images, Mapping) and images.get("enabled") is True:
        methods = images.get("transfer_methods")
        config = {
            "allowed_file_types": ["image"],
            "allowed_file_upload_methods": methods,
            "max_length": images.get("number_limits"),
        }
    else:
        return None
    return _variable({"file-list": {**config, "variable": "files"}})


def _variable(row: Any) -> Variable | None:
    """Reads {control: {variable, label, …}}. A key with a value of a wrong type counts as missing."""
    if not isinstance(row, Mapping) or len(row) != 1:
        return None
    [(control, config)] = row.items()
    if not isinstance(config, Mapping) or not isinstance(config.get("variable"), str):
        return None
    length = config.get("max_length")
    options = _strings(config, "options")
    # In workflows and chatflows, whose rows have a `type`, Dify 1.16 uses the default as the value even if it is not an option.
    default = config.get("default")
    has_wrong_default = control == "select" and "type" in config and isinstance(default, str) and default not in options
    return Variable(
        name=config["variable"],
        control=str(control),
        required=config.get("required") is True or has_wrong_default,
        hidden=config.get("hide") is True,
        default=default,
        max_length=length if isinstance(length, int) and length > 0 else None,
        options=options,
        **{name: value for name in ("label", "hint", "placeholder") if isinstance(value := config.get(name), str)},
        file_types=_strings(config, "allowed_file_types"),
        file_extensions=tuple(name.removeprefix(".").lower() for name in _strings(config, "allowed_file_extensions")),
        file_methods=_strings(config, "allowed_file_upload_methods"),
    )


def _strings(config: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = config.get(name)
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list | tuple) else ()


def _sizes(limits: Mapping[str, Any]) -> dict[str, int]:
    kinds = ("image", "document", "audio", "video", "custom")
    sizes = {kind: limits.get(_SIZES.get(kind, "file_size_limit")) for kind in kinds}
    return {kind: int(size * MEGABYTE) for kind, size in sizes.items() if isinstance(size, int | float)}
