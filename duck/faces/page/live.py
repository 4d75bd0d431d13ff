"""A run as fragments of HTML, which are added to a page while it is shown. Pure.

The page's frame has slots (declarative shadow DOM), and the fragments fill them. The text is shown as it comes. Once a block of
it is complete, it is sent again, rendered, and an `x-cut` hides what came before. So nothing that was sent has to be changed, and
no script is needed.
"""

from collections.abc import Iterator, Mapping
from html import escape

from markupsafe import Markup

from duck.dify import parser, parts
from duck.dify.parts import Part
from duck.dify.run_ids import RunId
from duck.faces.page import fragments, markdown
from duck.faces.page.human import Waiting
from duck.faces.page.words import WORDS
from duck.streams import json
from duck.streams.format import Event

MAX_RUNNING = 5  # steps that are named while they run at the same time


class Live:
    """Turns the events of one run into fragments.

    `language` is that of the page's own words. Pictures on `origin` are shown. Without `shows_steps` the nodes of a workflow
    are not. `lasting` is the address, but for its end, at which a run can be read later. `begun` has the run's ids once they
    are known, and `failed` tells whether the run has failed.
    """

    def __init__(self, language: str, *, origin: str | None, shows_steps: bool = True, lasting: str = "") -> None:
        self.begun = parts.Begun()
        self.failed = False
        self._language = language
        self._words = WORDS[language]
        self._origin = origin
        self._shows_steps = shows_steps
        self._lasting = lasting
        self._parser = parser.Parser()
        self._budget = markdown.Budget()
        self._growing = self._new_text()
        self._has_text = False
        self._has_outputs = False  # they are shown in place of the text
        self._is_open = self._is_done = False
        self._running: dict[str, str] = {}  # titles of running steps, by the steps' ids
        self._inner: dict[str, list[str]] = {}  # ended steps of each running iteration or loop, by its node id
        self._reasoning: list[str] = []
        self._usage: parts.Usage | None = None
        self._waiting: list[Waiting] = []

    @property
    def answer(self) -> str:
        """All text so far."""
        return self._parser.text

    def take_waiting(self) -> list[Waiting]:
        """The forms for which the run waits, once."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def fragments(self, event: Event) -> str:
        """What an event adds to the page, often nothing."""
        return "".join(map(self._fragment, self._parser.parse(event)))

    def end(self) -> str:
        """What the end of the stream adds."""
        return self._block("".join([*self._remaining_steps(), *self._rendered(), *self._done(self._words["ended"])]))

    def _new_text(self) -> markdown.Growing:
        return markdown.Growing(self._origin, self._budget, reasoning=self._words["reasoning"])

    def _fragment(self, part: Part) -> str:
        match part:
            case parts.Text():
                return self._text(part.delta, is_first=not self._has_text)
            case parts.Replaced():
                self._has_text, self._growing = False, self._new_text()
                return self._block("<x-reset></x-reset>") + self._text(part.text, is_first=True)
            case parts.Step() if not self._shows_steps:
                return ""
            case parts.Step() | parts.Tool() | parts.Log() | parts.Reasoning():
                return self._block("".join(self._progress(part)))
            case parts.Begun():
                self.begun = part
                later = fragments.later(self._lasting + part.workflow_run_id, self._words) if self._lasting else ""
                return self._block(later + (self._alert(self._words["restarted"]) if part.is_restarted else ""))
        return self._block("".join(self._result(part)))

    def _alert(self, text: str) -> str:
        return str(Markup('<p slot="alert" class="note">{}</p>').format(text))  # a plain string: see `fragments.done`

    def _text(self, text: str, *, is_first: bool) -> str:
        if not text:
            return ""
        start = "" if self._is_open else '<x-t slot="text">'
        if is_first and not self._running:
            start = f'{self._block(self._status())}<x-t slot="text">'
        self._is_open = self._has_text = True
        grown = self._growing.add(text)
        end = self._block(fragments.grown(grown)) if grown else ""
        return start + escape(text, quote=False) + end

    def _block(self, markup: str) -> str:
        """The markup, after the end of the element for text if that is open."""
        if not markup:
            return ""
        end, self._is_open = "</x-t>" if self._is_open else "", False
        return end + markup

    # The progress of the run

    def _progress(self, part: parts.Step | parts.Tool | parts.Log | parts.Reasoning) -> Iterator[str]:
        match part:
            case parts.Step(state="running"):
                round_ = self._words["round"].format(count=part.round)
                yield self._start_step(part.id, f"{part.title} ({round_})" if part.round else part.title)
            case parts.Step():
                yield from self._ended_step(part)
            case parts.Tool(output=None):
                yield self._start_step(part.id, part.name)
            case parts.Tool():
                text = "\n\n".join(filter(None, (part.thought, part.input, part.output)))
                yield fragments.details(self._words["tool"].format(name=part.name), text)
                yield self._end_step(part.id)
            case parts.Log(state="success" | "error"):
                yield fragments.details(part.label, part.error or (json.pretty(part.data) if part.data else ""))
            case parts.Reasoning():
                yield from self._add_reasoning(part)

    def _start_step(self, id_: str, title: str) -> str:
        self._running[id_] = title
        return self._status()

    def _end_step(self, id_: str) -> str:
        self._running.pop(id_, None)
        return self._status()

    def _status(self) -> str:
        titles = [title for title in self._running.values() if title]
        steps = ", ".join(titles[:MAX_RUNNING]) + (" …" if len(titles) > MAX_RUNNING else "")
        text = self._words["running"].format(steps=steps) if titles else self._words["live"]
        return str(Markup('<x-now slot="now">{}</x-now>').format(text))  # a plain string: see `fragments.done`

    def _ended_step(self, step: parts.Step) -> Iterator[str]:
        """Dify ends a step before the iteration or loop around it. The page lists the step below that."""
        row = fragments.step(step, self._words)
        if step.parent_id:
            self._inner.setdefault(step.parent_id, []).append(row)
        else:
            yield row
            yield from self._inner.pop(step.node_id, [])
        if step.state != "retry":
            yield self._end_step(step.id)

    def _remaining_steps(self) -> Iterator[str]:
        """The ended steps of iterations and loops that have not ended."""
        for rows in self._inner.values():
            yield from rows
        self._inner.clear()

    def _add_reasoning(self, part: parts.Reasoning) -> Iterator[str]:
        self._reasoning.append(part.delta)
        if part.is_final and (text := "".join(self._reasoning)):
            yield fragments.details(self._words["reasoning"], text)
            self._reasoning.clear()

    # The answer and its end

    def _result(self, part: Part) -> Iterator[str]:
        match part:
            case parts.File() if link := fragments.link(part, self._origin):
                yield Markup('<p slot="files">{}</p>').format(link)
            case parts.Sources():
                yield fragments.sources(part.sources, self._words)
            case parts.Usage():
                self._usage = part
            case parts.Outputs():
                self._has_outputs = True
                yield from self._outputs(part.values)
            case parts.Ended():
                yield from self._remaining_steps()
                yield from self._ended(part)
            case parts.Failed():
                self.failed = True
                yield from self._remaining_steps()
                yield from self._rendered()
                yield fragments.failure(self._language, part.code, part.message)
                yield from self._done(self._words["failed"])

    def _ended(self, end: parts.Ended) -> Iterator[str]:
        alert = {"stopped": self._words["halted"], "paused": "" if end.forms else self._words["paused"]}.get(end.state)
        if alert:
            yield self._alert(alert)
        yield from self._rendered()
        begun = self.begun
        run = RunId(conversation_id=begun.conversation_id, message_id=begun.message_id, workflow_run_id=begun.workflow_run_id)
        self._waiting = [Waiting(token=each.token, run=str(run), form=each.form) for each in end.forms]
        summaries = {"stopped": self._words["ended"], "paused": self._words["waits"]}
        yield from self._done(summaries.get(end.state) or self._summary(end))

    def _rendered(self) -> Iterator[str]:
        """The rest of the text, unless rendering it would take too long: then it stays as it came."""
        if self._has_outputs or not self._has_text or self._is_done:
            return
        end = self._growing.end()
        if end.html is not None and end.is_whole:
            yield Markup('<div slot="final" dir="auto">{}</div>').format(end.html)
        elif end.html is not None:
            yield fragments.grown(markdown.Grown(end.html, Markup(), ""))

    def _summary(self, end: parts.Ended) -> str:
        seconds, usage = fragments.seconds(end.seconds), self._usage
        facts = [self._words["finished_in"].format(seconds=seconds) if seconds else self._words["finished"]]
        if usage and usage.total_tokens:
            facts.append(self._words["tokens"].format(count=f"{usage.total_tokens:,}"))
        if usage and usage.price.strip("0.") and usage.currency:
            facts.append(f"{usage.price} {usage.currency}")
        return " · ".join(facts)

    def _done(self, text: str) -> Iterator[str]:
        if self._is_done:
            return
        self._is_done = True
        yield fragments.done(text)

    def _outputs(self, outputs: Mapping[str, object]) -> Iterator[str]:
        if not outputs:
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
            return markdown.render_or_show(value, self._origin, self._budget, reasoning=self._words["reasoning"])
        if isinstance(value, bool | int | float | None):
            return escape(json.pretty(value), quote=False)
        links = [fragments.link(parser.file_of(file), self._origin) for file in (value if isinstance(value, list) else [value])]
        if any(links):
            return Markup("<br>").join(filter(None, links))
        return Markup('<pre tabindex="0">{}</pre>').format(json.pretty(value))
