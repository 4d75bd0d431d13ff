"""JSON from outside: what is taken, and what Dify could not bear."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck.runs import parsing
from duck.runs.parsing import ParseError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def without_nul(value: Any) -> Any:
    return json.loads(re.sub(r"(?<!\\)((?:\\\\)*)((?:\\u0000)+)", r"\1", json.dumps(value)))


@given(VALUES, st.booleans())
def test_any_json_is_read_and_nul_characters_are_left_out(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parsing.json(text) == parsing.json(text.encode()) == without_nul(value)


@given(st.lists(st.sampled_from(["\\", "\0", "u0000", '"', "x"])))
def test_a_nul_is_told_from_a_backslash_before_the_same_letters(parts: list[str]) -> None:
    value = "".join(parts)
    assert parsing.json(json.dumps([value])) == [value.replace("\0", "")]


@pytest.mark.parametrize("unit", ["{}", "[]", "1", '""', '"a,b"', '{"a":"[{,"}'])
def test_a_hundred_thousand_values_are_read_and_no_more(unit: str) -> None:
    signs = unit.replace('"a,b"', "").replace('"[{,"', "")
    count = parsing.MAX_VALUES // (1 + signs.count("[") + signs.count("{")) - 1
    text = f"[{','.join([unit] * count)}]"
    assert len(parsing.json(text)) == count
    with pytest.raises(ParseError, match="more than 100,000 values"):
        parsing.json(f"[{text},{text}]")


def test_names_count_too() -> None:
    text = json.dumps({str(number): [""] for number in range(parsing.MAX_VALUES)})
    with pytest.raises(ParseError, match="more than 100,000 values"):
        parsing.json(text)
    with pytest.raises(ParseError, match="more than 100,000 values"):
        parsing.json(f"[{','.join(['""'] * 3 * parsing.MAX_VALUES)}]")


def test_commas_and_brackets_in_a_text_are_no_values() -> None:
    value = ['a, b [c] {d} \\ " ' * 50_000]
    assert parsing.json(json.dumps(value)) == value


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.parametrize("innermost", ["0", '"["', '{"b":1}'])
def test_a_hundred_levels_are_read_and_no_more(opening: str, closing: str, innermost: str) -> None:
    step = opening.count("[") + opening.count("{")
    levels = (parsing.MAX_DEPTH - innermost.count("{")) // step

    def nested(times: int) -> str:
        return opening * times + innermost + closing * times

    assert json.dumps(parsing.json(nested(levels))).replace(" ", "") == nested(levels)
    with pytest.raises(ValueError, match="nested deeper than 100 levels"):
        parsing.json(nested(levels + 1))


def test_what_is_wide_is_not_deep() -> None:
    value: Any = [[[]]] * 1000
    assert parsing.json(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "NaN", "Infinity", "1e999", "9" * 400, "01", "'a'", '{"a":1,}', '"\\ud800"', '"\ud800"', '"\x01"', "[1] x"],
)
def test_what_is_no_json_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="not valid JSON"):
        parsing.json(text)


@pytest.mark.parametrize("data", [b"\xff", b'"\xff"', b'"\xed\xa0\x80"', '{"a":1}'.encode("utf-16")])
def test_bytes_must_be_utf_8(data: bytes) -> None:
    with pytest.raises(ValueError, match="not valid JSON"):
        parsing.json(data)


@given(st.binary(), st.integers(1, 5))
def test_lines_are_the_same_however_the_bytes_come(data: bytes, size: int) -> None:
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    assert list(parsing.lines(blocks)) == data.split(b"\n")[:-1]


def test_of_a_name_that_is_there_twice_the_last_counts() -> None:
    assert parsing.json('{"a":1,"a":2}') == {"a": 2}
