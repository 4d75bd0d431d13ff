"""Files that callers send or link to: what they are called, what kind they are of, and how Dify takes them. Pure."""

import mimetypes
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal, cast
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from duck.texts import Text

FileKind = Literal["image", "document", "audio", "video", "custom"]

MAX_NAME = 200  # characters; file systems and databases end at 255 bytes or characters
BLOB = "blob"  # what a `Blob` in JavaScript's `FormData` is called
MAX_ABOUT = 1000  # characters of a `data:` URL before its data
NO_TYPE = "application/octet-stream"  # what clients say who do not know; Dify would take the file for a ".bin"

# What Dify tells a file's kind by, before it looks at its type.
_ENDINGS: Mapping[FileKind, str] = {
    "image": "jpg jpeg png webp gif svg",
    "video": "mp4 mov mpeg webm",
    "audio": "mp3 m4a wav amr mpga",
    "document": "txt markdown md mdx pdf html htm xlsx xls vtt properties doc docx csv eml msg pptx ppt xml epub",
}
_KIND_OF_ENDING: Mapping[str, FileKind] = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
# Types that Python does not know without the tables of an operating system, which a container may lack.
_OFFICE = "application/vnd.openxmlformats-officedocument."
_TYPES = {
    "docx": f"{_OFFICE}wordprocessingml.document",
    "xlsx": f"{_OFFICE}spreadsheetml.sheet",
    "pptx": f"{_OFFICE}presentationml.presentation",
    "md": "text/markdown",
    "mdx": "text/markdown",
    "markdown": "text/markdown",
    "epub": "application/epub+zip",
    "msg": "application/vnd.ms-outlook",
    "webp": "image/webp",
    "m4a": "audio/mp4",
    "amr": "audio/amr",
}
# What the files that people paste begin with; "RIFF" may also be a sound.
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": "application/pdf",
}
_DATA = "data:"
_MIN_BASE64 = 24  # characters: what is shorter, holds no file
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"*/:<>?\\|]")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that came with a request, under a name that is safe to pass on.

    `link_kind` is what it is to be called once it is a link: `custom` where a variable takes it for the end of its name alone.
    """

    name: str
    mimetype: str
    content: bytes
    link_kind: FileKind | None = None

    @classmethod
    def received(cls, name: str, mimetype: str, content: bytes) -> "File":
        """A file as a client calls it: a path of its own machine, perhaps, and of a type that it may not know."""
        base = PureWindowsPath(PurePosixPath(name).name).name
        safe = _UNSAFE.sub("_", base).strip(" .")[-MAX_NAME:] or "file"
        if mimetype in {"", NO_TYPE}:
            mimetype = _TYPES.get(extension_of(safe)) or mimetypes.guess_type(safe)[0] or NO_TYPE
        return cls(name=safe, mimetype=mimetype, content=content)

    @classmethod
    def pasted(cls, text: str) -> "File | None":
        """The file that a `data:` URL holds (RFC 2397), or base64 whose beginning tells what it is; None for any other text.

        Raises `ValueError` for a `data:` URL that is broken.
        """
        if text[: len(_DATA)].lower() == _DATA:
            return cls._from_url(text[len(_DATA) :])
        try:
            content = _from_base64(text) if len(text) >= _MIN_BASE64 else b""
        except ValueError:
            return None
        mimetype = next((kind for beginning, kind in _BEGINNINGS.items() if content.startswith(beginning)), None)
        return cls._named("", mimetype, content) if mimetype else None

    @classmethod
    def _from_url(cls, text: str) -> "File":
        about, comma, data = text.partition(",")
        mimetype, *parameters = [part.strip() for part in about[:MAX_ABOUT].split(";")]
        if not comma or len(about) > MAX_ABOUT:
            raise ValueError(Text("there is no comma before its data"))
        if "base64" in (parameter.lower() for parameter in parameters):
            try:
                content = _from_base64(unquote(data) if "%" in data else data)
            except ValueError as error:
                raise ValueError(Text("its data is not base64")) from error
        else:
            content = unquote_to_bytes(data)
        names = [unquote(value) for name, _, value in (parameter.partition("=") for parameter in parameters) if "name" in name]
        return cls._named(names[0] if names else "", mimetype.lower() or "text/plain", content)

    @classmethod
    def _named(cls, name: str, mimetype: str, content: bytes) -> "File":
        ending = mimetypes.guess_extension(mimetype) or ""
        return cls.received(name or f"file{ending}", mimetype, content)

    @property
    def is_blob(self) -> bool:
        """Whether it is called what JavaScript calls a `Blob` in a form: then it may be no file, but a text or JSON."""
        return self.name == BLOB

    @property
    def kind(self) -> FileKind:
        """What Dify takes it for."""
        return kind_of(self.name, self.mimetype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that Dify has: as the input of an app it is `by_id`, or where the app's user may not read that, `by_url`."""

    by_id: Mapping[str, Any]
    by_url: Mapping[str, Any] | None


def _from_base64(text: str) -> bytes:
    """What base64 stands for, as browsers read it: line ends in it and a lack of padding do no harm. Raises `ValueError`."""
    text = "".join(text.replace(" ", "+").split())  # a form that was not escaped has made blanks of plus signs
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def kind_of(name: str, mimetype: str = "") -> FileKind:
    """What Dify takes a file of this name and type for."""
    known = _KIND_OF_ENDING.get(extension_of(name))
    main, _, sub = mimetype.partition("/")
    if known or main in {"image", "video", "audio"}:
        return known or cast("FileKind", main)
    return "document" if main == "text" or sub == "pdf" else "custom"


def extension_of(name: str) -> str:
    """What follows the last dot of a name, in lower case; empty if there is none."""
    return PurePosixPath(name).suffix.removeprefix(".").lower()


def link(url: str, kind: str) -> dict[str, Any]:
    """A file that Dify is to fetch, as the input of an app."""
    return {"type": kind, "transfer_method": "remote_url", "url": url}


def name_in(url: str) -> str | None:
    """The file name that a link ends with, "" if it has none; None for what is no http(s) URL."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            return None
    except ValueError:
        return None
    return PurePosixPath(unquote(parts.path)).name
