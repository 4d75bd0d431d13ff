"""Sentences that callers read: in English, and such that a page can say them in other languages. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


class Text(str):
    """A sentence in English, with the `template` and the `values` that it was made of.

    The template is what translations are found by; without values it is the sentence itself, braces and all.
    """

    __slots__ = ("template", "values")

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Self:
        """Fills the values in, as `str.format` does."""
        text = super().__new__(cls, template.format(**values) if values else template)
        text.template, text.values = template, values
        return text


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field of a request; `field` is "" for what is wrong with the whole."""

    field: str
    text: str

    def __str__(self) -> str:
        """As one sentence, for callers who read a list of them."""
        return f"{self.field}: {self.text}" if self.field else self.text
