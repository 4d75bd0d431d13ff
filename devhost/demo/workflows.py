"""Workflows: one with every type of input, one whose output is a file, and one that tells what a webhook has brought."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from devhost.apps import App, Call, Event, Pause, Step
from devhost.demo.events import END, Flow
from devhost.demo.forms import UPLOADS, form, variable
from devhost.wire import dumps

RENDER_S = 0.3  # to make the file
SCHEMA = '{"type": "object", "properties": {"source": {"type": "string"}}, "additionalProperties": true}'


def apps() -> dict[str, App]:
    """The apps by alias."""
    everything = form(
        variable("paragraph", "text", "Text", required=True, max_length=5000),
        variable("text-input", "title", "Title"),
        variable("select", "tone", "Tone", options=["formal", "casual"], default="formal"),
        variable("number", "words", "Words to keep", default="12"),
        variable("checkbox", "loud", "In capitals", default=False),
        variable("file", "doc", "Document", allowed_file_types=["document"], **UPLOADS),
        variable("file-list", "pics", "Pictures", allowed_file_types=["image"], **UPLOADS | {"max_length": 3}),
        variable("json_object", "meta", "Meta", json_schema=SCHEMA),
    )
    topic = form(variable("text-input", "topic", "Topic", default="ducks"))
    delivery = form(
        variable("json_object", "payload", "Payload"),
        variable("paragraph", "headers", "Headers", max_length=10_000),
        variable("text-input", "action", "Action", max_length=256),
        variable("paragraph", "text", "Text", max_length=5000),
    )
    return {
        "workflow": App(mode="workflow", script=_workflow, form=everything),
        "report": App(mode="workflow", script=_report, form=topic),
        "webhook": App(mode="workflow", script=_webhook, form=delivery),
    }


def _workflow(call: Call) -> Iterator[Step]:
    inputs = {name: value for name, value in call.inputs.items() if value not in (None, "", [])}
    words = str(inputs.pop("text", "")).split()
    kept = int(inputs.pop("words", len(words)))
    loud = inputs.pop("loud", False) is True
    summary = f"{' '.join(words[:kept])}{' …' if len(words) > kept else ''} ({len(words)} word{'s' * (len(words) != 1)} in all)"
    summary = "\n".join([summary.upper() if loud else summary, *(f"{name}: {_shown(value)}" for name, value in inputs.items())])
    outputs = {"summary": summary, "words": len(words)}
    flow = Flow(call)
    yield from flow.start()
    writing = chain(flow.write(summary), flow.outputs((("llm", "words"), len(words)), are_first=False))
    yield from flow.model("Summarise", summary, writing)
    yield from flow.node(END, "End", inputs=outputs, outputs=outputs)
    yield flow.finished(outputs, steps=3, answer=summary)


def _report(call: Call) -> Iterator[Step]:
    topic = call.inputs.get("topic") or "ducks"
    text = f"# On {topic}\n\nThis report is a demo.\n"
    file = call.files.value(call.files.add(f"{topic}.md", "text/markdown", text.encode()))
    made: Event = {"outputs": {"text": "", "files": [file], "json": [{"data": []}]}, "files": [file]}
    outputs = {"report": file}
    flow = Flow(call)
    yield from flow.start()
    rendering = chain([Pause(RENDER_S)], flow.outputs((("tool", "files"), [file])))
    yield from flow.node("tool", "Write it down", rendering, inputs={"topic": topic}, **made)
    yield from flow.node(END, "End", inputs=outputs, outputs=outputs, files=[file])
    yield flow.finished(outputs, steps=3, files=[file])


def _webhook(call: Call) -> Iterator[Step]:
    found = {name: value for name, value in call.inputs.items() if value not in (None, "")}
    outputs = {"arrived": "\n".join(f"{name}: {_shown(value)}" for name, value in found.items()) or "Nothing has arrived."}
    flow = Flow(call)
    yield from flow.start()
    yield from flow.outputs((("template", "output"), outputs["arrived"]))
    yield from flow.node(END, "End", inputs=outputs, outputs=outputs)
    yield flow.finished(outputs, steps=2)


def _shown(value: Any) -> str:
    match value:
        case list():
            return ", ".join(map(_shown, value))
        case {"dify_model_identity": _, "filename": name, "type": kind}:
            return f"{name} ({kind})"
    return value if isinstance(value, str) else dumps(value)
