"""Removes models' thoughts from texts. Pure.

A thought is what stands between `<think>` and `</think>`, as models and Dify's plugins for them write it, or in the `<details>`
that older versions of Dify made of it, whose summary is `Thinking...`. Other `<details>` are text.

- Tags count wherever they stand, in fenced code, too: an answer may have an unclosed fence before a thought.
- Only a tag directly between backticks is text, as in "`<think>` begins a thought". It neither begins nor ends a thought.
- A thought ends with the tag that closes the outermost one; without it, the rest of the text is thought.
- A `</think>` without a thought is removed, and nothing else: what stands before it may have been sent already.
- White space after a thought is removed where white space or nothing stands before the thought.
"""

import re
from collections.abc import Mapping
from typing import Any

# At most so long are a tag's attributes and the white space between Dify's tags, so that little text is held back.
_ATTRIBUTES, _SPACE = r"[^<>]{0,200}+", r"\s{0,20}+"


class Thoughts:
    """Removes the thoughts from one text that comes in pieces. `found` tells whether there were any so far."""

    def __init__(self, *, found: bool = False) -> None:
        self.found = found
        self._pattern = _OUTSIDE
        self._depth = 0  # of the tags around the text that comes next, 0 outside of thoughts
        self._before = ""  # text that ends with the character before `_held`
        self._held = ""  # the beginning of what may be a tag
        self._is_after_space = True  # whether the text without thoughts ends with white space, or is empty
        self._skips_space = False

    def add(self, text: str) -> str:
        """The next piece without thoughts. What may be the beginning of a tag is held back until it is clear."""
        if not (self._depth or self._held or self._skips_space or "<" in text):
            if text:
                self._before = text
                self._is_after_space = text[-1].isspace()
            return text
        before = self._before[-1:]
        text, at = f"{before}{self._held}{text}", len(before)
        parts: list[str] = []
        while found := self._pattern.search(text, at):
            parts.append(self._shown(text[at : found.start()]))
            at = found.start()
            if not found.lastgroup:
                break
            parts.append(self._tag(found.lastgroup, found[0]))
            at = found.end()
        else:
            parts.append(self._shown(text[at:]))
            at = len(text)
        self._before, self._held = text[:at][-1:], text[at:]
        return "".join(parts)

    def end(self) -> str:
        """Returns the text that was held back, and begins a new text."""
        text = "" if _THINK.fullmatch(self._held) else self._shown(self._held)
        if self._depth:
            self._leave()
        self._before = self._held = ""
        return text

    def _tag(self, name: str, tag: str) -> str:
        """Enters or leaves a thought. Returns the tag if it is text."""
        match name:
            case "example":
                return self._shown(tag)
            case "close" if self._depth <= 1:
                self._leave()
            case "close":
                self._depth -= 1
            case _:
                self.found = True
                self._depth += 1
                if self._depth == 1:
                    self._pattern = _IN_DETAILS if name == "details" else _IN_THINK
        return ""

    def _leave(self) -> None:
        self._depth, self._pattern = 0, _OUTSIDE
        self._skips_space = self._is_after_space

    def _shown(self, text: str) -> str:
        """The text, "" in a thought."""
        if self._depth:
            return ""
        if self._skips_space:
            text = text.lstrip()
        if text:
            self._skips_space = False
            self._is_after_space = text[-1].isspace()
        return text


def without_thoughts(value: Any) -> Any:
    """A text without its thoughts; of a list or an object, the same with every text in it."""
    match value:
        case str() if "<" in value:
            thoughts = Thoughts()
            return thoughts.add(value) + thoughts.end()
        case list():
            return [without_thoughts(item) for item in value]
        case Mapping():
            return {name: without_thoughts(item) for name, item in value.items()}
    return value


def _or_cut(*pieces: str) -> str:
    """A pattern for the pieces in a row, or for the first of them where the text ends before the others."""
    pattern = pieces[-1]
    for piece in reversed(pieces[:-1]):
        pattern = rf"{piece}(?:\Z|{pattern})"
    return pattern


def _letters(text: str) -> list[str]:
    return [re.escape(letter) for letter in text]


def _tags(name: str, *others: str) -> re.Pattern[str]:
    """Finds the tags of this name and the others, or what may be the beginning of one at the text's end: then without a group."""
    example = "(?<=`<)" + _or_cut("/?", *_letters(name), _ATTRIBUTES, ">", "(?P<example>(?=`))")
    opening = _or_cut(*_letters(name), _ATTRIBUTES, "(?P<open>>)")
    closing = _or_cut(*_letters(f"/{name}"), _ATTRIBUTES, "(?P<close>>)")
    return re.compile(rf"<(?:\Z|{'|'.join((example, opening, closing, *others))})", re.IGNORECASE)


# Dify's own pattern for the opening tag is `<think[^>]*>`, in any case.
_THINK = re.compile("</?think[^<>]*>", re.IGNORECASE)
_THINKING = _or_cut(
    *_letters("details"),
    *(_ATTRIBUTES, ">", _SPACE, *_letters("<summary"), _ATTRIBUTES, ">", _SPACE),
    *(*_letters("Thinking..."), _SPACE, *_letters("</summary"), "(?P<details>>)"),
)
_OUTSIDE, _IN_THINK, _IN_DETAILS = _tags("think", _THINKING), _tags("think"), _tags("details")
