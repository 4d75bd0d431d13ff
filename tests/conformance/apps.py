"""The apps that MCP's conformance kit calls as tools, by its names for them.

Also for `python -m devhost --apps tests/conformance/apps.py`. They have a variable that the kit does not use: of an app without
one it is not known before its first run what it is.
"""

from collections.abc import Iterator

from devhost.apps import App, Call, Step
from devhost.demo.events import END, Flow
from devhost.demo.forms import form, variable

FORM = form(variable("text-input", "note", "Note"))


def simple_text(call: Call) -> Iterator[Step]:
    """One text."""
    text, flow = "This is a simple text response for testing.", Flow(call)
    yield from flow.start()
    yield from flow.model("Answer", text, flow.write(text))
    yield flow.finished({"text": text}, steps=2, answer=text)


def error_handling(call: Call) -> Iterator[Step]:
    """A run that fails."""
    error, flow = "This tool intentionally returns an error for testing", Flow(call)
    yield from flow.start()
    yield from flow.failing_model("Answer", error)
    yield from flow.failed(error, steps=2)


def tool_with_progress(call: Call) -> Iterator[Step]:
    """A run of several steps."""
    flow = Flow(call)
    yield from flow.start()
    for title in ("Read", "Think", "Write"):
        yield from flow.node("code", title)
    yield from flow.node(END, "End", outputs={"text": "done"})
    yield flow.finished({"text": "done"}, steps=5, answer="done")


APPS = {
    "test_simple_text": App(mode="workflow", script=simple_text, form=FORM),
    "test_error_handling": App(mode="workflow", script=error_handling, form=FORM),
    "test_tool_with_progress": App(mode="workflow", script=tool_with_progress, form=FORM),
}
