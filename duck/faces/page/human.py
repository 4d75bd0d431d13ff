"""Forms that people fill in on a page while a run waits for them. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from duck.dify.human_forms import FormInput, HumanForm

_PLACE = re.compile(r"\{\{#\$output\.([^#{}]+)#\}\}")  # of an input in the form's text


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A form for which the run waits. `token` and `run` are its and the run's ids."""

    token: str
    run: str
    form: HumanForm

    @property
    def pieces(self) -> Sequence[str | FormInput]:
        """The form's text, in Markdown, and its inputs, in the order in which people read them. Each input comes once."""
        left = {each.name: each for each in self.form.inputs}
        pieces: list[str | FormInput | None] = []
        for number, text in enumerate(_PLACE.split(self.form.content)):
            pieces.append(left.pop(text, None) if number % 2 else text.strip())
        return [piece for piece in (*pieces, *left.values()) if piece]

    @property
    def takes_files(self) -> bool:
        """Whether an input is a file, so that the form has to be sent as multipart."""
        return any(each.type.startswith("file") for each in self.form.inputs)
