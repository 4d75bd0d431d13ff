"""How an app's owner wants the app to look: what Dify's `GET /site` says. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NAME, _LINE, _TEXT, _URL = 200, 500, 5_000, 2_000  # characters; Dify limits its own fields to less, but not all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The owner's settings for the app's own web page in Dify. A text that is not set is "".

    `icon_type` is emoji, image or link. `icon` is an emoji or its name, `icon_url` the address of a picture. `icon_background`
    and `colour` are colours of CSS as the owner has set them. `privacy_policy` should be an address, but may be any text.
    With `has_answer_icon` the icon is shown beside answers, too.
    """

    title: str = ""
    description: str = ""
    icon_type: str = ""
    icon: str = ""
    icon_background: str = ""
    icon_url: str = ""
    colour: str = ""
    copyright: str = ""
    privacy_policy: str = ""
    disclaimer: str = ""
    placeholder: str = ""
    shows_steps: bool = True
    has_answer_icon: bool = False


def read(answer: Mapping[str, Any]) -> Site:
    """The site in Dify's answer. A field of a wrong type or of too many characters counts as not set."""

    def text(name: str, limit: int) -> str:
        value = answer.get(name)
        return value.strip() if isinstance(value, str) and len(value) <= limit else ""

    icon_type, icon = text("icon_type", _NAME), text("icon", _URL)
    return Site(
        title=text("title", _NAME),
        description=text("description", _TEXT),
        icon_type=icon_type,
        icon=icon,
        icon_background=text("icon_background", _NAME),
        icon_url=text("icon_url", _URL) or (icon if icon_type == "link" else ""),
        colour=text("chat_color_theme", _NAME),
        copyright=text("copyright", _LINE),
        privacy_policy=text("privacy_policy", _URL),
        disclaimer=text("custom_disclaimer", _TEXT),
        placeholder=text("input_placeholder", _LINE),
        shows_steps=answer.get("show_workflow_steps") is not False,
        has_answer_icon=answer.get("use_icon_as_answer_icon") is True,
    )
