"""Events with all the fields that Dify 1.16 gives them, for the demo apps. Pure, but for ids and clocks."""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from devhost.apps import Call, Event, Pause, Step

TOKEN_S = 0.03  # between two tokens, as a quick model takes
THINK_S = 0.3  # before the first one, and for a tool

USER, END_USER = str(uuid.uuid4()), str(uuid.uuid4())  # all callers of endpoints are one user in Dify

# What does not vary in the demo. Prices are strings in Dify.
USAGE: Event = json.loads("""{
    "prompt_unit_price": "0.001", "prompt_price_unit": "0.001", "completion_unit_price": "0.002",
    "completion_price_unit": "0.001", "currency": "USD"
}""")
NODE_STARTED: Event = json.loads("""{
    "predecessor_node_id": null, "inputs": null, "inputs_truncated": false, "extras": {}, "iteration_id": null, "loop_id": null,
    "agent_strategy": null
}""")
NODE_FINISHED: Event = json.loads("""{
    "predecessor_node_id": null, "inputs": {}, "inputs_truncated": false, "process_data": {}, "process_data_truncated": false,
    "outputs": {}, "outputs_truncated": false, "status": "succeeded", "error": null, "execution_metadata": null, "files": [],
    "iteration_id": null, "loop_id": null
}""")
RUN_FINISHED: Event = json.loads('{"status": "succeeded", "error": null, "exceptions_count": 0, "files": []}')
RESOURCE: Event = json.loads("""{
    "position": 1, "dataset_id": "d1b2c3d4-0000-4000-8000-000000000001", "dataset_name": "Handbook",
    "document_id": "d1b2c3d4-0000-4000-8000-000000000002", "document_name": "endpoints.md", "data_source_type": "upload_file",
    "segment_id": "d1b2c3d4-0000-4000-8000-000000000003", "retriever_from": "api", "score": 0.9131, "hit_count": 7,
    "word_count": 14, "segment_position": 4, "index_node_hash": "8f0d5e1c", "content": "", "page": null,
    "doc_metadata": {"author": "docs"}, "title": null, "files": null, "summary": null
}""")
THOUGHT: Event = json.loads("""{
    "thought": "", "observation": "", "tool": "", "tool_labels": {}, "tool_input": "", "message_files": []
}""")


@dataclass(frozen=True, slots=True)
class Message:
    """One answer in the making: its ids, and the events that carry them. One without a conversation belongs to none."""

    call: Call
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    workflow_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: float = field(default_factory=time.time)

    def event(self, name: str, **fields: Any) -> Event:
        """An event of a chat or completion app."""
        conversation = {"conversation_id": self.call.conversation_id} if self.call.conversation_id else {}
        common = {"message_id": self.id, "created_at": int(self.began), "task_id": self.task_id}
        return {"event": name, **conversation, **common, **fields}

    def say(self, text: str, *, name: str = "message", selector: Iterable[str] = ()) -> Iterator[Step]:
        """The text as deltas, a word each."""
        more = {} if name == "agent_message" else {"from_variable_selector": list(selector)}
        for token in tokens(text):
            yield self.event(name, id=self.id, answer=token, **more)
            yield Pause(TOKEN_S)

    def thought(self, thought_id: str, position: int, **fields: Any) -> Event:
        """A state of an agent's thought; it is sent again under the same id when it has grown."""
        return self.event("agent_thought", id=thought_id, position=position, **THOUGHT | fields)

    def end(self, answer: str, *, files: Iterable[Event] = (), resources: Iterable[Event] = (), **more: Any) -> Event:
        """The `message_end`; `more` goes into its metadata."""
        metadata = {**more, "retriever_resources": list(resources), "usage": self.usage(answer), "reasoning": {}}
        return self.event("message_end", id=self.id, metadata=metadata, files=list(files))

    def usage(self, answer: str) -> Event:
        """What the answer is said to have cost."""
        prompt = len(tokens(self.call.query)) + len(tokens(str(self.call.inputs)))
        completion = len(tokens(answer))
        taken = round(time.time() - self.began, 4)
        return USAGE | {
            "prompt_tokens": prompt,
            "prompt_price": f"{prompt / 1e6:.7f}",
            "completion_tokens": completion,
            "completion_price": f"{completion / 5e5:.7f}",
            "total_tokens": prompt + completion,
            "total_price": f"{prompt / 1e6 + completion / 5e5:.7f}",
            "latency": taken,
            "time_to_first_token": min(taken, THINK_S),
            "time_to_generate": max(0.0, round(taken - THINK_S, 4)),
        }

    def flow_event(self, name: str, data: Event, **ids: str) -> Event:
        """An event of a workflow, or of the one within a chatflow."""
        if self.call.conversation_id:
            return self.event(name, **ids, data=data)
        return {"event": name, "workflow_run_id": self.run_id, "task_id": self.task_id, "data": data}

    def inputs(self) -> Event:
        """The inputs of a run, with the variables that Dify adds."""
        chat = {"sys.query": self.call.query, "sys.dialogue_count": 1} if self.call.conversation_id else {}
        system = {"sys.user_id": USER, "sys.app_id": self.call.app_id, "sys.workflow_id": self.workflow_id}
        return {**self.call.inputs, **chat, "sys.files": [], **system, "sys.workflow_run_id": self.run_id}

    def run_started(self) -> Event:
        """The event that begins a workflow run."""
        data: Event = {"id": self.run_id, "workflow_id": self.workflow_id, "inputs": self.inputs()}
        data |= {"created_at": int(self.began), "reason": "initial"}
        return self.flow_event("workflow_started", data, workflow_run_id=self.run_id)

    def node(
        self,
        index: int,
        node_type: str,
        title: str,
        *,
        body: Iterable[Step] = (),
        made: Callable[[], Event] = dict,
        **done: Any,
    ) -> Iterator[Step]:
        """One node: it starts, does what `body` does, and finishes with the fields in `done` and those that `made` gives."""
        began = time.time()
        node: Event = {"id": str(uuid.uuid4()), "node_id": node_type, "node_type": node_type, "title": title, "index": index}
        node["created_at"] = int(began)
        yield self.flow_event("node_started", node | NODE_STARTED, workflow_run_id=self.run_id)
        yield from body
        times = {"elapsed_time": round(time.time() - began, 6), "finished_at": int(time.time())}
        yield self.flow_event("node_finished", node | NODE_FINISHED | times | done | made(), workflow_run_id=self.run_id)

    def model_node(self, index: int, title: str, answer: str, *, body: Iterable[Step]) -> Iterator[Step]:
        """A node in which a model gives the answer."""

        def made() -> Event:
            usage = self.usage(answer)
            prompts = [{"role": "user", "text": self.call.query or str(self.call.inputs), "files": []}]
            model = {"model_mode": "chat", "model_provider": "langgenius/openai/openai", "model_name": "gpt-4o-mini"}
            return {
                "process_data": {"prompts": prompts, "usage": usage, "finish_reason": "stop", **model},
                "outputs": {"text": answer, "reasoning_content": "", "usage": usage, "finish_reason": "stop"},
                "execution_metadata": {key: usage[key] for key in ("total_tokens", "total_price", "currency")},
            }

        return self.node(index, "llm", title, body=body, made=made)

    def run_finished(self, outputs: Event, *, steps: int, answer: str) -> Event:
        """The event that ends a workflow run."""
        data = {"id": self.run_id, "workflow_id": self.workflow_id, "outputs": outputs, "total_steps": steps} | RUN_FINISHED
        data |= {"created_at": int(self.began), "finished_at": int(time.time()), "created_by": {"id": END_USER, "user": USER}}
        data |= {"elapsed_time": round(time.time() - self.began, 6), "total_tokens": self.usage(answer)["total_tokens"]}
        return self.flow_event("workflow_finished", data, workflow_run_id=self.run_id)


def blocking_message(end: Event, mode: str, answer: str) -> Event:
    """The blocking answer of a chat or completion app that streams this `message_end`."""
    nulls = {"page": None, "title": None, "files": None, "summary": None}
    resources = [nulls | resource for resource in end["metadata"]["retriever_resources"]]
    metadata = {"annotation_reply": None, **end["metadata"], "retriever_resources": resources}
    common = {key: value for key, value in end.items() if key not in {"event", "metadata", "files"}}
    return {**common, "event": "message", "mode": mode, "answer": answer, "metadata": metadata}


def blocking_run(finished: Event) -> Event:
    """The blocking answer of a workflow that streams this `workflow_finished`."""
    left_out = {"created_by", "exceptions_count", "files"}
    data = {key: value for key, value in finished["data"].items() if key not in left_out}
    return {"task_id": finished["task_id"], "workflow_run_id": finished["workflow_run_id"], "data": data}


def tokens(text: str) -> list[str]:
    """The text in words, each with the space before it."""
    return re.findall(r"\s*\S+", text)
