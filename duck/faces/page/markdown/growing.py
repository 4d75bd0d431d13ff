"""A text that is rendered while it grows. Pure."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from duck.faces.page.markdown import dialect, notes
from duck.faces.page.markdown.budget import Budget, OverBudget
from duck.faces.page.markdown.formulas import BUDGET
from duck.faces.page.markdown.renderer import REASONING
from duck.offload import offload

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_LENGTH = 400_000  # characters; longer texts are not parsed at all
SMALL, SMALL_AND_SLOW = 2_000, 400  # characters, which take 20 ms at most
_OFTEN = 2_000  # characters; a text that is longer is tried again when it has doubled, else when it has grown by a quarter
_DELIMITERS = "*_~"  # each is a token of its own, for which the parser calls no rule
_SLOW = re.compile(r"```|~~~|\$|\\[(\[]")  # code and formulas, which take longer than other text
_LONG = {"bullet_list_open", "ordered_list_open", "table_open", "fence", "code_block", "blockquote_open"}
_LINE_END = re.compile("\r\n?")
_CONTINUED = re.compile(r"[ \t>*+-]|\d+[.)]|\Z")  # the start of a line that can belong to a block before a blank line


class Grown(NamedTuple):
    """What a piece of a growing text has added.

    `blocks` is the HTML of the blocks that are complete now. `draft` is that of the lines after them: of a list, a table or code
    that may go on, so it will come again. `rest` is the text that is in neither.
    """

    blocks: Markup
    draft: Markup
    rest: str


@dataclass(frozen=True, slots=True)
class End:
    """What the end of a growing text adds.

    `html` is the rest of the text, or the whole text if `is_whole`. It is None if that would take too long: then the rest stays
    as it came.
    """

    html: Markup | None
    is_whole: bool = False


class Growing:
    """Renders a text while it grows: block by block, each once it cannot change any more.

    The blocks and the end together are what `render` returns for the whole text. Definitions of links can stand anywhere and
    change what comes before them, so a text with definitions is rendered again at its end.
    """

    def __init__(self, origin: str | None, budget: Budget, *, reasoning: str = "Reasoning") -> None:
        self._origin, self._budget = origin, budget
        self._env: dict[str, Any] = {BUDGET: budget, REASONING: reasoning}
        self._scanner = notes.Scanner()
        self._added: list[str] = []  # all of the text
        self._length = 0  # of the lines that are complete
        self._lines: list[tuple[str, str]] = []  # as the scanner gives them
        self._size = 0  # of these lines
        self._next_size = 0  # at which they are tried even if no block seems to have begun, so that the time stays linear
        self._has_begun = self._is_blank = False  # a block, behind a blank line or code; the last line
        self._read, self._tail = 0, ""  # how many pieces have been read, and what they have of a line that is not complete
        self._tries = Budget(budget.steps // 2)  # to find what is complete; the budget itself is for what is
        self._is_stopped = False  # trying

    def add(self, text: str) -> Grown | None:
        """Adds a piece. Returns what can be rendered now, None for nothing new."""
        self._added.append(text)
        if "\n" not in text or self._is_stopped:
            return None
        self._read_lines()
        if self._length > MAX_LENGTH:
            self._is_stopped = True
        if self._is_stopped or self._scanner.is_in_note or not (self._has_begun or self._size >= self._next_size):
            return None
        try:
            return self._grown()
        except OverBudget:
            self._is_stopped = True
            return None

    def end(self) -> End:
        """What the end of the text adds."""
        if sum(map(len, self._added)) > MAX_LENGTH:
            return End(None)
        if "\n" in self._last_line():
            self._read_lines()
        lines = [*(line for line, _ in self._lines), *self._last_lines()]
        try:
            html = _offloaded("\n".join(lines), self._origin, self._env)
            if "references" not in self._env:
                return End(html)
            return End(rendered("".join(self._added), self._origin, self._budget, self._env[REASONING]), is_whole=True)
        except OverBudget:
            return End(None)

    def _read_lines(self) -> None:
        text = self._last_line()
        end = text.rindex("\n") + 1
        self._read, self._tail = len(self._added), text[end:]
        self._length += end
        self._size += end
        for line in _normal(text[:end]).split("\n")[:-1]:
            was_in_code = self._scanner.is_in_code
            *first, (last, original) = self._scanner.scan(line)
            self._lines += [*first, (last, f"{original}\n")]
            self._has_begun |= was_in_code and not self._scanner.is_in_code
            self._has_begun |= self._is_blank and not self._scanner.is_in_code and not _CONTINUED.match(line)
            self._is_blank = not line.strip()

    def _last_line(self) -> str:
        return self._tail + "".join(self._added[self._read :])

    def _last_lines(self) -> list[str]:
        return [line for ended in _normal(self._last_line()).split("\n") for line, _ in self._scanner.scan(ended)]

    def _grown(self) -> Grown | None:
        lines = [line for line, _ in self._lines]
        with self._trying():
            cut, is_long = self._cut(lines)
        blocks = _offloaded("\n".join([*lines[:cut], ""]), self._origin, self._env) if cut else Markup()
        self._lines = self._lines[cut:]
        self._size = sum(len(original) for _, original in self._lines)
        self._next_size = self._size + (self._size // 4 if self._size < _OFTEN else self._size) + 1
        self._has_begun = False
        draft = self._draft(lines[cut:]) if is_long else Markup()
        rest = [self._tail] if draft else [*(original for _, original in self._lines), self._tail]
        return Grown(blocks, draft, "".join(rest)) if blocks or draft else None

    def _draft(self, lines: list[str]) -> Markup:
        try:
            with self._trying():
                return _offloaded("\n".join([*lines, ""]), self._origin, self._env)
        except OverBudget:  # the blocks before it are rendered already
            self._is_stopped = True
            return Markup()

    @contextlib.contextmanager
    def _trying(self) -> Iterator[None]:
        self._env[BUDGET] = self._tries
        try:
            yield
        finally:
            self._env[BUDGET] = self._budget

    def _cut(self, lines: list[str]) -> tuple[int, bool]:
        """How many lines are in blocks that cannot change any more, those before the last block; and whether that has parts.

        A formula in lines of its own looks like several blocks until its end comes.
        """
        tokens: list[Token] = []
        parser, source = dialect.parser(self._origin), "\n".join(lines)
        offload(len(source), lambda: parser.block.parse(source, parser, self._env, tokens), small=SMALL)
        blocks = [token for token in tokens if token.map and not token.level and token.nesting >= 0]
        starts = [token.map[0] for token in blocks if token.map]
        last = len(lines)
        for number in range(len(lines) - 1, -1, -1):
            if not lines[number].strip():
                break
            if lines[number].lstrip(" \t").startswith(("$$", "\\[")):
                last = number
        return max((start for start in starts if start <= last), default=0), blocks[-1:] != [] and blocks[-1].type in _LONG


def rendered(text: str, origin: str | None, budget: Budget, reasoning: str) -> Markup:
    """The text as HTML. Raises OverBudget if it would take too long."""
    if len(text) > MAX_LENGTH:
        raise OverBudget
    return _offloaded(notes.marked(_normal(text)), origin, {BUDGET: budget, REASONING: reasoning})


def _offloaded(source: str, origin: str | None, env: dict[str, Any]) -> Markup:
    def convert() -> str:
        env[BUDGET].spend(sum(map(source.count, _DELIMITERS)))
        return notes.unmarked(dialect.parser(origin).render(source, env))

    small = SMALL_AND_SLOW if _SLOW.search(source) else SMALL
    return Markup(offload(len(source), convert, small=small))  # noqa: S704 - the parser has escaped it


def _normal(text: str) -> str:
    """The text with the line ends that the parser needs, and without U+0000, which marks notes."""
    return _LINE_END.sub("\n", text).replace("\0", "\N{REPLACEMENT CHARACTER}")
