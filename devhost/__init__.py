"""A local stand-in for Dify's plugin daemon, and for the apps behind it. For development and tests only.

It starts an endpoint plugin as Dify does, serves it on loopback and answers its backwards calls from scripted apps:

    with Devhost("path/to/plugin", apps={"<uuid>": App(mode="chat", script=fn)}, settings={...}) as host:
        httpx.post(host.url + "/chat/<uuid>", json={"query": "hi"})

It is meant to be as unkind as the real thing. It knows nothing of the plugin but the lines that go between the two.

    host.py      Devhost: all of it together, in a thread
    daemon.py    the routes, and one session of the plugin for each request
    request.py   what becomes of a request on its way to the plugin
    response.py  what becomes of the plugin's chunks on their way to the client
    plugin.py    a plugin at work: local.py (a process.py and its pipes), remote.py (being debugged), serverless.py (functions)
    wire.py      the lines that are written to it
    declaration  what the plugin declares, by schema.py; settings.py: an endpoint's values; limits: what the daemon allows
    dify.py      the backwards calls; run.py: one of them, in a thread; inputs.py: an app's inputs; files.py: uploads, downloads
    service.py   Dify's Service API, for those who have an app's own key; users.py: the end users of apps
    apps.py      scripted apps; demo/: those of `python -m devhost`
    serve.py     the command `python -m devhost`; command.py: how the commands are called
    trace.py     messages in words; page.py: the page at `/`
    debug.py     runs a plugin to be debugged; debugged.py: what its process runs; package.py: packs one
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devhost.apps import App, Call, Failure, Pause, say
    from devhost.declaration import StartError
    from devhost.host import Devhost

__all__ = ["App", "Call", "Devhost", "Failure", "Pause", "StartError", "say"]


def __getattr__(name: str) -> Any:
    """Imports a name when it is first used, so that a command that imports this package soon hears signals."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = {"Devhost": "devhost.host", "StartError": "devhost.declaration"}.get(name, "devhost.apps")
    return getattr(import_module(module), name)
