"""A run's events as the parts of a page that is already there, and grows. Pure.

The page's frame holds slots (declarative shadow DOM). What comes later fills them: a child for `final` takes the place of the
raw text, one for `done` that of what is going on. So nothing that was sent has to be changed, and no script is needed.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from markupsafe import Markup, escape

from duck.dify import events, failures
from duck.faces.page import markdown
from duck.faces.page.words import WORDS, say
from duck.streams import json
from duck.streams.format import Event

MAX_EXCERPT = 300  # characters of a document that a source shows
_DONE = {"succeeded": "✓", "partial-succeeded": "✓", "failed": "✗", "exception": "✗", "stopped": "✗", "retry": "↻"}


class Live:
    """Turns the events of one run into fragments.

    `language` is that of the page's own words, `origin` is where pictures may come from, `has_messages` tells that the answer is
    their text and not a workflow's outputs. `answer` is the text so far, `failed` tells that the run has ended badly.
    """

    def __init__(self, language: str, *, origin: str | None, has_messages: bool) -> None:
        self._language = language
        self._words = WORDS[language]
        self._origin = origin
        self._has_messages = has_messages
        self._text = events.Answer()
        self._budget = markdown.Budget()
        self._is_open = self._is_done = self.failed = False
        self._running: dict[str, str] = {}  # titles of steps by their ids
        self._inner: dict[str, list[str]] = {}  # steps that are over, by the iteration or loop that they are in and that is not
        self._is_restarted = False
        self._told: set[str] = set()  # ids of thoughts
        self._reasoning: list[str] = []
        self._files: set[str] = set()

    @property
    def answer(self) -> str:
        """All text so far."""
        return str(self._text)

    def fragments(self, event: Event) -> str:
        """What an event adds to the page, often nothing."""
        before = self._restarts() if events.RESTARTED in event else ""
        replacement = events.replacement_of(event)
        if replacement is not None:
            self._text.replace(replacement)
            return before + self._block("<x-reset></x-reset>") + self._more(replacement, is_first=True)
        part, is_first = _PARTS.get(event["event"]), not self._text
        more = self._text.add(event)
        return before + self._more(more, is_first=is_first) + (self._block("".join(part(self, event))) if part else "")

    def end(self) -> str:
        """What the end of the stream adds."""
        return self._block("".join([*self._left_over(), *self._done(self._words["ended"])]))

    def _restarts(self) -> str:
        if self._is_restarted:
            return ""
        self._is_restarted = True
        return self._block(self._remark(self._words["restarted"]))

    def _remark(self, text: str) -> str:
        return str(Markup('<p slot="alert" class="note">{}</p>').format(text))  # a text, as below

    def _more(self, text: str, *, is_first: bool = False) -> str:
        if not text:
            return ""
        start = "" if self._is_open else '<x-t slot="text">'
        if is_first and not self._running:
            start = f'{self._block(self._now())}<x-t slot="text">'
        self._is_open = True
        return start + str(escape(text))

    def _block(self, markup: str) -> str:
        if not markup:
            return ""
        end, self._is_open = "</x-t>" if self._is_open else "", False
        return end + markup

    # Steps

    def _starts(self, event: Event) -> Iterator[str]:
        data = events.data_of(event)
        self._running[_id(data)] = str(data.get("title") or data.get("node_type") or "")
        yield self._now()

    def _now(self) -> str:
        titles = ", ".join(filter(None, self._running.values()))
        text = self._words["running"].format(steps=titles) if titles else self._words["live"]
        return str(Markup('<x-now slot="now">{}</x-now>').format(text))  # a text, as below

    def _next_round(self, event: Event) -> Iterator[str]:
        data = events.data_of(event)
        index = data.get("index")
        if isinstance(index, int):
            round_ = self._words["round"].format(count=index + 1)
            self._running[_id(data)] = f"{data.get('title') or ''} ({round_})"
            yield self._now()

    def _ends(self, event: Event) -> Iterator[str]:
        """Dify tells of a step within an iteration or a loop before it is through with that; here it stands below it."""
        data = events.data_of(event)
        row = self._step(data, is_retry=event["event"] == "node_retry")
        if around := data.get("iteration_id") or data.get("loop_id"):
            self._inner.setdefault(str(around), []).append(row)
        else:
            yield row
            yield from self._inner.pop(str(data.get("node_id")), [])
        if event["event"] != "node_retry":
            self._running.pop(_id(data), None)
            yield self._now()

    def _left_over(self) -> Iterator[str]:
        """Steps whose iteration or loop has not come to its end."""
        for rows in self._inner.values():
            yield from rows
        self._inner.clear()

    def _step(self, data: Mapping[str, Any], *, is_retry: bool) -> str:
        status = "retry" if is_retry else str(data.get("status") or "succeeded")
        sign = _DONE.get(status, "·")
        state = "bad" if sign == "✗" else "again" if sign == "↻" else "good"
        if data.get("iteration_id") or data.get("loop_id"):
            state += " inner"
        title = data.get("title") or data.get("node_type") or ""
        notes = [self._words["retry"].format(count=data.get("retry_index"))] if sign == "↻" else []
        notes += [failures.readable(str(data["error"]))] if data.get("error") else []
        seconds = _seconds(data.get("elapsed_time"))
        step = Markup('<x-step slot="steps" role="listitem" class="{}"><b>{}</b> <span dir="auto">{}</span>{}{}</x-step>').format(
            state,
            sign,
            title,
            Markup(" <small>{} s</small>").format(seconds) if seconds else "",
            Markup("").join(Markup('<em dir="auto">{}</em>').format(note) for note in notes),
        )
        return str(step)  # a text, as below

    # What an agent thinks and does

    def _thought(self, event: Event) -> Iterator[str]:
        """Each is sent several times, ever fuller; it is whole once there is what its tool gave."""
        key, tool = str(event.get("id")), str(event.get("tool") or "")
        if event.get("observation"):
            if key not in self._told:
                self._told.add(key)
                yield self._note(self._words["tool"].format(name=tool), _thought_text(event))
            self._running.pop(key, None)
            yield self._now()
        elif tool:
            self._running[key] = tool
            yield self._now()

    def _log(self, event: Event) -> Iterator[str]:
        data = events.data_of(event)
        if data.get("status") in {"success", "error"}:
            inner = data.get("data")
            yield self._note(str(data.get("label") or ""), data.get("error") or (json.pretty(inner) if inner else ""))

    def _reasons(self, event: Event) -> Iterator[str]:
        data = events.data_of(event)
        if isinstance(text := data.get("reasoning"), str):
            self._reasoning.append(text)
        if data.get("is_final") and any(self._reasoning):
            yield self._note(self._words["reasoning"], "".join(self._reasoning))
            self._reasoning.clear()

    def _note(self, title: str, text: object) -> str:
        return Markup(
            '<details slot="notes"><summary dir="auto">{}</summary><pre tabindex="0" dir="auto">{}</pre></details>'
        ).format(title, text)

    # Files and sources

    def _file(self, event: Event) -> Iterator[str]:
        """Basic apps send deltas under the name of `message_file`; these name no file."""
        if event.get("url") and event.get("belongs_to") != "user":
            yield from self._shown_file(event)

    def _shown_file(self, file: Mapping[str, Any]) -> Iterator[str]:
        """A file that has been shown comes once more at the end, under another id and signed anew."""
        address = str(file.get("url") or file.get("remote_url")).partition("?")[0]
        keys = {address, *(str(file[name]) for name in ("id", "related_id") if file.get(name))}
        is_new = self._files.isdisjoint(keys)
        self._files |= keys
        if is_new and (link := self._link(file)):
            yield Markup('<p slot="files">{}</p>').format(link)

    def _link(self, file: Mapping[str, Any]) -> str:
        """A file as a picture or a link; nothing for what has no address."""
        url = file.get("url") or file.get("remote_url")
        if isinstance(url, str) and url.startswith("/") and not url.startswith("//") and self._origin:
            url = self._origin + url
        if not markdown.is_link(url):
            return ""
        name = str(file.get("filename") or str(url).partition("?")[0].rpartition("/")[2] or file.get("type") or "")
        if file.get("type") == "image" and markdown.is_own(url, self._origin):
            return Markup('<a href="{}"><img src="{}" alt="{}"></a>').format(url, url, name)
        about = ", ".join(filter(None, (str(file.get("mime_type") or file.get("type") or ""), _size(file.get("size")))))
        return Markup('<a href="{}" rel="noopener noreferrer">{}</a> <small>{}</small>').format(url, name, about)

    def _sources(self, resources: object) -> Iterator[str]:
        sources = [source for source in resources if isinstance(source, Mapping)] if isinstance(resources, list) else []
        if not sources:
            return
        items = Markup("").join(
            Markup('<li dir="auto">{}{}</li>').format(
                source.get("title") or source.get("document_name") or "",
                Markup("<blockquote>{}</blockquote>").format(_excerpt(str(source["content"]))) if source.get("content") else "",
            )
            for source in sources
        )
        yield Markup('<section slot="sources"><h3>{}</h3><ol>{}</ol></section>').format(self._words["sources"], items)

    # Ends

    def _message_ends(self, event: Event) -> Iterator[str]:
        metadata = event.get("metadata")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        for file in event.get("files") or []:
            if isinstance(file, Mapping):
                yield from self._shown_file(file)
        yield from self._sources(metadata.get("retriever_resources"))
        yield from self._rendered()
        usage = metadata.get("usage")
        yield from self._finished(usage if isinstance(usage, Mapping) else {})

    def _rendered(self) -> Iterator[str]:
        text = self.answer
        if text and (rendered := markdown.render(text, self._origin, self._budget)) is not None:  # else it stays as it came
            yield Markup('<div slot="final" dir="auto">{}</div>').format(rendered)

    def _finished(self, usage: Mapping[str, Any]) -> Iterator[str]:
        seconds = _seconds(usage.get("latency") or usage.get("elapsed_time"))
        parts = [self._words["finished_in"].format(seconds=seconds) if seconds else self._words["finished"]]
        if isinstance(tokens := usage.get("total_tokens"), int) and tokens:
            parts.append(self._words["tokens"].format(count=f"{tokens:,}"))
        if str(usage.get("total_price") or "0").strip("0.") and usage.get("currency"):
            parts.append(f"{usage['total_price']} {usage['currency']}")
        yield from self._done(" · ".join(parts))

    def _done(self, text: str) -> Iterator[str]:
        if self._is_done:
            return
        self._is_done = True
        yield done(text)

    def _workflow_ends(self, event: Event) -> Iterator[str]:
        data = events.data_of(event)
        yield from self._left_over()
        if events.has_stopped(event):
            yield self._remark(self._words["halted"])
            yield from self._rendered()
            yield from self._done(self._words["ended"])
        elif data.get("status") == "failed" and not self._has_messages:  # else an error follows
            yield from self._failure("", failures.readable(str(data.get("error") or data["status"])))
        elif not self._has_messages:
            yield from self._outputs(data.get("outputs"))
            yield from self._finished(data)

    def _outputs(self, outputs: object) -> Iterator[str]:
        if not isinstance(outputs, Mapping) or not outputs:
            return
        rows = Markup("").join(
            Markup('<dt dir="auto">{}</dt><dd dir="auto">{}</dd>').format(name, self._output(value))
            for name, value in outputs.items()
        )
        whole = Markup('<details><summary>{}</summary><pre tabindex="0">{}</pre></details>').format(
            self._words["json"], json.pretty(outputs)
        )
        yield Markup('<section slot="final"><dl>{}</dl>{}</section>').format(rows, whole)

    def _output(self, value: object) -> str:
        if isinstance(value, str):
            return markdown.render_or_show(value, self._origin, self._budget)
        if isinstance(value, bool | int | float | None):
            return escape(json.pretty(value))
        links = [self._link(file) for file in (value if isinstance(value, list) else [value]) if isinstance(file, Mapping)]
        if any(links):
            return Markup("<br>").join(filter(None, links))
        return Markup('<pre tabindex="0">{}</pre>').format(json.pretty(value))

    def _paused(self, _: Event) -> Iterator[str]:
        yield self._remark(self._words["paused"])
        yield from self._rendered()
        yield from self._done(self._words["waits"])

    def _error(self, event: Event) -> Iterator[str]:
        yield from self._left_over()
        code, message = str(event.get("code") or ""), event.get("message")
        if failures.from_event(event, kind="").status == 429:
            code = "rate_limit_error"  # which Dify may not call it
        yield from self._failure(code, failures.readable(message) if isinstance(message, str) and message else code)

    def _failure(self, code: str, message: str) -> Iterator[str]:
        self.failed = True
        yield failure(self._language, code, message)
        yield from self._done(self._words["failed"])


_PARTS: Mapping[str, Callable[[Live, Event], Iterator[str]]] = {
    **dict.fromkeys(("node_started", "iteration_started", "loop_started"), Live._starts),
    **dict.fromkeys(("node_finished", "iteration_completed", "loop_completed", "node_retry"), Live._ends),
    **dict.fromkeys(("iteration_next", "loop_next"), Live._next_round),
    "agent_thought": Live._thought,
    "agent_log": Live._log,
    "reasoning_chunk": Live._reasons,
    "message_file": Live._file,
    "message_end": Live._message_ends,
    "workflow_finished": Live._workflow_ends,
    "workflow_paused": Live._paused,
    "error": Live._error,
}


def done(text: str) -> str:
    """The part that tells how a run has ended."""
    return str(Markup('<span slot="done">{}</span>').format(text))  # a text: else it would escape its surroundings


def failure(language: str, code: str, message: str, way_out: str = "") -> str:
    """The part that tells of an error; `way_out` is markup, and leads on."""
    words, message = WORDS[language], say(message, language)
    title = words.get(f"error.{code}", words["error"])
    alert = Markup('<div slot="alert" role="alert"><strong>{}</strong><p dir="auto">{}</p>{}</div>')
    return str(alert.format(title, message, Markup(way_out)))  # noqa: S704 - the callers' own; a text, as above


def _id(data: Mapping[str, Any]) -> str:
    return str(data.get("id"))


def _seconds(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) and value >= 0.05 else ""


def _size(value: object) -> str:
    if not isinstance(value, int | float) or value < 0:
        return ""
    return f"{value:.0f} B" if value < 1000 else f"{value / 1000:.0f} kB" if value < 1_000_000 else f"{value / 1_000_000:.1f} MB"


def _excerpt(text: str) -> str:
    return text if len(text) <= MAX_EXCERPT else text[:MAX_EXCERPT] + " …"


def _thought_text(event: Event) -> str:
    parts = (event.get("thought"), event.get("tool_input"), event.get("observation"))
    return "\n\n".join(str(part) for part in parts if part)
