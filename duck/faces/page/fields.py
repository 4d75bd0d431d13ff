"""The fields that only the page's own form has. Pure."""

from typing import Any

from duck.faces.page.view import Turn, read_turns
from duck.runs.fields import Texts

SUGGESTION = "duck.say"  # the suggested question whose button was pressed
CHECKBOXES = "duck.off"  # the names of all checkboxes: a browser sends nothing for those that are not checked
TURNS = "duck.turns"  # the conversation so far, as the page shows it
NAMES = frozenset({SUGGESTION, CHECKBOXES, TURNS})


def take(fields: dict[str, Any]) -> tuple[Turn, ...]:
    """Removes these fields from `fields` and sets `query` and `inputs` by them. Returns the conversation so far."""
    own = {name: fields.pop(name) for name in NAMES if isinstance(fields.get(name), Texts)}
    if suggestion := own.get(SUGGESTION):
        fields["query"] = suggestion[0]
    if isinstance(inputs := fields.get("inputs"), dict):
        fields["inputs"] = {**{name: Texts(("false",)) for name in own.get(CHECKBOXES, ())}, **inputs}
    return read_turns(own.get(TURNS, ("",))[0])
