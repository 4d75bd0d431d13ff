"""What a model thinks is taken out of its text, wherever the text is cut into pieces."""

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck.dify.thoughts import Thoughts, without_thoughts

# As older versions of Dify wrote it, and as clients of Dify know it by heart.
STYLE = "color:gray;background-color: #f8f8f8;padding: 8px;border-radius: 4px;"
DETAILS = f'<details style="{STYLE}" open> <summary> Thinking... </summary>'
CASES = {
    "": "",
    "No thought.": "No thought.",
    "<think>\nHm.\n</think>Yes.": "Yes.",
    "<think>\nHm.\n</think>\n\nYes.": "Yes.",
    "One. <think>Hm.</think> Two.": "One. Two.",
    "One.<think>Hm.</think>Two.": "One.Two.",
    "One.<think>Hm.</think> Two.": "One. Two.",
    "One.\n\n<think>Hm.</think>\n\n<think>Well.</think>\n\nTwo.": "One.\n\nTwo.",
    "<think>a<think>b</think>c</think>Yes.": "Yes.",
    "<think><think>a</think></think>Yes.": "Yes.",
    "One.<think>Hm.": "One.",
    "One.<think>a<think>b</think>c": "One.",
    "<THINK>Hm.</Think >Yes.": "Yes.",
    '<think class="deep">Hm.</think>Yes.': "Yes.",
    "<thinking>Hm.</thinking>Yes.": "Yes.",
    "One.</think>Two.": "One.Two.",
    "a < b, <thin ice>, <thi": "a < b, <thin ice>, <thi",
    "1 <think": "1 <think",
    "<<think>Hm.</think>Yes.": "<Yes.",
    f"{DETAILS}\nHm.</details>\n\nYes.": "Yes.",
    f"{DETAILS}Hm.": "",
    f"{DETAILS}a<details>b</details>c</details>Yes.": "Yes.",
    f"{DETAILS}a</think>b</details>Yes.": "Yes.",
    f"<think>a{DETAILS}b</think>Yes.": "Yes.",
    "<DETAILS><summary>\n\nthinking...</summary>Hm.</DETAILS>Yes.": "Yes.",
    "<details><summary>More</summary>It is long.</details>Yes.": "<details><summary>More</summary>It is long.</details>Yes.",
    "<details><summary>Thinking... again</summary>a</details>": "<details><summary>Thinking... again</summary>a</details>",
    DETAILS[:-1]: DETAILS[:-1],
    # An example of a tag is text, and ends no thought; a tag beside one backtick only is a tag.
    "`<think>` begins it and `</think>` ends it.": "`<think>` begins it and `</think>` ends it.",
    "<think>It asks what `</think>` is.</think>A tag.": "A tag.",
    "<think>It asks what `<think>` is.</think>A tag.": "A tag.",
    f"{DETAILS}It asks what `</details>` is.</details>A tag.": "A tag.",
    "`<think>Hm.</think>Yes.`": "`Yes.`",
    "`<think>": "`",
    "Yes.`</think>": "Yes.`",
    "```\n<think>Hm.</think>\nx = 1": "```\nx = 1",
}


def joined(pieces: Iterable[str]) -> str:
    thoughts = Thoughts()
    return "".join([*map(thoughts.add, pieces), thoughts.end()])


@pytest.mark.parametrize(("text", "expected"), CASES.items())
def test_a_text_is_left_without_its_thoughts_wherever_it_is_cut(text: str, expected: str) -> None:
    assert without_thoughts(text) == expected
    assert joined(text) == expected
    for first in range(len(text) + 1):
        assert joined([text[:first], text[first:]]) == expected
        assert joined([text[:first], text[first : first + 3], "", text[first + 3 :]]) == expected


def test_text_is_held_back_no_longer_than_it_may_be_a_tag() -> None:
    thoughts = Thoughts()
    steps = {"a <": "a ", "thi": "", "s": "<this", "`<think>": "`", "`": "<think>`", "<details": "", ">x": "<details>x"}
    assert {step: thoughts.add(step) for step in steps} == steps
    assert thoughts.end() == ""
    assert [thoughts.add("a <thi"), thoughts.end()] == ["a ", "<thi"]


def test_attributes_and_space_hold_back_little() -> None:
    for start in ("<think ", "<details ", "<details>", "<details><summary>"):
        thoughts = Thoughts()
        filler = "a" if start.endswith(" ") else " "
        assert thoughts.add(start) == ""
        assert thoughts.add(filler * 300) == start + filler * 300


def test_a_new_text_begins_outside_of_thoughts() -> None:
    thoughts = Thoughts()
    assert [thoughts.add("<think>Hm."), thoughts.end(), thoughts.add("\n\nYes.")] == ["", "", "Yes."]


def test_it_is_known_whether_there_were_thoughts() -> None:
    thoughts = Thoughts()
    thoughts.add("`<think>` and <thi")
    assert not thoughts.found
    thoughts.add("nk>")
    assert thoughts.found


def test_all_texts_of_a_value_are_left_without_thoughts() -> None:
    value = {"text": "<think>a</think>b", "list": ["c<think>", {"deep": ["<think>d</think>e"]}], "number": 1, "none": None}
    assert without_thoughts(value) == {"text": "b", "list": ["c", {"deep": ["e"]}], "number": 1, "none": None}


# Against another implementation, which sees the whole text

TAG = re.compile(r"(?is)(?P<think></?think[^<>]{0,200}>)|(?P<details></?details[^<>]{0,200}>)")
THINKING = re.compile(r"(?i)<details[^<>]{0,200}>\s{0,20}<summary[^<>]{0,200}>\s{0,20}thinking\.\.\.\s{0,20}</summary>")


def reference(text: str) -> str:
    shown, at, kind, depth, skips = "", 0, "", 0, False
    while at < len(text):
        tag = TAG.match(text, at)
        if tag and text[at - 1 : at] == text[tag.end() : tag.end() + 1] == "`" and tag.lastgroup == (kind or "think"):
            piece, end = tag[0], tag.end()
        elif not depth and (opening := THINKING.match(text, at)):
            kind, depth, piece, end = "details", 1, "", opening.end()
        elif tag and tag.lastgroup == (kind or "think"):
            depth += -1 if tag[0].startswith("</") else 1
            kind, piece, end = tag.lastgroup if depth > 0 else "", "", tag.end()
            if depth <= 0:
                depth, skips = 0, not shown or shown[-1].isspace()
        else:
            piece, end = text[at], at + 1
        at = end
        if not depth and not (skips and not piece.strip()):
            shown, skips = shown + piece, skips and not piece
    return shown


PIECES = [
    "<think>",
    "</think>",
    "<think>\n",
    "\n</think>",
    "<",
    ">",
    "<th",
    "ink",
    "/",
    "`",
    "`<think>`",
    "`</think>`",
    " ",
    "\n",
    "a",
]
PIECES += [DETAILS, "<details>", "</details>", " <summary>", "Thinking...", "</summary>", "`</details>`", "İ"]
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=25).map("".join)


@given(texts, st.lists(st.integers(0, 400), max_size=8).map(sorted))
def test_no_cut_changes_what_is_left(text: str, cuts: list[int]) -> None:
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
    assert joined(pieces) == joined(text) == without_thoughts(text) == reference(text)


@given(st.text())
def test_a_text_without_tags_stays_as_it_is(text: str) -> None:
    assert without_thoughts(text) == text
