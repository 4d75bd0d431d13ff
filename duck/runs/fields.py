"""The names of a form's fields, and how they are grouped into inputs. Pure.

An input can be given as `NAME` (unless a field of the request has that name), as `inputs.NAME` or `inputs[NAME]`, or in a JSON
text under `inputs`. If several of these three are given, the last wins. PHP and others write `NAME[]` and `NAME[0]` for an item
of a list, and `NAME[KEY]` for a part of an object.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from duck.errors import invalid_field
from duck.runs.files import File
from duck.texts import Text

MAX_NAME = 1000  # characters of a name whose brackets are parsed; so an object in a form has at most half as many levels

_BRACKETS = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])+)")
_KEY = re.compile(r"\[([^\[\]]*)\]")

# The query parameters that advertisements add to their links.
_MARKETING = {"gclid", "gbraid", "wbraid", "dclid", "fbclid", "msclkid", "ttclid", "twclid", "yclid", "li_fat_id", "igshid"}

type Path = tuple[str, ...]


class Texts(tuple[str, ...]):
    """The values of one name in a form or a query string. They still have to be converted to the types that the app takes."""

    __slots__ = ()


class Files(tuple[File, ...]):
    """The files of one name in a multipart body."""

    __slots__ = ()


def path(name: str) -> Path:
    """Splits the name of a field into its keys: `inputs[a][b]` is ("inputs", "a", "b"), and so is `inputs.a[b]`."""
    if name.startswith("inputs.") and name != "inputs.":
        return "inputs", *path(name.removeprefix("inputs."))
    found = _BRACKETS.fullmatch(name) if len(name) <= MAX_NAME else None
    return (found[1], *_KEY.findall(found[2])) if found else (name,)


def is_list_item(keys: Sequence[str]) -> bool:
    """Whether the keys after a name only mark an item of a list: `[]` or `[0]`."""
    return len(keys) == 1 and (not keys[0] or keys[0].isdecimal())


def is_marketing(name: str) -> bool:
    """Whether a query parameter is only there to track clicks."""
    return name.startswith("utm_") or name in _MARKETING


def split(
    pairs: Iterable[tuple[str, str]], known: Collection[str]
) -> tuple[dict[str, str], dict[str, Texts | dict[str, Any]], dict[str, Texts | dict[str, Any]]]:
    """The `known` fields of a form, its inputs that are named `NAME`, and its inputs that are named `inputs.NAME`.

    Raises `DuckError` 400 for a known field or a part of an object that is given twice, and for a name that is given both as a
    text and as an object.
    """
    fields: dict[str, list[str]] = {}
    plain: dict[str, list[tuple[Path, str]]] = {}
    prefixed: dict[str, list[tuple[Path, str]]] = {}
    for name, value in pairs:
        base, *keys = path(name)
        if base == "inputs" and keys:
            prefixed.setdefault(keys[0], []).append((tuple(keys[1:]), value))
        elif base in known and (not keys or is_list_item(keys)):
            fields.setdefault(base, []).append(value)
        else:
            plain.setdefault(base, []).append((tuple(keys), value))
    for name, values in fields.items():
        if len(values) > 1:
            raise invalid_field(name, Text("given {count} times", count=len(values)))
    return (
        {name: value for name, [value] in fields.items()},
        {name: _combined(name, entries) for name, entries in plain.items()},
        {name: _combined(name, entries) for name, entries in prefixed.items()},
    )


def _combined(name: str, entries: list[tuple[Path, str]]) -> Texts | dict[str, Any]:
    """The value of all fields of one name: texts, or an object made of its parts."""
    if all(not keys or is_list_item(keys) for keys, _ in entries):
        return Texts(value for _, value in entries)
    whole: dict[str, Any] = {}
    for keys, value in entries:
        node = whole
        for key in keys[:-1]:
            node = node.setdefault(key, {}) if isinstance(node, dict) else {}
        if not keys or not isinstance(node, dict) or isinstance(node.get(keys[-1]), dict):
            raise invalid_field(name, Text("given as a text and as an object"))
        key = keys[-1] or str(len(node))
        if key in node:
            raise invalid_field(name, Text("given {count} times", count=2))
        node[key] = value
    return {key: _with_lists(value) for key, value in whole.items()}


def _with_lists(value: Any) -> Any:
    """The value, with each object whose keys count from 0 turned into a list."""
    if not isinstance(value, Mapping):
        return value
    inner = [_with_lists(item) for item in value.values()]
    return inner if list(value) == [str(index) for index in range(len(value))] else dict(zip(value, inner, strict=True))
