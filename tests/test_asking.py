"""What a client says to its model, put into the fields of an app."""

from dataclasses import replace
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from duck.errors import DuckError
from duck.faces.asking import MAX_REPLAY, Attachment, Prompt, Turn, place
from duck.runs import forms
from duck.runs.files import File
from duck.runs.run import Kind, RunRequest
from tests.fuzzing import TEXTS

FORM = {
    "user_input_form": [
        {"paragraph": {"variable": "instructions"}},
        {"text-input": {"variable": "question", "required": True}},
        {"file": {"variable": "doc", "allowed_file_types": ["document"]}},
        {"file-list": {"variable": "pictures", "allowed_file_types": ["image"]}},
    ],
    "file_upload": {"enabled": True, "allowed_file_types": ["image"]},
}
TURNS = (Turn("user", "Hi"), Turn("assistant", "Hello"), Turn("tool", "4"))
PROMPT = Prompt(text="More", turns=TURNS, system="Be short.", user="me", inputs={"n": 1})
PNG = File.received("a.png", "image/png", b"x")
PICTURE = Attachment(value=PNG, kind="image", place="here")
LINK = Attachment(value="https://x.example/a.pdf", kind="document", place="there")


def placed(
    prompt: Prompt, kind: Kind = "chat", *, form: Any = None, conversation_id: str | None = None, own: bool = False
) -> RunRequest:
    return place(prompt, forms.read(form), kind, "app", conversation_id, takes_files=own)


REPLAY = "Conversation so far:\n\nuser: Hi\n\nassistant: Hello\n\ntool: 4\n\n----\n\nMore"


@pytest.mark.parametrize(
    ("prompt", "conversation_id", "query"),
    [
        (PROMPT, None, f"Be short.\n\n{REPLAY}"),
        (PROMPT, "", f"Be short.\n\n{REPLAY}"),
        (PROMPT, "c", "More"),
        (replace(PROMPT, repeats_system=True), "c", "Be short.\n\nMore"),
        (replace(PROMPT, system=""), None, REPLAY),
        (replace(PROMPT, turns=()), None, "Be short.\n\nMore"),
        (replace(PROMPT, turns=(), system=""), None, "More"),
    ],
)
def test_the_query_of_a_chat(prompt: Prompt, conversation_id: str | None, query: str) -> None:
    run = placed(prompt, conversation_id=conversation_id).run
    assert (run.query, run.conversation_id, run.inputs) == (query, conversation_id or "", {"n": 1})
    assert (run.kind, run.app_id, run.user, run.mode) == ("chat", "app", "me", "blocking")
    assert placed(replace(prompt, streams=True)).run.mode == "streaming"


def test_a_conversation_of_more_characters_than_a_query_may_have_is_refused() -> None:
    with pytest.raises(DuckError) as raised:
        placed(replace(PROMPT, text="x" * MAX_REPLAY))
    assert (raised.value.status, raised.value.code) == (400, "context_length_exceeded")
    assert len(placed(replace(PROMPT, text="x" * MAX_REPLAY), conversation_id="c").run.query) == MAX_REPLAY


@pytest.mark.parametrize("kind", ["chat", "workflow", "completion"])
@pytest.mark.parametrize("own", [False, True])
def test_texts_and_files_go_where_the_form_has_a_place(kind: Kind, own: bool) -> None:
    wanted = placed(replace(PROMPT, attachments=(PICTURE, LINK, PICTURE)), kind, form=FORM, own=own)
    link = {"type": "document", "transfer_method": "remote_url", "url": "https://x.example/a.pdf"}
    inputs = {"n": 1, "instructions": "Be short.", "doc": link}
    if kind != "chat":
        inputs["question"] = "More"
    if is_besides := own and kind != "workflow":
        assert wanted.files == [PNG, PNG]
    else:
        inputs["pictures"] = [PNG, PNG]
    assert (wanted.run.inputs, wanted.files) == (inputs, [PNG, PNG] if is_besides else None)
    assert wanted.run.query == (REPLAY if kind == "chat" else "")


@pytest.mark.parametrize(
    ("kind", "what"), [("image", "images"), ("audio", "sound"), ("video", "videos"), ("document", "files"), ("custom", "files")]
)
def test_a_file_without_a_place_is_refused_by_its_kind(kind: Any, what: str) -> None:
    with pytest.raises(DuckError) as raised:
        placed(replace(PROMPT, attachments=(replace(PICTURE, kind=kind),)), form={"user_input_form": []}, own=True)
    assert raised.value.message == f"here: this app takes no {what}: it has no variable for one"


NAMES = st.sampled_from(["query", "input", "system", "instructions", "a", "b"])
VARIABLES = st.builds(
    lambda control, name, required, hide: {control: {"variable": name, "required": required, "hide": hide}},
    st.sampled_from(["text-input", "paragraph", "number"]),
    NAMES,
    st.booleans(),
    st.booleans(),
)


@hypothesis.given(
    variables=st.lists(VARIABLES, max_size=4, unique_by=lambda row: next(iter(row.values()))["variable"]),
    inputs=st.dictionaries(NAMES, st.none() | st.just("given"), max_size=3),
    turns=st.lists(st.builds(Turn, st.sampled_from(["user", "assistant", "tool"]), TEXTS), max_size=3),
    kind=st.sampled_from(["chat", "workflow"]),
)
def test_nothing_that_was_said_is_dropped_in_silence(variables: Any, inputs: Any, turns: Any, kind: Any) -> None:
    prompt = Prompt(text="The text", system="The system", turns=tuple(turns), inputs=inputs)
    run = placed(prompt, kind, form={"user_input_form": variables}).run
    given = {name: value for name, value in inputs.items() if value is not None}
    assert {**run.inputs, **given} == run.inputs, "what the client gives is not replaced"
    hidden = {row["variable"] for rows in variables for row in rows.values() if row["hide"]}
    added = {name: value for name, value in run.inputs.items() if name not in given}
    assert added.keys().isdisjoint(hidden)
    said = "\n\n".join([run.query, *added.values()])
    assert said.count("The system") == said.count("The text") == 1 or kind == "workflow"
    assert all(f"{turn.role}: {turn.text}" in run.query for turn in turns if turn.text) or kind == "workflow"
    assert len(added) <= 2
