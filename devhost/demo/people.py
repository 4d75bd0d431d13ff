"""A workflow and a chatflow that wait for a person, and a workflow that takes ten minutes."""

from collections.abc import Iterator

from devhost.apps import App, Call, Pause, Step, Steps
from devhost.asking import Ask, Filled, file_list, paragraph, select
from devhost.demo.chats import conversing
from devhost.demo.events import END, Flow
from devhost.demo.forms import form, variable

QUESTION = "Please review: {{#$output.comment#}}"
REVIEW = Ask(
    QUESTION,
    title="Review",
    inputs=[paragraph("comment", "Nothing to add."), select("level", ["low", "high"]), file_list("evidence", limit=2)],
    actions={"approve": "Approve", "reject": "Reject"},
)
REFUND = Ask(
    "Somebody asks for a refund. {{#$output.comment#}}",
    title="Refund",
    inputs=[paragraph("comment"), select("level", ["low", "high"])],
    actions={"approve": "Pay it back", "reject": "Decline"},
)
STEPS, STEP_S = 20, 30  # of the workflow that takes ten minutes


def apps() -> dict[str, App]:
    """The apps by alias. The second one has no conversations yet."""
    text = form(variable("paragraph", "text", "Text", max_length=5000, default="The duck crosses the pond."))
    return {
        "human-input": App(mode="workflow", script=_review, form=text),
        "human-chatflow": conversing("advanced-chat", _refund, form(variable("text-input", "name", "Your name"))),
        "ten-minutes": App(mode="workflow", script=_take_long, form=text),
    }


def _review(call: Call) -> Steps:
    flow = Flow(call)
    yield from flow.start()
    filled = yield from flow.ask(REVIEW)
    outputs = {"text": _outcome(filled, f"Approved: {call.inputs.get('text')}"), "comment": filled.inputs.get("comment", "")}
    yield from flow.outputs((("template", "text"), outputs["text"]))
    yield from flow.node(END, "End", inputs=outputs, outputs=outputs)
    yield flow.finished(outputs, steps=3, answer=outputs["text"])


def _refund(call: Call, _turn: int) -> Steps:
    flow = Flow(call)
    yield from flow.start()
    filled = yield from flow.ask(REFUND)
    answer = _outcome(filled, "Your money is on its way.")
    outputs = {"answer": answer, "files": []}
    yield from flow.model("LLM", answer, flow.say(answer, selector=["llm", "text"]))
    yield from flow.node("answer", "Answer", outputs=outputs)
    yield flow.end(answer, annotation_reply=None)
    yield flow.finished(outputs, steps=4, answer=answer)


def _take_long(call: Call) -> Iterator[Step]:
    flow, answer = Flow(call), f"After ten minutes: {call.inputs.get('text')}"
    yield from flow.start()
    for number in range(1, STEPS + 1):
        yield from flow.node("code", f"Step {number} of {STEPS}", [Pause(STEP_S)])
    outputs = {"text": answer}
    yield from flow.outputs((("code", "text"), answer))
    yield from flow.node(END, "End", inputs=outputs, outputs=outputs)
    yield flow.finished(outputs, steps=STEPS + 2, answer=answer)


def _outcome(filled: Filled, approved: str) -> str:
    comment = f" {filled.inputs['comment']}".rstrip() if filled.inputs else ""
    return {"approve": f"{approved}{comment}", "reject": f"Rejected.{comment}"}.get(filled.action, "Nobody has answered in time.")
