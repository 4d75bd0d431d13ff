"""Apps that fail, are slow or are moderated."""

from collections.abc import Iterator

from devhost.apps import App, Call, Failure, Message, Pause, Step
from devhost.demo.chats import conversing
from devhost.demo.events import Flow, in_workflow, refused_by_model
from devhost.demo.forms import basic, form, variable

SILENCE_S = 20  # before the slow app's first token: longer than the interval of any keep-alive
SLOW_TOKEN_S = 0.5
NO_MODEL = Failure.http(400, "invalid_param", "Model gpt-4o-mini credentials is not initialized.")
# The rate limit of a model, as told by a plugin that names the error, and by a plugin that does not.
RATE_LIMIT = "[models] Rate Limit Error, Error code: 429 - too many requests to langgenius/openai/openai"
UNNAMED = refused_by_model(429, "too many requests to langgenius/openai/openai")
POEM = (
    "Slowly the duck crosses the pond. It looks at the reeds, it looks at the sky, it looks at you, and it goes on, "
    "a little further each time, until it has reached the other side."
)
UNSAID = "I had better not talk about ponds. Everybody knows what swims there, and where the bread is kept."
INSTEAD = "There is no answer to this."
NOT_ASKED = "Please ask something else."


def apps() -> dict[str, App]:
    """The apps by alias, without conversations."""
    name = form(basic("text-input", "name", "Your name", max_length=48))
    text = form(variable("paragraph", "text", "Text", max_length=5000, default="The duck crosses the pond."))
    return {
        "fails-early": App(mode="chat", script=[NO_MODEL], form=name),
        "fails-midway": conversing("chat", _fail_midway, name),
        "fails-late": App(mode="workflow", script=_fail_late, form=text),
        "slow": conversing("chat", _answer_slowly, name),
        "fails-unnamed": conversing("chat", _fail_unnamed, name),
        "fails-chatflow": conversing("advanced-chat", _fail_in_chatflow, form(variable("text-input", "name", "Your name"))),
        "moderated-answer": conversing("chat", _moderate_answer, name),
        "moderated-question": conversing("chat", _moderate_question, name),
    }


def _fail_midway(call: Call, turn: int) -> Iterator[Step]:
    message = Message(call)
    yield from message.say(f"This answer to your question number {turn} will never", breaks_off=True)
    yield message.error("rate_limit_error", 429, RATE_LIMIT)


def _fail_unnamed(call: Call, _turn: int) -> Iterator[Step]:
    yield Message(call).error("invalid_param", 400, UNNAMED)


def _fail_in_chatflow(call: Call, _turn: int) -> Iterator[Step]:
    flow, error = Flow(call), in_workflow(UNNAMED)
    yield from flow.start()
    yield from flow.failing_model("LLM", error)
    yield from flow.failed(error, steps=2)


def _moderate_answer(call: Call, _turn: int) -> Iterator[Step]:
    message = Message(call)
    yield from message.say(UNSAID)
    yield message.event("message_replace", answer=INSTEAD, reason="")
    yield message.end(UNSAID)


def _moderate_question(call: Call, _turn: int) -> Iterator[Step]:
    """Dify sends a preset answer, one character at a time, and does not call the model."""
    message = Message(call)
    for character in NOT_ASKED:
        yield message.event("message", id=message.id, answer=character, from_variable_selector=[])
    yield message.end("")


def _fail_late(call: Call) -> Iterator[Step]:
    text, flow = str(call.inputs.get("text")), Flow(call)
    yield from flow.start()
    yield from flow.failing_model("Repeat", RATE_LIMIT, flow.write(text, breaks_off=True))
    yield from flow.failed(RATE_LIMIT, steps=2)


def _answer_slowly(call: Call, turn: int) -> Iterator[Step]:
    answer, message = f"{POEM} ({turn})", Message(call)
    yield Pause(SILENCE_S)
    yield from message.say(answer, pace=SLOW_TOKEN_S)
    yield message.end(answer)
