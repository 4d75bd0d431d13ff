"""Markdown that is rendered while it grows is, at its end, what it is at once."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from duck.faces.page import markdown
from duck.faces.page.markdown import Budget, End, Growing
from tests.test_markdown import ANSWER, CORPUS, HEAVY, ORIGIN, WRITTEN

# Texts in which it is hard to see what is complete.
PUZZLES = [
    "a\n===\n\nb\n---\n\n---\n",
    "- a\n\n- b\n\n\n- c\n\ntext\n",
    "- a\n  - b\n\n    c\n1. d\n2. e\n\nf",
    "> a\nb\n> c\n\nd\n> e\n",
    "a | b\n-|-\nc | d\ne\n\nf\n",
    "```\ncode\n\nmore\n```\nafter\n",
    "~~~\n\nunclosed\n\n# no heading\n",
    "> ```\n> code\nafter\n\nmore\n",
    "- ```\n  code\n\n  more\n  ```\n- b\n\nend\n",
    "- ```\n```\n<think>\nx\n```\n</think>\ny\n",
    "    code\n\n    more\n\ntext\n\n    code\n",
    "$$\n- x\n+ y\n$$\nafter\n\n$$\n- never closed\n\n+ a\n",
    "\\[\nx\n\\]\ntext\n\n\\[\n\n- a\n\\]\n",
    "[a]: https://x.example\n\n[a] and [b]\n\ntext\n\n[b]: https://y.example\n",
    "[a]:\nhttps://x.example\n'a title\n\nno' [a]\n\nb\n",
    "[a]: https://x.example\n'a\n# title'\n",
    "# a\n## b\ntext\n### c",
    "a\r\n\r\nb\rc\r\n\r\n- d\r\n",
    "a\0b\n\n\0+think\0\n\n\0-\0\n",
    "<think>\na\n\n<think>b</think>\n\nc\n\n</think>d\n\ne\n",
    "<details><summary>a</summary>\n\nb\n\n</details>\n\nc\n",
    "- a\n<details>\nb\n</details>\n- c\n",
    "a\n<think>b</think> c </think>\n\nd",
    "<think>\n```\n</think>\n```\nx\n</think>\ny\n\nz",
    "`<think>`\n\na\n\n```html\n<details>\n```\n\nb\n",
    "a  \nb\n\n*c\n\nd*\n",
]
TEXTS = [*CORPUS, *WRITTEN, *PUZZLES, ANSWER * 2, *(text[:30] for text in HEAVY.values())]


def normal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\N{REPLACEMENT CHARACTER}")


def grown(pieces: list[str]) -> str:
    """The text as HTML after it has grown by these pieces."""
    growing = Growing(ORIGIN, Budget())
    blocks, whole = [], ""
    for piece in pieces:
        whole += piece
        if more := growing.add(piece):
            blocks.append(more.blocks)
            assert normal(whole).endswith(normal(more.rest))
    end = growing.end()
    assert end.html is not None
    return end.html if end.is_whole else Markup("").join([*blocks, end.html])


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_grows_is_what_it_is_at_once_wherever_it_is_cut(text: str) -> None:
    at_once = markdown.render(text, ORIGIN)
    for cut in range(1, len(text), 1 if text in PUZZLES else 7):
        assert grown([text[:cut], text[cut:]]) == at_once
    assert grown([*text]) == at_once
    dice = random.Random(text)  # noqa: S311
    for _ in range(8):
        pieces, start = [], 0
        while start < len(text):
            end = start + dice.randint(1, 40)
            pieces.append(text[start:end])
            start = end
        assert grown(pieces) == at_once


LINES = st.sampled_from(
    [
        "",
        "",
        "a",
        "a b",
        "  a",
        "    a",
        "\ta",
        "- a",
        "-",
        "* b",
        "+ c",
        "  - d",
        "   e",
        "1. a",
        "2. b",
        "10) c",
        "> a",
        ">",
        "> - b",
        "> ```",
        "# h",
        "---",
        "===",
        "***",
        "```",
        "``` py",
        "  ```",
        "    ```",
        "~~~",
        "> $$",
        "$$",
        "$$x$$",
        "- $$",
        "x$$",
        "\\[",
        "\\]",
        "\\[x\\]",
        "|a|b|",
        "|-|-|",
        "a|b",
        ":-:|-",
        "[a]: https://x.example",
        "[a]:",
        "https://x.example 'title",
        "title'",
        "[a]",
        "[b]: <https://y.example>",
        "<think>",
        "</think>",
        "<think>a</think>",
        "</think>b",
        "<details>",
        "<details open>",
        "<summary>s</summary>",
        "</details>",
        "<details><summary>s</summary>a</details>b",
        "- [ ] t",
        "- <think>",
        "  <think>",
        "<br>",
        "**a",
        "b**",
        "`",
        "`<think>`",
        "\\",
        "a  ",
        "\r",
        "\0",
        "\0+think\0",
        "- ```",
        "1. ```",
        "$a$",
        "![a](/files/x)",
        "粗**体：**",
    ]
)


@settings(deadline=None, max_examples=400)
@given(st.lists(LINES, max_size=14), st.randoms(use_true_random=False), st.booleans())
def test_so_is_any_text(lines: list[str], dice: random.Random, ends: bool) -> None:
    text = "\n".join(lines) + "\n" * ends
    cuts = sorted(dice.randint(0, len(text)) for _ in range(dice.choice([0, 1, 3, len(text)])))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert grown(pieces) == markdown.render(text, ORIGIN)


def test_a_block_is_rendered_once_the_next_has_begun() -> None:
    growing = Growing(None, Budget())
    assert [growing.add(text) for text in ("One *par", "agraph*\n", "\n", "T")] == [None] * 4
    assert growing.add("wo\nThr") == ("<p>One <em>paragraph</em></p>\n", "", "Two\nThr")
    assert growing.end() == End(Markup("<p>Two<br />\nThr</p>\n"))


@pytest.mark.parametrize(
    ("start", "more"),
    [
        ("- one\n- two\n", "- three\n- four\n"),
        ("1. one\n", "2. two\n"),
        ("|a|b|\n|-|-|\n|1|2|\n", "|3|4|\n"),
        ("```python\nprint(1)\n", "print(2)\n"),
        ("> one\n", "> two\n"),
    ],
)
def test_of_what_has_many_lines_each_is_rendered_before_the_end(start: str, more: str) -> None:
    growing = Growing(None, Budget())
    growing.add("Before.\n\n")
    assert growing.add(start + "...") == (markdown.render("Before."), markdown.render(start), "...")
    growing = Growing(None, Budget())
    growing.add(start)
    assert growing.add(more) == ("", markdown.render(start + more), "")


def test_a_draft_that_would_take_long_stays_as_it_came() -> None:
    growing, text = Growing(None, Budget(20_000)), f"- {'*' * 30_000}\n"
    assert growing.add(f"a\n\n{text}") == ("<p>a</p>\n", "", text)
    assert (growing.add("- b\n"), growing.end()) == (None, End(None))


@pytest.mark.parametrize(
    ("start", "end"),
    [("```\na\n\n", "```\n"), ("<think>\na\n\n", "</think>\n"), ("<details>\n\n# a\n\n", "</details>\n"), ("$$\n- a\n", "$$\n")],
)
def test_what_has_begun_and_not_ended_is_one_block(start: str, end: str) -> None:
    growing = Growing(None, Budget(), reasoning="思考")
    assert not any(more.blocks for more in (growing.add(start), growing.add(end)) if more)
    assert growing.add("\nb\n") == (markdown.render(start + end, reasoning="思考"), "", "b\n")


def test_a_text_with_definitions_is_rendered_again_at_its_end() -> None:
    growing = Growing(None, Budget())
    growing.add("[a]\n\nb\n\n")
    growing.add("[a]: https://x.example\n")
    assert growing.end() == End(markdown.render("[a]\n\nb\n\n[a]: https://x.example\n"), is_whole=True)


def test_a_text_that_would_take_long_stays_as_it_came() -> None:
    growing = Growing(None, Budget(20_000))
    added = [growing.add(f"{text}\n\n") for text in ("a", "b", "*" * 30_000, "c", "d")]
    assert [more.blocks for more in added if more] == ["<p>a</p>\n", "<p>b</p>\n"]
    assert added[-1] is None
    assert growing.end() == End(None)


def test_at_its_end_a_text_that_would_take_long_stays_as_it_came() -> None:
    heavy, long = Growing(None, Budget(20_000)), Growing(None, Budget())
    heavy.add("*" * 30_000)
    long.add("a" * (markdown.MAX_LENGTH + 1))
    assert heavy.end() == long.end() == End(None)
    long.add("\n\nb\n")
    assert long.end() == End(None)


@pytest.mark.parametrize("line", ["a\n", "- a\n", "| a |\n", "> a\n", "    a\n", "a\n\n", "$$\n"])
def test_the_time_is_in_proportion_to_the_length(line: str) -> None:
    def steps(count: int) -> int:
        budget = Budget(10_000_000)
        growing = Growing(None, budget)
        for _ in range(count):
            growing.add(line)
        growing.end()
        return 10_000_000 - budget.steps

    assert steps(400) < 12 * steps(50)
