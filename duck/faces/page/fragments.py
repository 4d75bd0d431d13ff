"""The fragments that an answer is made of, as HTML. Pure."""

from collections.abc import Iterable, Mapping

from markupsafe import Markup

from duck.dify import parts
from duck.faces.page import markdown
from duck.faces.page.words import WORDS, translate

MAX_EXCERPT = 300  # characters that are shown of a source's document
_SIGNS = {"succeeded": "✓", "partial-succeeded": "✓", "failed": "✗", "exception": "✗", "stopped": "✗", "retry": "↻"}


def grown(text: markdown.Grown) -> str:
    """What can be rendered of a text, in place of what came of it; and its rest, which came before, too."""
    pieces = [f'<div slot="blocks" dir="auto">{text.blocks}</div>'] if text.blocks else []
    pieces += [f'<div slot="draft" dir="auto">{text.draft}</div>'] if text.draft else []
    pieces += ["<x-cut></x-cut>", Markup('<x-t slot="text" class="sent">{}</x-t>').format(text.rest) if text.rest else ""]
    return "".join(pieces)  # a plain string: see `done`


def step(step: parts.Step, words: Mapping[str, str]) -> str:
    """A step of a workflow that has ended, or a try that has failed."""
    sign = _SIGNS.get(step.state, "·")
    state = "bad" if sign == "✗" else "again" if sign == "↻" else "good"
    notes = [words["retry"].format(count=step.retry)] if sign == "↻" else []
    notes += filter(None, [step.error])
    time = seconds(step.seconds)
    row = Markup('<x-step slot="steps" role="listitem" class="{}"><b>{}</b> <span dir="auto">{}</span>{}{}</x-step>').format(
        f"{state} inner" if step.parent_id else state,
        sign,
        step.title,
        Markup(" <small>{} s</small>").format(time) if time else "",
        Markup("").join(Markup('<em dir="auto">{}</em>').format(note) for note in notes),
    )
    return str(row)  # a plain string: see `done`


def details(title: str, text: str) -> str:
    """A text that is folded away under its title."""
    return Markup('<details slot="notes"><summary dir="auto">{}</summary><pre tabindex="0" dir="auto">{}</pre></details>').format(
        title, text
    )


def link(file: parts.File | None, origin: str | None) -> str:
    """A file as a picture or a link; "" for a file whose URL is not for the web. Only pictures on `origin` are shown."""
    url = file.url if file else ""
    if url.startswith("/") and not url.startswith("//") and origin:
        url = origin + url
    if not file or not markdown.is_link(url):
        return ""
    if file.type == "image" and markdown.is_own(url, origin):
        return Markup('<a href="{}" target="_blank"><img src="{}" alt="{}"></a>').format(url, url, file.name)
    about = ", ".join(filter(None, (file.mime_type or file.type, _size(file.size))))
    return Markup('<a href="{}" rel="noopener noreferrer" target="_blank">{}</a> <small>{}</small>').format(url, file.name, about)


def sources(found: Iterable[parts.Source], words: Mapping[str, str]) -> str:
    """The documents that an answer comes from."""
    items = Markup("").join(
        Markup('<li dir="auto">{}{}</li>').format(
            source.title,
            Markup("<blockquote>{}</blockquote>").format(_excerpt(source.content)) if source.content else "",
        )
        for source in found
    )
    return Markup('<section slot="sources"><h3>{}</h3><ol>{}</ol></section>').format(words["sources"], items)


def later(url: str, words: Mapping[str, str]) -> str:
    """A link to where the run can be read later, which is hidden once the run is over."""
    return str(Markup('<a slot="later" href="{}">{}</a>').format(url, words["later"]))  # a plain string: see `done`


def done(text: str) -> str:
    """The fragment that tells how a run has ended."""
    # This is a plain string: a Markup would escape the text that is appended to it.
    return str(Markup('<span slot="done" class="over">{}</span>').format(text))


def failure(language: str, code: str, message: str, link: str = "") -> str:
    """The fragment that shows an error. `link` is HTML that follows the message."""
    words, message = WORDS[language], translate(message, language)
    title = words.get(f"error.{code}", words["error"])
    alert = Markup('<div slot="alert" role="alert"><strong>{}</strong><p dir="auto">{}</p>{}</div>')
    return str(alert.format(title, message, Markup(link)))  # noqa: S704 - callers have escaped it; a plain string, as above


def seconds(value: float | None) -> str:
    """A duration in seconds as text, "" for none that is worth telling."""
    return f"{value:.1f}" if value and value >= 0.05 else ""


def _size(value: int | None) -> str:
    if value is None:
        return ""
    return f"{value} B" if value < 1000 else f"{value / 1000:.0f} kB" if value < 1_000_000 else f"{value / 1_000_000:.1f} MB"


def _excerpt(text: str) -> str:
    return text if len(text) <= MAX_EXCERPT else text[:MAX_EXCERPT] + " …"
