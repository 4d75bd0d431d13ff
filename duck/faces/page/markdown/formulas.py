r"""Formulas in LaTeX: `$…$`, `\(…\)` in a line, `$$…$$`, `\[…\]` in lines of their own. Pure.

They become MathML. A formula that cannot be read, or that would take long, is shown as it was written.
"""

import html
import re
from collections.abc import Callable
from xml.etree.ElementTree import Element

from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markupsafe import Markup, escape

from duck.faces.page.markdown.budget import Budget

BUDGET = "duck.budget"  # the key of the budget in the parser's environment
MAX_LENGTH = 2_000  # characters
MAX_DEPTH = 40  # elements in elements; browsers lay out a few hundred
_STEPS, _CHARACTER_STEPS = 50, 8  # for a formula and for each of its characters, which take up to 45 µs, usual ones 8 µs

_CLOSING = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_CITATION = re.compile(r"[\d\s,;–-]*\Z")  # noqa: RUF001 - `\[1\]` is a number in brackets
_PROSE = re.compile(r"[^\W\d_]{2,}[,;.]?\s+[^\W\d_]{2,}")  # two words: `$5 for the first, 10$` is about prices
_PRICE = re.compile(r"\d[^\\^_=+*/<>{}]*\s[^\\^_=+*/<>{}]*")  # a number and more words, but nothing that is calculated
_DEFINITION = re.compile(
    r"\\(?:def|newcommand|newenvironment|DeclareMathOperator)(?![a-zA-Z])"
)  # few of them can expand to gigabytes

# Environments that latex2mathml does not know, or whose equations it numbers.
_ENVIRONMENTS = {
    "aligned": "align*",
    "align": "align*",
    "gathered": "matrix",
    "gather": "matrix",
    "gather*": "matrix",
    "dcases": "cases",
}
_ENVIRONMENT = re.compile(r"\\(begin|end)\{(aligned|align|gathered|gather\*?|dcases)\}")
_NUMBERED = re.compile(r"\\(?:begin|end)\{equation\*?\}|\\label\{[^{}]*\}")

_ELEMENTS = frozenset((
    "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "munder", "mover",
    "munderover", "mtable", "mtr", "mtd", "mstyle", "mpadded", "mphantom", "menclose",
))  # fmt: skip
_LENGTH = r"[+-]?\d?(?:\.\d{1,4})?(?:em|ex|px)?"  # short ones, so that nothing can be drawn over the rest of the page
_ATTRIBUTES = {
    **dict.fromkeys(("width", "height", "depth", "voffset", "lspace", "rspace", "minsize", "maxsize", "linethickness"), _LENGTH),
    **dict.fromkeys(("stretchy", "fence", "separator", "movablelimits", "largeop", "accent", "accentunder"), "true|false"),
    "display": "block|inline",
    "displaystyle": "true|false",
    "scriptlevel": r"[+-]?\d",
    "form": "prefix|infix|postfix",
    "mathvariant": "[a-z-]{1,30}",
    "notation": "[a-z ]{1,60}",
}


def formula(state: StateInline, silent: bool) -> bool:
    """A rule of the parser's for the inside of a line."""
    src, start = state.src, state.pos
    opening = src[start : start + 2]
    if opening[:1] == "$" and opening != "$$":
        opening = "$"
    if opening not in _CLOSING or src[start - 1 : start] == "$":
        return False
    end = _end(state, start + len(opening), _CLOSING[opening])
    if end < 0 or not _is_formula(
        src[start - 1 : start], opening, src[start + len(opening) : end], src[end + len(opening) :][:1]
    ):
        return False
    if not silent:
        token = state.push("formula", "math", 0)
        token.content, token.markup = src[start + len(opening) : end], opening
    state.pos = end + len(opening)
    return True


def _end(state: StateInline, start: int, closing: str) -> int:
    """The place of the formula's end, -1 if there is none."""
    budget: Budget = state.env[BUDGET]
    if state.html_terminator_last(closing) < start:
        return -1
    end = state.src.find(closing, start, state.posMax)
    while end >= 0 and _is_escaped(state.src, start, end):
        budget.spend()
        end = state.src.find(closing, end + 1, state.posMax)
    return end


def _is_escaped(src: str, start: int, place: int) -> bool:
    before = src[max(start, place - 20) : place]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _is_formula(before: str, opening: str, latex: str, after: str) -> bool:
    """Whether this is meant as a formula, and not as prices or as brackets."""
    if not latex.strip():
        return False
    if opening == "$":
        is_apart = not (_is_ascii_word(before) or _is_ascii_word(after) or latex[0].isspace() or latex[-1].isspace())
        return (
            is_apart
            and not {"`", "\n"} & {*latex}
            and ("\\" in latex or not _PROSE.search(latex))
            and not _PRICE.fullmatch(latex)
        )
    return opening != "\\[" or not (_is_ascii_word(before) or after == "(" or _CITATION.match(latex))


def _is_ascii_word(char: str) -> bool:
    return char.isascii() and char.isalnum()


def formula_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A rule of the parser's: a formula that begins and ends with a line, without blank lines."""
    opening = state.src[state.bMarks[start] + state.tShift[start] :][:2]
    if opening not in {"$$", "\\["} or state.is_code_block(start):
        return False
    budget: Budget = state.env[BUDGET]
    lines: list[str] = []
    for number in range(start, end):
        budget.spend()
        if number > start and (state.isEmpty(number) or state.sCount[number] < state.blkIndent):
            return False
        line = state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].rstrip()
        lines.append(line if lines else line[2:])
        if (place := lines[-1].find(_CLOSING[opening])) < 0:
            continue
        lines[-1] = lines[-1][:-2]
        latex = "\n".join(lines)
        if place != len(lines[-1]) or not _is_formula("", opening, latex, ""):
            return False
        if not silent:
            token = state.push("formula_block", "math", 0)
            token.content, token.markup, token.map = latex, opening, [start, number + 1]
            state.line = number + 1
        return True
    return False


def render(latex: str, opening: str, budget: Budget) -> Markup | None:
    """A formula as MathML. None if it cannot be read, or would take too long."""
    if len(latex) > MAX_LENGTH or _DEFINITION.search(latex):
        return None
    if not budget.spend_if_left(_STEPS + _CHARACTER_STEPS * len(latex)):
        return None
    known = _ENVIRONMENT.sub(lambda found: f"\\{found[1]}{{{_ENVIRONMENTS[found[2]]}}}", _NUMBERED.sub("", latex))
    try:
        return _serialised(_converter()(known, display="inline" if opening in {"$", "\\("} else "block"), latex)
    except Exception:  # noqa: BLE001 - latex2mathml raises whatever comes, of which RecursionError is harmless: all of it is Python
        return None


def source(latex: str, opening: str) -> Markup:
    """A formula as it was written."""
    return escape(f"{opening}{latex}{_CLOSING[opening]}").replace("\n", Markup("<br>\n"))


def _converter() -> Callable[..., Element]:
    from latex2mathml.converter import convert_to_element  # noqa: PLC0415 - 12 MB, which few processes need

    return convert_to_element


def _serialised(element: Element, latex: str = "", depth: int = 0) -> Markup:
    """MathML with nothing but known elements and attributes. Raises ValueError for others, and for unknown commands.

    latex2mathml writes symbols as character references, and LaTeX can contain addresses, styles and classes.
    """
    tag, text = str(element.tag), html.unescape(element.text or "")
    if tag not in _ELEMENTS or depth > MAX_DEPTH or (tag == "mi" and (text == "&" or text.startswith("\\"))):
        raise ValueError("not a formula")
    attributes = [(name, value) for name, value in element.items() if re.fullmatch(_ATTRIBUTES.get(name, "(?!)"), value)]
    if latex:
        attributes.append(("alttext", latex.strip()))
    if align := element.get("columnalign"):
        attributes.append(("class", {"left": "left", "right": "right"}.get(align, "center")))
    start = Markup("").join(Markup(' {}="{}"').format(name, value) for name, value in attributes)
    inner = escape(text) + Markup("").join(_serialised(child, depth=depth + 1) for child in element)
    return Markup("<{0}{1}>{2}</{0}>").format(tag, start, inner)
