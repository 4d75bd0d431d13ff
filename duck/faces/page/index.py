"""The list of apps, how programs call them, and what an owner sets first. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from duck.dify.site import Site
from duck.faces.page import curl, frame, hook, marks
from duck.faces.page.marks import Mark
from duck.faces.page.view import View
from duck.faces.page.words import WORDS
from duck.runs.forms import Form
from duck.runs.run import Kind

APP, FORMAT = "app", "as"  # in the query string: how to call which app; `format` would be the list's own
ANY_URL = "https://<dify>/e/<hook>/"
EXAMPLE, EXAMPLE_ID = "support", "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An app on the list. `name` is what routes call it."""

    name: str
    title: str
    description: str
    kind: Kind
    public: bool
    mark: Mark
    form: Form | None

    @property
    def path(self) -> str:
        """The app's page, relative to the list."""
        return f"{self.kind}/{quote(self.name, safe='')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Something to copy into a client. `hint`, if there is one, says what else is to know of it, and `page` has more to say."""

    label: str
    text: str
    hint: str = ""
    page: str = ""


def landing_page(
    index: Mapping[str, Any],
    *,
    language: str,
    sign_in: str = "",
    chosen: str | None = None,
    format_name: str = "",
    origin: str | None = None,
    url_is_set: bool = False,
    capability: str = "",
) -> bytes:
    """The list of apps. `index` is the JSON document that programs get; its apps may have a `site` and a `form` besides.

    The page tells how to call the app with the name `chosen`, in this format. A guest can sign in at the address `sign_in`, which
    is "" for holders of a key: they get the addresses for clients, too, and with a `capability` that of the webhook which it
    opens. Pictures have to be on `origin`. With `url_is_set` the owner has set the endpoint's URL.
    """
    words, url = WORDS[language], index["url"] or ANY_URL
    view = View(language=language, root="", url=url, url_is_set=url_is_set)
    cards = [_card(app, origin) for app in index["apps"]]
    card = next((each for each in cards if each.name == chosen), None)
    format_name = format_name if format_name in index["formats"] else index["formats"][0]
    body = frame.render(
        "landing.html",
        view,
        cards=cards,
        sign_in=sign_in,
        is_named=any(each.name != "default" for each in cards),
        formats=index["formats"],
        format_name=format_name,
        chosen=card,
        command=card and curl.command(url, card.kind, quote(card.name, safe=""), format_name, card.form, with_key=not sign_in),
        addresses=_addresses(url, card, words, capability) if card and not sign_in else [],
        fields={"app": APP, "format": FORMAT},
        example={"name": EXAMPLE, "id": EXAMPLE_ID},
    )
    top = frame.top(view, home="", icon=frame.FAVICON, title=words["title"])
    return frame.encoded(top + body + frame.bottom(view))


def _card(app: Mapping[str, Any], origin: str | None) -> Card:
    site: Site = app.get("site") or Site()
    title = site.title or app.get("name") or app["alias"]
    return Card(
        name=app["alias"],
        title=title,
        description=site.description or app.get("description") or "",
        kind=app.get("kind", "chat"),
        public=app["public"],
        mark=marks.of(site, title, origin),
        form=app.get("form"),
    )


def _addresses(url: str, card: Card, words: Mapping[str, str], capability: str) -> Sequence[Address]:
    name = quote(card.name, safe="")
    embed = f'<script src="{url}embed.js" data-app="{card.name}" defer></script>'
    embed_hint = Markup(words["embed_hint"])  # noqa: S704 - from Duck's own file
    webhook = Address(
        label=words["webhook"],
        text=url + hook.path(card.name, capability),
        hint=words["webhook_hint"],
        page=hook.path(card.name),
    )
    return [
        Address(label=words["page"], text=url + card.path),
        Address(label=words["openai"], text=f"{url}v1", hint=words["model"].format(name=card.name)),
        Address(label=words["anthropic"], text=url.rstrip("/"), hint=words["model"].format(name=card.name)),
        Address(label=words["dify"], text=f"{url}dify/{name}/v1"),
        Address(label=words["mcp"], text=f"{url}mcp/{name}"),
        Address(label=words["mcp_all"], text=f"{url}mcp"),
        Address(label=words["agui"], text=f"{url}agui/{name}"),
        Address(label=words["a2a"], text=f"{url}a2a/{name}"),
        *([webhook] if capability else []),
        *([Address(label=words["embed"], text=embed, hint=embed_hint)] if card.kind == "chat" else []),
    ]
