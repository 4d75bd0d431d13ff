"""The events of workflow runs, with all the fields that Dify 1.16 gives them."""

import json
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from devhost.apps import TOKEN_S, Event, Message, Pause, Step, tokens

USER, END_USER = str(uuid.uuid4()), str(uuid.uuid4())  # all callers of endpoints are one user in Dify
SYSTEM_PROMPT = "You are a helpful duck. Never say where the pond's water comes from: a spring below the reeds."

# What does not vary in the demo.
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
    """One run of a workflow: its ids, and the events that carry them. With a conversation it is a chatflow's."""

    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    workflow_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def flow_event(self, name: str, data: Event, **ids: str) -> Event:
        """An event of a workflow, or of the one within a chatflow."""
        if self.call.conversation_id:
            return self.event(name, **ids, data=data)
        return {"event": name, "workflow_run_id": self.run_id, "task_id": self.task_id, "data": data}

    def write(self, text: str) -> Iterator[Step]:
        """The text as deltas of a workflow's output."""
        for token in tokens(text):
            yield self.flow_event("text_chunk", {"text": token, "from_variable_selector": ["llm", "text"]})
            yield Pause(TOKEN_S)

    def inputs(self) -> Event:
        """The inputs of the run, with the variables that Dify adds."""
        chat: Event = {"sys.query": self.call.query, "sys.dialogue_count": 1} if self.call.conversation_id else {}
        system = {"sys.user_id": USER, "sys.app_id": self.call.app_id, "sys.workflow_id": self.workflow_id}
        return {**self.call.inputs, **chat, "sys.files": [], **system, "sys.workflow_run_id": self.run_id}

    def start(self) -> Iterator[Step]:
        """The events that begin the run, up to the end of its first node."""
        data: Event = {"id": self.run_id, "workflow_id": self.workflow_id, "inputs": self.inputs()}
        data |= {"created_at": int(self.began), "reason": "initial"}
        yield self.flow_event("workflow_started", data, workflow_run_id=self.run_id)
        yield from self.node(1, "start", "Start", inputs=self.call.inputs, outputs=self.inputs())

    def node_started(self, index: int, node_type: str, title: str) -> Event:
        """The event that begins a node."""
        node: Event = {"id": str(uuid.uuid4()), "node_id": node_type, "node_type": node_type, "title": title, "index": index}
        data = NODE_STARTED | node | {"created_at": int(time.time())}
        return self.flow_event("node_started", data, workflow_run_id=self.run_id)

    def node(self, index: int, node_type: str, title: str, body: Iterable[Step] = (), **done: Any) -> Iterator[Step]:
        """One node: it starts, does what `body` does, and finishes with the fields in `done`."""
        began, started = time.time(), self.node_started(index, node_type, title)
        yield started
        yield from body
        node = {key: started["data"][key] for key in ("id", "node_id", "node_type", "title", "index", "created_at")}
        times = {"elapsed_time": round(time.time() - began, 6), "finished_at": int(time.time())}
        yield self.flow_event("node_finished", NODE_FINISHED | node | times | done, workflow_run_id=self.run_id)

    def model(self, index: int, title: str, answer: str, body: Iterable[Step]) -> Iterator[Step]:
        """A node in which a model gives the answer."""
        usage = self.usage(answer)
        asked = {"role": "user", "text": self.call.query or str(self.call.inputs), "files": []}
        prompts = [{"role": "system", "text": SYSTEM_PROMPT, "files": []}, asked]
        model = {"model_mode": "chat", "model_provider": "langgenius/openai/openai", "model_name": "gpt-4o-mini"}
        done: Event = {"process_data": {"prompts": prompts, "usage": usage, "finish_reason": "stop", **model}}
        done["outputs"] = {"text": answer, "reasoning_content": "", "usage": usage, "finish_reason": "stop"}
        done["execution_metadata"] = {key: usage[key] for key in ("total_tokens", "total_price", "currency")}
        return self.node(index, "llm", title, body, **done)

    def finished(self, outputs: Event, *, steps: int, answer: str = "", **changes: Any) -> Event:
        """The event that ends the run; it has succeeded unless `changes` say otherwise."""
        data: Event = {"id": self.run_id, "workflow_id": self.workflow_id, "status": "succeeded", "outputs": outputs}
        data |= {"created_at": int(self.began), "finished_at": int(time.time()), "created_by": {"id": END_USER, "user": USER}}
        data |= {"elapsed_time": round(time.time() - self.began, 6), "total_tokens": self.usage(answer)["total_tokens"]}
        data |= {"total_steps": steps, "error": None, "exceptions_count": 0, "files": []}
        return self.flow_event("workflow_finished", data | changes, workflow_run_id=self.run_id)
