"""Inputs held against a form: row by row, and against what devhost makes of them, which is written after Dify alone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from devhost.inputs import prepare
from duck.runs import forms, inputs
from duck.runs.fields import Files, Texts
from duck.runs.files import File
from duck.runs.forms import Form
from tests.support import sentences
from tests.test_forms import CONTROLS, JSON_VALUES, KEYS

LINK = {"type": "document", "transfer_method": "remote_url", "url": "https://example.org/a.pdf"}
NO_FILE = "must be a file: a link (http or https), a data: URL, or a multipart part"
NO_IDS = 'must be a link, {"type", "transfer_method": "remote_url", "url"}, or be sent as a multipart part'
PICTURE = {**LINK, "type": "image", "url": "https://example.org/a.png"}


def form(*rows: Any, **sizes: float) -> Form:
    read = forms.read({"user_input_form": rows, "system_parameters": sizes})
    assert read
    return read


def row(control: str, **about: Any) -> Any:
    return {control: {"variable": "x", **about}}


def check(what: Any, value: Any) -> Any:
    """What becomes of the value of one input, or what is wrong with it, as a text."""
    checked, faults = inputs.check(form(what), {"x": value})
    if faults:
        [fault] = faults
        assert fault.field == "inputs.x"
        return fault.text
    return checked


TEXT, SELECT, NUMBER = row("text-input", max_length=5), row("select", options=["a", "b"]), row("number")
DOC = row("file", allowed_file_types=["document"], allowed_file_upload_methods=["local_file", "remote_url"])
PICS = row("file-list", allowed_file_types=["image"], max_length=2)
CUSTOM = row("file", allowed_file_types=["custom"], allowed_file_extensions=[".HEIC", "zip"])


@pytest.mark.parametrize(
    ("what", "value", "result"),
    [
        (TEXT, "12345", {"x": "12345"}),
        (TEXT, "", {"x": ""}),
        (row("text-input", required=True), "", {"x": ""}),
        (TEXT, "🦆🦆🦆🦆🦆", {"x": "🦆🦆🦆🦆🦆"}),
        (TEXT, "123456", "at most 5 characters, this has 6"),
        (TEXT, 5, "must be a text"),
        (TEXT, ["a"], "must be a text"),
        (TEXT, None, {}),
        (row("paragraph"), "x" * 100_000, {"x": "x" * 100_000}),
        (SELECT, "a", {"x": "a"}),
        (SELECT, "c", "one of a, b"),
        (SELECT, "", {}),
        (row("select", options=["", "a"]), "", {"x": ""}),
        (SELECT, 1, "must be a text"),
        (row("select"), "a", "has no options"),
        (NUMBER, 1, {"x": 1}),
        (NUMBER, 1.5, {"x": 1.5}),
        (NUMBER, "12", {"x": "12"}),
        (NUMBER, " -1.5 ", {"x": " -1.5 "}),
        (NUMBER, "", {}),
        (NUMBER, " ", {}),
        (NUMBER, "x", "must be a number"),
        (NUMBER, "1e5", "must be a number"),
        (NUMBER, "1.0e999", "must be a number"),
        (NUMBER, "9" * 5000, "must be a number"),
        (NUMBER, [], "must be a number"),
        (NUMBER, {"a": 1}, "must be a number"),
        (row("checkbox"), True, {"x": True}),
        (row("checkbox"), "yes", {"x": "yes"}),
        (row("checkbox"), 0, {"x": 0}),
        (row("checkbox"), "", {}),
        (row("checkbox"), "maybe", {"x": "maybe"}),
        (row("checkbox"), {"a": 1}, "must be true or false"),
        (row("json_object"), {"a": [1]}, {"x": {"a": [1]}}),
        (row("json_object"), {}, {"x": {}}),
        (row("json_object"), "", {}),
        (row("json_object"), [1], 'must be a JSON object, like {"a": 1}'),
        (row("json_object"), "{}", 'must be a JSON object, like {"a": 1}'),
        (row("external_data_tool"), {"a": 1}, {"x": {"a": 1}}),
        (row("of tomorrow"), [1], {"x": [1]}),
        (DOC, LINK, {"x": LINK}),
        (DOC, LINK["url"], {"x": LINK}),
        (DOC, "https://example.org/", {"x": {**LINK, "url": "https://example.org/"}}),
        (DOC, "", {}),
        (row("file", required=True), "", "required"),
        (DOC, "report.pdf", NO_FILE),
        (DOC, "no base64, " * 9, NO_FILE),
        (DOC, 7, NO_FILE),
        (DOC, [LINK], NO_FILE),
        (DOC, {**LINK, "url": "file:///etc/passwd"}, NO_FILE),
        (DOC, {**LINK, "type": 7}, "the type of a file must be a text"),
        (DOC, PICTURE, "takes files of these kinds: document; a.png is none of them"),
        (DOC, PICTURE["url"], "takes files of these kinds: document; a.png is none of them"),
        (DOC, {"transfer_method": "local_file", "upload_file_id": "1"}, NO_IDS),
        (DOC, {"transfer_method": "tool_file", "tool_file_id": "1"}, NO_IDS),
        (DOC, {"url": "https://example.org/a.pdf"}, NO_IDS),
        (row("file"), PICTURE["url"], {"x": PICTURE}),
        (row("file", allowed_file_upload_methods=["local_file"]), LINK, "takes no links: send the file as a multipart part"),
        (CUSTOM, "https://example.org/a.heic", {"x": {**LINK, "type": "custom", "url": "https://example.org/a.heic"}}),
        (CUSTOM, "https://example.org/a.exe", "takes files of these kinds: .heic, .zip; a.exe is none of them"),
        (CUSTOM, "https://example.org/", "takes files of these kinds: .heic, .zip; the link is none of them"),
        (row("file", allowed_file_types=["custom"]), LINK["url"], "takes no files; a.pdf was given"),
        (PICS, [PICTURE, PICTURE["url"]], {"x": [PICTURE, PICTURE]}),
        (PICS, [], {"x": []}),
        (PICS, [{}], {}),
        (PICS, [{}, PICTURE], {"x": [PICTURE]}),
        (PICS, "", {}),
        (PICS, PICTURE, "must be a list of files"),
        (PICS, PICTURE["url"], "must be a list of files"),
        (PICS, [PICTURE] * 3, "takes at most 2 files, 3 were given"),
        (PICS, [PICTURE, LINK], "takes files of these kinds: image; a.pdf is none of them"),
    ],
    ids=repr,
)
def test_a_value_of_a_json_body(what: Any, value: Any, result: Any) -> None:
    assert check(what, value) == result


@pytest.mark.parametrize(
    ("what", "texts", "result"),
    [
        (TEXT, ["a"], {"x": "a"}),
        (TEXT, [""], {"x": ""}),
        (TEXT, ["a", "a"], "given 2 times"),
        (SELECT, ["b"], {"x": "b"}),
        (SELECT, [""], {}),
        (NUMBER, ["12"], {"x": 12}),
        (NUMBER, [" 1.5 "], {"x": 1.5}),
        (NUMBER, [" "], {}),
        (NUMBER, ["x"], "must be a number"),
        (row("checkbox"), ["on"], {"x": True}),
        (row("checkbox"), [" FALSE "], {"x": False}),
        (row("checkbox"), [""], {}),
        (row("checkbox"), ["maybe"], "must be true or false"),
        (row("json_object"), ['{"a": 1}'], {"x": {"a": 1}}),
        (row("json_object"), [" "], {}),
        (row("json_object"), ["[1]"], 'must be a JSON object, like {"a": 1}'),
        (row("of tomorrow"), ["a"], {"x": "a"}),
        (DOC, [LINK["url"]], {"x": LINK}),
        (DOC, [""], {}),
        (DOC, [LINK["url"], LINK["url"]], "given 2 times"),
        (PICS, [PICTURE["url"], "", PICTURE["url"]], {"x": [PICTURE, PICTURE]}),
        (PICS, [PICTURE["url"]] * 3, "takes at most 2 files, 3 were given"),
        (PICS, [""], {"x": []}),
    ],
    ids=repr,
)
def test_a_value_of_a_form_or_a_query_string(what: Any, texts: list[str], result: Any) -> None:
    assert check(what, Texts(texts)) == result


def test_json_that_is_broken_in_a_form_is_told_with_its_place() -> None:
    assert check(row("json_object"), Texts(("{",))).startswith("must be a JSON object: ")


@pytest.mark.parametrize("empty", [{}, {"x": None}, {"x": ""}, {"x": " "}, {"x": Texts(("",))}])
@pytest.mark.parametrize("control", ["select", "number", "checkbox", "file", "file-list", "json_object"])
def test_what_is_required_must_be_given(control: str, empty: dict[str, Any]) -> None:
    what = row(control, required=True, options=["a"], default="a")
    assert sentences(inputs.check(form(what), empty)[1]) == ["inputs.x: required"]


def test_all_faults_are_told_at_once_and_unknown_names_with_those_that_there_are() -> None:
    what = form({"text-input": {"variable": "city", "required": True}}, {"select": {"variable": "tone", "options": ["a", "b"]}})
    assert sentences(inputs.check(what, {"citty": "Oslo", "tone": "c"})[1]) == [
        "inputs.citty: no such input; this app takes city, tone",
        "inputs.tone: one of a, b",
        "inputs.city: required",
    ]
    assert sentences(inputs.check(form(), {"a": 1})[1]) == ["inputs.a: no such input; this app takes none"]


def test_what_is_hidden_is_not_named_to_who_does_not_know_it() -> None:
    what = form(
        {"text-input": {"variable": "city"}},
        {"text-input": {"variable": "tier", "hide": True}},
        {"file": {"variable": "contract", "hide": True}},
    )
    assert sentences(inputs.check(what, {"a": 1})[1]) == ["inputs.a: no such input; this app takes city"]
    assert "contract" not in str(inputs.check(what, {"city": sent("a.pdf")})[1])
    assert inputs.check(what, {"tier": "gold"}) == ({"tier": "gold"}, [])


def sent(*names: str, size: int = 10) -> Files:
    return Files(File.received(name, "", b"x" * size) for name in names)


@pytest.mark.parametrize(
    ("what", "value", "result"),
    [
        (DOC, sent("a.pdf"), ["a.pdf"]),
        (DOC, sent("a.pdf", "b.pdf"), "takes one file, 2 were given"),
        (DOC, sent("a.png"), "takes files of these kinds: document; a.png is none of them"),
        (DOC, sent("a"), "takes files of these kinds: document; a is none of them"),
        (DOC, sent("a.pdf", size=0), "a.pdf is empty"),
        (DOC, sent("a.pdf", size=2 << 20), "a.pdf has 2.0 MB, at most 1 are allowed"),
        (DOC, sent("a.pdf", size=1 << 20), ["a.pdf"]),
        (PICS, sent("a.png"), ["a.png"]),
        (PICS, sent("a.png", "b.jpg"), ["a.png", "b.jpg"]),
        (PICS, sent("a.png", "b.png", "c.png"), "takes at most 2 files, 3 were given"),
        (PICS, sent("a.png", size=600_000), "a.png has 0.6 MB, at most 0.5 are allowed"),
        (CUSTOM, sent("a.zip"), ["a.zip"]),
        (CUSTOM, sent("a.rar"), "takes files of these kinds: .heic, .zip; a.rar is none of them"),
        (row("file"), sent("anything"), ["anything"]),
        (row("file", allowed_file_upload_methods=["remote_url"]), sent("a.pdf"), "takes links only"),
        (TEXT, sent("a.pdf"), "takes no file; this app takes none at all"),
    ],
    ids=repr,
)
def test_files_that_came_with_the_request(what: Any, value: Files, result: Any) -> None:
    checked, faults = inputs.check(form(what, file_size_limit=1, image_file_size_limit=0.5), {"x": value})
    if isinstance(result, str):
        assert sentences(faults) == [f"inputs.x: {result}"]
    else:
        one_or_more = checked["x"] if isinstance(checked["x"], list) else [checked["x"]]
        assert ([file.name for file in one_or_more], faults) == (result, [])
        assert isinstance(checked["x"], list) is ("file-list" in what)


def test_a_file_for_a_text_is_told_where_files_go() -> None:
    what = form({"text-input": {"variable": "x"}}, {"file": {"variable": "doc"}}, {"file-list": {"variable": "pics"}})
    assert sentences(inputs.check(what, {"x": sent("a.pdf")})[1]) == ["inputs.x: takes no file; files go to doc, pics"]


def test_a_file_that_is_taken_for_its_ending_alone_is_a_custom_link() -> None:
    [heic, png] = inputs.check(
        form(row("file-list", allowed_file_types=["image", "custom"], allowed_file_extensions=["zip"])),
        {"x": sent("a.zip", "a.png")},
    )[0]["x"]
    assert (heic.kind, heic.link_kind, png.link_kind) == ("custom", "custom", None)
    [pdf] = inputs.check(
        form(row("file-list", allowed_file_types=["image", "custom"], allowed_file_extensions=["pdf"])), {"x": sent("a.pdf")}
    )[0]["x"]
    assert (pdf.kind, pdf.link_kind) == ("document", "custom")


def test_without_a_form_dify_judges() -> None:
    one, two = sent("a.pdf"), sent("a.pdf", "b.pdf")
    given_ = {"a": Texts(("1",)), "b": {"any": "thing"}, "c": one, "d": two, "e": [LINK], "f": None}
    assert inputs.unchecked(given_) == ({"a": "1", "b": {"any": "thing"}, "c": one[0], "d": [*two], "e": [LINK], "f": None}, [])
    assert sentences(inputs.unchecked({"a": Texts(("1", "2"))})[1]) == ["inputs.a: given 2 times"]
    assert len(inputs.unchecked({"a": {"transfer_method": "tool_file"}, "b": [{"transfer_method": "local_file"}]})[1]) == 2


# Against Dify's own ways, as devhost has them

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(-1e6, 1e6)
    | st.sampled_from(["", " ", "a", "b", "12", "1.5", "1e5", "on", "false", "x" * 8, "\uff11", "1_0", "nan", "."])
)
# Of links Dify looks at what they lead to: here their names tell the truth.
LINKS = st.sampled_from([("document", "pdf"), ("image", "png"), ("custom", "zip")]).map(
    lambda pair: {"type": pair[0], "transfer_method": "remote_url", "url": f"https://h/a.{pair[1]}"}
)
VALUES = SCALARS | LINKS | st.lists(LINKS, max_size=3) | st.lists(SCALARS, max_size=2) | st.dictionaries(st.just("k"), SCALARS)
ROWS = st.builds(
    lambda control, required, length, options, default, types, methods: (
        control,
        {
            **({"type": control, "default": default} if control == "select" else {}),
            "required": required,
            "max_length": length,
            "options": options,
            "allowed_file_types": types,
            "allowed_file_extensions": [".zip"],
            "allowed_file_upload_methods": methods,
        },
    ),
    st.sampled_from(["text-input", "paragraph", "select", "number", "checkbox", "file", "file-list", "json_object"]),
    st.booleans(),
    st.sampled_from([None, 2, 5]),
    st.just(["a", "b"]),
    st.sampled_from([None, "", "a", "gone"]),
    st.sampled_from([["document"], ["image"], ["image", "document"], ["custom"], ["image", "custom"], []]),
    st.sampled_from([["remote_url"], ["local_file", "remote_url"], []]),
)


def by_dify(rows: Any, given_: Any) -> Any:
    """What Dify makes of the inputs; None if it refuses them."""
    try:
        return prepare(given_, rows, lambda _: None, basic=False)
    except (ValueError, TypeError):
        return None


@examples(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from("uvw"), st.tuples(ROWS, VALUES), min_size=1))
def test_what_dify_would_take_is_taken_and_means_the_same_and_what_it_would_refuse_is_refused(cases: Any) -> None:
    rows = [{control: {"variable": name, **about}} for name, ((control, about), _) in cases.items()]
    given_ = {name: value for name, (_, value) in cases.items()}
    blanks = [
        name for name, ((control, _), value) in cases.items() if value in ("", " ") and control not in ("text-input", "paragraph")
    ]
    checked, faults = inputs.check(form(*rows), given_)
    taken = by_dify(rows, {**given_, **dict.fromkeys(blanks)})  # a blank that is no text is none
    assert (taken is None) == bool(faults), (rows, given_, faults)
    if taken is not None:
        assert by_dify(rows, checked) == taken


ODD_ROWS = st.tuples(st.sampled_from(CONTROLS), st.dictionaries(st.sampled_from(KEYS[1:]), JSON_VALUES, max_size=6))


@examples(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from("uvw"), ROWS | ODD_ROWS),
    st.dictionaries(
        st.sampled_from("uvwx"),
        VALUES
        | st.dictionaries(st.sampled_from(["type", "url", "transfer_method"]), VALUES)
        | SCALARS.map(lambda value: Texts((str(value),)))
        | st.lists(st.text(max_size=4), min_size=1, max_size=3).map(Texts),
    ),
)
def test_no_form_and_no_inputs_make_anything_but_inputs_or_faults(rows: Any, given_: Any) -> None:
    read = form(*({control: {"variable": name, **about}} for name, (control, about) in rows.items()))
    checked, faults = inputs.check(read, given_)
    assert all(fault.field.startswith("inputs.") for fault in faults)
    assert checked.keys() <= given_.keys() & {variable.name for variable in read.variables}
    if not faults:
        json.dumps(checked, allow_nan=False)
