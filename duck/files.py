"""Files that callers send or link to: what they are called, what kind they are of, and how Dify takes them. Pure."""

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal, cast
from urllib.parse import unquote, urlsplit

Kind = Literal["image", "document", "audio", "video", "custom"]

MAX_NAME = 200  # characters; file systems and databases end at 255 bytes or characters
NO_TYPE = "application/octet-stream"  # what clients say who do not know; Dify would take the file for a ".bin"

# What Dify tells a file's kind by, before it looks at its type.
_ENDINGS: Mapping[Kind, str] = {
    "image": "jpg jpeg png webp gif svg",
    "video": "mp4 mov mpeg webm",
    "audio": "mp3 m4a wav amr mpga",
    "document": "txt markdown md mdx pdf html htm xlsx xls vtt properties doc docx csv eml msg pptx ppt xml epub",
}
_KINDS: Mapping[str, Kind] = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
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
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"*/:<>?\\|]")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that came with a request, under a name that is safe to pass on.

    `link_kind` is what it is to be called once it is a link: `custom` where a variable takes it for the end of its name alone.
    """

    name: str
    mimetype: str
    content: bytes
    link_kind: Kind | None = None

    @classmethod
    def received(cls, name: str, mimetype: str, content: bytes) -> "File":
        """A file as a client calls it: a path of its own machine, perhaps, and of a type that it may not know."""
        base = PureWindowsPath(PurePosixPath(name).name).name
        safe = _UNSAFE.sub("_", base).strip(" .")[-MAX_NAME:] or "file"
        if mimetype in {"", NO_TYPE}:
            mimetype = _TYPES.get(extension_of(safe)) or mimetypes.guess_type(safe)[0] or NO_TYPE
        return cls(name=safe, mimetype=mimetype, content=content)

    @property
    def kind(self) -> Kind:
        """What Dify takes it for."""
        return kind_of(self.name, self.mimetype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that Dify has: as the input of an app it is `by_id`, or where the app's user may not read that, `by_url`."""

    by_id: Mapping[str, Any]
    by_url: Mapping[str, Any] | None


def kind_of(name: str, mimetype: str = "") -> Kind:
    """What Dify takes a file of this name and type for."""
    known = _KINDS.get(extension_of(name))
    main, _, sub = mimetype.partition("/")
    if known or main in {"image", "video", "audio"}:
        return known or cast("Kind", main)
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
