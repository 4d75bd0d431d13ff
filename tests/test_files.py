"""What files are called, and what kind they are of."""

import pytest

from duck.runs import files
from duck.runs.files import File


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("报告 最终.pdf", "报告 最终.pdf"),
        ("../../x.png", "x.png"),
        ("..\\..\\x.png", "x.png"),
        ("C:\\Users\\me\\x.png", "x.png"),
        ("/etc/passwd", "passwd"),
        ("..", "file"),
        (".", "file"),
        ("/", "file"),
        (" . ", "file"),
        (".env", "env"),
        ('a"b\r\nX-Evil: 1.txt', "a_b__X-Evil_ 1.txt"),
        ("a\0b\x7f.txt", "a_b_.txt"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
    ],
)
def test_a_name_is_safe_to_pass_on(given: str, name: str) -> None:
    assert File.received(given, "application/pdf", b"x").name == name


@pytest.mark.parametrize(
    ("name", "given", "mimetype"),
    [
        ("a.pdf", "application/pdf", "application/pdf"),
        ("a.pdf", "text/plain", "text/plain"),
        ("a.pdf", "application/octet-stream", "application/pdf"),
        ("a.png", "", "image/png"),
        ("a.docx", "application/octet-stream", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("A.MD", "application/octet-stream", "text/markdown"),
        ("a.csv", "", "text/csv"),
        ("a.unknown", "", "application/octet-stream"),
        ("none", "", "application/octet-stream"),
    ],
)
def test_a_type_that_the_client_does_not_know_is_told_by_the_name(name: str, given: str, mimetype: str) -> None:
    assert File.received(name, given, b"x").mimetype == mimetype


@pytest.mark.parametrize(
    ("name", "mimetype", "kind"),
    [
        ("a.png", "", "image"),
        ("a.PNG", "application/octet-stream", "image"),
        ("a.pdf", "image/png", "document"),
        ("a.heic", "image/heic", "image"),
        ("a.mp3", "", "audio"),
        ("a.mp4", "", "video"),
        ("a.docx", "", "document"),
        ("a.log", "text/plain", "document"),
        ("a", "application/pdf", "document"),
        ("a.zip", "application/zip", "custom"),
        ("a", "", "custom"),
    ],
)
def test_a_kind_is_told_by_the_end_of_the_name_and_then_by_the_type(name: str, mimetype: str, kind: str) -> None:
    assert files.kind_of(name, mimetype) == kind


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/a/report.pdf", "report.pdf"),
        ("http://example.org/%E6%8A%A5%E5%91%8A.pdf?x=1#y", "报告.pdf"),
        ("https://example.org", ""),
        ("https://example.org/", ""),
        ("ftp://example.org/a.pdf", None),
        ("javascript:alert(1)", None),
        ("https://", None),
        ("https://[", None),
        ("a.pdf", None),
        ("", None),
    ],
)
def test_a_link_is_http_and_may_end_with_a_name(url: str, name: str | None) -> None:
    assert files.name_in(url) == name


@pytest.mark.parametrize("mimetype", ["image/png\r\nX-Evil: yes", "image/\N{DUCK}", "image/" + "x" * 100, "image"])
def test_an_odd_type_of_a_data_url_is_none(mimetype: str) -> None:
    found = File.from_text(f"data:{mimetype};base64,QUJD")
    assert found is not None
    assert (found.mimetype, found.content) == ("application/octet-stream", b"ABC")


def test_a_link_that_is_too_long_is_none() -> None:
    assert files.name_in("https://x.example/" + "a" * files.MAX_LINK) is None
