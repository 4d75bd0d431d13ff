"""The conversations and messages that Dify stores, each of an end user. No I/O."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from devhost.apps import Call, Event
from devhost.asking import WaitingForm

KEPT = 5_000  # messages; beyond it the oldest are evicted
UNNAMED = "New conversation"
TITLE_WORDS = 6  # of the question, in a name that stands for one by a model


@dataclass(slots=True, kw_only=True)
class Variable:
    """A variable of a chatflow's conversation."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    name: str
    value: Any
    created_at: float
    updated_at: float

    @property
    def type(self) -> str:
        """The type of the value, as Dify calls it."""
        return type_of(self.value)

    @property
    def text(self) -> str:
        """The value as Dify's API tells it: JSON, or the text itself."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)


@dataclass(slots=True, kw_only=True)
class Message:
    """A question and its answer, which is empty until it is stored. Completion apps' messages have no conversation."""

    id: str
    conversation_id: str
    call: Call
    created_at: float
    answer: str = ""
    status: str = "normal"
    error: str | None = None
    run_id: str = ""
    rating: str | None = None
    comment: str = ""
    end: Event = field(default_factory=dict)
    thoughts: dict[str, Event] = field(default_factory=dict)
    files: list[Event] = field(default_factory=list)
    forms: list[WaitingForm] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Takes an event of the answer."""
        match event:
            case {"event": "agent_thought", "id": thought}:
                self.thoughts[thought] = event
            case {"event": "message_file", "url": _}:
                self.files.append(event)
            case {"event": "message_end"}:
                self.end = event


@dataclass(slots=True, kw_only=True)
class Conversation:
    """A conversation of an end user."""

    id: str
    end_user: str
    inputs: Event
    created_at: float
    updated_at: float
    name: str = UNNAMED
    messages: list[Message] = field(default_factory=list)
    variables: dict[str, Variable] = field(default_factory=dict)

    def name_itself(self) -> None:
        """Takes a name from the first question, as a model would."""
        self.name = " ".join(self.messages[0].call.query.split()[:TITLE_WORDS])


class History:
    """The conversations and messages of a workspace's apps."""

    def __init__(self) -> None:
        self._conversations: dict[tuple[str, str], Conversation] = {}
        self._messages: dict[tuple[str, str], Message] = {}

    def begin(self, call: Call, message_id: str, conversation_id: str, now: float) -> Message:
        """Stores a message without an answer, and the conversation that it begins or continues."""
        message = Message(id=message_id, conversation_id=conversation_id, call=call, created_at=now)
        self._messages[call.app_id, message_id] = message
        if len(self._messages) > KEPT:
            self._evict()
        if conversation_id:
            conversation = self._conversations.get((call.app_id, conversation_id))
            if conversation is None or conversation.end_user != call.end_user:
                conversation = Conversation(
                    id=conversation_id, end_user=call.end_user, inputs=call.inputs, created_at=now, updated_at=now
                )
                self._conversations[call.app_id, conversation_id] = conversation
            conversation.messages.append(message)
            conversation.updated_at = now
        return message

    def declare(self, message: Message, variables: Mapping[str, Any]) -> None:
        """Gives the message's conversation these variables, unless it has them."""
        if conversation := self._conversations.get((message.call.app_id, message.conversation_id)):
            now = message.created_at
            for name, value in variables.items():
                variable = Variable(name=name, value=value, created_at=now, updated_at=now)
                conversation.variables.setdefault(name, variable)

    def touch(self, message: Message, now: float, *, named: bool) -> None:
        """Notes that the message's answer was stored; with `named` a new conversation gets a name."""
        if conversation := self._conversations.get((message.call.app_id, message.conversation_id)):
            conversation.updated_at = now
            if named and conversation.name == UNNAMED:
                conversation.name_itself()

    def owner(self, app_id: str, conversation_id: str) -> str | None:
        """The end user to whom the conversation belongs, or None if there is none."""
        conversation = self._conversations.get((app_id, conversation_id))
        return None if conversation is None else conversation.end_user

    def conversations(self, app_id: str, end_user: str) -> list[Conversation]:
        """The end user's conversations, oldest first."""
        found = list(self._conversations.items())
        return [conversation for (app, _), conversation in found if app == app_id and conversation.end_user == end_user]

    def conversation(self, app_id: str, end_user: str, conversation_id: str) -> Conversation | None:
        """The end user's conversation with this id."""
        conversation = self._conversations.get((app_id, conversation_id))
        return conversation if conversation is not None and conversation.end_user == end_user else None

    def message(self, app_id: str, end_user: str, message_id: str) -> Message | None:
        """The end user's message with this id."""
        message = self._messages.get((app_id, message_id))
        return message if message is not None and message.call.end_user == end_user else None

    def refers(self, app_id: str, file_id: str) -> bool:
        """Whether a message of the app has this file."""
        messages = [message for (app, _), message in list(self._messages.items()) if app == app_id]
        return any(file.get("related_id") == file_id for message in messages for file in message.call.attached)

    def delete(self, app_id: str, conversation: Conversation) -> None:
        """Deletes the conversation with its messages."""
        self._conversations.pop((app_id, conversation.id), None)
        for message in conversation.messages:
            self._messages.pop((app_id, message.id), None)

    def _evict(self) -> None:
        (app_id, message_id), message = next(iter(self._messages.items()))
        del self._messages[app_id, message_id]
        if conversation := self._conversations.get((app_id, message.conversation_id)):
            conversation.messages = [other for other in conversation.messages if other is not message]


def type_of(value: Any) -> str:
    """The type of a variable's value, as Dify calls it."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case dict():
            return "object"
        case [first, *_] if not isinstance(first, list):
            return f"array[{type_of(first)}]"
        case list():
            return "array[any]"
    return "string"
