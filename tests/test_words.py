"""What a page says, in each of its languages."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from duck.errors import LABELS, invalid_field, setting
from duck.faces.page.words import ENGLISH, MESSAGES, WORDS, translate
from duck.texts import Fault, Text

ROOT = Path(__file__).parents[1]
GROUP = yaml.safe_load((ROOT / "group/duck.yaml").read_text("utf-8"))
LANGUAGES = {"zh": "zh_Hans", "ja": "ja_JP", "pt": "pt_BR"}


def names_in(text: str) -> list[str]:
    return sorted(re.findall(r"\{\w+\}|<\w+>", text))


def templates() -> set[str]:
    """The templates of all sentences in Duck: what is given to `Text`, or to the name `message` before."""
    found: set[str] = set()
    for path in (ROOT / "duck").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values: list[ast.expr] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Text":
                values = node.args[:1]
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "message":
                values = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
            found |= {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}
    return found - {""}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_there_in_every_language(language: str) -> None:
    labels = {f"{label} ({{name}})" for label in LABELS.values()}
    assert set(MESSAGES[language]) == templates() | labels
    assert {en: text for en, text in MESSAGES[language].items() if names_in(en) != names_in(text)} == {}
    assert WORDS[language].keys() == WORDS[ENGLISH].keys()
    assert {name: text for name, text in WORDS[language].items() if names_in(text) != names_in(WORDS[ENGLISH][name])} == {}
    assert all(WORDS[language].values())


@pytest.mark.parametrize(("language", "code"), LANGUAGES.items())
def test_settings_are_called_as_the_console_calls_them(language: str, code: str) -> None:
    labels = {row["name"]: row["label"] for row in GROUP["settings"]}
    assert {name: label["en_US"] for name, label in labels.items()} == dict(LABELS)
    assert {name: translate(setting(name), language) for name in LABELS} == {
        name: f"{labels[name][code]} ({name})" for name in LABELS
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (Text("required"), "必填"),
        (Text("at most {limit} characters, this has {count}", limit=5, count=6), "最多 5 个字符，现有 6 个"),
        (
            Text("must be a JSON object: {fault}", fault=Text("nested deeper than {count} levels", count=100)),
            "必须是 JSON 对象：嵌套超过 100 层",
        ),
        (Text('must be a JSON object, like {"a": 1}'), '必须是 JSON 对象，例如 {"a": 1}'),
        ("Dify's own words {as} they are", "Dify's own words {as} they are"),
        (Text("not in any catalog {x}", x="y"), "not in any catalog y"),
        (invalid_field("a", Text("required")).faults[0].text, "必填"),
    ],
)
def test_a_sentence_is_said_in_chinese(text: Any, said: str) -> None:
    assert translate(text, "zh") == said
    assert translate(text, ENGLISH) == text


def test_a_text_is_the_sentence_in_english() -> None:
    assert Text("{a} and {b}", a=1, b="x") == "1 and x"
    assert Text("{a}") == "{a}"
    assert str(Fault("x", Text("required"))) == "x: required"
    assert str(Fault("", Text("All of it."))) == "All of it."
