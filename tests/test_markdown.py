"""Markdown as HTML that does no harm and does not take long."""

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape

import cmarkgfm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duck.faces.page import markdown
from duck.faces.page.markdown import colours
from tests.support import parsed

ORIGIN = "https://dify.example.com"
ELSEWHERE = ' rel="noopener noreferrer nofollow" target="_blank"'
CORPUS = {
    "<script>alert(1)</script>": "&lt;script&gt;",
    "</div></x-t></article><p>": "&lt;/div&gt;",
    "<!-- x": "&lt;!--",
    "<template><img src=x>": "&lt;template&gt;",
    "[a](javascript:alert(1))": "[a](javascript:alert(1))",
    "[a](//evil.example)": "[a](//evil.example)",
    "[a](/console)": "[a](/console)",
    "<https://x.example>": 'href="https://x.example" rel="noopener noreferrer nofollow"',
    '[a](https://x.example "t\\" onclick=x")': "t&quot; onclick=x",
    "![a](https://evil.example/?q=secret)": '<a href="https://evil.example/?q=secret"',
    "![](https://evil.example/b)": ">https://evil.example/b</a>",
    f"![a<b]({ORIGIN}/files/a.png)": f'<img src="{ORIGIN}/files/a.png" alt="a&lt;b">',
    f"![a]({ORIGIN}.evil.example/a.png)": "<a href",
    f"![a]({ORIGIN}/e/duck/chat/x?query=y)": "<a href",
    f"![a]({ORIGIN}//e/duck/chat/x)": "<a href",
    f"![a]({ORIGIN}/%65/duck/chat/x)": "<a href",
    f"![a]({ORIGIN}/files/../e/duck)": "<a href",
    f"![a]({ORIGIN}/files/%2e%2E/e/duck)": "<a href",
    f"![a]({ORIGIN}/./e/duck)": "<a href",
    f"![a](<{ORIGIN}\\\\e/duck>)": "<a href",
    f"![a]({ORIGIN}/e)": "<a href",
    f"![a]({ORIGIN}/files/e/x.png?a=/e/)": "<img src",
    f"![a]({ORIGIN}/console/api/logout)": "<a href",
    f"![a]({ORIGIN}/files/../console/api/logout)": "<a href",
    "# Title": "<h3>Title</h3>",
    "###### Deep": "<h6>Deep</h6>",
    "|a|b|\n|-|-|\n|1|2|": '<div class="wide" tabindex="0"><table>',
    "```html\n<b>\n```": '<pre tabindex="0" data-language="HTML"><code>&lt;<span class="k">b</span>&gt;\n</code></pre>',
    "    code": '<pre tabindex="0"><code>code',
    "~~old~~": "<s>old</s>",
    "a\0b": "a\N{REPLACEMENT CHARACTER}b",
}


@pytest.mark.parametrize(("text", "part"), CORPUS.items())
def test_markdown_does_no_harm(text: str, part: str) -> None:
    rendered = str(markdown.render(text, ORIGIN))
    assert part in rendered
    page = parsed(b"<!doctype html><title>x</title>" + rendered.encode())
    assert not {element.tag for element in page.iter()} & {"script", "template", "iframe", "object", "style", "form"}
    names = {name for element in page.iter() for name in element.attrib}
    assert not [name for name in names if name.startswith("on") or name == "style"]


# Of so much less text than its rendering takes time.
HEAVY = {
    "quotations in quotations": ">" * 19 + "a\n" + "a\n" * 1_000,
    "brackets": "[" * 3_000,
    "stars": "**" * 15_000 + "a" + "**" * 15_000,
    "less-than signs": "<" * 25_000,
    "a wide table": "|" + "a|" * 120 + "\n|" + "-|" * 120 + "\n" + "a\n" * 250,
    "lists": "1. a\n" * 3_000,
    "lines": "a\n\n" * 9_000,
}
ANSWER = "Some *text* with **bold**, `code` and [a link](https://a.example).\n\n- an item\n- another\n\n|a|b|\n|-|-|\n|1|2|\n\n"


@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY.keys())
def test_what_would_take_long_to_render_stays_as_it_is(text: str) -> None:
    assert markdown.render(text, budget=markdown.Budget(25_000)) is None


def test_a_text_that_is_not_rendered_is_shown_as_it_is_and_a_long_answer_is_rendered() -> None:
    assert str(markdown.render_or_show(HEAVY["lines"], None, markdown.Budget(25_000))).startswith('<pre tabindex="0">a\n')
    assert markdown.render("x" * (markdown.MAX_LENGTH + 1)) is None
    assert markdown.render(ANSWER * 100, budget=markdown.Budget(25_000)) is not None


def html_of(text: str) -> str:
    html = markdown.render(text, ORIGIN)
    assert html is not None
    return str(html)


# What models write


PYTHON = "```python\ndef f(x):  # twice\n    return 2 * x\n```"
WIDE = "|" + "|".join(f"Column {number}" for number in range(12)) + "|\n" + "|:-" * 12 + "|\n" + "|1" * 12 + "|\n"
# Markdown, and what must be part of its HTML.
WRITTEN = {
    # GitHub's
    "|a|b|c|d|\n|:-|:-:|-:|-|\n|1|2|3|4|": '<td class="left">1</td>\n'
    '<td class="center">2</td>\n<td class="right">3</td>\n<td>4</td>',
    WIDE: '<div class="wide" tabindex="0"><table>',
    "- [ ] to do\n- [x] done": '<li class="task"><span class="todo">☐</span> to do</li>\n'
    '<li class="task"><span class="todo">☑</span> done</li>',
    "1. [x] a\n2. b": '<li class="task"><span class="todo">☑</span> a</li>\n<li>b</li>',
    "~~old~~": "<s>old</s>",
    "|a|\n|-|\n|x<br>y<BR/>z<br />w|": "<td>x<br />\ny<br />\nz<br />\nw</td>",
    "a<br>\nb": "<p>a<br />\nb</p>",
    "a<br/>b\nc": "<p>a<br />\nb<br />\nc</p>",
    "<br": "&lt;br",
    "[$x$<br>y](https://b.example)": "</math><br />\ny</a>",
    # Bare links
    "https://a.example": f'<p><a href="https://a.example"{ELSEWHERE}>https://a.example</a></p>',
    "See www.a.example/b.": f'See <a href="http://www.a.example/b"{ELSEWHERE}>www.a.example/b</a>.',
    "(https://a.example/b_(c)_d_e)": '(<a href="https://a.example/b_(c)_d_e"',
    "[[https://a.example]]": '[[<a href="https://a.example" rel',
    "**https://a.example/b**!": '<strong><a href="https://a.example/b"',
    "详见https://a.example/b?c=d，谢谢": f'<a href="https://a.example/b?c=d"{ELSEWHERE}>https://a.example/b?c=d</a>，谢谢',
    "„https://a.example/路径“": 'href="https://a.example/%E8%B7%AF%E5%BE%84"',
    "http://localhost:8000/a?b": '<a href="http://localhost:8000/a?b"',
    "[see https://a.example](https://b.example)": f'<a href="https://b.example"{ELSEWHERE}>see https://a.example</a>',
    "xhttps://a.example": "<p>xhttps://a.example</p>",
    "README.md, file.py, a.example, a@b.example, xwww.a.example, www.a, www..a": "<p>README.md, file.py, a.example, a@b.example, "
    "xwww.a.example, www.a, www..a</p>",
    "ftp://a.example http:// https://.": "<p>ftp://a.example http:// https://.</p>",
    f"https://a.example/{'b' * 2_000}": "<p>https://a.example/b",
    # Formulas
    r"\(x_1\) is first": '<math display="inline" alttext="x_1"><mrow><msub><mi>x</mi><mn>1</mn></msub></mrow></math> is first',
    "so $a*b*c$ *is*": "<mo>*</mo><mi>c</mi></mrow></math> <em>is</em>",
    "函数$f(x)$在": "<p>函数<math",
    "$$x^2$$": '<div class="wide formula" tabindex="0"><math display="block" alttext="x^2">',
    "so $$x$$ then": 'so <math display="block"',
    "\\[\nx\n+ y\n\\]": '<div class="wide formula" tabindex="0"><math display="block"',
    "text\n$$\n- x\n$$\nmore": "</math></div>\n<p>more</p>",
    "- a\n\n  $$\n  x\n  $$\n": "<math",
    "> \\[ x \\]\n": "<math",
    "$$\n\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}\n$$": "<mtable><mtr><mtd><mi>a</mi></mtd><mtd><mi>b</mi></mtd></mtr>",
    "$$\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}$$": "<mtable",
    "$$\\begin{array}{lr} a & b \\end{array}$$": '<mtd class="left"><mi>a</mi></mtd><mtd class="right">',
    r"\$5 and \$6": "<p>$5 and $6</p>",
    r"$\$5 + x$": "<math",
    r"\(a \\) b\)": "<math",
    # No formulas
    "$5 and $10": "<p>$5 and $10</p>",
    "$1,000-$2,000, US$ 5": "<p>$1,000-$2,000, US$ 5</p>",
    "It is $5 for one, or 10$ for two": "<p>It is $5 for one, or 10$ for two</p>",
    "US$5/$6 or A$7": "<p>US$5/$6 or A$7</p>",
    "$PATH:$HOME/bin and `$x$`": "<p>$PATH:$HOME/bin and <code>$x$</code></p>",
    "$a\nb$ $ c $ $$ $": "<p>$a<br />\nb$ $ c $ $$ $</p>",
    "$`a`$": "<p>$<code>a</code>$</p>",
    r"array\[0\], see \[1\] and \[a\](b)": "<p>array[0], see [1] and [a](b)</p>",
    r"\(": "<p>(</p>",
    r"\(a": "<p>(a</p>",
    "$$\na\n\nb\n$$": "<p>$$<br />\na</p>\n<p>b<br />\n$$</p>",
    "$$a": "<p>$$a</p>",
    "$$\n$$": "<p>$$<br />\n$$</p>",
    "$$ a $$ b\nc": "b<br />\nc</p>",
    "- $$\nx$$": '<ul dir="auto">\n<li><math',
    # Formulas that cannot be read stay as they were written
    r"\(\nosuchcommand_1\)": r"<p>\(\nosuchcommand_1\)</p>",
    r"\(x^{2\)": "x",
    r"$x^{}^{}_$": r"<p>$x^{}^{}_$</p>",
    "$$\nx^\ny^\n$$": "<p>$$<br>\nx^<br>\ny^<br>\n$$</p>",
    # Code
    PYTHON: '<pre tabindex="0" data-language="Python"><code><span class="k">def</span> <span class="nf">f</span>(x):  '
    '<span class="c"># twice</span>',
    "```{.js}\n1\n```": 'data-language="JavaScript"><code><span class="m">1</span>',
    "``` c++ title=a\nx\n```": 'data-language="C++"',
    "```mermaid\na<b\n```": '<pre tabindex="0" data-language="mermaid"><code>a&lt;b\n</code></pre>',
    "```\na<b\n```": '<pre tabindex="0"><code>a&lt;b\n</code></pre>',
    "```'\"><b>\na\n```": '<pre tabindex="0"><code>a\n</code></pre>',
    # Notes
    "<think>\nHm, *so*.\n\n- a\n</think>\n\nYes.": '<details class="note think">\n'
    "<summary>Reasoning</summary>\n<p>Hm, <em>so</em>.</p>\n"
    '<ul dir="auto">\n<li>a</li>\n</ul>\n</details>\n<p>Yes.</p>\n',
    "<think>Hm.</think>Yes.": "<p>Hm.</p>\n</details>\n<p>Yes.</p>",
    "<think>\nHm": "<summary>Reasoning</summary>\n<p>Hm</p>\n</details>",
    "a\n<THINK>b</Think>": '<p>a</p>\n<details class="note think">\n<summary>Reasoning</summary>\n<p>b</p>\n</details>',
    "<think>\n\n</think>\n\nYes.": "<p>Yes.</p>",
    "<think><think>b</think>c</think>d": "<p>b</p>\n</details>\n<p>c</p>\n</details>\n<p>d</p>",
    "<think>a\n<details>b</think>c": "<p>b</p>\n</details>\n</details>\n<p>c</p>",
    "<think>\n`</think>` and\n</think>\nb": "<code>&lt;/think&gt;</code> and</p>\n</details>\n<p>b</p>",
    "<think>\n```\n</think>\n```\n</think>\nb": "<code>&lt;/think&gt;\n</code></pre>\n</details>\n<p>b</p>",
    "a</think>b": "<p>a&lt;/think&gt;b</p>",
    "Use `<think>` so": "<p>Use <code>&lt;think&gt;</code> so</p>",
    "    <think>\n": "<code>&lt;think&gt;",
    "```\n<think>\n```": "<code>&lt;think&gt;",
    "- ```\n```\n<think>\n": "<code>&lt;think&gt;",
    "> ```\n> a\n<think>b</think>": '</blockquote>\n<details class="note think">',
    "<think>a</details></think>": "<p>a&lt;/details&gt;</p>",
    "<thinking>a": "<p>&lt;thinking&gt;a</p>",
    '<details style="color:gray;background-color: #f8f8f8;padding: 8px;border-radius: 4px;" open> '
    "<summary> Thinking... </summary>\n"
    "a\n"
    "</details>\nb": '<details class="note details" open>\n<summary>Thinking...</summary>\n<p>a</p>\n</details>\n<p>b</p>',
    "<details>\n\n<summary>**More** <b></summary>\n\na\n</details>": '<details class="note details">\n'
    "<summary><strong>More</strong> "
    "&lt;b&gt;</summary>\n<p>a</p>\n</details>",
    '<details class="open" onclick=x data-open>a</details>': '<details class="note details">\n<p>a</p>\n</details>',
    "<details></details>": '<details class="note details">\n</details>',
    "<details>a\n<summary>b</summary></details>": "&lt;summary&gt;b&lt;/summary&gt;",
    "<details>\n" * 7 + "a": "<p>&lt;details&gt;<br />\n&lt;details&gt;<br />\na</p>",
    "<details><summary>[a]</summary>b</details>\n\n[a]: https://a.example": '<summary><a href="https://a.example"',
    # Dify's files
    "![cat](/files/tools/x.png?sign=3)": f'<img src="{ORIGIN}/files/tools/x.png?sign=3" alt="cat">',
    "[report](/files/a.pdf)": f'<a href="{ORIGIN}/files/a.pdf"{ELSEWHERE}>report</a>',
    "[a](/files/../console) ![b](/e/x) ![c](//files/x) [d](/files) [e](files/x)": "<p>[a](/files/../console) ![b](/e/x) "
    "![c](//files/x) [d](/files) [e](files/x)</p>",
    # Other writing systems
    "שלום *עולם*\n\n- مرحبا": "<p>שלום <em>עולם</em></p>",
}


@pytest.mark.parametrize(("text", "part"), WRITTEN.items())
def test_markdown_is_read_as_models_write_it(text: str, part: str) -> None:
    html = html_of(text)
    assert part in html
    assert "\0" not in html
    parsed(b"<!doctype html><title>x</title>" + html.encode())


def test_files_without_a_host_need_the_pages_origin() -> None:
    assert markdown.render("[a](/files/a.pdf)") == "<p>[a](/files/a.pdf)</p>\n"


def test_the_title_of_thoughts_is_the_pages_word() -> None:
    assert "<summary>思考&lt;</summary>" in str(markdown.render("<think>a</think>", reasoning="思考<"))
    assert "<summary>思考</summary>" in markdown.render_or_show("<think>a</think>", None, markdown.Budget(), reasoning="思考")


# Emphasis beside Chinese, Japanese and Korean text: https://github.com/tats-u/markdown-cjk-friendly/blob/main/specification.md


MARKS = "，。、；：？！“”‘’（）【】《》「」—～…·〃-()\"'"


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("letter", "字かカ한ㄱ")
def test_punctuation_does_not_hinder_emphasis_beside_wide_letters(mark: str, letter: str) -> None:
    assert html_of(f"**a{mark}**{letter}") == f"<p><strong>a{mark}</strong>{letter}</p>\n".replace('"', "&quot;")
    assert html_of(f"{letter}**{mark}a**") == f"<p>{letter}<strong>{mark}a</strong></p>\n".replace('"', "&quot;")
    assert html_of(f"{letter}~~a{mark}~~{letter}") == f"<p>{letter}<s>a{mark}</s>{letter}</p>\n".replace('"', "&quot;")


@pytest.mark.parametrize(
    "text",
    [
        "**粗体：**后面",
        "**強調。**次の文",
        "한국어**(강조)**입니다",
        "**용어(term)**를",
        "ᅡ**(a)**",
        "**(k)**ᄏ",
        "我**这个`code`**吗",
        "値段は**¥100**です",
        "**[見る](https://a.example)**と",
        "答えは**④**です",
        "**㋐**:一つ",
        "私は**「はい」**と",
        "Git**（注）**",
        "𰻞**(字)**",
        "禰󠄀**(字)**",
        "大塚︀**(字)**",
        "〽︎**(字)**は",
        "a**〰**a",
        "a**🈂**a",
        "**真“︁**ab",
        "**葛󠄀**",
        "．**a**",
        "**推荐：**React",
    ],
)
def test_emphasis_works_in_chinese_japanese_and_korean(text: str) -> None:
    assert "<strong>" in html_of(text)
    assert "*" not in html_of(text)


@pytest.mark.parametrize(
    "text", ["a**a«**a", "a**»a**a", "a**a∇**a", "a**∇a**a", "a**𝜵a**a", "a**a😀**a", "a**☀a**a", "a **b **c", "字_a_字"]
)
def test_elsewhere_emphasis_is_as_in_commonmark(text: str) -> None:
    assert "<strong>" not in html_of(text)
    assert "<em>" not in html_of(text)
    assert html_of("_字。_") == "<p><em>字。</em></p>\n"


def emphasised(text: str) -> str:
    html = str(cmarkgfm.markdown_to_html(text))
    return re.sub("</?p>|\n", "", html).replace("&quot;", '"')


@settings(deadline=None, max_examples=500)
@given(st.text("ab*_ .,(é«", max_size=16).map(str.strip))
def test_without_wide_characters_emphasis_is_what_commonmarks_own_parser_makes_of_it(text: str) -> None:
    source = f"x {text} x"
    assert re.sub("</?p>|\n", "", html_of(source)) == emphasised(source)


# Code


CODE = {
    "bash": "echo 'a' # b",
    "c": "int f(void) { return 1; } // a",
    "cpp": 'std::string a = "b";',
    "csharp": "public class A { int b = 1; }",
    "css": "a { color: red; }",
    "diff": "-a\n+b\n",
    "dockerfile": "FROM a\nRUN b",
    "go": 'func f() string { return "a" }',
    "html": '<a href="b">c</a>',
    "java": "class A { int b = 1; }",
    "javascript": "const a = `b${c}`;",
    "json": '{"a": [1, true]}',
    "kotlin": "fun f() = 1",
    "php": "<?php echo 'a';",
    "python": "def f(): pass",
    "r": "f <- function(x) x + 1",
    "ruby": "def f; 1 end",
    "rust": "fn f() -> i32 { 1 }",
    "scala": "def f = 1",
    "sql": "SELECT a FROM b WHERE c = 'd'",
    "swift": "func f() -> Int { 1 }",
    "typescript": "let a: number = 1",
    "yaml": "a: 1\nb: [c]",
    "toml": '[a]\nb = "c"',
    "ini": "[a]\nb = c",
    "tsx": "const a = <b/>;",
}


@pytest.mark.parametrize(("language", "code"), CODE.items())
def test_code_has_colours_and_stays_what_it_was(language: str, code: str) -> None:
    html = html_of(f"```{language}\n{code}\n```")
    assert '<span class="' in html
    [element] = parsed(b"<!doctype html><title>x</title>" + html.encode()).findall(".//pre/code")
    assert "".join(element.itertext()).rstrip("\n") == code.rstrip("\n")


@pytest.mark.parametrize("language", sorted(colours.LANGUAGES))
@pytest.mark.parametrize("code", ["a < b & c\n", "\u2028\"'\\\0\n\n<?\n%{\n", "", "(" * 200 + "\n" * 200 + "a: " * 200])
def test_no_code_breaks_the_page(language: str, code: str) -> None:
    html = str(colours.render(code, language, markdown.Budget()))
    assert unescape(re.sub("<[^>]*>", "", html)) == f"{code}\n"


@pytest.mark.parametrize(
    ("code", "seconds", "has_colours"),
    [
        ("int a;" * 100, 1e-6, True),
        ("int a;" * 100, 1e-4, False),  # all of it takes too long
        ("int a;", 0.002, False),
        ("int a;" * 200, 0.002, False),  # the process would stand still
        ("int a;" * 1_667, 0, False),  # longer than `MAX_CODE`
    ],
)
def test_code_that_takes_long_has_no_colours(
    code: str, seconds: float, has_colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`seconds` pass between one token and the next."""
    clock = itertools.count()
    monkeypatch.setattr("time.thread_time", lambda: next(clock) * seconds)
    assert ("<span" in colours.render(code, "c", markdown.Budget())) is has_colours


def test_code_for_which_no_steps_are_left_has_no_colours() -> None:
    assert "<span" not in colours.render("int a;" * 100, "c", markdown.Budget(1_000))


def test_a_language_that_there_is_no_time_to_load_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colours, "_lexers", {})
    assert colours.render("1", "py", markdown.Budget(9_000)) == '<pre tabindex="0" data-language="py"><code>1</code></pre>\n'
    assert "<span" in colours.render("1", "py", markdown.Budget(11_000))


def test_a_lexer_that_fails_leaves_the_code_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lexer:
        name = "A"

        def __init__(self, *pieces: str) -> None:
            self.pieces = pieces

        def get_tokens_unprocessed(self, code: str) -> Iterator[tuple[int, tuple[str, ...], str]]:
            for piece in self.pieces:
                yield len(code) // len(piece), ("Keyword",), piece

    for lexer in (Lexer("other"), Lexer("")):
        monkeypatch.setattr(colours, "_lexer", lambda *_, lexer=lexer: lexer)
        assert colours.render("a<", "c", markdown.Budget()) == '<pre tabindex="0" data-language="A"><code>a&lt;</code></pre>\n'


# Formulas


HOSTILE_FORMULAS = [
    r"\text{<script>alert(1)</script>}",
    r"\href{javascript:alert(1)}{x}",
    r"\style{color:red}{x}",
    r"\class{evil}{x}",
    r"\color{red}{x}",
    r"\text{&lt;img src=x onerror=alert(1)&gt;}",
    r"\unicode{x3c}script",
    r"\mathbin{<b>}",
    r"\hspace{999em}x",
    r"\raise{99em}{x}",
    r"\textcolor{url(x)}{y}",
    r'\text{" onload="x}',
    r"\operatorname{a b}",
    r"\verb|<b>|",
    r"\unicode{xd800}",
    r"\tag{<i>}",
    r"\fcolorbox{red}{<b>}{x}",
    r"\rule{99em}{99em}",
    r"\hbox{$<$}",
    r"\require{html}",
    r"\begin{array}{<b>}\end{array}",
]
MATHML = {
    "math",
    "mrow",
    "mi",
    "mn",
    "mo",
    "mtext",
    "mspace",
    "mfrac",
    "msqrt",
    "mroot",
    "msub",
    "msup",
    "msubsup",
    "munder",
    "mover",
    "munderover",
    "mtable",
    "mtr",
    "mtd",
    "mstyle",
    "mpadded",
    "mphantom",
    "menclose",
}


@pytest.mark.parametrize("latex", HOSTILE_FORMULAS)
def test_a_formula_contains_nothing_but_a_formula(latex: str) -> None:
    html = html_of(f"$${latex}$$")
    page = parsed(b"<!doctype html><title>x</title>" + html.encode())
    assert {element.tag.rpartition("}")[2] for element in page.find("body").iter()} <= MATHML | {"body", "p", "div"}
    for element in page.findall(".//{*}math//"):
        assert not {"href", "style", "mathcolor", "mathbackground"} & element.attrib.keys()
        assert element.get("class") in {None, "left", "center", "right"}
        assert not re.search(r"(?<![.\d])\d{2,}em", " ".join(element.attrib.values()))


@pytest.mark.parametrize(
    "latex",
    [
        "{" * 500 + "}" * 500,
        "\\sqrt" * 400 + " x",
        "\\frac a" * 280 + "b",
        "\\left(" * 300,
        "x" * 2_001,
        r"\def\a{x}\a",
        r"\newcommand{\a}{x}\a",
        r"\newenvironment{a}{b}{c}",
        r"\DeclareMathOperator{\a}{b}",
    ],
)
def test_a_formula_that_is_too_deep_or_too_long_stays_as_it_was_written(latex: str) -> None:
    assert html_of(f"$${latex}$$") == f"<p>$${latex}$$</p>\n"
    assert html_of(f"so \\({latex}\\)") == f"<p>so \\({latex}\\)</p>\n"


def test_a_page_has_a_limited_number_of_formulas() -> None:
    html = html_of("$x^2$\n\n" * 5_000)
    assert 100 < html.count("<math") < 4_000
    assert html.count("<p>$x^2$</p>") == 5_000 - html.count("<math")


def test_libraries_are_loaded_once_they_are_needed() -> None:
    code = (
        "import sys; from duck.faces.page import markdown;"
        "loaded = lambda: sorted({'pygments', 'latex2mathml'} & sys.modules.keys());"
        "markdown.render('a `b` https://c.example\\n```\\nd\\n```\\n```nosuch\\ne\\n```'); print(loaded());"
        "markdown.render('$x$'); print(loaded()); markdown.render('```c\\n1\\n```'); print(loaded())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["[]", "['latex2mathml']", "['latex2mathml', 'pygments']"]
