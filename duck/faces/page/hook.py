"""The page of a webhook: its addresses, and what a sample of a delivery would fill in. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from duck.faces.page import frame
from duck.faces.page.fields import SAMPLE
from duck.faces.page.view import View
from duck.faces.page.words import WORDS
from duck.runs.forms import Form
from duck.runs.run import Kind
from duck.streams import json
from duck.texts import Fault

MAX_SHOWN = 2000  # characters of a value; the rest is where it came from
MAX_SAMPLE = 128 * 1024  # characters of a sample that its page repeats, as in `view`
_TITLES = {"feishu": "Feishu (Lark)", "github": "GitHub", "gitlab": "GitLab", "standard": "Standard Webhooks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a sample would fill in. It has been taken for a body of the type `mimetype`.

    `fault` tells why that type does not fit, so that it is a text, "" if it fits. `query` is what a chat is asked, None for other
    apps; the `kind` of the app is None if it is not known. `inputs` are the values of the app's inputs by their names, and `form`
    is the app's. With `faults` nothing would run.
    """

    kind: Kind | None
    mimetype: str
    fault: str = ""
    query: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    form: Form

    @property
    def values(self) -> Mapping[str, str]:
        """The text to show for each input that gets a value, by the input's name."""
        return {name: shown(value) for name, value in self.inputs.items()}

    @property
    def question(self) -> str:
        """The text to show for the query."""
        return shown(self.query or "")

    @property
    def labels(self) -> Mapping[str, str]:
        """What the app's form calls its inputs, by their names."""
        return {variable.name: variable.label for variable in self.form.variables}

    @property
    def empty(self) -> Sequence[str]:
        """The names of the inputs that get no value."""
        return [variable.name for variable in self.form.variables if variable.name not in self.inputs]


def path(name: str, capability: str = "") -> str:
    """The path of a webhook, relative to the endpoint's first one. With its `capability` it opens by itself."""
    return "/".join(filter(None, ("webhook", quote(name, safe=""), capability)))


def hook_page(
    view: View,
    *,
    capability: str,
    senders: Iterable[str],
    secrets: int,
    sample: str = "",
    preview: Preview | None = None,
) -> bytes:
    """The page of the webhook of the app in the `view`, with the form for a sample, and what that would fill in.

    `senders` are those whose signatures can be verified, `secrets` is the number of secrets for that.
    """
    words = WORDS[view.language]
    body = frame.render(
        "hook.html",
        view,
        open=path(view.name, capability),
        signed=path(view.name),
        senders=sorted(_TITLES.get(name, name.capitalize()) for name in senders),
        secrets=secrets,
        how_to_sign=Markup(words["webhook_secrets"]).format(name=view.name),  # noqa: S704 - from Duck's own file
        field=SAMPLE,
        sample=sample if len(sample) <= MAX_SAMPLE else "",
        preview=preview,
    )
    title = f"{words['webhook']}: {view.title or view.name}"
    return frame.encoded(frame.top(view, title=title) + body + frame.bottom(view))


def shown(value: Any) -> str:
    """A value as people read it, cut off if it is long."""
    text = value if isinstance(value, str) else json.pretty(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + " …"
