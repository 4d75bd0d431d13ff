"""The names of a form's fields, and what callers mean by them. Pure.

An input is there as `NAME`, where no field of a request is called so, as `inputs.NAME` or `inputs[NAME]`, or in a JSON text under
`inputs`; the later of the three wins. `NAME[]` and `NAME[0]` are what PHP and others write for one of several, `NAME[KEY]` is a
part of an object.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from duck.errors import invalid_field
from duck.runs.files import File
from duck.texts import Text

MAX_NAME = 1000  # characters that are looked at for brackets; and so an object in a form is no deeper than half as many

_BRACKETS = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])+)")
_KEY = re.compile(r"\[([^\[\]]*)\]")

# What advertisements add to the addresses that they lead to.
_MARKETING = {"gclid", "gbraid", "wbraid", "dclid", "fbclid", "msclkid", "ttclid", "twclid", "yclid", "li_fat_id", "igshid"}

type Path = tuple[str, ...]


class Texts(tuple[str, ...]):
    """What a form or a query string says under one name: strings, which are to become what the app takes."""

    __slots__ = ()


class Files(tuple[File, ...]):
    """What a multipart body sends under one name."""

    __slots__ = ()


def path(name: str) -> Path:
    """What a field is called, from the whole to the part: `inputs[a][b]` is ("inputs", "a", "b"), and so is `inputs.a[b]`."""
    if name.startswith("inputs.") and name != "inputs.":
        return "inputs", *path(name.removeprefix("inputs."))
    found = _BRACKETS.fullmatch(name) if len(name) <= MAX_NAME else None
    return (found[1], *_KEY.findall(found[2])) if found else (name,)


def is_one_of_several(keys: Sequence[str]) -> bool:
    """Whether what follows a name says no more than that there are several: `[]` or `[0]`."""
    return len(keys) == 1 and (not keys[0] or keys[0].isdecimal())


def is_marketing(name: str) -> bool:
    """Whether a parameter of an address is there for whoever counts clicks."""
    return name.startswith("utm_") or name in _MARKETING


def split(
    pairs: Iterable[tuple[str, str]], known: Collection[str]
) -> tuple[dict[str, str], dict[str, Texts | dict[str, Any]], dict[str, Texts | dict[str, Any]]]:
    """The `known` fields of a form, its inputs by their plain names, and those that are called `inputs.NAME`.

    Raises `DuckError` 400 for a known field or a part of an object that is there more than once, and for a name that is both a
    text and an object.
    """
    fields: dict[str, list[str]] = {}
    plain: dict[str, list[tuple[Path, str]]] = {}
    prefixed: dict[str, list[tuple[Path, str]]] = {}
    for name, value in pairs:
        base, *keys = path(name)
        if base == "inputs" and keys:
            prefixed.setdefault(keys[0], []).append((tuple(keys[1:]), value))
        elif base in known and (not keys or is_one_of_several(keys)):
            fields.setdefault(base, []).append(value)
        else:
            plain.setdefault(base, []).append((tuple(keys), value))
    for name, values in fields.items():
        if len(values) > 1:
            raise invalid_field(name, Text("given {count} times", count=len(values)))
    return (
        {name: value for name, [value] in fields.items()},
        {name: _together(name, entries) for name, entries in plain.items()},
        {name: _together(name, entries) for name, entries in prefixed.items()},
    )


def _together(name: str, entries: list[tuple[Path, str]]) -> Texts | dict[str, Any]:
    """What all fields of one name say: texts, or the parts of an object."""
    if all(not keys or is_one_of_several(keys) for keys, _ in entries):
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
    return {key: _listed(value) for key, value in whole.items()}


def _listed(value: Any) -> Any:
    """The value, with a list in place of each object whose keys count from 0."""
    if not isinstance(value, Mapping):
        return value
    inner = [_listed(item) for item in value.values()]
    return inner if list(value) == [str(index) for index in range(len(value))] else dict(zip(value, inner, strict=True))
