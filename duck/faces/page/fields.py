"""The fields that only the page's own form has. Pure."""

from typing import Any

from duck.faces.page.view import Turn, read_turns
from duck.runs.fields import Texts

SUGGESTION = "duck.say"  # the text of the button that was pressed, which is sent as the question
UNTICKED = "duck.off"  # the names of all checkboxes: a browser sends nothing for those that are not ticked
TURNS = "duck.turns"  # the conversation so far, as the page shows it
NAMES = frozenset({SUGGESTION, UNTICKED, TURNS})


def take(fields: dict[str, Any]) -> tuple[Turn, ...]:
    """Takes these fields out of a form and puts what they mean into its other fields. The conversation that it has kept."""
    own = {name: fields.pop(name) for name in NAMES if isinstance(fields.get(name), Texts)}
    if said := own.get(SUGGESTION):
        fields["query"] = said[0]
    if isinstance(inputs := fields.get("inputs"), dict):
        fields["inputs"] = {**{name: Texts(("false",)) for name in own.get(UNTICKED, ())}, **inputs}
    return read_turns(own.get(TURNS, ("",))[0])
