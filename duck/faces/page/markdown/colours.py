"""Code with colours. Pure, but for the time that it takes.

Pygments' lexers are made of regular expressions. For most languages there is text for which the time grows with the square of the
length or faster, so a block that takes long stays without colours.
"""

import functools
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from duck.faces.page.markdown.budget import Budget

if TYPE_CHECKING:
    from pygments.lexer import Lexer

MAX_CODE = 10_000  # characters of one block; longer ones have no colours
# The time for one block. Usual code takes 1 to 4 µs for a character.
_LEAST_S, _CHARACTER_S = 0.005, 15e-6
# The process stands still while a lexer looks for one token. For usual code that takes microseconds.
_SLOW_S, _MAX_SLOW_S = 0.001, 0.01
_GIVEN_UP = 15_000  # steps for a block that has taken too long, so that a page can have few of them
_LOADING = 5_000  # steps for the first use of a language
_STEPS = 3  # for each character of code that takes all of its time, one for usual code
# Pygments knows 600 languages, and each takes memory once it is used. In these a lexer takes at most 20 ms from one token to the
# next, and meanwhile the process stands still; for some "matlab", "ini", "ocaml" and "console" it takes half a second.
LANGUAGES = frozenset((
    "bash", "c", "c#", "c++", "cpp", "cs", "csharp", "css", "dart", "diff", "docker", "dockerfile", "elixir", "erlang", "go",
    "golang", "graphql", "groovy", "haskell", "hcl", "html", "http", "ini", "java", "javascript", "js", "json", "jsx", "julia",
    "kotlin", "kt", "latex", "lua", "make", "makefile", "markdown", "md", "nginx", "objective-c", "objectivec", "perl", "php",
    "powershell", "properties", "protobuf", "ps1", "py", "python", "python3", "r", "rb", "rs", "ruby", "rust", "scala", "scss",
    "sh", "shell", "sql", "svg", "swift", "terraform", "tex", "toml", "ts", "tsx", "typescript", "udiff", "vim", "vue", "xml",
    "yaml", "yml", "zig", "zsh",
))  # fmt: skip
_ALIASES = {"svg": "xml", "c++": "cpp", "ini": "properties", "kt": "kotlin"}
_lexers: "dict[str, Lexer]" = {}
_INFO = re.compile(r"\s*\{?\.?([\w+#.-]{1,20})")
_CLASSES: Mapping[tuple[str, ...], str] = {  # by the names of Pygments' tokens
    ("Comment",): "c",
    ("Comment", "Preproc"): "k",
    ("Keyword",): "k",
    ("Keyword", "Constant"): "m",
    ("Literal", "Number"): "m",
    ("Literal", "String"): "s",
    ("Name", "Attribute"): "na",
    ("Name", "Builtin"): "nb",
    ("Name", "Class"): "nf",
    ("Name", "Decorator"): "nb",
    ("Name", "Function"): "nf",
    ("Name", "Tag"): "k",
    ("Operator", "Word"): "k",
    ("Generic", "Deleted"): "gd",
    ("Generic", "Heading"): "nf",
    ("Generic", "Inserted"): "gi",
    ("Generic", "Subheading"): "nf",
}


def render(code: str, info: str, budget: Budget) -> Markup:
    """A code block. `info` is what follows the fence, which begins with the language's name."""
    found = _INFO.match(info)
    name = found[1] if found else ""
    lexer = _lexer(name.lower(), budget)
    label = Markup(' data-language="{}"').format(lexer.name if lexer else name) if name else ""
    coloured = escape(code)
    if lexer and len(code) <= MAX_CODE and budget.spend_if_left(_STEPS * len(code)):
        coloured = _coloured(code, lexer, budget)
    return Markup('<pre tabindex="0"{}><code>{}</code></pre>\n').format(label, coloured)


def _lexer(name: str, budget: Budget) -> "Lexer | None":
    """The lexer for a language. None for unknown languages, and for those that there is no time to load."""
    if name not in LANGUAGES:
        return None
    if name not in _lexers and budget.spend_if_left(_LOADING):
        from pygments.lexers import get_lexer_by_name  # noqa: PLC0415 - each language has a module of its own

        _lexers[name] = get_lexer_by_name(_ALIASES.get(name, name))
    return _lexers.get(name)


def _coloured(code: str, lexer: "Lexer", budget: Budget) -> Markup:
    pieces: list[tuple[str, str]] = []
    last = time.thread_time()
    end, slow = last + _LEAST_S + _CHARACTER_S * len(code), 0.0
    try:
        for _, kind, text in lexer.get_tokens_unprocessed(code):
            pieces.append((class_of(tuple(kind)), text))
            now = time.thread_time()
            slow += now - last if now - last > _SLOW_S else 0
            if now > end or slow > _MAX_SLOW_S:
                budget.spend_if_left(_GIVEN_UP)
                return escape(code)
            last = now
    except Exception:  # noqa: BLE001 - lexers are not made for everything that can be written
        return escape(code)
    if "".join(text for _, text in pieces) != code:
        return escape(code)
    budget.steps += (_STEPS - 1) * len(code)
    return Markup("").join(_spans(pieces))


def _spans(pieces: Iterable[tuple[str, str]]) -> Iterable[Markup]:
    last, texts = "", list[str]()
    for class_, text in [*pieces, ("", "")]:
        if class_ != last and texts:
            html = escape("".join(texts))
            yield Markup('<span class="{}">{}</span>').format(last, html) if last else html
            texts = []
        last = class_
        texts.append(text)
    yield escape("".join(texts))


@functools.lru_cache(maxsize=1_000)
def class_of(kind: tuple[str, ...]) -> str:
    """The class of a kind of token, "" for kinds without a colour."""
    return next((_CLASSES[kind[:length]] for length in range(len(kind), 0, -1) if kind[:length] in _CLASSES), "")
