"""The fields that only the page's own form has. Pure."""

from dataclasses import dataclass
from typing import Any

from duck.faces.page.view import Turn, read_turns
from duck.runs.fields import Texts

SUGGESTION = "duck.say"  # the suggested question whose button was pressed
CHECKBOXES = "duck.off"  # the names of all checkboxes: a browser sends nothing for those that are not checked
TURNS = "duck.turns"  # the conversation so far, as the page shows it
FORM, RUN, ACTION = "duck.form", "duck.run", "duck.action"  # the form of a run that waits, the run, and the button
SAMPLE = "duck.sample"  # of a delivery, in the form of a webhook's page, which has no other field
NAMES = frozenset({SUGGESTION, CHECKBOXES, TURNS, FORM, RUN, ACTION})


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFields:
    """What a page's form says besides the request for a run: the conversation so far, or the answer to a form of a run."""

    turns: tuple[Turn, ...] = ()
    form: str = ""
    run: str = ""
    action: str = ""


def take(fields: dict[str, Any]) -> PageFields:
    """Removes these fields from `fields` and sets `query` and `inputs` by them. Returns the others."""
    own = {name: fields.pop(name) for name in NAMES if isinstance(fields.get(name), Texts)}
    if suggestion := own.get(SUGGESTION):
        fields["query"] = suggestion[0]
    if isinstance(inputs := fields.get("inputs"), dict):
        fields["inputs"] = {**{name: Texts(("false",)) for name in own.get(CHECKBOXES, ())}, **inputs}
    form, run, action = (own[name][0] if name in own else "" for name in (FORM, RUN, ACTION))
    return PageFields(turns=read_turns(own.get(TURNS, ("",))[0]), form=form, run=run, action=action)
