"""The apps of `python -m devhost`: one of each kind, whose answers refer to what the caller sent.

Their events come at the pace of a model. Blocking answers are folded from the same scripts and take as long.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from devhost.apps import MINIMAL_FORM, UNKNOWN_ERROR, App, Call, Event, Failure, Mode, Pause, Step
from devhost.events import RESOURCE, THINK_S, TOKEN_S, Message, blocking_message, blocking_run, tokens
from devhost.wire import dumps

IDS = {
    "chatbot": "d0c0ffee-0000-4000-8000-000000000001",
    "agent": "d0c0ffee-0000-4000-8000-000000000002",
    "chatflow": "d0c0ffee-0000-4000-8000-000000000003",
    "workflow": "d0c0ffee-0000-4000-8000-000000000004",
    "completion": "d0c0ffee-0000-4000-8000-000000000005",
    "completion-today": "d0c0ffee-0000-4000-8000-000000000006",
}
KEY = "demo-key"
SETTINGS: dict[str, Any] = {
    "api_key": KEY,
    "default_app": {"app_id": IDS["chatbot"]},
    "apps": ", ".join(f"{alias}={app_id}" for alias, app_id in IDS.items()),
}

DEFAULT_WORDS = 12  # that the workflow keeps
PICTURE: Event = {
    "extension": ".png",
    "size": 0,
    "mime_type": "application/octet-stream",
    "transfer_method": "tool_file",
    "type": "image",
    "remote_url": "",
}

type Script = Callable[[Call], Iterator[Step]]


def apps() -> dict[str, App]:
    """The demo apps by id, with no conversation begun yet."""
    chatbot = _conversing(_chatbot, "chat")
    chatflow = _conversing(_chatflow, "advanced-chat")
    made = {
        "chatbot": App(
            mode="chat",
            script=chatbot,
            blocking=_folded(chatbot, "chat"),
            form=_form(
                _basic("text-input", "name", "Your name", max_length=48),
                _basic("select", "tone", "Tone", options=["friendly", "formal"], default="friendly"),
                opening_statement="Hello! What would you like to know?",
                suggested_questions=["What is an endpoint plugin?", "How do I continue this conversation?"],
            ),
        ),
        "agent": App(
            mode="agent-chat",
            script=_conversing(_agent, "agent-chat"),
            form=_form(
                _basic("select", "style", "Style", options=["pencil", "watercolour"], default="pencil"),
                opening_statement="What shall I draw?",
            ),
        ),
        "chatflow": App(
            mode="advanced-chat",
            script=chatflow,
            blocking=_folded(chatflow, "advanced-chat"),
            form=_form(_variable("select", "tone", "Tone", options=["formal", "casual"], default="formal")),
        ),
        "workflow": App(
            mode="workflow",
            script=_workflow,
            blocking=_folded(_workflow, "workflow"),
            form=_form(
                _variable("paragraph", "text", "Text", required=True, max_length=5000),
                _variable("number", "words", "Words to keep", default="12"),
            ),
        ),
        "completion": App(
            mode="completion",
            script=_completion,
            blocking=_folded(_completion, "completion"),
            form=_form(_basic("text-input", "topic", "Topic", required=True, max_length=48)),
        ),
        # Dify 1.16 answers every call of a completion app from a plugin like this.
        "completion-today": App(
            mode="completion",
            script=[UNKNOWN_ERROR],
            form=_form(_basic("text-input", "topic", "Topic", required=True, max_length=48)),
        ),
    }
    return {IDS[name]: app for name, app in made.items()}


def _conversing(script: Callable[[Call, int], Iterator[Step]], mode: Mode) -> Script:
    """The script with its conversation found or begun: it is called with the call and the number of the turn."""
    turns: dict[str, int] = {}

    def steps(call: Call) -> Iterator[Step]:
        if call.conversation_id not in turns:
            if call.conversation_id and mode != "advanced-chat":  # which begins a new one without a word
                yield Failure.http(400, "invalid_param", "")
                return
            call = replace(call, conversation_id=str(uuid.uuid4()))
        turns[call.conversation_id] = turn = turns.get(call.conversation_id, 0) + 1
        yield from script(call, turn)

    return steps


def _chatbot(call: Call, turn: int) -> Iterator[Step]:
    message = Message(call)
    name = call.inputs.get("name") or ("dear user" if call.inputs.get("tone") == "formal" else "there")
    answer = (
        f"{'Good day' if call.inputs.get('tone') == 'formal' else 'Hello'}, {name}! You asked:\n\n> {call.query}\n\n"
        "I am a demo, so I only know how an answer travels:\n\n1. Dify sends it as **events**, a few words each,\n"
        f"2. the plugin writes them out,\n3. you read along.\n\nThis was turn {turn} of our conversation. "
        "Send its `conversation_id` with your next question, and I will remember."
    )
    yield Pause(THINK_S)
    yield from message.say(answer)
    yield message.end(answer)


def _agent(call: Call, turn: int) -> Iterator[Step]:
    message = Message(call)
    style = call.inputs.get("style") or "pencil"
    plan, answer = f"I will draw that in {style}.", f"Here is picture number {turn} of this conversation: {call.query}"
    label = {"en_US": "Text to image", "zh_Hans": "文生图", "pt_BR": "Text to image", "ja_JP": "Text to image"}
    use = {"tool": "text2image", "tool_labels": {"text2image": label}}
    use["tool_input"] = dumps({"text2image": {"prompt": f"{call.query}, {style}"}})
    done = dumps({"text2image": "image has been created and sent to user already, just tell the user to check it now."})
    first, second, file_id = (str(uuid.uuid4()) for _ in range(3))
    filename = f"{uuid.uuid4()}.png"
    url = f"https://dify.example.com/files/tools/{filename}?timestamp={int(message.began)}&nonce={file_id[:8]}&sign=demo="
    file = {"related_id": file_id, "upload_file_id": file_id, "filename": filename, "url": url, **PICTURE}

    yield message.thought(first, 1)
    yield Pause(THINK_S)
    yield from message.say(plan, name="agent_message")
    yield message.thought(first, 1, thought=plan, **use)
    yield Pause(THINK_S)
    yield message.event("message_file", id=file_id, type="image", belongs_to="assistant", url=url)
    yield message.thought(first, 1, thought=plan, observation=done, message_files=[file_id], **use)
    yield message.thought(second, 2)
    yield from message.say(answer, name="agent_message")
    yield message.thought(second, 2, thought=answer)
    yield message.end(answer, files=[file])


def _chatflow(call: Call, turn: int) -> Iterator[Step]:
    message = Message(call)
    resource = RESOURCE | {"content": "An endpoint plugin gives an app of the workspace an HTTP address of its own."}
    close = f"And that was turn {turn}!" if call.inputs.get("tone") == "casual" else f"This was turn {turn}. Kind regards."
    answer = f"On “{call.query}” the handbook says: {resource['content']} {close}"
    outputs = {"answer": answer, "files": []}
    found: Event = {"inputs": {"query": call.query}, "outputs": {"result": [resource]}}
    yield message.run_started()
    yield from message.node(1, "start", "Start", inputs=call.inputs, outputs=message.inputs())
    yield from message.node(2, "knowledge-retrieval", "Look it up", body=[Pause(THINK_S)], **found)
    yield from message.model_node(3, "LLM", answer, body=message.say(answer, selector=["llm", "text"]))
    yield from message.node(4, "answer", "Answer", outputs=outputs)
    yield message.end(answer, resources=[resource], annotation_reply=None)
    yield message.run_finished(outputs, steps=4, answer=answer)


def _workflow(call: Call) -> Iterator[Step]:
    message = Message(call)
    words = str(call.inputs.get("text") or "").split()
    count = str(call.inputs.get("words") or "")
    kept = int(count) if count.isdecimal() else DEFAULT_WORDS
    summary = f"{' '.join(words[:kept])}{' …' if len(words) > kept else ''} ({len(words)} words in all)"
    outputs = {"summary": summary, "words": len(words)}

    def write() -> Iterator[Step]:
        for token in tokens(summary):
            yield message.flow_event("text_chunk", {"text": token, "from_variable_selector": ["llm", "text"]})
            yield Pause(TOKEN_S)

    yield message.run_started()
    yield from message.node(1, "start", "Start", inputs=call.inputs, outputs=message.inputs())
    yield Pause(THINK_S)
    yield from message.model_node(2, "Summarise", summary, body=write())
    yield from message.node(3, "end", "End", inputs=outputs, outputs=outputs)
    yield message.run_finished(outputs, steps=3, answer=summary)


def _completion(call: Call) -> Iterator[Step]:
    message = Message(call)
    topic = call.inputs.get("topic") or "nothing at all"
    answer = f"A haiku about {topic}:\n\n{topic} at daybreak\nthe pond keeps its own counsel\none duck, then silence"
    yield Pause(THINK_S)
    yield from message.say(answer)
    yield message.end(answer)


def _folded(script: Script, mode: Mode) -> Callable[[Call], Event | Failure]:
    """The blocking answer that goes with a script."""

    def answer(call: Call) -> Event | Failure:
        text = ""
        end: Event = {}
        finished: Event = {}
        for step in script(call):
            match step:
                case Failure():
                    return step
                case Pause():
                    time.sleep(step.seconds)
                case {"event": "message", "answer": delta}:
                    text += delta
                case {"event": "message_end"}:
                    end = step
                case {"event": "workflow_finished"}:
                    finished = step
        return blocking_run(finished) if mode == "workflow" else blocking_message(end, mode, text)

    return answer


def _form(*variables: Event, **changes: Any) -> Event:
    return {**MINIMAL_FORM, "user_input_form": list(variables), **changes}


def _basic(control: str, variable: str, label: str, *, required: bool = False, **more: Any) -> Event:
    """A variable as chatbots, agents and completion apps describe it."""
    return {control: {"label": label, "variable": variable, "required": required, "default": "", "hide": False, **more}}


def _variable(control: str, variable: str, label: str, *, required: bool = False, **more: Any) -> Event:
    """A variable as chatflows and workflows describe it."""
    known = {"variable": variable, "label": label, "type": control, "max_length": 48, "required": required, "options": []}
    return {control: {**known, **more}}
