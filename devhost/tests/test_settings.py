"""Values of settings that the daemon refuses or accepts."""

from collections.abc import Mapping
from typing import Any

import pytest

from devhost.declaration import StartError
from devhost.schema import Setting
from devhost.settings import validate_settings


def setting(kind: str, **more: object) -> Setting:
    return Setting.model_validate({"name": "x", "type": kind, "label": {"en_US": "X"}, **more})


OPTIONS = [{"value": "a", "label": {"en_US": "A"}}]
MODEL = {"provider": "p", "model": "m", "model_type": "llm"}


@pytest.mark.parametrize(
    ("declared", "value", "fault"),
    [
        (setting("text-input"), 1, "setting x is not a string"),
        (setting("secret-input"), ["s"], "setting x is not a string"),
        (setting("select", options=OPTIONS), 1, "setting x is not a string"),
        (setting("select", options=OPTIONS), "b", "setting x is not a valid option"),
        (setting("select", options=OPTIONS), "", "setting x is not a valid option"),
        (setting("select"), "a", "setting x is not a valid option"),
        (setting("boolean"), "true", "setting x is not a boolean"),
        (setting("boolean"), 1, "setting x is not a boolean"),
        (setting("app-selector"), "2d7b1c9e", "setting x is not a map"),
        (setting("app-selector"), {"id": "2d7b1c9e"}, "setting x is missing app_id"),
        (setting("model-selector"), "gpt", "setting x is not a map"),
        (setting("model-selector"), {}, "setting x is missing provider"),
        (setting("model-selector"), {"provider": "p"}, "setting x is missing model"),
        (setting("model-selector"), {"provider": "p", "model": "m"}, "setting x is missing model_type"),
        (setting("model-selector", scope="llm&vision"), MODEL, "setting x is not a valid model config scope"),
        (setting("model-selector", scope="document"), MODEL, "setting x is not a valid model config scope"),
        (setting("text-input", required=True), None, "missing required setting: x"),
        (setting("array[tools]", required=True), None, "missing required setting: x"),
    ],
)
def test_a_value_is_refused_in_the_daemons_words(declared: Setting, value: object, fault: str) -> None:
    with pytest.raises(StartError) as caught:
        validate_settings([declared], {"x": value})
    assert str(caught.value) == f"failed to validate settings: {fault}"


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        (setting("text-input", required=True), {"x": ""}),
        (setting("text-input"), {"x": None}),
        (setting("text-input"), {}),
        (setting("boolean", required=True), {"x": False}),
        (setting("select", options=OPTIONS), {"x": "a"}),
        (setting("app-selector", scope="chat"), {"x": {"app_id": None}}),
        (setting("model-selector"), {"x": MODEL}),
        (setting("model-selector", scope="moderation"), {"x": MODEL}),
        (setting("array[tools]"), {"x": "anything"}),
        (setting("text-input"), {"x": "a", "undeclared": [1]}),
        (setting("text-input"), {f"key {number}": "" for number in range(64)}),
    ],
)
def test_a_value_that_the_daemon_accepts_is_valid(declared: Setting, values: Mapping[str, Any]) -> None:
    validate_settings([declared], values)


def test_a_default_is_no_value() -> None:
    with pytest.raises(StartError, match="missing required setting: x"):
        validate_settings([setting("text-input", required=True, default="d")], {})


def test_more_than_64_values_are_too_many() -> None:
    with pytest.raises(StartError) as caught:
        validate_settings([], {f"key {number}": "" for number in range(65)})
    assert str(caught.value) == "failed to validate settings: too many setting fields"
