"""Pages, read back by a parser that is not ours, as strict as there is one."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import pytest

from duck import errors
from duck.dify.site import Site
from duck.errors import DuckError
from duck.faces.page import Html, error_page, form_page
from duck.faces.page.frame import headers
from duck.faces.page.view import MAX_ATTACHED, MAX_QUESTION, MAX_TURNS, MAX_TURNS_SIZE, Turn, View, read_turns, repeated
from duck.faces.page.words import WORDS
from duck.runs import forms
from duck.runs.fields import Files, Texts
from duck.runs.files import File
from duck.streams.format import Event
from duck.texts import Fault
from tests.support import STREAMS as SAMPLES
from tests.support import kind_of_sample, parsed, recorded, sample
from tests.test_formats import ERROR, HOSTILE, chunk, finished, message, of_workflow

FORM = forms.read(recorded("fetch_app.workflow"))
ORIGIN = "https://dify.example.com"
CHAT = View(kind="chat", name="support", query="Hi?", form=forms.read(recorded("fetch_app.chat")), origin=ORIGIN)
WORKFLOW = View(kind="workflow", name="report", form=FORM, origin=ORIGIN)


def written(stream: Iterable[Event], view: View | None = None, *, keep_alives: bool = False) -> bytes:
    """A whole page, with a keep-alive before and after every event if asked for."""
    style = Html(view)
    pause = style.keep_alive() if keep_alives else b""
    return style.head() + pause + b"".join(style.event(event) + pause for event in stream) + style.tail()


def slots(body: bytes, name: str) -> list[Element]:
    """What has been put into a slot of the answer, without what a later part has made invisible."""
    children = list(parsed(body).findall(".//div[@class='answer']")[-1])
    hiding = {"text": {"x-reset", "x-cut"}, "blocks": {"x-reset"}}.get(name, set())
    last = max((number for number, child in enumerate(children) if child.tag in hiding), default=0)
    return [child for child in children[last:] if child.get("slot") == name]


def text_of(elements: Iterable[Element]) -> str:
    return "".join("".join(element.itertext()) for element in elements)


def shown(body: bytes) -> str:
    """All text that a reader sees of an answer at its end."""
    names = ("done", "steps", "notes", "files", "sources", "alert")
    final = slots(body, "final") or [*slots(body, "blocks"), *slots(body, "text")]
    return "\n".join([text_of(final), *(text_of(slots(body, name)) for name in names)])


ANSWERS = {
    "chat": ["The Pro plan costs 20 USD per month."],
    "advanced-chat": ["The Pro plan costs 20 USD per month."],
    "advanced-chat.failed": ["Run failed: [langgenius/openai/openai] Rate Limit Error, 429 Too Many Requests"],
    "agent-chat": ["I will draw it.", "Here is your fox."],
    "completion": ["A haiku about rain:\nsoft drops on the roof"],
    "workflow": ["Rain is coming."],
    "workflow.failed": ["[langgenius/openai/openai] Rate Limit Error, 429 Too Many Requests"],
    "workflow.paused": ["This run waits for a person."],
    "rare-events.chat": ["Your content violates our usage policy.", "429 slow down", "connection reset"],
    "rare-events.workflow": ["tone is required in input form", "Rain is coming."],
}


def view_of(name: str) -> View:
    return {"chat": CHAT, "workflow": WORKFLOW, "completion": View(kind="completion", form=FORM)}[kind_of_sample(name)]


def test_every_sample_has_its_answer_here() -> None:
    assert sorted(ANSWERS) == SAMPLES


@pytest.mark.parametrize(("name", "parts"), ANSWERS.items(), ids=ANSWERS.keys())
def test_the_page_of_each_sample_is_flawless_and_shows_the_answer(name: str, parts: list[str]) -> None:
    text = shown(written(sample(name), View(kind=kind_of_sample(name))))
    assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize("language", WORDS)
def test_a_run_that_pauses_says_so_in_the_language_of_the_page(language: str) -> None:
    assert WORDS[language]["paused"] in shown(written(sample("workflow.paused"), View(kind="workflow", language=language)))


@pytest.mark.parametrize("name", SAMPLES)
def test_keep_alives_show_nothing(name: str) -> None:
    view = view_of(name)
    assert Html().keep_alive().startswith(b"<!--")
    assert shown(written(sample(name), view, keep_alives=True)) == shown(written(sample(name), view))


@pytest.mark.parametrize("view", [CHAT, WORKFLOW, View()], ids=["chat", "workflow", "nothing known"])
def test_an_empty_stream_is_a_flawless_page_that_ends(view: View) -> None:
    assert shown(written([], view)).strip() == "Ended"


@pytest.mark.parametrize("name", ["chat", "workflow", "agent-chat"])
def test_a_page_that_breaks_off_ends_flawless_with_its_error(name: str) -> None:
    stream = sample(name)
    for cut in range(len(stream)):
        body = written([*stream[:cut], ERROR], view_of(name))
        assert text_of(slots(body, "alert")) == "This took too longToo slow."
        assert text_of(slots(body, "done")) in {"Failed", "Finished in 3.2 s · 1,057 tokens"} or cut == len(stream)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_part_is_the_turn_alone_and_fits_into_the_page(name: str) -> None:
    view = view_of(name)
    part = View(**{field: getattr(view, field) for field in View.__slots__ if field != "part"}, part=True)
    body = b"<!doctype html><title>x</title>" + written(sample(name), part)
    page = parsed(body)
    assert len(page.findall(".//article")) == 1
    assert len(page.findall(".//form")) == (view.is_chat is True)
    assert b"shadowrootmode" not in body, "a parser that ignores it would complain"
    first = sample(name)[0]
    [run] = page.findall(".//x-run")
    assert (run.get("data-task"), run.get("data-conversation")) == (first["task_id"], first.get("conversation_id", ""))
    assert shown(body) == shown(written(sample(name), view))


# What apps and people say is never obeyed


PLACES: dict[str, list[dict[str, Any]]] = {
    "answer": [message(HOSTILE)],
    "agent's answer": [message(HOSTILE, "agent_message")],
    "answer under the name of a file": [message(HOSTILE, "message_file")],
    "answer in pieces": [message(letter) for letter in HOSTILE],
    "replaced answer": [message("x"), message(HOSTILE, "message_replace")],
    "text chunk": [chunk(HOSTILE)],
    "replaced text": [of_workflow("text_replace", text=HOSTILE)],
    "title": [of_workflow("node_finished", title=HOSTILE, status="succeeded")],
    "error of a step": [of_workflow("node_finished", title="x", status="failed", error=HOSTILE)],
    "error": [ERROR | {"message": HOSTILE}],
    "code of an error": [{"event": "error", "code": HOSTILE, "status": 500, "message": ""}],
    "error of a workflow": [finished({}, "failed", HOSTILE)],
    "output": [finished({"text": HOSTILE})],
    "name of an output": [finished({HOSTILE: 1})],
    "reasoning": [of_workflow("reasoning_chunk", reasoning=HOSTILE, is_final=True)],
    "tool": [{"event": "agent_thought", "id": "1", "tool": HOSTILE, "observation": HOSTILE}],
    "log": [of_workflow("agent_log", id="1", label=HOSTILE, status="error", error=HOSTILE)],
    "name of a file": [{"event": "message_file", "url": "https://x.example/a", "filename": HOSTILE}],
    "source": [{"event": "message_end", "metadata": {"retriever_resources": [{"title": HOSTILE, "content": HOSTILE}]}}],
    "Markdown": [message(HOSTILE), {"event": "message_end"}],
}


@pytest.mark.parametrize("stream", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("view", [CHAT, WORKFLOW], ids=["chat", "workflow"])
def test_markup_from_an_app_is_shown_and_never_obeyed(stream: list[dict[str, Any]], view: View) -> None:
    body = written(stream, view)
    page = parsed(body)
    assert len(page.findall(".//script")) == 1, "the page's own"
    assert not page.findall(".//img")
    if not view.is_chat or stream[0]["event"] != "workflow_finished":  # which of a chatflow is not the last
        assert HOSTILE.replace("&lt;&amp;", "") in text_of([page]).replace("&lt;&amp;", "").replace("<&", "")


@pytest.mark.parametrize("text", [HOSTILE, "a\0b", '" onclick="x', "\u202eabc", "x" * 60_000])
def test_what_a_person_has_written_is_kept_as_it_was(text: str) -> None:
    view = View(
        kind="chat",
        query=text,
        conversation_id=text,
        turns=(Turn(text, text),),
        form=FORM,
        inputs={"title": Texts((text,))},
        name=text,
    )
    page = parsed(written([ERROR], view))
    kept = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    turn = text.replace("\0", "")
    assert [area.text for area in page.findall(".//textarea[@name='query']")] == [kept]
    assert [field.get("value") for field in page.findall(".//input[@name='conversation_id']")] == [kept]
    assert read_turns(page.findall(".//input[@name='duck.turns']")[0].get("value") or "") == (Turn(turn, turn),)
    assert len(page.findall(".//script")) == 1


def test_a_page_repeats_a_bounded_part_of_a_request() -> None:
    query, inputs = (
        "<" * 9_900_000,
        {"title": Texts(("<" * 100_000,)), "more": Texts(("<" * 100_000,)), "x": {"a": "<" * 200_000}},
    )
    view = View(kind="chat", form=FORM, **repeated(query, inputs))
    assert view.inputs == {"title": inputs["title"]}
    assert (len(view.query), view.question_again) == (MAX_QUESTION + 1, "")
    assert len(written([ERROR], view)) < 2_000_000
    page = parsed(written([ERROR], view))
    assert [text_of([heading]).endswith("< …") for heading in page.findall(".//article/h2")] == [True]
    short = View(kind="chat", **repeated("x" * MAX_QUESTION, {}))
    assert short.question == short.question_again == "x" * MAX_QUESTION
    assert View(kind="workflow", query="x").question == ""


def test_a_page_may_run_its_own_script_and_load_from_its_own_origin_alone() -> None:
    policy = dict(part.split(" ", 1) for part in headers()["Content-Security-Policy"].split("; "))
    assert policy.keys() == {
        "default-src", "style-src", "script-src", "img-src", "connect-src", "form-action", "base-uri", "frame-ancestors",
    }  # fmt: skip
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["img-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert re.fullmatch(r"'sha256-\S{44}'", policy["script-src"])
    assert re.fullmatch(r"'sha256-\S{44}'", policy["style-src"])


# Steps


def node(event: str, title: str, id_: str = "1", **data: Any) -> dict[str, Any]:
    return of_workflow(event, id=id_, node_id=id_, title=title, **data)


def test_steps_show_what_runs_and_what_has_run() -> None:
    style = Html(WORKFLOW)
    style.head()
    parts = [
        style.event(event).decode()
        for event in (
            node("node_started", "LLM", "1"),
            node("node_started", "Search", "2"),
            node("node_retry", "Search", "2", retry_index=1, error="timeout", elapsed_time=10.02),
            node("node_finished", "Search", "2", status="failed", error="gone", elapsed_time=0.4),
            node("node_finished", "LLM", "1", status="succeeded", elapsed_time=1.25),
        )
    ]
    assert ["".join(html5lib.parseFragment(part, namespaceHTMLElements=False).itertext()) for part in parts] == [
        "Running: LLM",
        "Running: LLM, Search",
        "↻ Search 10.0 sTry 1 failedtimeout",
        "✗ Search 0.4 sgoneRunning: LLM",
        "✓ LLM 1.2 sAnswering …",
    ]


def test_an_owner_can_leave_out_the_steps() -> None:
    view = View(kind="workflow", site=Site(shows_steps=False))
    body = written([node("node_started", "Secret", "1"), node("node_finished", "Secret", "1"), finished({"a": "b"})], view)
    assert "Secret" not in text_of([parsed(body)])
    assert text_of(slots(body, "done")) == "Finished"


def test_the_steps_of_an_iteration_stand_below_it() -> None:
    stream = [
        node("iteration_started", "Each", "1"),
        node("node_finished", "Upper", "2", iteration_id="1"),
        node("iteration_completed", "Each", "1"),
        node("loop_started", "Rounds", "3"),
        node("node_retry", "Plus", "4", loop_id="3"),
        node("node_finished", "Plus", "4", loop_id="3"),
        node("loop_completed", "Rounds", "3"),
        node("iteration_started", "Never", "5"),
        node("node_finished", "Lost", "6", iteration_id="5"),
    ]

    def steps(stream: list[dict[str, Any]]) -> list[tuple[str, bool]]:
        found = slots(written(stream, WORKFLOW), "steps")
        return [(text_of(step.findall("span")), "inner" in str(step.get("class")).split()) for step in found]

    done = [("Each", False), ("Upper", True), ("Rounds", False), ("Plus", True), ("Plus", True)]
    assert steps(stream[:-2]) == done
    assert steps(stream) == [*done, ("Lost", True)]
    assert steps([*stream, finished({}, "failed", "x")]) == [*done, ("Lost", True)]
    assert steps([*stream, ERROR]) == [*done, ("Lost", True)]


def test_rounds_are_counted() -> None:
    style = Html(WORKFLOW)
    events = [of_workflow("loop_started", id="1", title="Each"), of_workflow("loop_next", id="1", title="Each", index=1)]
    assert [re.findall(r">([^<]+)<", style.event(event).decode()) for event in events] == [
        ["Running: Each"],
        ["Running: Each (Round 2)"],
    ]


def test_an_agents_tools_are_told_of_once_they_have_answered() -> None:
    stream = sample("agent-chat")
    notes = slots(written(stream, CHAT), "notes")
    assert [text_of(note.findall("summary")) for note in notes] == ["Used text2image"]
    assert "image has been created" in text_of(notes)


def test_reasoning_is_folded_away() -> None:
    parts = [
        of_workflow("reasoning_chunk", reasoning=text, is_final=final) for text, final in (("a", False), ("b", False), ("", True))
    ]
    (note,) = slots(written(parts), "notes")
    assert (note.tag, [child.text for child in note]) == ("details", ["Reasoning", "ab"])


# Files


def file(url: Any, kind: str = "image", **more: Any) -> dict[str, Any]:
    return {"event": "message_file", "id": "1", "type": kind, "belongs_to": "assistant", "url": url, **more}


def test_a_picture_of_the_pages_own_origin_is_shown_and_one_of_another_is_linked() -> None:
    own, other = f"{ORIGIN}/files/a.png?sign=x", "https://elsewhere.example/a.png"
    first = slots(written([file(own)], CHAT), "files")
    second = slots(written([file(other)], CHAT), "files")
    assert [image.get("src") for image in first[0].iter("img")] == [own]
    assert (list(second[0].iter("img")), [link.get("href") for link in second[0].iter("a")]) == ([], [other])
    assert slots(written([file("/files/a.png")], CHAT), "files")[0].find(".//img") is not None


def test_a_file_says_what_it_is() -> None:
    event = file("https://x.example/q?a", "document", filename="a.pdf", mime_type="application/pdf", size=123456)
    assert text_of(slots(written([event], CHAT), "files")) == "a.pdf application/pdf, 123 kB"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", " javascript:alert(1)", "//evil.example/x", None, 5, ""]
)
def test_a_file_with_an_address_of_another_kind_is_not_linked(url: Any) -> None:
    assert not slots(written([message("Hi"), file(url)], CHAT), "files")


@pytest.mark.parametrize(("size", "text"), [(999, "999 B"), (1500, "2 kB"), (2_500_000, "2.5 MB"), (-1, ""), (None, "")])
def test_sizes_are_round(size: Any, text: str) -> None:
    event = file("https://x.example/a", "", filename="a", size=size)
    assert text_of(slots(written([event], CHAT), "files")).strip() == f"a {text}".strip()


# Sources, results, ends


def test_an_answer_that_was_taken_back_is_not_shown() -> None:
    body = written([message("bad"), message("", "message_replace"), message("good")], CHAT)
    assert text_of([*slots(body, "blocks"), *slots(body, "text")]).strip() == "good"


def test_sources_are_listed_with_an_excerpt_where_there_is_one() -> None:
    resources = [{"document_name": "a.md", "content": "x" * 400}, {"title": "B"}, "odd"]
    (section,) = slots(written([{"event": "message_end", "metadata": {"retriever_resources": resources}}], CHAT), "sources")
    assert [text_of([item]) for item in section.iter("li")] == ["a.md" + "x" * 300 + " …", "B"]


def test_the_end_tells_how_long_it_took_and_what_it_cost() -> None:
    usage = {"latency": 1.28, "total_tokens": 1057, "total_price": "0.0010810", "currency": "USD"}
    body = written([{"event": "message_end", "metadata": {"usage": usage}}], CHAT)
    assert text_of(slots(body, "done")) == "Finished in 1.3 s · 1,057 tokens · 0.0010810 USD"
    assert text_of(slots(written([{"event": "message_end", "metadata": 7}], CHAT), "done")) == "Finished"


def test_outputs_are_a_list_to_read_and_json_to_copy() -> None:
    files = [{"url": f"{ORIGIN}/a.md", "filename": "a.md"}, {"url": "https://x.example/b", "filename": "b"}]
    outputs = {
        "text": "**bold**",
        "score": 1.5,
        "ok": True,
        "none": None,
        "files": files,
        "file": files[0],
        "other": {"a": [1]},
        "list": [{}],
    }
    (section,) = slots(written([finished(outputs)], WORKFLOW), "final")
    assert [text_of([name]) for name in section.iter("dt")] == list(outputs)
    values = [text_of([value]).strip() for value in section.iter("dd")]
    assert values[:4] == ["bold", "1.5", "true", "null"]
    assert values[4:6] == ["a.md b ", "a.md"] or values[4:6] == ["a.md b", "a.md"]
    assert json.loads(values[6]) == {"a": [1]}
    assert json.loads(text_of(section.findall("details/pre"))) == outputs


def test_a_chatflow_shows_its_answer_and_not_its_outputs_again() -> None:
    body = written([message("Hi"), {**message(""), **finished({"answer": "Hi"})}, {"event": "message_end"}], CHAT)
    assert [text_of(slots(body, name)).strip() for name in ("final", "blocks")] == ["", "Hi"]


def test_a_text_is_rendered_block_by_block_as_it_comes() -> None:
    style = Html(CHAT)
    style.head()
    parts = [style.event(message(text)).decode() for text in ("One **two**", "\n\nThr", "ee\n\nFo", "ur")]
    assert ['slot="blocks"' in part for part in parts] == [False, False, True, False]
    assert parts[2].endswith(
        '<p>One <strong>two</strong></p>\n</div><x-cut></x-cut><x-t slot="text" class="sent">Three\n\nFo</x-t>'
    )
    body = written([message("One **two**\n\nThree\n\nFour"), {"event": "message_end"}], CHAT)
    assert (text_of(slots(body, "blocks")), slots(body, "text")) == ("One two\nThree\nFour\n", [])


def test_a_definition_that_comes_last_renders_the_text_again() -> None:
    body = written([message("[one]\n\nTwo\n\n[one]: https://x.example\n"), {"event": "message_end"}], CHAT)
    (final,) = slots(body, "final")
    assert [link.get("href") for link in final.iter("a")] == ["https://x.example"]


def test_a_workflow_without_outputs_keeps_its_text() -> None:
    body = written([chunk("Rain"), finished({})], WORKFLOW)
    assert (slots(body, "final"), text_of(slots(body, "text"))) == ([], "Rain")


def test_a_failed_turn_can_be_sent_again_and_is_not_remembered() -> None:
    page = parsed(written([message("Hi"), ERROR], CHAT))
    assert page.findall(".//textarea[@name='query']")[0].text == "Hi?"
    assert page.findall(".//input[@name='duck.turns']")[0].get("value") == "[]"


def test_a_finished_turn_is_remembered_and_the_conversation_goes_on() -> None:
    page = parsed(written([message("Hi"), {"event": "message_end"}], CHAT))
    assert page.findall(".//textarea[@name='query']")[0].text in {"", None}
    assert json.loads(page.findall(".//input[@name='duck.turns']")[0].get("value") or "") == [["Hi?", "Hi"]]
    assert page.findall(".//input[@name='conversation_id']")[0].get("value") == "2"


def test_a_very_long_answer_stays_as_it_came() -> None:
    body = written([message("x" * 600_000), {"event": "message_end"}], CHAT)
    assert not slots(body, "final")
    assert len(text_of(slots(body, "text"))) == 600_000
    (section,) = slots(written([finished({"a": "x" * 600_000})], WORKFLOW), "final")
    assert len(text_of(section.findall("dl/dd/pre"))) == 600_000


# Earlier turns


def test_earlier_turns_are_shown_as_markdown() -> None:
    page = parsed(written([message("new")], View(kind="chat", query="2", turns=(Turn("1", "**old**"),))))
    assert [text_of([question])[-1] for question in page.findall(".//h2")] == ["1", "2"]
    assert [text_of([strong]) for strong in page.findall(".//strong")] == ["old"]


def test_the_files_of_a_question_are_named_beside_it_also_in_later_turns() -> None:
    files = Files(File(name=name, mimetype="image/png", content=b"x") for name in ("a<b.png", "y" * 300))
    about = repeated("2", {"picture": files}, Files([*files][:1]))
    assert about["attached"] == ("a<b.png", "a<b.png", "y" * 200)
    view = View(kind="chat", turns=(Turn("1", "one", ("plan.pdf",)),), **about)
    page = parsed(written([message("new"), {"event": "message_end"}], view))
    named = [[text_of([chip]) for chip in question.findall("span[@class='chip']")] for question in page.findall(".//article/h2")]
    assert named == [["plan.pdf"], ["a<b.png", "a<b.png", "y" * 200]]
    kept = read_turns(page.findall(".//input[@name='duck.turns']")[0].get("value") or "")
    assert [turn.files for turn in kept] == [("plan.pdf",), about["attached"]]
    shown = parsed(form_page(View(kind="workflow", **about)))
    assert not shown.findall(".//span[@class='chip']")


def test_as_many_turns_are_kept_as_there_is_room_for() -> None:
    turns = tuple(Turn(str(number), "x" * 10_000) for number in range(100))
    kept = read_turns(View(turns=turns).turns_with(Turn("new", "y")))
    assert kept[-1] == Turn("new", "y")
    assert kept[:-1] == turns[-len(kept) + 1 :]
    assert 20 < len(kept) < 30
    assert len(View(turns=turns).turns_with(Turn("new", "y"))) <= MAX_TURNS_SIZE
    assert View().turns_with() == "[]"


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", "7", '{"a":1}', '[["a"]]', '[["a",1]]', '["ab"]', "[" * 500, '[["a","b","c"]]', '[["a","b",[1]]]',
        f'[["a","b",{["x"] * (MAX_ATTACHED + 1)}]]'.replace("'", '"'),
    ],
)  # fmt: skip
def test_turns_that_are_not_as_they_were_are_none(text: str) -> None:
    assert read_turns(text) == ()


def test_all_turns_of_a_page_together_take_no_longer_than_one() -> None:
    turns = tuple(Turn(str(number), "*a_" * 6_000) for number in range(6))
    page = parsed(form_page(View(kind="chat", turns=turns)))
    assert 0 < len(page.findall(".//article//pre")) < len(turns)


def test_a_page_with_more_turns_than_it_could_have_kept_has_none() -> None:
    assert read_turns('[["",""]]') == (Turn("", ""),)
    assert read_turns(f"[{','.join(['["",""]'] * (MAX_TURNS + 1))}]") == ()
    assert read_turns(f'[["", "{"x" * MAX_TURNS_SIZE}"]]') == ()
    turns = (Turn("a", "b"),) * (2 * MAX_TURNS)
    assert len(read_turns(View(turns=turns).turns_with(Turn("new", "y")))) == MAX_TURNS


# The form


def test_a_form_has_a_control_for_each_input() -> None:
    page = parsed(form_page(WORKFLOW))
    form = page.find(".//form")
    assert form is not None
    assert form.attrib == {"class": "run", "method": "post", "action": "?", "enctype": "multipart/form-data"}
    assert FORM
    for variable in FORM.variables:
        control = form.find(f".//*[@name='inputs.{variable.name}']")
        assert (control is None) == variable.hidden
        if control is not None:
            label = form.find(f".//label[@for='{control.get('id')}']")
            assert label is not None
            assert text_of([label]).startswith(variable.label)
            assert ("required" in control.attrib) == (variable.required and variable.control != "checkbox")


def variable(control: str, **about: Any) -> forms.Form:
    form = forms.read({"user_input_form": [{control: {"variable": "a", "label": "A", **about}}]})
    assert form
    return form


CONTROLS: list[tuple[forms.Form, Any, str, dict[str, str], str]] = [
    (
        variable("text-input", max_length=5, placeholder="p"),
        None,
        "input",
        {"value": "", "maxlength": "10", "placeholder": "p"},
        "",
    ),
    (variable("text-input", default="d"), None, "input", {"value": "d"}, ""),
    (variable("text-input", default="d"), Texts(("x",)), "input", {"value": "x"}, ""),
    (variable("paragraph"), Texts(("\nx\n",)), "textarea", {}, "\nx\n"),
    (variable("number", default=7), None, "input", {"type": "number", "step": "any", "value": "7"}, ""),
    (variable("checkbox"), None, "input", {"type": "checkbox", "value": "true"}, ""),
    (variable("checkbox", default=True), None, "input", {"type": "checkbox", "checked": ""}, ""),
    (variable("checkbox", default=True), Texts(("false",)), "input", {"type": "checkbox"}, ""),
    (variable("json_object"), {"b": 1}, "textarea", {}, '{"b":1}'),
    (variable("file", allowed_file_types=["image", "audio"]), None, "input", {"type": "file", "accept": "image/*,audio/*"}, ""),
    (
        variable("file-list", allowed_file_types=["image", "custom"], allowed_file_extensions=[".md"], max_length=3),
        None,
        "input",
        {"type": "file", "accept": "image/*,.md", "multiple": ""},
        "",
    ),
    (variable("file", allowed_file_types=["document"]), None, "input", {"type": "file"}, ""),
    (variable("of-tomorrow"), None, "input", {}, ""),
]


@pytest.mark.parametrize(("form", "value", "tag", "attributes", "text"), CONTROLS)
def test_a_control_fits_its_input(form: forms.Form, value: Any, tag: str, attributes: dict[str, str], text: str) -> None:
    inputs = {} if value is None else {"a": value}
    control = parsed(form_page(View(form=form, inputs=inputs))).find(".//*[@name='inputs.a']")
    assert control is not None
    assert (control.tag, control.text or "") == (tag, text)
    assert attributes.items() <= control.attrib.items()
    assert ("checked" in control.attrib) == ("checked" in attributes)
    assert ("accept" in control.attrib) == ("accept" in attributes)


@pytest.mark.parametrize(
    ("about", "value", "options"),
    [
        ({"options": ["x", "y"]}, None, {"Choose …": False, "x": False, "y": False}),
        ({"options": ["x", "y"], "default": "y"}, None, {"Choose …": False, "x": False, "y": True}),
        ({"options": ["x", "y"], "default": "y", "required": True}, None, {"x": False, "y": True}),
        ({"options": ["x", "y"], "required": True}, "x", {"x": True, "y": False}),
        ({"options": ["x"], "required": True}, "z", {"Choose …": False, "x": False}),
    ],
)
def test_a_choice_offers_its_options(about: dict[str, Any], value: Any, options: dict[str, bool]) -> None:
    page = parsed(form_page(View(form=variable("select", **about), inputs={} if value is None else {"a": value})))
    assert {option.text: "selected" in option.attrib for option in page.iter("option")} == options


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (variable("text-input", max_length=5, hint="Short."), "Short. · At most 5 characters"),
        (variable("file-list", max_length=3), "At most 3 files"),
        (variable("checkbox", hint="Loud."), "Loud."),
        (variable("checkbox", max_length=48), None),  # Dify gives every input a length
        (variable("text-input"), None),
    ],
)
def test_a_hint_says_what_may_be_filled_in(form: forms.Form, told: str | None) -> None:
    page = parsed(form_page(View(form=form)))
    hint = page.find(".//*[@id='i1-hint']")
    assert (None if hint is None else text_of([hint]).strip()) == told
    assert (page.find(".//*[@aria-describedby='i1-hint']") is None) == (told is None)


def test_mistakes_are_told_at_their_field_with_all_that_was_filled_in() -> None:
    faults = (
        Fault("query", "required"),
        Fault("inputs.title", "at most 5 characters"),
        Fault("inputs.title", "no title"),
        Fault("inputs.x", "no such input"),
        Fault("", "odd sentence, without a field"),
    )
    form = forms.read({"user_input_form": [{"text-input": {"variable": "title"}}]})
    view = View(kind="chat", form=form, query="", inputs={"title": Texts(("too long",))}, faults=faults)
    page = parsed(error_page(DuckError(400, "invalid_param", "x"), view))
    title = page.find(".//*[@name='inputs.title']")
    assert title is not None
    assert (title.get("value"), title.get("aria-invalid")) == ("too long", "true")
    assert "at most 5 characters; no title" in text_of(page.findall(f".//p[@id='{title.get('aria-describedby')}']"))
    assert text_of(page.findall(".//p[@id='say-fault']")) == "required"
    assert [text_of([fault]) for fault in page.findall(".//div[@role='alert']/p")] == [
        "inputs.x: no such input",
        "odd sentence, without a field",
    ]
    assert [details.get("open") is not None for details in page.findall(".//form/details")] == [True]


def test_what_is_hidden_is_sent_along_and_what_there_is_not_is_not() -> None:
    form = forms.read({"user_input_form": [{"text-input": {"variable": name, "hide": True}} for name in "abc"]})
    page = parsed(form_page(View(form=form, inputs={"a": Texts(("x",)), "b": True, "c": None, "d": Texts(("y",))})))
    fields = {field.get("name"): field.get("value") for field in page.findall(".//input")}
    assert fields == {"inputs.a": "x", "inputs.b": "true"}


@pytest.mark.parametrize("kind", ["chat", "workflow"])
def test_a_form_that_could_not_be_had_takes_inputs_as_json(kind: Any) -> None:
    page = parsed(form_page(View(kind=kind)))
    assert page.find(".//textarea[@name='inputs']") is not None
    assert (page.find(".//textarea[@name='query']") is not None) == (kind == "chat")


def test_a_chat_opens_with_its_statement_and_suggestions_until_it_has_begun() -> None:
    form = forms.read({"user_input_form": [], "opening_statement": "**Hello!**", "suggested_questions": ["Why?", "How?"]})
    page = parsed(form_page(View(kind="chat", form=form)))
    assert text_of(page.findall(".//div[@class='opening']")).strip() == "Hello!"
    assert [(button.get("name"), button.get("value")) for button in page.findall(".//p[@class='suggestions']/button")] == [
        ("duck.say", "Why?"),
        ("duck.say", "How?"),
    ]
    assert not parsed(form_page(View(kind="chat", form=form, turns=(Turn("a", "b"),)))).findall(".//div[@class='opening']")


def test_enter_in_an_input_sends_no_suggestion() -> None:
    form = forms.read({"user_input_form": [{"text-input": {"variable": "city"}}], "suggested_questions": ["Why?"]})
    first = parsed(form_page(View(kind="chat", form=form))).find(".//form//button")
    assert (first.get("name"), first.get("formnovalidate"), first.get("type"), first.get("tabindex")) == (None, None, None, "-1")


# Other pages


@pytest.mark.parametrize("text", ["", HOSTILE])
@pytest.mark.parametrize("view", [None, CHAT, WORKFLOW], ids=["nothing known", "chat", "workflow"])
def test_the_page_of_an_error_is_flawless_and_shows_its_message(text: str, view: View | None) -> None:
    page = parsed(error_page(DuckError(400, "invalid_param", text), view))
    assert [text_of([alert]) for alert in page.findall(".//*[@role='alert']")] == [f"Something went wrong{text}"]
    assert len(page.findall(".//script")) == 1
    if view and view.is_chat:
        assert [area.text for area in page.findall(".//textarea[@name='query']")] == ["Hi?"]


def test_a_page_of_another_kind_is_linked() -> None:
    page = parsed(error_page(errors.wrong_route("chat", "workflow"), CHAT))
    assert [link.get("href") for link in page.findall(".//div[@role='alert']//a")] == ["../workflow/support"]


# The page's own words


DUCK = Path(__file__).parents[1] / "duck"
SOURCES = [
    path for path in Path("duck/faces/page").rglob("*.*") if path.suffix in {".py", ".html", ".js"} and path.stem != "words"
]


def test_every_word_is_there_and_used() -> None:
    text = "".join((Path(__file__).parents[1] / path).read_text("utf-8") for path in SOURCES)
    used = {
        name
        for pair in re.findall(r"""words(?:\[language\]|\[view\.language\])?(?:\.(\w+)|\["(\w+)"\])""", text, re.IGNORECASE)
        for name in pair
    }
    kinds = {"chat", "workflow", "completion"}
    told = {name for name in WORDS["en"] if name.startswith("error.")}
    assert (used | kinds | told) - {"", "py", "items", "format", "get"} == WORDS["en"].keys()


# What happened, by the code of the error, in the language of the page


CODES = [name.removeprefix("error.") for name in WORDS["en"] if name.startswith("error.") and name != "error.other_kind"]


@pytest.mark.parametrize("code", CODES)
def test_an_error_says_in_the_language_of_the_page_what_happened(code: str) -> None:
    assert any(f'"{code}"' in path.read_text("utf-8") for path in DUCK.rglob("*.py"))  # one that can be
    for language in WORDS:
        error, view = DuckError(502, code, "See above."), View(kind="chat", name="x", language=language)
        [alert] = parsed(error_page(error, view)).findall(".//*[@role='alert']")
        assert text_of([alert]) == f"{WORDS[language][f'error.{code}']}See above."


@pytest.mark.parametrize("language", WORDS)
def test_so_do_an_error_that_ends_an_answer_and_one_without_an_app(language: str) -> None:
    error, view = DuckError(504, "timeout", "See above."), View(kind="chat", name="x", language=language)
    told = f"{WORDS[language]['error.timeout']}See above."
    assert [text_of([alert]) for alert in parsed(error_page(error, language=language)).findall(".//*[@role='alert']")] == [told]
    assert text_of(slots(written([*sample("chat")[:2], error.as_event()], view), "alert")) == told


@pytest.mark.parametrize("language", WORDS)
def test_an_app_of_another_kind_is_told_of_and_linked(language: str) -> None:
    error = DuckError(400, "not_chat_app", "See below.", right_kind="workflow")
    [alert] = parsed(error_page(error, View(kind="chat", name="x", language=language))).findall(".//*[@role='alert']")
    words = WORDS[language]
    assert text_of([alert]) == f"{words['error.other_kind']}See below.{words['workflow']}: x"


@pytest.mark.parametrize("code", ["copy", "", "provider_quota_exceeded", None, ["timeout"]])
def test_an_error_without_a_title_has_a_common_one(code: Any) -> None:
    body = written([{"event": "error", "code": code, "message": "Gone."}], View(kind="chat", language="pt"))
    assert text_of(slots(body, "alert")) == "Algo deu erradoGone."
