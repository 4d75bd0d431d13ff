"""`<think>` and `<details>` as notes that can be folded. Pure.

Models write them anywhere: alone on a line, or a whole note in one line, with text behind it. `Scanner` gives each tag a line of
its own, which begins with U+0000, so no text can contain it. Then `note` is an ordinary rule of the parser's.
"""

import re
from collections.abc import Iterator

from markdown_it.rules_block import StateBlock

MAX_DEPTH = 5  # notes in notes; deeper ones stay text, because the parser drops what is nested more than 20 levels deep
_OPEN, _TITLE, _CLOSE = "\0+", "\0=", "\0-"
_MARK = re.compile("\0[^\0\n]*\0")  # the start of a line for a tag; the tag itself follows

_TAG = re.compile(r" {0,3}<(think|details)((?:\s[^<>]*)?)>", re.IGNORECASE)
_SUMMARY = re.compile(r"\s*<summary(?:\s[^<>]*)?>(.*?)</summary\s*>", re.IGNORECASE)
_END = re.compile(r"</(think|details)\s*>", re.IGNORECASE)
_FENCE = re.compile(r"([ \t>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)*)(`{3,}|~{3,})(.*)")
_IS_OPEN = re.compile(r"\sopen(?![\w-])", re.IGNORECASE)
_QUOTED = re.compile(r""""[^"]*"|'[^']*'""")


class Scanner:
    """Finds the tags of notes in a text, line by line, but not in code."""

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._fence: re.Match[str] | None = None
        self._may_have_title = False

    @property
    def is_in_note(self) -> bool:
        """Whether a note has begun and not ended."""
        return bool(self._notes)

    @property
    def is_in_code(self) -> bool:
        """Whether a fenced code block has begun and not ended."""
        return self._fence is not None

    def scan(self, line: str) -> Iterator[tuple[str, str]]:
        """A line, without its end, as lines for the parser. Each comes with the part of the original that it stands for."""
        while True:
            if self._is_code(line):
                break
            may_have_title = self._may_have_title
            self._may_have_title = may_have_title and not line.strip()
            if (found := _TAG.match(line)) and len(self._notes) < MAX_DEPTH:
                kind = found[1].lower()
                self._notes.append(kind)
                self._may_have_title = kind == "details"
                is_open = kind == "details" and _IS_OPEN.search(_QUOTED.sub("", found[2]))
                yield f"{_OPEN}{kind}{' open' if is_open else ''}\0{found[0]}", found[0]
            elif may_have_title and (found := _SUMMARY.match(line)):
                yield f"{_TITLE}\0{found[1]}", found[0]
            elif (found := self._end(line)) is not None:
                if before := line[: found.start()]:
                    yield before, before
                original = found[0]
                kind = found[1].lower()
                while self._notes.pop() != kind:
                    yield f"{_CLOSE}\0", ""
                yield f"{_CLOSE}\0{original}", original
            else:
                break
            line = line[found.end() :]
            if not line.strip():
                return
        yield line, line

    def _is_code(self, line: str) -> bool:
        """Whether a line is one of a fenced code block."""
        found = _FENCE.match(line)
        if self._fence:
            if ">" in self._fence[1] and not line.lstrip().startswith(">"):  # the end of a quotation ends its code, too
                self._fence = None
                return self._is_code(line)
            if found and found[2].startswith(self._fence[2]) and not found[3].strip():
                self._fence = None
            return True
        if found and not (found[2][0] == "`" and "`" in found[3]):
            self._fence = found
        return self._fence is not None

    def _end(self, line: str) -> re.Match[str] | None:
        """The first tag in a line that ends a note. A tag in code is none."""
        for found in _END.finditer(line) if self._notes else ():
            if found[1].lower() in self._notes and line.count("`", 0, found.start()) % 2 == 0:
                return found
        return None


def marked(text: str) -> str:
    """A text whose tags of notes have lines of their own."""
    if "<" not in text:
        return text
    scanner = Scanner()
    return "\n".join(line for original in text.split("\n") for line, _ in scanner.scan(original))


def unmarked(html: str) -> str:
    """The HTML with tags that the parser has not read, which are in code, as they were written."""
    return _MARK.sub("", html) if "\0" in html else html


def note(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A rule of the parser's: a note runs to its last tag, or to the end of the text."""
    found = _MARK.match(state.src, state.bMarks[start])
    if found is None or not found[0].startswith(_OPEN):
        return False
    if silent:
        return True
    last, depth = start, 1
    while depth and last + 1 < end:
        last += 1
        mark = state.src[state.bMarks[last] :][:2]
        depth += (mark == _OPEN) - (mark == _CLOSE)
    after = end if depth else last
    first = start + 1
    title = ""
    while first < after and state.isEmpty(first):
        first += 1
    if first < after and state.src.startswith(_TITLE, state.bMarks[first]):
        title = state.src[state.bMarks[first] + 3 : state.eMarks[first]].strip()
        first += 1
    kind, _, is_open = found[0][2:-1].partition(" ")
    state.line = min(after + 1, end)
    if kind == "details" or first < after:
        _push(state, kind, title, (start, state.line), is_open=bool(is_open), content=(first, after))
    return True


def _push(state: StateBlock, kind: str, title: str, lines: tuple[int, int], *, is_open: bool, content: tuple[int, int]) -> None:
    line = state.line
    token = state.push("note_open", "details", 1)
    token.info, token.map = kind, list(lines)
    token.meta = {"open": is_open}
    if title:
        state.push("summary_open", "summary", 1)
        inline = state.push("inline", "", 0)
        inline.content, inline.children, inline.map = title, [], list(lines)
        state.push("summary_close", "summary", -1)
    end, parent, state.lineMax, state.parentType = state.lineMax, state.parentType, content[1], "root"
    state.md.block.tokenize(state, *content)
    state.lineMax, state.parentType, state.line = end, parent, line
    state.push("note_close", "details", -1)
