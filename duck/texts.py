"""Sentences that callers read: in English, with what a page needs to translate them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


class Text(str):
    """A sentence in English, with the `template` and the `values` that it was made from.

    Translations are looked up by the template. Without values the template is the sentence, and its braces are not replaced.
    """

    __slots__ = ("template", "values")

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Self:
        """Fills in the values, as `str.format` does."""
        text = super().__new__(cls, template.format(**values) if values else template)
        text.template, text.values = template, values
        return text


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field of a request, or with the whole of it if `field` is ""."""

    field: str
    text: str

    def __str__(self) -> str:
        """The fault as one sentence."""
        return f"{self.field}: {self.text}" if self.field else self.text
