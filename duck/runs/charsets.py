"""Decodes bytes by their declared charset, else as UTF-8. It never replaces or drops characters. Pure."""

import codecs
import contextlib
import re
from email.errors import HeaderParseError
from email.header import decode_header

from duck.texts import Text

UTF_8 = "utf-8"
NOT_UTF_8 = Text("must be UTF-8, or in the charset that the Content-Type names")

# The web's charsets (https://encoding.spec.whatwg.org) that Python has. Of its other codecs some are slow, some not for text.
_NAMES = (
    "utf-8 utf-8-sig ascii utf-16 utf-16-be utf-16-le gbk gb2312 gb18030 big5 big5hkscs euc_jp shift_jis cp932 iso2022_jp euc_kr "
    "cp949 cp866 koi8-r koi8-u mac-roman mac-cyrillic cp874 tis-620 "
    + " ".join(f"cp{page}" for page in range(1250, 1259))
    + " "
    + " ".join(f"iso8859-{part}" for part in range(1, 17) if part != 12)  # ISO 8859-12 does not exist
)
_CODECS = {codecs.lookup(name).name for name in _NAMES.split()}
_MAX_NAME = 40  # characters of a charset's name
_HIGH = re.compile(rb"[\x80-\xff]+")


def codec(charset: str | None) -> str:
    """The codec for the charset that a request has declared; UTF-8 if it has declared none or an unknown one."""
    try:
        name = codecs.lookup(charset).name if charset and len(charset) <= _MAX_NAME else ""
    except (LookupError, ValueError):  # ValueError: there is a NUL in it
        name = ""
    return name if name in _CODECS else UTF_8


def file_name(name: bytes) -> str:
    """Decodes a file's name, which clients send in UTF-8, in a code page of theirs, or as an encoded word (RFC 2047)."""
    text = _decoded_by_guess(name)
    if text.startswith("=?") and text.endswith("?="):
        try:
            return "".join(
                part if isinstance(part, str) else part.decode(codec(charset or "latin-1"))
                for part, charset in decode_header(text)
            )
        except (HeaderParseError, ValueError):
            return text
    return text


def _decoded_by_guess(name: bytes) -> str:
    """The name in UTF-8, else in a likely code page: those of East Asia have two bytes a character, those of Europe one."""
    are_pairs = all(len(high) % 2 == 0 for high in _HIGH.findall(name))
    for charset in (UTF_8, "gb18030" if are_pairs else "cp1252"):
        with contextlib.suppress(UnicodeDecodeError):
            return name.decode(charset)
    return name.decode("latin-1")  # Latin-1 has a character for every byte
