"""The apps of `python -m devhost`: one for each kind of app, and one for each kind of failure. They refer to their input.

    chats.py      apps with conversations, and completion apps
    workflows.py  workflows
    troubles.py   apps that fail, are slow or are moderated
    people.py     apps that wait for a person, and one that takes ten minutes
    events.py     the events of workflow runs
    forms.py      the forms of apps

Events are sent at the pace of a model. Blocking answers are folded from them, and take as long.
"""

import contextlib
import runpy
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from devhost.apps import App, Call, Pause, Script, Steps, proceed
from devhost.declaration import StartError
from devhost.demo import chats, people, troubles, workflows
from devhost.dify import is_uuid

ALIASES = [*chats.apps(), *workflows.apps(), *troubles.apps(), *people.apps()]
IDS = {alias: f"d0c0ffee-0000-4000-8000-{number:012}" for number, alias in enumerate(ALIASES, start=1)}
KEY = "your-key"
LOCKED = "completion"  # the app that needs the key
# Apps that the demo's plugin calls with their own keys.
BY_KEY = ("chatbot", "completion", "human-input", "human-chatflow", "ten-minutes", "webhook")


def settings(apps: Iterable[str] | None = None) -> dict[str, Any]:
    """Settings for Duck that give each app its alias: the demo's apps, or the `apps` with these aliases.

    The demo's apps are public, except `LOCKED`.
    """
    aliases = list(IDS if apps is None else apps)
    return {
        "api_key": KEY,
        "default_app": {"app_id": app_id(aliases[0])},
        "apps": ", ".join(alias if is_uuid(alias) else f"{alias}={app_id(alias)}" for alias in aliases),
        "public_apps": ", ".join(alias for alias in aliases if alias != LOCKED) if apps is None else "",
    }


def app_keys() -> dict[str, str]:
    """Keys of Dify's Service API, and the id of each key's app."""
    return {f"app-demo-{alias}": app_id for alias, app_id in IDS.items()}


def own_keys(api_url: str) -> dict[str, Any]:
    """Settings with which Duck calls the apps of `BY_KEY` with their own keys, at this Service API."""
    return {"service_api_url": api_url, "app_keys": ", ".join(f"{alias}=app-demo-{alias}" for alias in BY_KEY)}


def hints(url: str) -> list[str]:
    """Lines with pages to open, and with commands that call Duck's routes."""
    call = f"curl -N -H 'Authorization: Bearer {KEY}'"
    post = "curl -N -H 'Content-Type: application/json' -d"
    return [
        f"Open {url}/chat/{ALIASES[0]} in a browser, or {url}/ for all apps.",
        "",
        f"Apps: {', '.join(IDS)}. {LOCKED} needs a key: {KEY}. To try:",
        "",
        f'  {post} \'{{"query": "What is a duck?"}}\' {url}/chat/chatbot',
        f"  {post} '{{\"query\": \"What is a duck?\"}}' '{url}/chat/chatflow?format=sse'",
        f"  {post} '{{\"query\": \"a duck on a pond\"}}' '{url}/chat/agent?format=ndjson'",
        f'  {post} \'{{"inputs": {{"text": "Rain is coming."}}}}\' \'{url}/workflow/workflow?format=text\'',
        f"  curl -N -F text='Rain is coming.' -F doc=@README.md '{url}/workflow/workflow?format=text'",
        f"  curl -N -F query='What is this?' -F files=@README.md {url}/chat/chatbot",
        f"  {call} -d topic=rain {url}/completion/{LOCKED}",
        f"  {post} '{{\"action\": \"opened\"}}' -H 'X-API-Key: {KEY}' {url}/webhook/webhook/preview",
        f"  {call} '{url}/duck/workflow?text=Rain+is+coming.'",
        f"  {call} {url}/",
        "",
    ]


def apps(*, pace: float = 1) -> dict[str, App]:
    """The demo apps by id, without conversations. With `pace` 0 they answer at once, with 2 in twice the time."""
    made = {**chats.apps(), **workflows.apps(), **troubles.apps(), **people.apps()}
    return {IDS[alias]: replace(app, script=_paced(app, pace), name=app.name or _title(alias)) for alias, app in made.items()}


def _title(alias: str) -> str:
    return alias.replace("-", " ").capitalize()


def load(path: Path) -> dict[str, App]:
    """The apps in a Python file that defines `APPS`, a dict from UUIDs or aliases to apps.

    Raises `StartError` if the file cannot be run or has no such dict.
    """
    try:
        found = runpy.run_path(str(path)).get("APPS")
    except Exception as error:  # the user's file may raise anything
        raise StartError(f"cannot load apps from {path}: {type(error).__name__}: {error}") from error
    if isinstance(found, dict) and found and all(isinstance(name, str) and isinstance(app, App) for name, app in found.items()):
        return found
    raise StartError(f'{path} has no APPS, which maps names to apps: APPS = {{"hello": App(mode="chat", script=say("Hi!"))}}')


def app_id(name: str) -> str:
    """The id of the app with this name: the name itself if it is a UUID, else a UUID derived from it."""
    return str(uuid.UUID(name)) if is_uuid(name) else IDS.get(name) or str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def _paced(app: App, pace: float) -> Script:
    def script(call: Call) -> Steps:
        steps, filled = app.steps(call), None
        with contextlib.suppress(StopIteration):
            while True:
                step = proceed(steps, filled)
                filled = yield Pause(step.seconds * pace) if isinstance(step, Pause) else step

    return script
