"""Apps with conversations, and completion apps, which have none."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from typing import Any

from devhost.apps import App, Call, Event, Failure, Message, Mode, Pause, Step, say
from devhost.demo.events import Flow
from devhost.demo.forms import basic, form, variable
from devhost.wire import dumps

THINK_S = 0.3  # before the first token, and for a tool
HAIKU = "A haiku about {topic}:\n\n{topic} at daybreak\nthe pond keeps its own counsel\none duck, then silence"
QUOTE = "An endpoint plugin gives an app of the workspace an HTTP address of its own."
RESOURCE: Event = json.loads("""{
    "position": 1, "dataset_id": "d1b2c3d4-0000-4000-8000-000000000001", "dataset_name": "Handbook",
    "document_id": "d1b2c3d4-0000-4000-8000-000000000002", "document_name": "endpoints.md", "data_source_type": "upload_file",
    "segment_id": "d1b2c3d4-0000-4000-8000-000000000003", "retriever_from": "api", "score": 0.9131, "hit_count": 7,
    "word_count": 14, "segment_position": 4, "index_node_hash": "8f0d5e1c", "page": null, "doc_metadata": {"author": "docs"},
    "title": null, "files": null, "summary": null
}""") | {"content": f"{QUOTE} For the staff alone: the spare key hangs behind the duck's portrait."}
ANY: Event = {  # the files that a chat accepts
    "image": {"enabled": True, "number_limits": 3, "transfer_methods": ["remote_url", "local_file"]},
    "enabled": True,
    "allowed_file_types": ["image", "document"],
    "allowed_file_extensions": [],
    "allowed_file_upload_methods": ["remote_url", "local_file"],
    "number_limits": 3,
}
SITE: Event = {  # an app's own face
    "icon": "🐤",
    "icon_background": "#FEF7C3",
    "chat_color_theme": "#7A5AF8",
    "copyright": "2026 Example Ltd.",
    "privacy_policy": "https://example.com/privacy",
    "custom_disclaimer": "A demo: its answers are made up.",
    "input_placeholder": "Ask the chatbot …",
    "use_icon_as_answer_icon": True,
}
THOUGHT: Event = {"thought": "", "observation": "", "tool": "", "tool_labels": {}, "tool_input": "", "message_files": []}
PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 150" fill="{colour}">
<circle cx="130" cy="45" r="24"/><ellipse cx="90" cy="90" rx="60" ry="32"/><path d="M150 40l34 8-34 10z" fill="#f80"/>
<text x="100" y="142" text-anchor="middle" font-size="11">{title}</text></svg>
"""


def apps() -> dict[str, App]:
    """The apps by alias, without conversations."""
    topic = form(basic("text-input", "topic", "Topic", required=True, max_length=48))
    name = basic("text-input", "name", "Your name", max_length=48)
    tone = basic("select", "tone", "Tone", options=["friendly", "formal"], default="friendly")
    style = basic("select", "style", "Style", options=["pencil", "watercolour"], default="pencil")
    manner = variable("select", "tone", "Tone", options=["formal", "casual"], default="formal")
    greeting = "Hello! What would you like to know?"
    suggestions = ["What is an endpoint plugin?", "How do I continue this conversation?"]
    return {
        "chatbot": replace(
            conversing(
                "chat", _chatbot, form(name, tone, opening_statement=greeting, suggested_questions=suggestions, file_upload=ANY)
            ),
            name="Chatbot",
            description="Knows how an answer travels, and what you have attached.",
            site=SITE,
        ),
        "agent": conversing("agent-chat", _agent, form(style, opening_statement="What shall I draw?")),
        "chatflow": conversing("advanced-chat", _chatflow, form(manner)),
        "completion": App(
            mode="completion", script=say(HAIKU), form=topic, name="Haiku", description="Writes three lines.", for_plugins=True
        ),
        "completion-today": App(mode="completion", script=say(HAIKU), form=topic),
    }


def conversing(mode: Mode, script: Callable[[Call, int], Iterator[Step]], form: Event) -> App:
    """An app that counts the turns of its conversations: the script gets the call and the number of the turn."""
    turns: dict[str, int] = {}

    def steps(call: Call) -> Iterator[Step]:
        if call.conversation_id not in turns:
            if call.conversation_id and mode != "advanced-chat":  # it silently begins a new conversation
                yield Failure.http(400, "invalid_param", "")
                return
            call = replace(call, conversation_id=str(uuid.uuid4()))
        turns[call.conversation_id] = turn = turns.get(call.conversation_id, 0) + 1
        yield from script(call, turn)

    return App(mode=mode, script=steps, form=form)


def _chatbot(call: Call, turn: int) -> Iterator[Step]:
    formal = call.inputs.get("tone") == "formal"
    name = call.inputs.get("name") or ("dear user" if formal else "there")
    answer = (
        f"{'Good day' if formal else 'Hello'}, {name}! You asked:\n\n> {call.query}\n\n"
        "I am a demo, so I only know how an answer travels:\n\n1. Dify sends it as **events**, a few words each,\n"
        f"2. the plugin writes them out,\n3. you read along.\n\nThis was turn {turn} of our conversation. "
        "Send its `conversation_id` with your next question, and I will remember."
    )
    if call.attached:
        answer += "\n\nYou attached:\n\n" + "\n".join(f"- {_about(file)}" for file in call.attached)
    message = Message(call)
    yield Pause(THINK_S)
    yield from message.say(answer)
    yield message.end(answer)


def _about(file: Event) -> str:
    if file["transfer_method"] == "remote_url":
        return f"a link, {file['url']}"
    return f"{file['filename']}, {file['mime_type']}, {file['size']} bytes"


def _agent(call: Call, turn: int) -> Iterator[Step]:
    style = call.inputs.get("style") or "pencil"
    plan, answer = f"I will draw that in {style}.", f"Here is picture number {turn} of this conversation: {call.query}"
    label = {"en_US": "Text to image", "zh_Hans": "文生图", "pt_BR": "Text to image", "ja_JP": "Text to image"}
    use: Event = {"tool": "text2image", "tool_labels": {"text2image": label}, "thought": plan}
    use["tool_input"] = dumps({"text2image": {"prompt": f"{call.query}, {style}"}})
    done = dumps({"text2image": "image has been created and sent to user already, just tell the user to check it now."})
    drawing = PICTURE.format(colour="#999" if style == "pencil" else "#48c", title=escape(call.query))
    stored = call.files.add("drawing.svg", "image/svg+xml", drawing.encode())
    url = call.files.preview_url(stored)
    first, second, file_id = (str(uuid.uuid4()) for _ in range(3))
    file: Event = {"related_id": file_id, "upload_file_id": file_id, "extension": stored.extension, "url": url, "remote_url": ""}
    file |= {"filename": stored.id + stored.extension, "mime_type": stored.mime_type, "size": len(stored.content)}
    message = Message(call)

    def thought(thought_id: str, position: int, **fields: Any) -> Event:
        return message.event("agent_thought", id=thought_id, position=position, **THOUGHT | fields)

    yield thought(first, 1)
    yield Pause(THINK_S)
    yield from message.say(plan, name="agent_message")
    yield message.event("agent_message", id=message.id, answer="")  # the model calls a tool here
    yield thought(first, 1, **use)
    yield Pause(THINK_S)
    yield message.event("message_file", id=file_id, type="image", belongs_to="assistant", url=url)
    yield thought(first, 1, observation=done, message_files=[file_id], **use)
    yield thought(second, 2)
    yield from message.say(answer, name="agent_message")
    yield thought(second, 2, thought=answer)
    yield message.end(answer, files=[{**file, "transfer_method": "tool_file", "type": "image"}])


def _chatflow(call: Call, turn: int) -> Iterator[Step]:
    close = f"And that was turn {turn}!" if call.inputs.get("tone") == "casual" else f"This was turn {turn}. Kind regards."
    answer = f"On “{call.query}” the handbook says: {QUOTE} {close}"
    outputs = {"answer": answer, "files": []}
    found: Event = {"inputs": {"query": call.query}, "outputs": {"result": [RESOURCE]}}
    flow = Flow(call)
    yield from flow.start()
    yield from flow.node("knowledge-retrieval", "Look it up", [Pause(THINK_S)], **found)
    yield from flow.model("LLM", answer, flow.say(answer, selector=["llm", "text"]))
    yield from flow.node("answer", "Answer", outputs=outputs)
    yield flow.end(answer, resources=[RESOURCE], annotation_reply=None)
    yield flow.finished(outputs, steps=4, answer=answer)
