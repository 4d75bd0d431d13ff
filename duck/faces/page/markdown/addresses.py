"""Which addresses a page may link to, and which pictures it may show. Pure."""

import re
from urllib.parse import unquote

FILES = "/files/"  # the path of Dify's files, whose addresses have no host if Dify does not know its own
_SCHEMES = ("https://", "http://", "mailto:")


def is_link(url: object) -> bool:
    """Whether a page may link to this URL."""
    return isinstance(url, str) and url.lower().startswith(_SCHEMES)


def is_own(url: object, origin: str | None) -> bool:
    """Whether a URL is one of Dify's files on the page's own origin. All else there may change something when it is fetched.

    Browsers read a backslash as a slash and drop line breaks. Dify's proxy decodes the path and reads two slashes as one.
    """
    if not isinstance(url, str) or origin is None or not url.startswith(f"{origin}/"):
        return False
    path = unquote(re.split("[?#]", url.removeprefix(origin))[0]).replace("\\", "/")
    names = [name for name in re.sub("[\t\r\n]", "", path).split("/") if name]
    return not {".", ".."} & {*names} and names[:1] == [FILES.strip("/")]


def absolute(url: str, origin: str | None) -> str:
    """The URL with the page's origin if it is one of Dify's files without a host, else as it is."""
    return f"{origin}{url}" if url.startswith(FILES) and is_own(f"{origin}{url}", origin) else url
