"""Files that callers send or link to: their names, their kinds, and how Dify takes them. Pure."""

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

MAX_LINK = 20_000  # characters of a link
MAX_NAME = 200  # characters; file systems and databases allow 255 bytes or characters
BLOB = "blob"  # the file name that JavaScript's `FormData` gives to a `Blob`
MAX_DATA_PREFIX = 1000  # characters of a `data:` URL before its data
NO_TYPE = "application/octet-stream"  # what clients send if they do not know the type; Dify would take the file for a ".bin"

# The extensions by which Dify tells a file's kind, before it looks at its type.
_EXTENSIONS: Mapping[FileKind, str] = {
    "image": "jpg jpeg png webp gif svg",
    "video": "mp4 mov mpeg webm",
    "audio": "mp3 m4a wav amr mpga",
    "document": "txt markdown md mdx pdf html htm xlsx xls vtt properties doc docx csv eml msg pptx ppt xml epub",
}
_KIND_OF_EXTENSION: Mapping[str, FileKind] = {name: kind for kind, names in _EXTENSIONS.items() for name in names.split()}
# Types that Python knows only from tables of the operating system, which a container may lack.
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
# The first bytes of files that people paste. "RIFF" is left out, because it may also be a sound.
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": "application/pdf",
}
_DATA = "data:"
_MIN_BASE64 = 24  # characters; a shorter text holds no file
_MIMETYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"*/:<>?\\|]")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a request, under a name that is safe to pass on.

    `link_kind` is the kind that a link to it must have: `custom` if the variable takes it only for its extension, else None.
    """

    name: str
    mimetype: str
    content: bytes
    link_kind: FileKind | None = None

    @classmethod
    def received(cls, name: str, mimetype: str, content: bytes) -> "File":
        """A file as a client sends it. The name may be a path on the client's machine, and the client may not know the type."""
        base = PureWindowsPath(PurePosixPath(name[-MAX_LINK:]).name).name
        safe = _UNSAFE.sub("_", base).strip(" .")[-MAX_NAME:] or "file"
        if mimetype in {"", NO_TYPE}:
            mimetype = _TYPES.get(extension_of(safe)) or mimetypes.guess_type(safe)[0] or NO_TYPE
        return cls(name=safe, mimetype=mimetype, content=content)

    @classmethod
    def from_text(cls, text: str) -> "File | None":
        """The file in a `data:` URL (RFC 2397), or in base64 whose first bytes show its type; None for any other text.

        Raises `ValueError` for a broken `data:` URL.
        """
        if text[: len(_DATA)].lower() == _DATA:
            return cls._from_url(text[len(_DATA) :])
        try:
            content = _from_base64(text) if len(text) >= _MIN_BASE64 else b""
        except ValueError:
            return None
        mimetype = next((type_ for signature, type_ in _SIGNATURES.items() if content.startswith(signature)), None)
        return cls.from_content("", mimetype, content) if mimetype else None

    @classmethod
    def from_base64(cls, data: str, mimetype: str = "") -> "File":
        """The file with this content in base64. Raises `ValueError` if it is none."""
        return cls._from_url(f"{mimetype};base64,{data}")

    @classmethod
    def _from_url(cls, text: str) -> "File":
        prefix, comma, data = text.partition(",")
        mimetype, *parameters = [part.strip() for part in prefix[:MAX_DATA_PREFIX].split(";")]
        if not comma or len(prefix) > MAX_DATA_PREFIX:
            raise ValueError(Text("there is no comma before its data"))
        if "base64" in (parameter.lower() for parameter in parameters):
            try:
                content = _from_base64(unquote(data) if "%" in data else data)
            except ValueError as error:
                raise ValueError(Text("its data is not base64")) from error
        else:
            content = unquote_to_bytes(data)
        names = [unquote(value) for name, _, value in (parameter.partition("=") for parameter in parameters) if "name" in name]
        return cls.from_content(names[0] if names else "", mimetype.lower() or "text/plain", content)

    @classmethod
    def from_content(cls, name: str, mimetype: str, content: bytes) -> "File":
        """A file whose sender may have told its type alone. Without a name it gets one with the type's extension."""
        if mimetype and not _MIMETYPE.fullmatch(mimetype):
            mimetype = NO_TYPE  # it becomes a header of the upload
        usual = mimetypes.guess_all_extensions(mimetype)
        known = (extension for extension in usual if extension.removeprefix(".") in _KIND_OF_EXTENSION)
        extension = next(known, next(iter(usual), ""))  # Python's first for XML is ".xsl", which Dify does not know
        return cls.received(name or f"file{extension}", mimetype, content)

    @property
    def is_blob(self) -> bool:
        """Whether it has the name of a JavaScript `Blob` in a form. Then it may be meant as a text or as JSON."""
        return self.name == BLOB

    @property
    def kind(self) -> FileKind:
        """The kind that Dify gives to the file."""
        return kind_of(self.name, self.mimetype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An uploaded file as the input of an app: `by_id`, or `by_url` if the app's user may not read the upload."""

    by_id: Mapping[str, Any]
    by_url: Mapping[str, Any] | None


def _from_base64(text: str) -> bytes:
    """Decodes base64 as browsers do: line ends and missing padding do no harm. Raises `ValueError`."""
    text = "".join(text.replace(" ", "+").split())  # an unescaped form turns plus signs into spaces
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def kind_of(name: str, mimetype: str = "") -> FileKind:
    """The kind that Dify gives to a file of this name and type."""
    kind = _KIND_OF_EXTENSION.get(extension_of(name))
    main, _, sub = mimetype.partition("/")
    if kind or main in {"image", "video", "audio"}:
        return kind or cast("FileKind", main)
    return "document" if main == "text" or sub == "pdf" else "custom"


def extension_of(name: str) -> str:
    """The extension of a file name, without its dot and in lower case; "" if there is none."""
    return PurePosixPath(name).suffix.removeprefix(".").lower()


def link(url: str, kind: str) -> dict[str, Any]:
    """A file that Dify should fetch, as the input of an app."""
    return {"type": kind, "transfer_method": "remote_url", "url": url}


def name_in(url: str) -> str | None:
    """The file name at the end of a link, "" if there is none; None if the link is not an http(s) URL."""
    if len(url) > MAX_LINK:
        return None
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            return None
    except ValueError:
        return None
    return PurePosixPath(unquote(parts.path)).name
