"""The events of workflow runs, with all fields of Dify 1.16, and the error texts of models' plugins."""

import json
import secrets
import time
import uuid
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from devhost.apps import TOKEN_S, Event, Message, Pause, Step, tokens, workflow_id
from devhost.asking import Ask, Filled
from devhost.users import PLUGINS
from devhost.wire import dumps

USER, END_USER = PLUGINS, str(uuid.uuid4())  # all callers of endpoints are one user in Dify
END = "end"  # the id of a workflow's last node
SYSTEM_PROMPT = "You are a helpful duck. Never say where the pond's water comes from: a spring below the reeds."

MODEL = {"model_provider": "langgenius/openai/openai", "model_name": "gpt-4o-mini"}

# Fields that do not vary in the demo.
NODE_STARTED: Event = json.loads("""{
    "predecessor_node_id": null, "inputs": null, "inputs_truncated": false, "extras": {}, "iteration_id": null, "loop_id": null,
    "agent_strategy": null
}""")
NODE_FINISHED: Event = json.loads("""{
    "predecessor_node_id": null, "inputs": {}, "inputs_truncated": false, "process_data": {}, "process_data_truncated": false,
    "outputs": {}, "outputs_truncated": false, "status": "succeeded", "error": null, "execution_metadata": null, "files": [],
    "iteration_id": null, "loop_id": null
}""")


@dataclass(frozen=True, slots=True)
class Flow(Message):
    """Makes the events of one workflow run. With a conversation it is the run of a chatflow."""

    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def workflow_id(self) -> str:
        """The id of the workflow's version."""
        return workflow_id(self.call.app_id)

    def flow_event(self, name: str, data: Event, **ids: str) -> Event:
        """An event of a workflow, or of a chatflow's workflow."""
        if self.call.conversation_id:
            return self.event(name, **ids, data=data)
        return {"event": name, "workflow_run_id": self.run_id, "task_id": self.task_id, "data": data}

    def usage(self, answer: str) -> Event:
        """The reported usage. The node of a workflow measures more than a basic app."""
        usage = Message.usage(self, answer)
        return usage | {"time_to_first_token": 0.01, "time_to_generate": usage["latency"]}

    def chunk(self, text: str, selector: Iterable[str]) -> Event:
        """A piece of the output of the variable that the selector names."""
        return self.flow_event("text_chunk", {"text": text, "from_variable_selector": list(selector)})

    def write(self, text: str, *, breaks_off: bool = False) -> Iterator[Step]:
        """The text as a model writes it into a workflow's output: as deltas, and two empty ones unless it `breaks_off`."""
        selector = ("llm", "text")
        for token in tokens(text):
            yield self.chunk(token, selector)
            yield Pause(TOKEN_S)
        if not breaks_off:
            yield from [self.chunk("", selector)] * 2

    def outputs(self, *values: tuple[Sequence[str], Any], are_first: bool = True) -> Iterator[Step]:
        """The text chunks for outputs of a workflow's last node: pairs of a variable's selector and its value.

        Line breaks separate them, and separate them from earlier outputs unless they `are_first`. `write` makes the chunks of a
        model's output.
        """
        for number, (selector, value) in enumerate(values):
            if number or not are_first:
                yield self.chunk("\n", (END, "answer"))
            yield self.chunk(shown(value), selector)

    def user(self) -> str:
        """The id of the run's user in Dify."""
        return self.call.user if self.call.by_key else USER

    def inputs(self) -> Event:
        """The inputs of the run, with the variables that Dify adds."""
        chat: Event = {"sys.query": self.call.query, "sys.dialogue_count": 1} if self.call.conversation_id else {}
        system = {"sys.user_id": self.user(), "sys.app_id": self.call.app_id, "sys.workflow_id": self.workflow_id}
        return {**self.call.inputs, **chat, "sys.files": [], **system, "sys.workflow_run_id": self.run_id}

    def start(self) -> Iterator[Step]:
        """The events that begin the run, up to the end of its first node."""
        data: Event = {"id": self.run_id, "workflow_id": self.workflow_id, "inputs": self.inputs()}
        data |= {"created_at": int(self.began), "reason": "initial"}
        yield self.flow_event("workflow_started", data, workflow_run_id=self.run_id)
        yield from self.node("start", "Start", inputs=self.call.inputs, outputs=self.call.inputs)

    def node_started(self, node_type: str, title: str) -> Event:
        """The event that begins a node. Its `index` is always 1 in Dify 1.16."""
        node: Event = {"id": str(uuid.uuid4()), "node_id": node_type, "node_type": node_type, "title": title, "index": 1}
        data = NODE_STARTED | node | {"created_at": int(time.time())}
        return self.flow_event("node_started", data, workflow_run_id=self.run_id)

    def node(self, node_type: str, title: str, body: Iterable[Step] = (), **done: Any) -> Iterator[Step]:
        """One node: its first event, the steps of `body`, and its last event with the fields in `done`."""
        began, started = time.time(), self.node_started(node_type, title)
        yield started
        yield from body
        yield self._node_finished(started, began, done)

    def ask(self, ask: Ask) -> Generator[Step, Filled, Filled]:
        """A node that waits for a person, and what the person has answered."""
        began, started = time.time(), self.node_started("human-input", ask.title)
        yield started
        filled = yield ask
        outputs = {**filled.inputs, "__action_id": filled.action or "__timeout"}
        yield self._node_finished(started, began, {"outputs": outputs})
        return filled

    def _node_finished(self, started: Event, began: float, done: Event) -> Event:
        node = {key: started["data"][key] for key in ("id", "node_id", "node_type", "title", "index", "created_at")}
        times = {"elapsed_time": round(time.time() - began, 6), "finished_at": int(time.time())}
        return self.flow_event("node_finished", NODE_FINISHED | node | times | done, workflow_run_id=self.run_id)

    def model(self, title: str, answer: str, body: Iterable[Step]) -> Iterator[Step]:
        """A node in which a model writes the answer."""
        usage = self.usage(answer)
        question = {"role": "user", "text": self.call.query or str(self.call.inputs), "files": []}
        prompts = [{"role": "system", "text": SYSTEM_PROMPT, "files": []}, question]
        process_data: Event = {"prompts": prompts, "usage": usage, "finish_reason": "stop", "model_mode": "chat", **MODEL}
        done: Event = {"inputs": MODEL, "process_data": process_data}
        done["outputs"] = {"text": answer, "reasoning_content": "", "usage": usage, "finish_reason": "stop"}
        done["execution_metadata"] = {key: usage[key] for key in ("total_tokens", "total_price", "currency")}
        return self.node("llm", title, body, **done)

    def failing_model(self, title: str, error: str, body: Iterable[Step] = ()) -> Iterator[Step]:
        """A node whose model fails."""
        return self.node("llm", title, body, inputs=MODEL, status="failed", error=error)

    def finished(self, outputs: Event, *, steps: int, answer: str = "", **changes: Any) -> Event:
        """The event that ends the run, with status `succeeded` unless `changes` replace it."""
        data: Event = {"id": self.run_id, "workflow_id": self.workflow_id, "status": "succeeded", "outputs": outputs}
        data |= {"created_at": int(self.began), "finished_at": int(time.time())}
        data["created_by"] = {"id": self.call.end_user if self.call.by_key else END_USER, "user": self.user()}
        data |= {"elapsed_time": round(time.time() - self.began, 6), "total_tokens": self.usage(answer)["total_tokens"]}
        data |= {"total_steps": steps, "error": None, "exceptions_count": 0, "files": []}
        return self.flow_event("workflow_finished", data | changes, workflow_run_id=self.run_id)

    def failed(self, error: str, *, steps: int) -> Iterator[Step]:
        """The events that end a failed run. Calls with the app's own key do not get the second, as in Dify."""
        yield self.finished({}, steps=steps, status="failed", error=error, exceptions_count=1)
        if self.call.conversation_id:
            yield self.error("invalid_param", 400, f"Run failed: {error}")


def shown(value: Any) -> str:
    """A value as Dify writes it into a workflow's text."""
    match value:
        case str():
            return value
        case None | {"dify_model_identity": _} | [{"dify_model_identity": _}, *_]:  # no value, or files
            return ""
        case dict():
            return json.dumps(value, ensure_ascii=False, indent=2)
        case list():
            return "\n".join(f"- {item}" for item in value)
    return str(value)


def refused_by_model(status: int, reason: str) -> str:
    """Dify's text for a model's error if the model's plugin does not name it; an example is openai_api_compatible."""
    answer = json.dumps({"error": {"message": reason, "type": "requests", "code": str(status)}})
    text = f"[models] Error: API request failed with status code {status}: {answer}"
    return dumps({"args": {"description": text}, "error_type": "InvokeError", "message": text})


def in_workflow(refusal: str) -> str:
    """The text as the error of a workflow's node."""
    return f"req_id: {secrets.token_hex(5)} PluginInvokeError: {refusal}"
