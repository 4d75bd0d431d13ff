"""The list of apps, and how programs call them."""

from collections.abc import Mapping
from typing import Any

from duck.faces.page import frame
from duck.faces.page.view import View
from duck.faces.page.words import WORDS


def landing_page(index: Mapping[str, Any], *, language: str, sign_in: str = "") -> bytes:
    """The list of apps, and how programs call them. `index` is the JSON document that programs get.

    `sign_in` is the address where a guest can sign in, "" for none.
    """
    view, url = View(language=language), index["url"] or "https://<dify>/e/<hook>/"
    names = [app["alias"] for app in index["apps"]]
    curl = """curl -N -H 'Authorization: Bearer <key>' -H 'Content-Type: application/json' -d '{"query": "Hello"}'"""
    body = frame.render(
        "landing.html",
        view,
        apps=index["apps"],
        sign_in=sign_in,
        named=[name for name in names if name != "default"],
        formats=index["formats"],
        url=url,
        curl=curl,
        example=names[0] if names else "<app_id>",
    )
    return frame.encoded(frame.top(view, home="", icon=frame.FAVICON, title=WORDS[language]["title"]) + body + frame.bottom(view))
