"""The marks of apps, from Dify's settings and from query strings."""

from urllib.parse import parse_qsl

import pytest

from duck.dify.site import Site
from duck.faces.page import marks
from duck.faces.page.marks import Mark
from tests.support import APP

ORIGIN = "https://dify.example.com"
FAMILY, ENGLAND = "👩🏽‍❤️‍💋‍👨🏻", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize("sign", ["🤖", "❤️", "1️⃣", "↔️", "‼️", "🇧🇷", FAMILY, ENGLAND])
def test_an_emoji_is_one(sign: str) -> None:
    assert marks.emoji(sign) == sign


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("robot_face", "🤖"),
        ("bar_chart", "📊"),
        ("grinning", "😀"),
        ("hugging_face", "🤗"),
        ("speech-balloon", "💬"),
        ("books", "📚"),
    ],
)
def test_dify_calls_emojis_by_their_names_too(name: str, sign: str) -> None:
    assert marks.emoji(name) == sign


@pytest.mark.parametrize(
    "text", ["", "x", "1", "<b>", "🤖<", '"', "&#60;", "🤖" * 17, "no_such_thing", "latin_small_letter_a", "smile", "\ufe0fa"]
)
def test_nothing_else_is(text: str) -> None:
    assert marks.emoji(text) == ""


@pytest.mark.parametrize(
    ("site", "mark"),
    [
        (Site(icon_type="emoji", icon="🤖", icon_background="#ABC"), Mark(sign="🤖", background="#aabbcc")),
        (Site(icon_type="emoji", icon="robot_face"), Mark(sign="🤖", background="#ffead5")),
        (Site(icon_type="emoji", icon="🤖", icon_background="url(x)"), Mark(sign="🤖", background="#ffead5")),
        (Site(icon_type="emoji", icon="<b>"), Mark(sign="S")),
        (Site(icon_type="image", icon_url=f"{ORIGIN}/files/1"), Mark(url=f"{ORIGIN}/files/1")),
        (Site(icon_type="link", icon_url=f"{ORIGIN}/files/x.png"), Mark(url=f"{ORIGIN}/files/x.png")),
        (Site(icon_type="image", icon_url="/files/1"), Mark(url=f"{ORIGIN}/files/1")),
        (Site(icon_type="image", icon_url="/e/hook/chat/x"), Mark(sign="S")),
        (Site(icon_type="image", icon_url="//elsewhere.example/x"), Mark(sign="S")),
        (Site(icon_type="image", icon_url="https://elsewhere.example/files/1"), Mark(sign="S")),
        (Site(icon_type="image", icon_url=f"{ORIGIN}/e/hook/chat/x"), Mark(sign="S")),
        (Site(icon_type="tomorrow", icon="🤖"), Mark(sign="S")),
        (Site(), Mark(sign="S")),
    ],
)
def test_an_app_has_its_icon_or_the_first_letter_of_its_name(site: Site, mark: Mark) -> None:
    assert marks.of(site, "support", ORIGIN) == mark


def test_a_picture_without_a_host_is_shown_only_where_the_pages_own_is_known() -> None:
    assert marks.of(Site(icon_type="image", icon_url="/files/1"), "support", None) == Mark(sign="S")


@pytest.mark.parametrize(
    ("name", "sign"),
    [("été", "É"), ("数据", "数"), ("ßa", "S"), ("3D", ""), ("", ""), ("_x", ""), (APP, ""), ("d" + APP[1:], "")],
)
def test_a_name_without_a_first_letter_is_a_bubble(name: str, sign: str) -> None:
    assert marks.of(Site(), name, None) == Mark(sign=sign)


@pytest.mark.parametrize(
    "mark", [Mark(sign="🤖", background="#aabbcc"), Mark(sign=ENGLAND, background="#000000"), Mark(sign="S"), Mark()]
)
def test_a_mark_goes_through_a_query_string(mark: Mark) -> None:
    values = dict(parse_qsl(mark.query, keep_blank_values=True))
    assert marks.read(values["icon"], values.get("background", "")) == mark


@pytest.mark.parametrize("sign", ["<", "s", "SS", "<svg/onload=x>", "x" * 1000, '"', "\0"])
@pytest.mark.parametrize("background", ["", '"/><script>', "000000"])
def test_a_query_string_can_describe_marks_only(sign: str, background: str) -> None:
    assert marks.read(sign, background) == marks.Mark()
