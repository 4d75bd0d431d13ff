"""The mark that stands for an app: its own icon, else its name's first letter, else a plain speech bubble. Pure."""

import unicodedata
from dataclasses import dataclass
from urllib.parse import urlencode

from duck.callers.settings import canonical
from duck.dify.site import Site
from duck.faces.page import markdown, theme

BACKGROUND = "#ffead5"  # Dify's own, for icons without one
MAX_SIGN = 16  # code points: families and flags are emojis of up to ten
_JOINERS = frozenset("\u200d\ufe0f\u20e3")  # they make one emoji of several characters
_KEYCAPS = frozenset("0123456789#*")
_TAGS = range(0xE0020, 0xE0080)  # they name the region of a flag
_FIRST = "\u2600"  # before it there are hardly any emojis, but technical signs with the same names
_VARIANTS = ("{}", "{} FACE", "FACE WITH {}", "{} SIGN", "{} SYMBOL", "{} SUIT")  # of a name, as Unicode has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An app's mark: a picture at `url`; else a `sign`, which is an emoji on its `background`, or a letter; else a bubble."""

    url: str = ""
    sign: str = ""
    background: str = ""

    @property
    def query(self) -> str:
        """The mark as the query string of the endpoint that draws it, without a picture."""
        background = {"background": self.background.removeprefix("#")} if self.background else {}
        return urlencode({"icon": self.sign, **background})


def of(site: Site, name: str, origin: str | None) -> Mark:
    """The mark of the app that is called `name`. A picture has to be on the page's own `origin`."""
    url = f"{origin}{site.icon_url}" if site.icon_url.startswith("/") else site.icon_url  # Dify's own files may have no host
    if site.icon_type in {"image", "link"} and markdown.is_own(url, origin):
        return Mark(url=url)
    if site.icon_type == "emoji" and (sign := emoji(site.icon)):
        return Mark(sign=sign, background=theme.colour(site.icon_background) or BACKGROUND)
    return Mark(sign=initial(name))


def read(sign: str, background: str) -> Mark:
    """The mark that a query string describes. What describes none is the bubble."""
    if found := emoji(sign):
        return Mark(sign=found, background=theme.colour(f"#{background}") or BACKGROUND)
    return Mark(sign=sign if sign == initial(sign) else "")


def emoji(text: str) -> str:
    """The text if it is an emoji; the emoji if it is the name of one, such as `robot_face`; else ""."""
    if 0 < len(text) <= MAX_SIGN and all(map(_is_part, text)) and any(map(_is_pictorial, text)):
        return text
    name = text.replace("_", " ").replace("-", " ").upper()
    for variant in _VARIANTS if name.replace(" ", "").isalnum() and name.isascii() else ():
        try:
            found = unicodedata.lookup(variant.format(name))
        except KeyError:
            continue
        if len(found) == 1 and found >= _FIRST and unicodedata.category(found) == "So":
            return found
    return ""


def initial(name: str) -> str:
    """The first letter of a name in upper case; "" for an id, and for a name that begins with none."""
    if canonical(name) or not name[:1].isalpha():
        return ""
    return name[0].upper()[:1]


def _is_pictorial(character: str) -> bool:
    return unicodedata.category(character) == "So" or character in {"\ufe0f", "\u20e3"}


def _is_part(character: str) -> bool:
    """Whether a character can be a part of an emoji. Those that mean something to HTML cannot."""
    if character.isascii():
        return character in _KEYCAPS
    is_joining = character in _JOINERS or ord(character) in _TAGS
    return is_joining or unicodedata.category(character) in {"So", "Sk", "Sm", "Po"}
