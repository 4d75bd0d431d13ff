"""Ids by which the runs of an app can be fetched later. Pure."""

from dataclasses import dataclass
from uuid import UUID

from duck import limits
from duck.runs.run import Kind
from duck.streams.format import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RunId:
    """What identifies a run: a workflow's run, a chat's conversation and message, or all three for a chatflow; "" for none."""

    conversation_id: str = ""
    message_id: str = ""
    workflow_run_id: str = ""

    def __str__(self) -> str:
        """The id in one piece, which `parse` reads."""
        return ".".join(filter(None, (self.conversation_id, self.message_id, self.workflow_run_id)))

    def as_dict(self) -> dict[str, str]:
        """The ids that there are."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name))}


def of(event: Event) -> RunId:
    """The id of the run that an event belongs to."""
    return RunId(**{name: str(event.get(name) or "") for name in RunId.__slots__})


def parse(text: str, kind: Kind) -> RunId | None:
    """The id of a run of an app of this kind, None if it cannot be one. A chatflow's run has a short id, too: its workflow's."""
    ids = text.lower().split(".")
    if len(text) > limits.MAX_RUN_ID or not all(map(_is_uuid, ids)):
        return None
    match kind, ids:
        case (("workflow" | "chat"), [run]):
            return RunId(workflow_run_id=run)
        case "completion", [message]:
            return RunId(message_id=message)
        case "chat", [conversation, message]:
            return RunId(conversation_id=conversation, message_id=message)
        case "chat", [conversation, message, run]:
            return RunId(conversation_id=conversation, message_id=message, workflow_run_id=run)
    return None


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
