"""What lines can contain beyond CommonMark: emphasis beside Chinese, Japanese and Korean text, bare links, breaks. Pure."""

import re
import unicodedata

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.token import Token
from markdown_it.utils import EnvType

_FULLWIDTH = "\ufe01"  # a variation selector: the quotation mark before it is a wide one
_SELECTORS = "\ufe00", "\ufe0e"  # the first and the last that do not make an emoji
_IDEOGRAPHIC_SELECTORS = "\U000e0100", "\U000e01ef"
_HANGUL = re.compile("[\u1100-\u11ff\u302e\u302f\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb]")
# Wide characters that are emoji: all below U+2E80 except brackets and trigrams, and those between two blocks of ideographs.
_EMOJI = re.compile("[\u231a-\u2328\u232b-\u262f\u2638-\u2689\u2690-\u2e7f\U0001f000-\U0001f1ff\U0001f266-\U0001faff]")

MAX_URL = 2_000  # characters; browsers take no longer ones everywhere
# Chinese and Japanese punctuation ends a URL. Letters do not: there are paths in all languages.
_URL_END = r"\s<>\"`*|\\^{}‘’“”…\u3000-\u3004\u3008-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"  # noqa: RUF001
_HTTP = re.compile(rf"://(?=[^\W_])[^{_URL_END}]{{1,{MAX_URL}}}")
_WWW = re.compile(rf"www\.(?=[^\W_][\w-]{{0,63}}\.[^\W_])[^{_URL_END}]{{1,{MAX_URL}}}")
_SCHEME = re.compile(r"(?:^|[^A-Za-z0-9])(https?)\Z", re.IGNORECASE)
_BEFORE_WWW = re.compile(r"[A-Za-z0-9./@_-]")
_BREAK = re.compile(r"<br[ \t]*/?>[ \t]*\n?[ \t]*", re.IGNORECASE)


class Inline(ParserInline):
    """The parser of lines, with the rule for emphasis of `_State`."""

    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        """Adds the tokens of a text to `tokens`."""
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 - markdown-it's names
        """Whether a run of `*`, `_` or `~` can begin or end emphasis.

        CommonMark refuses if there is punctuation on one side and a letter on the other. Chinese, Japanese and Korean have no
        spaces there, so their characters count neither as such punctuation nor as such letters:
        https://github.com/tats-u/markdown-cjk-friendly/blob/main/specification.md
        """
        scanned = super().scanDelims(start, canSplitWord)
        end = start + scanned.length
        before = self.src[max(start - 2, 0) : start] or " "
        after = self.src[end] if end < self.posMax else " "
        if before[-1].isascii() and after.isascii():
            return scanned
        last = before[0] if _is_between(before[-1], _SELECTORS) else before[-1]
        is_wide_before = is_wide(last) or _is_between(last, _IDEOGRAPHIC_SELECTORS)
        is_wide_before |= before[-1] == _FULLWIDTH and last in "‘’“”"  # noqa: RUF001
        is_wide_after = is_wide(after)
        is_space_before, is_space_after = isWhiteSpace(ord(last)), isWhiteSpace(ord(after))
        is_mark_before = _is_punctuation(last) and not is_wide_before
        is_mark_after = _is_punctuation(after) and not is_wide_after
        is_left = not is_space_after and (not is_mark_after or is_space_before or is_mark_before or is_wide_before)
        is_right = not is_space_before and (not is_mark_before or is_space_after or is_mark_after or is_wide_after)
        can_open = is_left and (canSplitWord or not is_right or _is_punctuation(last))
        can_close = is_right and (canSplitWord or not is_left or _is_punctuation(after))
        return Scanned(can_open, can_close, scanned.length)


def is_wide(char: str) -> bool:
    """Whether a character belongs to Chinese, Japanese or Korean text, punctuation included and emoji excluded."""
    if _HANGUL.match(char):
        return True
    return unicodedata.east_asian_width(char) in {"W", "F", "H"} and not _EMOJI.match(char)


def _is_between(char: str, ends: tuple[str, str]) -> bool:
    return ends[0] <= char <= ends[1]


def _is_punctuation(char: str) -> bool:
    return isMdAsciiPunct(ord(char)) or isPunctChar(char)


def line_break(state: StateInline, silent: bool) -> bool:
    """A rule of the parser's: `<br>` is a line break, also in a table's cell. A line that ends with it does not break twice."""
    match = _BREAK.match(state.src, state.pos, state.posMax) if state.src[state.pos] == "<" else None
    if match is None:
        return False
    if not silent:
        state.push("hardbreak", "br", 0)
    state.pos = match.end()
    return True


def bare_link(state: StateInline, silent: bool) -> bool:
    """A rule of the parser's: a URL is a link if it begins with `https://`, `http://` or `www.`."""
    char, url = state.src[state.pos], ""
    if silent or state.linkLevel or char not in ":w":
        return False
    if char == ":" and (found := _SCHEME.search(state.pending[-6:])):
        url = _url(_HTTP, state, found[1])
    elif char == "w" and not (state.pos and _BEFORE_WWW.match(state.src[state.pos - 1])):
        url = _url(_WWW, state)
    if not url:
        return False
    target = state.md.normalizeLink(url if char == ":" else f"http://{url}")
    if char == ":":
        scheme = url.partition(":")[0]
        state.pending = state.pending[: -len(scheme)]
        state.pos -= len(scheme)
    state.push("link_open", "a", 1).attrs = {"href": target}
    state.push("text", "", 0).content = state.md.normalizeLinkText(url)
    state.push("link_close", "a", -1)
    state.pos += len(url)
    return True


def _url(pattern: re.Pattern[str], state: StateInline, scheme: str = "") -> str:
    """The URL at the state's position, without the punctuation of the sentence around it; "" if there is none."""
    found = pattern.match(state.src, state.pos, state.posMax)
    if found is None or len(found[0]) > MAX_URL:
        return ""
    url = found[0]
    spare = {")": url.count(")") - url.count("("), "]": url.count("]") - url.count("[")}  # brackets of the sentence
    while url[-1] in "?!.,:;_~'" or spare.get(url[-1], 0) > 0:
        if url[-1] in spare:
            spare[url[-1]] -= 1
        url = url[:-1]
    return scheme + url
