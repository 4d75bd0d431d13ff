"""Reading what `fetch_app` gives, in both of its dialects."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck.runs import forms
from duck.runs.forms import Form, Variable
from tests.support import SAMPLES


def sample_form(name: str) -> Any:
    return json.loads((SAMPLES / f"fetch_app.{name}.json").read_text("utf-8"))


def test_a_workflows_form() -> None:
    both = ("local_file", "remote_url")
    form = forms.read(sample_form("workflow"))
    assert form == Form(
        variables=(
            Variable(name="text", control="text-input", label="Text", required=True, max_length=48),
            Variable(name="body", control="paragraph", label="Body", default="", max_length=5000, placeholder="Paste here"),
            Variable(
                name="tone",
                control="select",
                label="Tone",
                required=True,
                default="formal",
                max_length=48,
                options=("formal", "casual"),
            ),
            Variable(name="count", control="number", label="Count", default="3", max_length=48),
            Variable(name="draft", control="checkbox", label="Draft only", default=False, max_length=48),
            Variable(name="doc", control="file", label="Document", file_types=("document",), file_methods=both),
            Variable(
                name="pics",
                control="file-list",
                label="Pictures",
                max_length=5,
                file_types=("image", "custom"),
                file_extensions=("heic",),
                file_methods=both,
            ),
            Variable(name="meta", control="json_object", label="Meta"),
        ),
        sizes={"image": 10 << 20, "document": 15 << 20, "audio": 50 << 20, "video": 100 << 20, "custom": 15 << 20},
        opening="Hello, how can I help?",
        suggestions=("What can you do?",),
        files=Variable(
            name="files",
            control="file-list",
            max_length=3,
            file_types=("image", "document"),
            file_extensions=("jpg", "jpeg", "png", "gif", "webp", "svg"),
            file_methods=both,
        ),
    )
    assert form.file_names == ["doc", "pics"]


def test_a_basic_apps_form() -> None:
    form = forms.read(sample_form("chat"))
    assert form
    assert form.variables == (
        Variable(name="city", control="text-input", label="City", required=True, default="", max_length=48),
        Variable(name="notes", control="paragraph", label="Notes", default=""),
        Variable(name="days", control="number", label="Days", default=""),
        Variable(name="lang", control="select", label="Lang", default="en", options=("en", "zh")),
        Variable(name="short", control="checkbox", label="Short", default=""),
        Variable(name="crm", control="external_data_tool", label="CRM"),
    )
    assert form.file_names == []


def test_a_hidden_variable_and_a_control_of_tomorrow() -> None:
    rows = [{"text-input": {"variable": "a", "hide": True}}, {"slider": {"variable": "b", "required": "yes", "max_length": "9"}}]
    assert forms.read({"user_input_form": rows}) == Form(
        variables=(Variable(name="a", control="text-input", hidden=True), Variable(name="b", control="slider"))
    )


@pytest.mark.parametrize(
    ("about", "required"),
    [
        ({"type": "select", "default": ""}, True),
        ({"type": "select", "default": "gone"}, True),
        ({"type": "select", "default": "red"}, False),
        ({"type": "select", "default": None}, False),
        ({"type": "select"}, False),
        ({"default": ""}, False),
    ],
)
def test_a_select_whose_default_is_no_option_must_be_chosen_where_dify_takes_it_for_the_value(
    about: Any, *, required: bool
) -> None:
    read = forms.read({"user_input_form": [{"select": {"variable": "pick", "options": ["red", "green"], **about}}]})
    assert read
    assert read.variables[0].required is required


@pytest.mark.parametrize("name", ["inputs", "completion", "chat", "chatflow"])
def test_the_forms_of_a_real_dify_are_understood(name: str) -> None:
    recorded = json.loads((SAMPLES / f"dify-1.16/{name}.parameters.json").read_text("utf-8"))
    read = forms.read(recorded)
    assert read
    assert [variable.name for variable in read.variables] == [
        about["variable"] for row in recorded["user_input_form"] for about in row.values()
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        [],
        "x",
        {},
        {"user_input_form": None},
        {"user_input_form": "text"},
        {"user_input_form": [None]},
        {"user_input_form": [{}]},
        {"user_input_form": [{"text-input": None}]},
        {"user_input_form": [{"text-input": {"label": "no name"}}]},
        {"user_input_form": [{"text-input": {"variable": "a"}, "number": {"variable": "b"}}]},
    ],
    ids=repr,
)
def test_a_form_that_cannot_be_understood_is_none_so_that_nothing_is_refused_by_it(parameters: Any) -> None:
    assert forms.read(parameters) is None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = (
    "variable",
    "label",
    "required",
    "hide",
    "default",
    "max_length",
    "options",
    "allowed_file_types",
    "allowed_file_extensions",
)
CONTROLS = ("text-input", "select", "number", "checkbox", "file", "file-list", "json_object", "other")
ODD_ROWS = st.dictionaries(
    st.sampled_from(CONTROLS), st.dictionaries(st.sampled_from(KEYS), JSON_VALUES, max_size=6) | JSON_VALUES, max_size=2
)


@given(st.fixed_dictionaries({"user_input_form": st.lists(ODD_ROWS | JSON_VALUES, max_size=3), "system_parameters": JSON_VALUES}))
def test_no_form_at_all_makes_reading_fail(parameters: Any) -> None:
    form = forms.read(parameters)
    assert form is None or len(form.variables) == len(parameters["user_input_form"])
